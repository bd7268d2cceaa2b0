"""Files of strangers, through a running daemon whose AT adapter has to own what it shows: bombs, lies, hiding places.

What is no good costs a post its picture and nothing else: the words go, and lead to where the file is. How a file that
is slow or away is asked for again, over minutes, is in test_media.py.
"""

import asyncio
import io
import json
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from PIL import Image

from adapters.atproto.cid import Cid

from .kit import eventually
from .kit.fediverse import Answer, Got
from .kit.heaven import numbers
from .kit.watch import calm
from .test_threats_at_outside import Stage, opened

pytestmark = pytest.mark.asyncio(loop_scope="module")
GPS = 0x8825
SCRIPT = b"<script>alert(document.domain)</script>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with opened(tmp_path_factory.mktemp("media"), posts=1) as made:
        yield made


# --- files ----------------------------------------------------------------------------------------------------


def saved(kind: str = "JPEG", size: tuple[int, int] = (80, 60), **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, kind, **options)
    return out.getvalue()


def located() -> bytes:
    """With the place where it was taken, the camera, and words beside."""
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(GPS).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    return saved(exif=exif, comment=b"taken at home, 52.52 N")


def png(width: int, height: int, data: bytes = b"", *more: tuple[bytes, bytes]) -> bytes:
    """One of a bit a pixel, with these compressed rows."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), *more, (b"IDAT", data or zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def rows(width: int, height: int) -> bytes:
    return zlib.compress(bytes((width // 8 + 1) * height), 9)


def moving(kind: str) -> bytes:
    out = io.BytesIO()
    frames = [Image.new("RGB", (50, 50), color) for color in ("red", "green", "blue")] * 20
    frames[0].save(out, kind, save_all=True, append_images=frames[1:], duration=50)
    return out.getvalue()


def typed(kind: str, data: bytes, **how: Any) -> Answer:
    return Answer(200, {"Content-Type": kind}, data, **how)


REFUSED: dict[str, Callable[[], Answer]] = {
    "PNG of 50,000 by 50,000": lambda: typed("image/png", png(50_000, 50_000)),
    "PNG of 30,000 by 30,000, all of it there": lambda: typed("image/png", png(30_000, 30_000, rows(30_000, 30_000))),
    "PNG of 2^31 by 1": lambda: typed("image/png", png(2**31 - 1, 1)),
    "PNG of nothing by nothing": lambda: typed("image/png", png(0, 0)),
    "PNG with a gigabyte of text": lambda: typed(
        "image/png", png(10, 10, b"", (b"zTXt", b"a\0\0" + zlib.compress(bytes(100 << 20), 9)))
    ),
    "GIF of 65,535 by 65,535": lambda: typed("image/gif", b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6) + b";"),
    "truncated JPEG": lambda: typed("image/jpeg", saved(size=(800, 600))[:3000]),
    "JPEG of its head alone": lambda: typed("image/jpeg", saved()[:20]),
    "PNG said to be a JPEG": lambda: typed("image/jpeg", saved("PNG")),
    "page said to be a PNG": lambda: typed("image/png", b"<!doctype html>" + SCRIPT),
    "page that begins like a GIF": lambda: typed("text/html", b"GIF89a/*" + SCRIPT + b"*/"),
    "JPEG said to be a page": lambda: typed("text/html", saved()),
    "SVG": lambda: typed("image/svg+xml", b'<svg xmlns="http://www.w3.org/2000/svg">' + SCRIPT + b"</svg>"),
    "SVG said to be a PNG": lambda: typed("image/png", b'<svg xmlns="http://www.w3.org/2000/svg" onload="x()"/>'),
    "PDF": lambda: typed("image/png", b"%PDF-1.7\n" + bytes(1000)),
    "TIFF": lambda: typed("image/tiff", saved("TIFF")),
    "BMP said to be anything": lambda: typed("application/octet-stream", saved("BMP")),
    "nothing": lambda: typed("image/png", b""),
    "11 MiB": lambda: typed("image/jpeg", saved() + bytes(11 << 20)),
    "gone": lambda: Answer(410),
    "an address inside": lambda: Answer(302, {"Location": "http://10.0.0.1/picture.png"}),
    "an address inside, in disguise": lambda: Answer(302, {"Location": "http://0x0a000001/picture.png"}),
    "another scheme": lambda: Answer(302, {"Location": "file:///etc/passwd"}),
    "itself, for ever": lambda: Answer(302, {"Location": ""}),
}


class Files:
    """Serves them beside what alice's own server has; `asked` are their paths."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.answers, self.asked = stage, dict[str, Answer](), list[str]()
        stage.peer.script = self._script

    def _script(self, got: Got) -> Answer | None:
        path = got.path.partition("?")[0]
        if path in self.answers:
            self.asked.append(path)
        return self.answers.get(path)

    def put(self, answer: Answer, name: str = "picture.png") -> str:
        path = f"/files/{next(numbers)}/{name}"
        self.answers[path] = answer
        return self.stage.peer.base + path

    async def posted(self, text: str, *urls: str, kind: str = "image/png", **more: Any) -> None:
        alice = self.stage.alice
        attached = [{"type": "Document", "mediaType": kind, "url": url} for url in urls]
        created = alice.create(text, **({"attachment": attached} if urls else {}), **more)
        assert await alice.send(created, f"{self.stage.daemon.base}/inbox") == 202

    async def record(self, text: str, timeout: float = 90) -> dict[str, Any]:
        """The post with this text as it is in her repo."""

        async def look() -> dict[str, Any] | None:
            query = f"repo={self.stage.did}&collection=app.bsky.feed.post&limit=100"
            _, body = await self.stage.asked("repo.listRecords", query)
            found = [each["value"] for each in json.loads(body)["records"]]
            return next((each for each in found if text in each["text"]), None)

        got = await eventually(look, timeout=timeout)
        assert got is not None
        return got

    async def shown(self, text: str, *urls: str) -> tuple[dict[str, str], bytes]:
        """The picture that this post shows, from both places where it is served; they must be safe to open."""
        await self.posted(text, *urls)
        record = await self.record(text)
        image = record["embed"]["images"][0]["image"]
        cid = image["ref"]["$link"]
        one = await self.stage.daemon.get(f"/xrpc/com.atproto.sync.getBlob?did={quote(self.stage.did)}&cid={cid}")
        two = await self.stage.daemon.get(f"/media/{Cid.parse(cid)[4:].hex()}")
        for status, headers, body in (one, two):
            assert status == 200
            assert headers["x-content-type-options"] == "nosniff"
            assert "sandbox" in headers["content-security-policy"]
            assert headers["content-type"] in ("image/jpeg", "image/png", "image/webp", "image/gif")
            assert (headers["content-type"], len(body)) == (image["mimeType"], image["size"])
        assert one[2] == two[2]
        return dict(one[1]), one[2]


