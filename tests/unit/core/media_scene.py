"""Alice on red, followed by bob on blue, which has to own what it shows; files of others as a script gives them."""

import io
from pathlib import Path
from typing import Any

from PIL import Image

from bridged.adapter import BlobLimit, Use
from bridged.media import Media
from bridged.testing import FakeNetwork, Harness, ScriptedHttp

STILL = frozenset({"image/jpeg", "image/png"})
LIMITS: dict[Use, BlobLimit] = {
    "image": BlobLimit(2_000_000, STILL, 2000),
    "avatar": BlobLimit(1_000_000, STILL, 1000),
    "banner": BlobLimit(1_000_000, STILL),
    "thumb": BlobLimit(100_000, STILL),
    "video": BlobLimit(100_000_000, frozenset({"video/mp4"})),
}
URL = "https://files.example/cat.jpg"
FILM = b"\0\0\0\x20ftypisom" + bytes(100)


def picture(color: str = "red", format: str = "JPEG", size: tuple[int, int] = (64, 48)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, format)
    return out.getvalue()


class Scene:
    """Alice on red, followed by bob on blue, which has to own what it shows."""

    def __init__(self, bridge: Harness, red: FakeNetwork, blue: FakeNetwork) -> None:
        self.bridge, self.red, self.blue = bridge, red, blue
        assert isinstance(bridge.http, ScriptedHttp)
        self.http: ScriptedHttp = bridge.http

    @property
    def media(self) -> Media:
        return self.bridge.core.media

    def serve(self, url: str = URL, body: bytes | None = None, type: str = "image/jpeg") -> None:
        self.http.serve(url, picture() if body is None else body, type=type)

    async def post(self, text: str = "look", *files: str, **values: Any) -> str:
        envelope = self.red.post("alice", text, files=files, **values)
        await self.bridge.hear(envelope)
        return envelope.id

    async def wait(self) -> None:
        """Past all the times that something is tried again."""
        for seconds in (5, 20, 60, 180):
            await self.bridge.wait(seconds + 1)

    def shown(self) -> list[tuple[str, ...]]:
        return [t.files for t in self.blue.received("Post")]

    async def losses(self, id: str) -> list[str]:
        return [reason for step, reason in await self.bridge.ledger(self.red.ref(id)) if step == "lost"]

    def on_disk(self) -> list[Path]:
        return sorted(p for p in self.media.folder.rglob("*") if p.is_file())


async def scene_of(bridge_of: Any, **settings: Any) -> Scene:
    red, blue = FakeNetwork("red"), FakeNetwork("blue", blobs=LIMITS)
    red.join("alice")
    blue.join("bob")
    bridge = await bridge_of(red, blue, **settings)
    ghost = await bridge.ghost(red.ref("alice"), "blue")
    await bridge.hear(blue.say("Follow", "bob", target=ghost.ref.id))
    return Scene(bridge, red, blue)
