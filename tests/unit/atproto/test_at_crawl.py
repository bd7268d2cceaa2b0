"""Relays are asked once there is something to read, and every twenty minutes at most."""

import asyncio
import json
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.atproto.pds.crawl import EVERY, Crawlers
from bridged.api import EgressFailed

RELAYS = ("https://relay.test", "https://other.test/")


class Host:
    def __init__(self) -> None:
        self.clock, self.kept, self.asked = 1e9, {}, []
        self.status: dict[str, Any] = {}
        self.warnings: list[dict[str, Any]] = []
        self.http = self
        self.log = SimpleNamespace(warning=lambda _, **said: self.warnings.append(said))

    def on(self, name: str, call: Callable[[str], None]) -> None:
        self.tell = call

    def now(self) -> float:
        return self.clock

    async def cursor(self, key: str) -> str | None:
        return self.kept.get(key)

    async def receive(self, *, cursor: tuple[str, str]) -> int:
        self.kept.update([cursor])
        return 0

    async def post(self, url: str, body: bytes, *, headers: dict[str, str]) -> Any:
        self.asked.append((self.clock, url, json.loads(body)))
        found = self.status.get(url, 200)
        if isinstance(found, Exception):
            raise found
        return SimpleNamespace(status=found)


class Idle(Exception):
    """The crawler would sleep for good: nothing is new."""


async def turn(host: Any, sleeps: int = 3) -> None:
    """Lets a crawler run until it waits for news, or has slept so often."""

    async def sleep(seconds: float) -> None:
        nonlocal sleeps
        sleeps -= 1
        host.clock += seconds
        if sleeps < 0:
            raise Idle

    running = asyncio.create_task(Crawlers(host, RELAYS, "bridge.test", sleep).run())
    for _ in range(50):
        await asyncio.sleep(0)
        if running.done():
            break
    running.cancel()
    with pytest.raises((Idle, asyncio.CancelledError)):
        await running


async def test_each_relay_is_asked_to_read_us():
    host = Host()
    await turn(host)
    assert [url for _, url, _ in host.asked] == [
        "https://relay.test/xrpc/com.atproto.sync.requestCrawl",
        "https://other.test/xrpc/com.atproto.sync.requestCrawl",
    ]
    assert {json.dumps(body) for _, _, body in host.asked} == {'{"hostname": "bridge.test"}'}


async def test_restarts_and_news_do_not_make_it_more_often():
    host = Host()
    for _ in range(5):
        await turn(host)
        host.clock += 60
    times = sorted({at for at, _, _ in host.asked})
    assert all(later - earlier >= EVERY for earlier, later in pairwise(times))
    assert 1 < len(times) <= 5


async def test_clock_that_was_ahead_does_not_keep_it_silent():
    host = Host()
    host.kept["crawl"] = str(host.clock + 1e6)
    await turn(host)
    assert len(host.asked) == 2


async def test_relay_that_fails_keeps_no_other_from_being_asked():
    host = Host()
    url = "https://relay.test/xrpc/com.atproto.sync.requestCrawl"
    for failure in (500, EgressFailed("no route")):
        host.status[url] = failure
        host.kept.clear()
        await turn(host)
    assert len(host.asked) == 4
    assert len(host.warnings) == 2