@pytest_asyncio.fixture(loop_scope="module")
async def files(stage: Stage) -> AsyncIterator[Files]:
    made = Files(stage)
    yield made
    stage.peer.script = lambda got: None


# --- what is refused ------------------------------------------------------------------------------------------


async def test_file_that_is_no_good_is_not_shown_and_its_post_goes_with_a_link(stage: Stage, files: Files) -> None:
    before = await stage.daemon.rows("SELECT sha256 FROM blobs")
    urls: dict[str, str] = {}
    async with calm(stage.daemon, lag=0.2):
        for name, answer in REFUSED.items():
            urls[name] = files.put(answer())
            await files.posted(f"bad file: {name}.", urls[name])
        for name, url in urls.items():
            record = await files.record(f"bad file: {name}.")
            assert "images" not in json.dumps(record.get("embed", {})), name
            assert url in json.dumps(record), f"no link to {name}"
            assert url.removeprefix(stage.peer.base) in files.asked, name
    assert await stage.daemon.rows("SELECT sha256 FROM blobs") == before
    assert await stage.daemon.metric("bridged_media_total", outcome="refused") >= len(REFUSED)
    await files.shown("a good picture after all that", files.put(typed("image/png", saved("PNG"))))


async def test_films_are_not_opened_and_none_that_is_none_is_taken(stage: Stage, files: Files) -> None:
    films = {
        "a page": typed("video/mp4", SCRIPT),
        "a picture": typed("video/mp4", saved()),
        "WebM": typed("video/webm", b"\x1a\x45\xdf\xa3" + bytes(1000)),
    }
    for name, answer in films.items():
        url = files.put(answer, "film.mp4")
        await files.posted(f"no film: {name}.", url, kind="video/mp4")
        record = await files.record(f"no film: {name}.")
        assert "video" not in json.dumps(record.get("embed", {}))
        assert url in json.dumps(record)


