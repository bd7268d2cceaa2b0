"""A `Host` without a core, for unit tests of an adapter: it remembers what it is given; SQL runs in memory."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from bridged.adapter import Blob, Envelope, Heard, Http, Site, Tx
from bridged.keys import KeyRing
from bridged.model import Account, Copy, Ghost, Ref
from bridged.store import engine
from bridged.store.signals import Signals
from bridged.store.upgrade import upgrade
from bridged.testing.world import Log, ScriptedHttp

T = TypeVar("T")


class FakeHost:
    """What a test puts in: `ghosts`, `copies`, `pins`, `replies`, `people` (for `lookup`), `places` (for `bring`),
    `files` (for `blob`), `heard`. What it finds: `received`, `drops`.
    """

    def __init__(self, domain: str = "bridge.test", at: float = 1_790_000_000.0) -> None:
        base = f"https://{domain}"
        self.site = Site(domain, domain, base, "0", "bridge", "Bridge", Path("."))
        self.http: Http = ScriptedHttp()
        self.log = Log()
        self.keys = KeyRing(b"fakehost" * 4)
        self.at = at
        self.restored_at = 0.0
        self.received: list[Envelope] = []
        self.cursors: dict[str, str] = {}
        self.ghosts: dict[Ref, tuple[Ghost, Account]] = {}
        self.gone: set[Ref] = set()
        self.people: dict[str, tuple[Ghost, Account]] = {}
        self.copies: dict[Ref, Copy] = {}
        self.stand: set[Ref] = set()
        self.pins: list[Ref] = []
        self.replies: dict[Ref, list[Ref]] = {}
        self.places: dict[str, Ref] = {}
        self.files: dict[bytes, tuple[Blob, Path]] = {}
        self.refusals: list[str] = []
        self.drops: list[str] = []
        self.gauges: dict[str, float] = {}
        self._signals = Signals()
        self._heard = Heard()
        self._changed = asyncio.Condition()
        self._secrets: dict[str, bytes] = {}
        self._engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})

    def migrate(self, folder: Path) -> None:
        """Makes an adapter's own tables."""
        with self._engine.connect() as connection:
            upgrade(connection, folder, "version")

    def now(self) -> float:
        return self.at

    async def receive(
        self, *envelopes: Envelope, cursor: tuple[str, str] | None = None, also: Callable[[Tx], None] | None = None
    ) -> int:
        known = {e.id for e in self.received}
        new = [e for e in envelopes if e.id not in known]
        self.received += new
        if cursor is not None:
            self.cursors[cursor[0]] = cursor[1]
        if also is not None:
            await self.write(also)
        return len(new)

    def heard(self) -> Heard:
        return self._heard

    async def hear(self, heard: Heard) -> None:
        """Changes whom the adapter is to listen for."""
        async with self._changed:
            self._heard = heard
            self._changed.notify_all()

    async def heard_change(self, since: Heard) -> Heard:
        async with self._changed:
            await self._changed.wait_for(lambda: self._heard != since)
        return self._heard

    async def cursor(self, key: str) -> str | None:
        return self.cursors.get(key)

    async def read(self, unit: Callable[[Tx], T]) -> T:
        return await self.write(unit)

    async def write(self, unit: Callable[[Tx], T]) -> T:
        with self._engine.begin() as connection:
            tx = engine.Tx(connection)
            value = unit(tx)
        for call in tx.after:
            call()
        for signal in tx.signals:
            self._signals.tell(*signal)
        return value

    async def restored(self) -> float:
        return self.restored_at

    async def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        if name not in self._secrets:
            self._secrets[name] = make()
        return self._secrets[name]

    async def ghost(self, ref: Ref) -> tuple[Ghost, Account] | None:
        return self.ghosts.get(ref)

    async def ghost_gone(self, ref: Ref) -> bool:
        return ref in self.gone

    async def ghost_named(self, handle: str) -> tuple[Ghost, Account] | None:
        return next((found for found in self.ghosts.values() if found[0].handle == handle), None)

    async def lookup(self, name: str) -> tuple[Ghost, Account] | None:
        return self.people.get(name)

    async def copy(self, ref: Ref) -> Copy | None:
        return self.copies.get(ref)

    async def copies_by(
        self, ghost: Ghost, acts: Iterable[str], limit: int, before: int | None = None
    ) -> list[tuple[int, Copy]]:
        numbered = list(enumerate(self.copies.values(), 1))[::-1]
        return [n for n in numbered if before is None or n[0] < before][:limit]

    async def standing(self, account: Ref, acts: Iterable[str], limit: int) -> set[Ref]:
        return self.stand

    async def followers(self, ghost: Ghost, limit: int, offset: int = 0) -> tuple[int, list[Ref]]:
        return 0, []

    async def following(self, ghost: Ghost, limit: int, offset: int = 0) -> tuple[int, list[Ref]]:
        return 0, []

    async def pinned(self, ghost: Ghost) -> list[Copy]:
        return [self.copies[ref] for ref in self.pins if ref in self.copies]

    async def answers(self, ref: Ref, limit: int, offset: int = 0) -> tuple[int, list[Ref]]:
        found = self.replies.get(ref, [])
        return len(found), found[offset : offset + limit]

    async def bring(self, text: str) -> Ref | None:
        return self.places.get(text)

    async def blob(self, sha256: bytes) -> tuple[Blob, Path] | None:
        return self.files.get(sha256)

    async def counts(self) -> Mapping[str, int]:
        return {"ghosts": len(self.ghosts), "posts": len(self.copies)}

    def on(self, name: str, call: Callable[[str], None]) -> None:
        self._signals.on(name, call)

    async def alone(self, name: str, job: Callable[[], Awaitable[None]]) -> None:
        await job()

    def refused(self, reason: str) -> None:
        self.refusals.append(reason)

    def dropped(self, reason: str) -> None:
        self.drops.append(reason)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self.gauges[name] = value
