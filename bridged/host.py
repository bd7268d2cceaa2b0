"""What one adapter sees of the bridge: the `Host` of the contract, over the stations and the store."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bridged import inbox
from bridged.adapter import Blob, Envelope, Heard, Http, Site, Tx
from bridged.core import Core
from bridged.heaps import Heaps
from bridged.model import Account, Copy, Ghost, Ref
from bridged.seams import seam
from bridged.store import acts, follows, identity, inboxes, pins, settings
from bridged.store.engine import Tx as StoreTx
from bridged.threads import Threads

T = TypeVar("T")


class AdapterHost:
    def __init__(self, core: Core, network: str, threads: Threads, http: Http, site: Site) -> None:
        self._core, self._network, self._threads, self._ghosts = core, network, threads, threads.ghosts
        self.http, self.site, self.keys = http, site, core.keys
        self.log: Any = core.log.bind(network=network)
        self._arrivals: Heaps[Envelope, bool] = Heaps(partial(inbox.receive_each, core, network))

    def now(self) -> float:
        return self._core.now()

    async def receive(
        self, *envelopes: Envelope, cursor: tuple[str, str] | None = None, also: Callable[[Tx], None] | None = None
    ) -> int:
        if len(envelopes) == 1 and cursor is None and also is None:
            return int(await self._arrivals.ask(envelopes[0]))
        return await inbox.receive(self._core, self._network, envelopes, cursor, also)

    def heard(self) -> Heard:
        return self._core.ears.of(self._network)

    async def heard_change(self, since: Heard) -> Heard:
        return await self._core.ears.change(self._network, since)

    async def cursor(self, key: str) -> str | None:
        return await self._core.store.read(lambda tx: inboxes.cursor(tx, self._network, key))

    async def read(self, unit: Callable[[Tx], T]) -> T:
        return await self._core.store.read(unit)

    async def write(self, unit: Callable[[Tx], T]) -> T:
        return await self._core.store.write(unit)

    async def restored(self) -> float:
        return await self._core.store.read(self._core.restored_at)

    async def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        label = f"{self._network}/{name}"
        sealed = await self._core.store.read(lambda tx: settings.sealed(tx, self._network, name))
        if sealed is None:
            new = self._core.keys.seal(label, make())
            seam("key.made")
            await self._core.store.write(lambda tx: settings.seal(tx, self._network, name, new))
            seam("key.kept")
            sealed = await self._core.store.read(lambda tx: settings.sealed(tx, self._network, name))
            assert sealed is not None
        return self._core.keys.unseal(label, sealed)

    async def ghost(self, ref: Ref) -> tuple[Ghost, Account] | None:
        def unit(tx: StoreTx) -> tuple[Ghost, Account] | None:
            found = identity.ghost_at(tx, ref)
            return _with_owner(tx, found[0] if found and found[1] == "live" else None)

        return await self._core.store.read(unit)

    async def ghost_gone(self, ref: Ref) -> bool:
        found = await self._core.store.read(lambda tx: identity.ghost_at(tx, ref))
        return found is not None and found[1] == "gone"

    async def ghost_named(self, handle: str) -> tuple[Ghost, Account] | None:
        return await self._core.store.read(lambda tx: _with_owner(tx, identity.ghost_named(tx, self._network, handle)))

    async def lookup(self, name: str) -> tuple[Ghost, Account] | None:
        return await self._ghosts.lookup(name, self._network)

    async def copy(self, ref: Ref) -> Copy | None:
        return await self._core.store.read(lambda tx: acts.copy_at(tx, ref))

    async def copies_by(
        self, ghost: Ghost, acts: Iterable[str], limit: int, before: int | None = None
    ) -> list[tuple[int, Copy]]:
        kinds = list(acts)
        return await self._core.store.read(lambda tx: _copies_by(tx, ghost, kinds, limit, before))

    async def standing(self, account: Ref, acts: Iterable[str], limit: int) -> set[Ref]:
        kinds, others = list(acts), sorted(self._core.others(self._network))
        return await self._core.store.read(lambda tx: _standing(tx, account, others, kinds, limit))

    async def followers(self, ghost: Ghost, limit: int, offset: int = 0) -> tuple[int, list[Ref]]:
        return await self._core.store.read(
            lambda tx: (
                follows.count(tx, ghost.owner, self._network),
                follows.followers(tx, ghost.owner, self._network, limit, offset),
            )
        )

    async def following(self, ghost: Ghost, limit: int, offset: int = 0) -> tuple[int, list[Ref]]:
        return await self._core.store.read(
            lambda tx: (
                follows.count_following(tx, ghost.owner, self._network),
                follows.following(tx, ghost.owner, self._network, limit, offset),
            )
        )

    async def pinned(self, ghost: Ghost) -> list[Copy]:
        return await self._core.store.read(lambda tx: _pinned(tx, ghost))

    async def answers(self, ref: Ref, limit: int, offset: int = 0) -> tuple[int, list[Ref]]:
        def unit(tx: StoreTx) -> tuple[int, list[Ref]]:
            copy = acts.copy_at(tx, ref)
            return acts.answers(tx, copy.origin if copy else ref, self._network, limit, offset)

        return await self._core.store.read(unit)

    async def bring(self, text: str) -> Ref | None:
        return await self._threads.found(text, self._network)

    async def blob(self, sha256: bytes) -> tuple[Blob, Path] | None:
        return await self._core.media.blob(sha256)

    async def counts(self) -> Mapping[str, int]:
        return await self._core.store.read(
            lambda tx: {
                "ghosts": identity.count_ghosts(tx, self._network),
                "posts": acts.count_posts(tx, self._network),
            }
        )

    def on(self, name: str, call: Callable[[str], None]) -> None:
        self._core.store.signals.on(name, call)

    async def alone(self, name: str, job: Callable[[], Awaitable[None]]) -> None:
        await self._core.process.alone(f"{self._network}/{name}", job)

    def refused(self, reason: str) -> None:
        self._core.metrics.refused.labels(self._network, reason).inc()

    def dropped(self, reason: str) -> None:
        self._core.metrics.dropped.labels(self._network, reason).inc()

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self._core.metrics.gauge(self._network, name, value, labels)


def _with_owner(tx: StoreTx, ghost: Ghost | None) -> tuple[Ghost, Account] | None:
    account = identity.account(tx, ghost.owner) if ghost else None
    return (ghost, account) if ghost and account else None


def _copies_by(tx: StoreTx, ghost: Ghost, kinds: list[str], limit: int, before: int | None) -> list[tuple[int, Copy]]:
    return acts.copies_by(tx, ghost.owner, ghost.ref.network, kinds, limit, before)


def _standing(tx: StoreTx, account: Ref, others: list[str], kinds: list[str], limit: int) -> set[Ref]:
    found = (acts.copies_by(tx, account, other, kinds, limit, None) for other in others)
    return {copy.origin for copies in found for _, copy in copies}


def _pinned(tx: StoreTx, ghost: Ghost) -> list[Copy]:
    found = (acts.copies_of(tx, post, ghost.ref.network) for post in pins.of(tx, ghost.owner))
    return [copies[0] for copies in found if copies and not copies[0].gone]