# --- what is made harmless ------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", [SCRIPT, b"PK\x03\x04" + bytes(100), b"%PDF-1.7\n", b"\0" * 100_000])
async def test_what_hangs_behind_a_picture_is_left_behind(stage: Stage, files: Files, tail: bytes) -> None:
    for kind in ("JPEG", "PNG", "GIF", "WEBP"):
        answer = typed(f"image/{kind.lower()}", saved(kind) + tail)
        _, body = await files.shown(f"two files in one: {kind} and {len(tail)} of {tail[:4].hex()}.", files.put(answer))
        assert tail not in body
        assert Image.open(io.BytesIO(body)).size == (80, 60)


async def test_where_a_picture_was_taken_and_by_what_is_not_told(stage: Stage, files: Files) -> None:
    original = located()
    assert b"SecretCamera" in original
    assert Image.open(io.BytesIO(original)).getexif().get_ifd(GPS)
    _, body = await files.shown("taken at home", files.put(typed("image/jpeg", original)))
    assert b"SecretCamera" not in body
    assert b"52.52" not in body
    assert b"Exif" not in body
    assert not Image.open(io.BytesIO(body)).getexif()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
async def test_of_what_moves_the_first_picture_stays(stage: Stage, files: Files, kind: str) -> None:
    _, body = await files.shown(f"it moves: {kind}.", files.put(typed(f"image/{kind.lower()}", moving(kind))))
    image = Image.open(io.BytesIO(body))
    assert getattr(image, "n_frames", 1) == 1
    red, green, blue = image.convert("RGB").getpixel((25, 25))  # type: ignore[misc]
    assert red > 200 > 50 > max(green, blue)


async def test_picture_of_nearly_too_many_pixels_is_made_to_fit_or_left(stage: Stage, files: Files) -> None:
    url = files.put(typed("image/png", png(7_000, 7_000, rows(7_000, 7_000))))
    async with calm(stage.daemon, lag=0.2):
        await files.posted("nearly too many pixels", url)
        record = await files.record("nearly too many pixels")
    assert "embed" in record or url in json.dumps(record)


# --- cards ----------------------------------------------------------------------------------------------------


async def test_page_made_to_harm_gives_a_harmless_card_or_none(stage: Stage, files: Files) -> None:
    meta = "<meta property='og:description' content='{more}'><meta property='og:image' content='{image}'>"
    page = "<title>{title}</title>" + meta
    pages = {
        "scripts": page.format(title="<b>x</b>&lt;script&gt;", more="javascript:alert(1)", image="javascript:alert(1)"),
        "bidi": page.format(title="safe\u202egnp.exe", more="\u200b\u200b", image="data:image/png;base64,AAAA"),
        "long": page.format(title="x" * 100_000, more="y" * 100_000, image="http://" + "z" * 5000),
        "deep": "<div>" * 50_000,
        "open": "<title>" + "x" * 500_000,
        "file": page.format(title="a file", more="", image="file:///etc/passwd"),
        "inside": page.format(title="inside", more="", image="http://10.0.0.1/thumb.png"),
    }
    async with calm(stage.daemon):
        for name, text in pages.items():
            url = files.put(typed("text/html; charset=utf-8", text.encode()), f"{name}.html")
            await files.posted(f'read this: {name}. <a href="{url}">it</a>')
        await asyncio.sleep(0)
        for name in pages:
            card = json.dumps((await files.record(f"read this: {name}.")).get("embed", {}), ensure_ascii=False)
            assert "thumb" not in card, name
            assert "\u202e" not in card
            assert len(card) < 3000
    await stage.good()


# --- slow ones ------------------------------------------------------------------------------------------------


async def test_file_without_end_or_slow_holds_up_its_own_post_alone(stage: Stage, files: Files) -> None:
    slow = [files.put(typed("image/png", saved("PNG"), how=how)) for how in ("slow", "hang", "drop", "half")]
    async with calm(stage.daemon):
        for number, url in enumerate(slow):
            await files.posted(f"slow file {number}.", url)
        await files.posted("words alone, meanwhile")
        await files.record("words alone, meanwhile")
