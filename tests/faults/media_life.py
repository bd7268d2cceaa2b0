"""A moment in the life of a bridge with files of its own, for a process that is killed in it."""

import asyncio
import io
import sys
from pathlib import Path

from PIL import Image

from bridged.adapter import BlobLimit, Response, Use
from bridged.testing import FakeNetwork, Harness, ScriptedHttp

TYPES = frozenset({"image/jpeg"})
LIMITS: dict[Use, BlobLimit] = {"image": BlobLimit(2_000_000, TYPES), "thumb": BlobLimit(1_000_000, TYPES)}
URL = "https://files.example/cat.jpg"


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(out, "JPEG")
    return out.getvalue()


async def life(folder: Path) -> tuple[tuple[str, ...], int, int]:
    """Alice posts a picture; what bob is shown of it, how many files there are then, and how many were swept before."""
    red, blue, http = FakeNetwork("red"), FakeNetwork("blue", blobs=LIMITS), ScriptedHttp()
    red.join("alice")
    blue.join("bob")

    def answer(_body: bytes, _headers: object) -> Response:
        with open(folder / "asked", "a") as file:
            file.write("once\n")
        return Response(200, URL, {"content-type": "image/jpeg"}, picture())

    http.pages[URL] = answer
    async with Harness([red.adapter, blue.adapter], data_dir=folder / "var", http=http) as bridge:
        swept = await bridge.core.media.sweep()
        ghost = await bridge.ghost(red.ref("alice"), "blue")
        await bridge.hear(blue.say("Follow", "bob", target=ghost.ref.id))
        await bridge.hear(red.post("alice", "look", files=(URL,)))
        (told,) = blue.received("Post")
        files = [p for p in bridge.core.media.folder.rglob("*") if p.is_file()]
        return told.files, len(files), swept


if __name__ == "__main__":
    asyncio.run(life(Path(sys.argv[1])))
