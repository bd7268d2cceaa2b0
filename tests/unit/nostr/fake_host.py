"""An in-memory Host, for tests of the Nostr adapter without a core."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from websockets.asyncio.client import connect

from adapters.nostr import relaylists
from bridged.api import EgressFailed, EgressRefused, Envelope, Heard, Ref, Response, Site


class FakeLog:
    """Remembers what was logged, as (event, values)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def bind(self, **_: object) -> "FakeLog":
        return self

    def info(self, event: str, **values: object) -> None:
        self.lines.append((event, values))

    warning = error = debug = info


class FakeKeys:
    def derive(self, purpose: str, ref: Ref, generation: int = 0) -> bytes:
        return hashlib.sha256(f"test {purpose} {ref} {generation}".encode()).digest()


class FakeHttp:
    """Websockets are real; HTTP answers are what the test put into `pages` (a Response or an exception)."""

    def __init__(self) -> None:
        self.pages: dict[str, Response | Exception] = {}
        self.asked: list[str] = []
        self.routes: dict[str, str | Exception] = {}
        """Relay URL -> where a test serves it, or what connecting raises."""

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int = 1 << 20,
        sign: Any = None,
        redirects: int = 3,
    ) -> Response:
        self.asked.append(url)
        page = self.pages.get(url, EgressFailed("connect"))
        if isinstance(page, Exception):
            raise page
        if page.url != url and redirects == 0:
            raise EgressRefused("redirects")
        return page

    async def websocket(self, url: str, *, max_size: int) -> Any:
        route = self.routes.get(url, url)
        if isinstance(route, Exception):
            raise route
        try:
            return await connect(route, max_size=max_size, compression=None, proxy=None, open_timeout=60)
        except OSError as error:
            raise EgressFailed("connect") from error


class FakeHost:
    def __init__(self, heard: Heard | None = None, base_url: str = "https://bridge.test") -> None:
        domain = base_url.partition("://")[2]
        self.site = Site(domain, domain, base_url, "0", "bridge", "The bridge", Path("."))
        self.http, self.keys, self.log = FakeHttp(), FakeKeys(), FakeLog()
        self.clock = 1_700_000_100.0
        self.cursors: dict[str, str] = {}
        self.received: list[Envelope] = []
        self.receipts: list[tuple[tuple[Envelope, ...], tuple[str, str] | None]] = []
        self.refusals: list[str] = []
        self.drops: list[str] = []
        self.gauges: dict[tuple[str, str], float] = {}
        self.ghosts: dict[str, Any] = {}
        self.lookups: dict[str, Any] = {}
        self.looked_up: list[str] = []
        self.fail: list[Exception] = []
        self.gate = asyncio.Event()
        """Cleared, it makes the store hang."""
        self.gate.set()
        self.database = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        relaylists.table.metadata.create_all(self.database)
        self._heard = heard or Heard()
        self._gauged = asyncio.Event()
        self._changed = asyncio.Condition()
        self._arrived = asyncio.Condition()

    def now(self) -> float:
        return self.clock

    async def receive(
        self,
        *envelopes: Envelope,
        cursor: tuple[str, str] | None = None,
        also: Callable[[Any], None] | None = None,
    ) -> int:
        await self.gate.wait()
        if self.fail:
            raise self.fail.pop(0)
        known = {envelope.id for envelope in self.received}
        new = list({envelope.id: envelope for envelope in envelopes if envelope.id not in known}.values())
        self.received += new
        self.receipts.append((envelopes, cursor))
        if also is not None:
            also(None)
        if cursor is not None:
            self.cursors[cursor[0]] = cursor[1]
        async with self._arrived:
            self._arrived.notify_all()
        return len(new)

    async def until(self, true: Callable[[], bool], timeout: float = 60.0) -> None:
        """Wait for a receipt after which it is true."""
        async with asyncio.timeout(timeout), self._arrived:
            await self._arrived.wait_for(true)

    def heard(self) -> Heard:
        return self._heard

    async def hear(self, heard: Heard) -> None:
        async with self._changed:
            self._heard = heard
            self._changed.notify_all()

    async def heard_change(self, since: Heard) -> Heard:
        async with self._changed:
            await self._changed.wait_for(lambda: self._heard != since)
            return self._heard

    async def cursor(self, key: str) -> str | None:
        return self.cursors.get(key)

    async def read(self, unit: Callable[[Any], Any]) -> Any:
        with self.database.begin() as connection:
            return unit(connection)

    async def write(self, unit: Callable[[Any], Any]) -> Any:
        return await self.read(unit)

    async def alone(self, name: str, job: Callable[[], Awaitable[None]]) -> None:
        await job()

    def on(self, name: str, call: Callable[[str], None]) -> None:
        """Nothing is signalled here."""

    async def ghost_named(self, handle: str) -> Any:
        return self.ghosts.get(handle)

    async def lookup(self, name: str) -> Any:
        self.looked_up.append(name)
        found = self.lookups.get(name)
        if isinstance(found, Exception):
            raise found
        return found

    def refused(self, reason: str) -> None:
        self.refusals.append(reason)

    def dropped(self, reason: str) -> None:
        self.drops.append(reason)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self.gauges[name, labels.get("relay", "")] = value
        self._gauged.set()

    async def until_gauge(self, name: str) -> None:
        async with asyncio.timeout(60):
            while (name, "") not in self.gauges:
                self._gauged.clear()
                await self._gauged.wait()
