"""A FakeHost whose websockets are real and guarded, as the daemon's are, and which a test can wait for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from ipaddress import ip_network
from typing import Any, TypeVar

from adapters.atproto.envelopes import Person
from bridged.api import Envelope, Heard, Tx, Unreachable
from bridged.egress import Egress
from bridged.testing.fakehost import FakeHost
from bridged.testing.world import ScriptedHttp

T = TypeVar("T")


class StreamHttp(ScriptedHttp):
    """Pages are scripted; websockets go through the bridge's one door, which lets loopback through."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: list[str] = []
        self.egress = Egress(user_agent="test", count=self.counted.append, allow=[ip_network("127.0.0.0/8")])

    async def websocket(self, url: str, *, max_size: int) -> Any:
        return await self.egress.websocket(url, max_size=max_size)


class StreamHost(FakeHost):
    def __init__(self, heard: Heard | None = None, at: float = 1_790_000_000.0) -> None:
        super().__init__(at=at)
        self.http: Any = StreamHttp()
        self._heard = heard or Heard()
        self.receipts: list[tuple[tuple[Envelope, ...], tuple[str, str] | None]] = []
        self.busy: list[Exception] = []
        self._happened = asyncio.Condition()
        self._refused = asyncio.Event()

    async def receive(
        self, *envelopes: Envelope, cursor: tuple[str, str] | None = None, also: Callable[[Tx], None] | None = None
    ) -> int:
        if self.busy:
            raise self.busy.pop(0)
        new = await super().receive(*envelopes, cursor=cursor, also=also)
        self.receipts.append((envelopes, cursor))
        async with self._happened:
            self._happened.notify_all()
        return new

    async def write(self, unit: Callable[[Tx], T]) -> T:
        done = await super().write(unit)
        async with self._happened:
            self._happened.notify_all()
        return done

    def refused(self, reason: str) -> None:
        super().refused(reason)
        self._refused.set()

    async def until_refused(self, reason: str) -> None:
        async with asyncio.timeout(60):
            while reason not in self.refusals:
                self._refused.clear()
                await self._refused.wait()

    async def until(self, true: Callable[[], bool]) -> None:
        """Waits for something to be stored after which it is true."""
        async with asyncio.timeout(60), self._happened:
            await self._happened.wait_for(true)


class FakePeople:
    """Whom a test says there is; nobody else can be reached."""

    def __init__(self, places: Mapping[str, tuple[str, str]] | None = None) -> None:
        self.places = dict(places or {})
        self.persons: dict[str, Person] = {}
        self.sites: dict[tuple[str, str], str] = {}
        self.asked: list[str] = []

    async def site(self, did: str, rkey: str) -> str:
        return self.sites.get((did, rkey), "")

    async def whereabouts(self, did: str) -> tuple[str, str]:
        self.asked.append(did)
        if did not in self.places:
            raise Unreachable("nobody")
        return self.places[did]

    async def person(self, did: str) -> Person | None:
        self.asked.append(did)
        if did not in self.persons:
            raise Unreachable("nobody")
        return self.persons[did]


class Pauses:
    """Pauses that take no time, and are remembered; after `most` of them nothing goes on."""

    def __init__(self, most: int = 20) -> None:
        self.seconds: list[float] = []
        self._most = most
        self.paused = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.paused.set()
        if len(self.seconds) > self._most:
            await asyncio.Event().wait()
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def running(run: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """It runs, until the block ends."""
    task = asyncio.ensure_future(run())
    try:
        yield
    finally:
        failed = task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert not failed, "it ended by itself"
