"""Files of strangers against the room as the daemon has it: its own egress, a real process killed between file and row.

A network that has to own its files is invented here; through the daemon itself, AT is the one that does.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from aiohttp import web

from bridged.egress import Egress
from bridged.testing import FakeNetwork, Harness

from .media_life import LIMITS, life, picture

OURS = (ip_network("127.0.0.0/8"),)


class World:
    """Alice on red is followed by bob on blue; `server` is at `base`, inside, where only `allow` lets anybody go."""

    def __init__(self, bridge: Harness, red: FakeNetwork, blue: FakeNetwork, base: str) -> None:
        self.bridge, self.red, self.blue, self.base = bridge, red, blue, base
        self.hits: list[str] = []

    async def shown(self, *urls: str, link: str = "") -> tuple[str, ...]:
        """What a post with these files shows there, once all that is tried was tried."""
        links = (link,) if link else ()
        await self.bridge.hear(self.red.post("alice", f"look {link}", files=urls, links=links))
        for seconds in (6, 21, 61, 181):
            await self.bridge.wait(seconds)
        (told,) = self.blue.received("Post")
        return told.files + told.cards


@contextlib.asynccontextmanager
async def world(folder: Path, *, allow: bool, patience: float = 30.0) -> AsyncIterator[World]:
    red, blue = FakeNetwork("red"), FakeNetwork("blue", blobs=LIMITS)
    red.join("alice")
    blue.join("bob")

    async def answer(request: web.Request) -> web.StreamResponse:
        made.hits.append(request.path)
        response = web.StreamResponse(headers={"Content-Type": "image/jpeg"})
        match request.path:
            case "/vast":
                response.content_length = 300 << 20
            case "/hangs":
                await asyncio.sleep(60)
            case "/good" | "/inside":
                return web.Response(body=picture(), content_type="image/jpeg")
            case "/to":
                raise web.HTTPFound("http://10.0.0.1/inside")
            case _:
                pass
        await response.prepare(request)
        while True:  # endless, or a byte now and then
            await response.write(bytes(1 << 16) if request.path in ("/vast", "/endless") else b"x")
            await asyncio.sleep(0 if request.path != "/slow" else 0.1)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    http = Egress(
        user_agent="test", count=lambda _: None, allow=OURS if allow else (), ports=(80, 443, port), timeout=patience
    )
    async with Harness([red.adapter, blue.adapter], data_dir=folder / "var", http=http) as bridge:
        made = World(bridge, red, blue, f"http://127.0.0.1:{port}")
        ghost = await bridge.ghost(red.ref("alice"), "blue")
        await bridge.hear(blue.say("Follow", "bob", target=ghost.ref.id))
        yield made
    await http.close()
    await runner.cleanup()


INSIDE = ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost", "127.0.0.1."]


@pytest.mark.parametrize("host", INSIDE)
async def test_no_file_page_or_thumb_inside_is_asked_for(tmp_path: Path, host: str) -> None:
    async with world(tmp_path, allow=False) as made:
        port = made.base.rpartition(":")[2]
        where = f"http://{host}:{port}"
        assert await made.shown(f"{where}/good") == (f"link {where}/good",)
        made.red.now += 1000
        made.blue.sent.clear()
        assert await made.shown(link=f"{where}/page") == ()
        assert made.hits == []


async def test_the_same_server_is_asked_where_it_is_allowed(tmp_path: Path) -> None:
    """Else the test before would prove nothing."""
    async with world(tmp_path, allow=True) as made:
        (name,) = await made.shown(f"{made.base}/good")
        assert len(name) == 64
        assert made.hits == ["/good"]


async def test_redirect_inside_is_not_followed(tmp_path: Path) -> None:
    async with world(tmp_path, allow=True) as made:
        assert await made.shown(f"{made.base}/to") == (f"link {made.base}/to",)
        assert made.hits == ["/to"]


@pytest.mark.parametrize("path", ["/vast", "/endless", "/slow", "/hangs"])
async def test_file_that_is_vast_endless_or_slow_is_left_and_a_good_one_passes(tmp_path: Path, path: str) -> None:
    async with world(tmp_path, allow=True, patience=1.0) as made:
        assert await made.shown(f"{made.base}{path}") == (f"link {made.base}{path}",)
        assert len(made.hits) <= 5
        made.blue.sent.clear()
        (name,) = await made.shown(f"{made.base}/good")
        assert len(name) == 64


@pytest.mark.parametrize(("seam", "asked"), [("blob.placed", 2), ("blob.kept", 1)])
async def test_death_between_file_and_row_costs_a_second_fetch_at_most(tmp_path: Path, seam: str, asked: int) -> None:
    (tmp_path / "asked").touch()
    env = {**os.environ, "BRIDGED_CRASH": seam}
    command = [sys.executable, "-m", "tests.faults.media_life", str(tmp_path)]
    died = await asyncio.to_thread(subprocess.run, command, env=env, timeout=300)
    assert died.returncode == -9
    files = [p for p in (tmp_path / "var" / "media").rglob("*") if p.is_file()]
    assert len(files) == 1
    shown, left, swept = await life(tmp_path)
    assert [len(name) for name in shown] == [64]
    assert (tmp_path / "asked").read_text().count("\n") == asked
    assert left == 1
    assert swept == (seam == "blob.placed")
