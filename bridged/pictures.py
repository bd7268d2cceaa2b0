"""A process of its own that opens what strangers made: pictures, and the pages of links. `workshop.py` starts it.

It is run as a script, and imports nothing of the bridge: no secret, no socket and no database is in reach of a file
that finds a hole in a decoder. Memory and open files are bounded by the kernel, time by who started it. Both ways go
frames: a length of four bytes and JSON, a length of four bytes and data.

A picture is always decoded and encoded anew: what is not picture (EXIF with places and cameras, comments, what hangs
behind its end) is left behind. Of what moves the first picture stays.
"""

import io
import json
import re
import resource
import struct
import sys
import warnings
from html.parser import HTMLParser
from typing import Any, BinaryIO

MAX_PIXELS = 50_000_000
MEMORY = 1 << 30
"""Bytes of address space: 50 million pixels, twice, in four bytes each, and room to work."""
QUALITIES = (90, 80, 65)
SMALLEST = 64
"""Pixels: a picture is not made smaller than that to fit."""
HEAD = 512 * 1024
"""Characters of a page in which its head has to end."""
FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF", "image/avif": "AVIF"}
LOSSY = ("image/webp", "image/jpeg", "image/avif")
ICC = 64 * 1024


class Unfit(Exception):
    """It is no such picture, or none that fits; the word says why."""


def fit(data: bytes, mime: str, most: int, side: int, types: list[str]) -> tuple[dict[str, Any], bytes]:
    """The picture upright, without what is not picture, in `most` bytes and `side` pixels (0: any), as one of `types`.

    Raises Unfit.
    """
    # slow to import, and big; a page has no need of it
    from PIL import Image, ImageOps, PngImagePlugin

    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    PngImagePlugin.MAX_TEXT_MEMORY = PngImagePlugin.MAX_TEXT_CHUNK = 1 << 20
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        opened = Image.open(io.BytesIO(data), formats=[FORMATS[mime]])
        if opened.width * opened.height > MAX_PIXELS:
            raise Unfit("too many pixels")
        if side and opened.format == "JPEG":
            opened.draft("RGB", (side, side))  # decoded as small as will do
        image = ImageOps.exif_transpose(opened)
        profile = opened.info.get("icc_profile") if image.mode in ("RGB", "RGBA") else None
        clear = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
        image = image.convert("RGBA" if clear else "RGB")
        if clear and image.getchannel("A").getextrema() == (255, 255):
            image, clear = image.convert("RGB"), False
    except Unfit:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unfit("too many pixels") from None
    except MemoryError:
        raise Unfit("too much memory") from None
    except Exception:  # the decoders raise whatever they like
        raise Unfit("broken picture") from None
    image.info = {"icc_profile": profile} if profile and len(profile) <= ICC else {}
    if side and max(image.size) > side:
        image.thumbnail((side, side))
    return _encoded(image, mime, clear, most, types)


def _encoded(image: Any, mime: str, clear: bool, most: int, types: list[str]) -> tuple[dict[str, Any], bytes]:
    """As it came where that fits, else as what is smaller, else smaller."""
    from PIL import Image

    lossy = [t for t in dict.fromkeys((mime, *LOSSY)) if t in types and t in LOSSY and (t != "image/jpeg" or not clear)]
    lossy = lossy or [t for t in ("image/jpeg",) if t in types]
    exact = [t for t in (mime, "image/png") if t in types and t == "image/png"]
    while True:
        tries = [(t, 0) for t in exact] if mime not in LOSSY or not lossy else []
        tries += [(t, q) for t in lossy[:1] for q in QUALITIES]
        if not tries:
            raise Unfit("no type that is taken")
        for to, quality in tries:
            out = io.BytesIO()
            whole = image
            if to == "image/jpeg" and image.mode == "RGBA":
                whole = Image.new("RGB", image.size, "white")
                whole.paste(image, mask=image.getchannel("A"))
            options: dict[str, Any] = {"quality": quality} if quality else {"compress_level": 6}
            whole.save(out, FORMATS[to], icc_profile=image.info.get("icc_profile"), **options)
            if out.tell() <= most:
                return {"mime": to, "width": image.width, "height": image.height}, out.getvalue()
        size = (image.width * 7 // 10, image.height * 7 // 10)
        if max(size) < SMALLEST or min(size) < 1:
            raise Unfit("too big")
        image = image.resize(size)


class _Head(HTMLParser):
    """What a page says of itself before its body begins (Open Graph, else the older names)."""

    def __init__(self) -> None:
        super().__init__()
        self.said: dict[str, str] = {}
        self.done = False
        self._title: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "body":
            self.done = True
        elif tag == "title" and "title" not in self.said:
            self._title = []
        elif tag == "meta" and not self.done:
            found = {name: value or "" for name, value in attrs}
            name = (found.get("property") or found.get("name") or "").lower()
            if name and found.get("content"):
                self.said.setdefault(name, found["content"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "head":
            self.done = True
        elif tag == "title" and self._title is not None:
            self.said.setdefault("title", "".join(self._title))
            self._title = None

    def handle_data(self, data: str) -> None:
        if self._title is not None:
            self._title.append(data)


def card(data: bytes, charset: str) -> dict[str, Any]:
    """Title, description and picture (an address as it stands there) of a page; each "" where it says nothing."""
    named = re.search(rb"<meta[^>]{0,200}charset=[\"']?([A-Za-z0-9_-]{2,40})", data[:4096])
    head = _Head()
    text = _decoded(data, charset or (named[1].decode() if named else ""))
    for start in range(0, min(len(text), HEAD), 4096):
        head.feed(text[start : start + 4096])
        if head.done:
            break
    said = head.said

    def first(*names: str) -> str:
        return next((line for n in names if (line := " ".join(said.get(n, "").split()))), "")

    return {
        "title": first("og:title", "twitter:title", "title"),
        "description": first("og:description", "twitter:description", "description"),
        "thumb": first("og:image:secure_url", "og:image", "og:image:url", "twitter:image", "twitter:image:src"),
    }


def _decoded(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset or "utf-8", "replace")
    except (LookupError, ValueError):  # no such charset, or none for text
        return data.decode("utf-8", "replace")


def read(file: BinaryIO) -> bytes | None:
    head = file.read(4)
    return file.read(struct.unpack(">I", head)[0]) if len(head) == 4 else None


def frame(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def main() -> None:
    for what, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    given, out = sys.stdin.buffer, sys.stdout.buffer
    while (order := read(given)) is not None and (data := read(given)) is not None:
        job = json.loads(order)
        answer, made = dict[str, Any](), b""
        try:
            if job.pop("do") == "card":
                answer = card(data, **job)
            else:
                answer, made = fit(data, **job)
        except Unfit as e:
            answer = {"unfit": str(e)}
        except MemoryError:
            answer = {"unfit": "too much memory"}
        out.write(frame(json.dumps(answer).encode()) + frame(made))
        out.flush()


if __name__ == "__main__":
    main()
