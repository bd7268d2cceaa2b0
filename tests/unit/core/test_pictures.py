"""Pictures and pages of strangers, opened in the processes that are there for it."""

import asyncio
import contextlib
import io
import os
import re
import select
import signal
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bridged import pictures
from bridged.media import kind_of
from bridged.workshop import Spoilt, Workshop

ALL = ["image/jpeg", "image/png", "image/webp"]


@pytest.fixture
async def workshop() -> AsyncIterator[Workshop]:
    made = Workshop()
    yield made
    await made.close()


def picture(format: str = "JPEG", size: tuple[int, int] = (640, 480), mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    noise = Image.effect_noise(size, 60).convert(mode)
    noise.save(out, format, **options)
    return out.getvalue()


async def fit(workshop: Workshop, data: bytes, **limits: Any) -> tuple[dict[str, Any], bytes]:
    order = {"do": "fit", "mime": kind_of(data), "most": 2_000_000, "side": 0, "types": ALL, **limits}
    return await workshop.do(order, data)


def _proc(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def png(width: int, height: int) -> bytes:
    """A PNG that says it is so big, and has next to nothing in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 7) // 8 + 1) * min(height, 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
async def test_each_format_is_opened_and_keeps_its_size_in_pixels(workshop: Workshop, format: str) -> None:
    said, data = await fit(workshop, picture(format, (300, 200)))
    assert (said["width"], said["height"]) == (300, 200)
    assert said["mime"] in ALL
    assert said["mime"] == kind_of(data)
    assert Image.open(io.BytesIO(data)).size == (300, 200)


async def test_place_and_camera_are_gone_and_the_picture_is_upright(workshop: Workshop) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    exif[0x010F] = "SPYCAM"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    data = picture("JPEG", (400, 300), exif=exif, comment=b"at home")
    assert b"SPYCAM" in data
    assert Image.open(io.BytesIO(data)).getexif().get_ifd(0x8825)
    said, made = await fit(workshop, data + b"behind the end")
    opened = Image.open(io.BytesIO(made))
    assert (said["width"], said["height"]) == opened.size == (300, 400)
    assert not opened.getexif()
    assert not any(word in made for word in (b"SPYCAM", b"at home", b"Exif", b"behind"))


@pytest.mark.parametrize("format", ["PNG", "WEBP", "AVIF"])
async def test_no_exif_is_left_in_any_format(workshop: Workshop, format: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SPYCAM"
    data = picture(format, (64, 64), exif=exif)
    assert b"SPYCAM" in data
    _, made = await fit(workshop, data, types=[*ALL, "image/avif"])
    assert b"SPYCAM" not in made


@pytest.mark.parametrize(("most", "side"), [(2_000_000, 2000), (1_000_000, 1000), (60_000, 0)])
async def test_picture_is_made_to_fit_in_bytes_and_pixels(workshop: Workshop, most: int, side: int) -> None:
    data = picture("JPEG", (2600, 1300), quality=97)
    assert len(data) > most
    said, made = await fit(workshop, data, most=most, side=side)
    assert len(made) <= most
    assert max(said["width"], said["height"]) <= (side or 2600)
    assert abs(said["width"] - 2 * said["height"]) <= 2


async def test_picture_that_cannot_fit_is_said_to_be_too_big(workshop: Workshop) -> None:
    with pytest.raises(Spoilt, match="too big"):
        await fit(workshop, picture(size=(800, 800)), most=200)


async def test_clear_picture_stays_clear_or_is_laid_on_white(workshop: Workshop) -> None:
    out = io.BytesIO()
    Image.new("RGBA", (50, 50), (255, 0, 0, 0)).save(out, "PNG")
    said, made = await fit(workshop, out.getvalue())
    assert (said["mime"], Image.open(io.BytesIO(made)).mode) == ("image/png", "RGBA")
    said, made = await fit(workshop, out.getvalue(), types=["image/jpeg"])
    assert said["mime"] == "image/jpeg"
    assert Image.open(io.BytesIO(made)).getpixel((25, 25)) == (255, 255, 255)


async def test_fifty_thousand_squared_is_refused_before_it_is_decoded(workshop: Workshop) -> None:
    with pytest.raises(Spoilt, match="too many pixels"):
        await fit(workshop, png(50_000, 50_000))
    await fit(workshop, picture())


@pytest.mark.parametrize("cut", [0.5, 0.9])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
async def test_truncated_picture_is_refused(workshop: Workshop, format: str, cut: float) -> None:
    data = picture(format)
    with pytest.raises(Spoilt, match="broken picture"):
        await fit(workshop, data[: int(len(data) * cut)])
    await fit(workshop, data)


async def test_bomb_of_text_is_refused(workshop: Workshop) -> None:
    packed = zlib.compress(bytes(100 << 20), 9)
    body = b"note\0\0" + packed
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    data = picture("PNG", (32, 32))
    with pytest.raises(Spoilt):
        await fit(workshop, data[:33] + chunk + data[33:])


async def test_process_that_dies_costs_its_file_alone(workshop: Workshop) -> None:
    await fit(workshop, picture())
    (pid,) = workshop.processes
    task = asyncio.create_task(fit(workshop, picture("PNG", (3000, 3000))))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Spoilt, match="killed"):
        await task
    said, _ = await fit(workshop, picture())
    assert said["width"] == 640
    assert workshop.processes != [pid]


async def test_what_takes_too_long_is_killed() -> None:
    workshop = Workshop(limit=0.01)
    with pytest.raises(Spoilt, match="too long"):
        await fit(workshop, picture("PNG", (3000, 3000)))
    assert workshop.processes == []


async def test_processes_start_with_work_and_end_when_idle() -> None:
    workshop = Workshop(idle=0.05)
    assert workshop.processes == []
    await fit(workshop, picture())
    (pid,) = workshop.processes
    ended = os.pidfd_open(pid)
    async with asyncio.timeout(60):
        await asyncio.to_thread(select.select, [ended], [], [])
    os.close(ended)
    assert workshop.processes == []
    await fit(workshop, picture())
    await workshop.close()


async def test_process_has_no_environment_of_ours(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGED_SECRET", "do-not-tell")
    await fit(workshop, picture())
    (pid,) = workshop.processes
    environ, limits = _proc(pid, "environ"), _proc(pid, "limits").decode()
    assert b"do-not-tell" not in environ
    assert re.search(rf"Max address space +{pictures.MEMORY} ", limits)


@given(st.binary(max_size=400), st.sampled_from(sorted(pictures.FORMATS)))
def test_any_bytes_are_a_picture_or_unfit(data: bytes, mime: str) -> None:
    heads = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff\xe0", "image/gif": b"GIF89a"}
    try:
        said, made = pictures.fit(heads.get(mime, b"") + data, mime, 100_000, 0, ALL)
    except pictures.Unfit:
        return
    assert kind_of(made) == said["mime"]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", ""),
        (b"<html>", ""),
        (b"BM" + bytes(60), ""),
        (b"", ""),
        (b"\0\0\0\x20ftypheic", ""),
        (b"\0\0\0\x20ftypavif", "image/avif"),
        (b"\0\0\0\x20ftypisom", "video/mp4"),
        (b"RIFF\0\0\0\0WAVE", ""),
    ],
)
def test_type_is_told_by_the_first_bytes(data: bytes, kind: str) -> None:
    assert kind_of(data) == kind


PAGE = b"""<!doctype html><html><head><meta charset=utf-8><title> A  page\n</title>
<meta property="og:description" content="What &lt;b&gt; says"><meta property='og:image' content='/a.png'>
</head><body><meta property="og:title" content="not this"></body></html>"""


async def test_card_is_what_the_head_of_a_page_says(workshop: Workshop) -> None:
    card, _ = await workshop.do({"do": "card", "charset": ""}, PAGE)
    assert card == {"title": "A page", "description": "What <b> says", "thumb": "/a.png"}


@pytest.mark.parametrize("charset", ["", "latin-1", "no-such-charset", "base64", "utf-16"])
@given(data=st.binary(max_size=300))
def test_any_page_has_a_card(data: bytes, charset: str) -> None:
    card = pictures.card(PAGE[:60] + data, charset)
    assert set(card) == {"title", "description", "thumb"}


async def test_page_made_to_be_slow_is_read_in_time(workshop: Workshop) -> None:
    for page in (b"<" * (1 << 20), b"<!--" * (1 << 18), b"<a " + b"x=" * (1 << 19), b"<title>" * (1 << 17)):
        with contextlib.suppress(Spoilt):
            async with asyncio.timeout(15):
                await workshop.do({"do": "card", "charset": ""}, page)
    card, _ = await workshop.do({"do": "card", "charset": ""}, PAGE)
    assert card["title"] == "A page"
