"""What the stations share: settings, store, keys, metrics, the adapters, and whom to listen for."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from bridged.adapter import Heard, Sink
from bridged.config import Settings
from bridged.keys import KeyRing
from bridged.media import Media
from bridged.metrics import Metrics
from bridged.model import BOT, Account, Ghost, Ref
from bridged.processes import Process
from bridged.store import follows, identity, polls, settings
from bridged.store.engine import Store, Tx
from bridged.store.signals import EARS, INBOX, OUTBOX

AHEAD = 300.0
"""Seconds by which what was said in bursts, each thing dated a second after the last, may have been ahead of time."""


SHARE = 4
"""So many times as long as a reading of whom to listen for took passes before the next: follows come in heaps."""


class Ears:
    """Whom each network's adapter listens for, kept in memory and read anew when it has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._heard: dict[str, Heard] = {}
        self._stale = asyncio.Event()
        self._changed = asyncio.Condition()
        # follows, members or ghosts have changed
        store.signals.on(EARS, lambda _: self._stale.set())

    def of(self, network: str) -> Heard:
        return self._heard.get(network, Heard())

    async def refresh(self, networks: Mapping[str, object]) -> None:
        self._stale.clear()
        try:
            new = await self._store.read(lambda tx: {n: _heard(tx, n) for n in networks})
        except BaseException:
            self._stale.set()
            raise
        if new != self._heard:
            self._heard = new
            async with self._changed:
                self._changed.notify_all()

    async def run(self, networks: Mapping[str, object]) -> None:
        while True:
            await self._stale.wait()
            started = time.monotonic()
            await self.refresh(networks)
            await asyncio.sleep(SHARE * (time.monotonic() - started))

    async def change(self, network: str, since: Heard) -> Heard:
        async with self._changed:
            await self._changed.wait_for(lambda: self.of(network) != since)
        return self.of(network)


def _heard(tx: Tx, network: str) -> Heard:
    states = {ref.id: state for ref, state, _ in identity.members_of(tx, network)}
    wanted = {i for i in follows.wanted(tx, network) if states.get(i) != "out"}
    return Heard(
        polls=frozenset(polls.standing(tx, network)),
        full=frozenset(wanted | {i for i, state in states.items() if state == "in"}),
        known=frozenset(identity.owners(tx, network)),
        ghosts=frozenset(identity.live_refs(tx, network)),
        hidden=frozenset(identity.hidden_refs(tx, network)),
    )


@dataclass
class Core:
    settings: Settings
    store: Store
    keys: KeyRing
    metrics: Metrics = field(default_factory=Metrics)
    clock: Callable[[], float] = time.time
    adapters: dict[str, Sink] = field(default_factory=dict[str, Sink])
    log: Any = field(default_factory=lambda: structlog.get_logger("bridged"))

    def __post_init__(self) -> None:
        self.process = Process(self.store)
        self.ears = Ears(self.store)
        s = self.settings
        self.media = Media(self.store, s.data_dir, s.base_url, self.now, s.media.video << 20)
        self.media.count = lambda what: self.metrics.media.labels(what).inc()
        self.inbox_wake = asyncio.Event()
        self.outbox_wake = asyncio.Event()
        self._not_before: float | None = None
        self.store.signals.on(INBOX, lambda _: self.inbox_wake.set())
        self.store.signals.on(OUTBOX, lambda _: self.outbox_wake.set())

    def now(self) -> float:
        return self.clock()

    def not_before(self, tx: Tx) -> float:
        """The date before which nothing is dated that replaces what was said: later than all that was said before the
        database was restored, and is not known to it. 0 when it never was."""
        if self._not_before is None:
            restored_at = self.restored_at(tx)
            self._not_before = restored_at + AHEAD if restored_at else 0.0
        return self._not_before

    def restored_at(self, tx: Tx) -> float:
        """When the database was last put back from a backup, 0 for never."""
        return float(settings.get(tx, "restored_at") or 0)

    def consent(self, network: str) -> str:
        """open, opt-in or listed."""
        return self.settings.consent_of(network)

    def answers(self, network: str) -> str:
        """bridge, digest or drop."""
        return self.settings.answers_of(network)

    def unlisted(self, network: str) -> str:
        """carry or drop."""
        return self.settings.unlisted_of(network)

    def bot(self) -> Account:
        s = self.settings
        return Account(BOT, s.bot.username, name=s.bot.name, url=s.base_url, uri=s.base_url, bot=True)

    def address(self, ghost: Ghost) -> str:
        """What people on the ghost's network look it up by."""
        adapter = self.adapters.get(ghost.ref.network)
        whole = ghost.custody == "linked" or (adapter is not None and adapter.capabilities.handles == "host")
        return ghost.handle if whole else f"{ghost.handle}@{self.settings.domain}"

    def others(self, network: str) -> frozenset[str]:
        """Every network but this one."""
        return frozenset(self.adapters) - {network}

    def may(self, tx: Tx, ref: Ref) -> bool:
        """Whether what this account does in public may be carried to other networks."""
        if ref == BOT:
            return True
        standing = identity.standing(tx, ref)
        if standing == "out" or identity.refuses(tx, ref):
            return False
        return standing == "in" or self.terms(tx, ref) == "open"

    def terms(self, tx: Tx, ref: Ref) -> str:
        """The consent that goes for one account: who asks not to be shown around has to ask to be bridged."""
        terms = self.consent(ref.network)
        account = identity.account(tx, ref) if terms == "open" else None
        return "opt-in" if account is not None and not account.discoverable else terms
