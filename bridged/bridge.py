"""Station 2: decide and translate.

Envelopes of one signer are taken in order, those of different signers side by side. For each: decode, resolve
our own ids, ask policy and routing (reads), then fetch and mint what is missing (I/O that may be repeated), then
one transaction that says it everywhere and marks the envelope done. A crash before that transaction does it all
again; after it, never.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable

from bridged import agenda, digest
from bridged.acting import Acting
from bridged.adapter import Busy, Malformed, Unreachable
from bridged.chores import Chores
from bridged.core import Core
from bridged.following import Wait
from bridged.ghosts import Ghosts
from bridged.lanes import Lanes
from bridged.model import HOME, Activity, Message, Ref
from bridged.retry import GIVE_UP, delay
from bridged.seams import seam
from bridged.store import inboxes
from bridged.store.engine import Lost, Tx
from bridged.store.signals import OUTBOX
from bridged.threads import Threads
from bridged.timed import Timed

PARALLEL = 32
BATCH = 100
FEW = 4
"""Envelopes in hand while very much arrives: that is stored first, and decided on when it is over."""
BREATH = 0.02
"""Seconds between them then."""
BURST = 10.0
"""Seconds of that in which next to nothing is decided on: one at a time, with LULL seconds between them. What lasts
longer is no burst, and would never be carried."""
LULL = 0.2
SHARE = 20
"""Envelopes of one signer in hand at most, so that whoever says much does not hold up the others."""
ATTEMPTS = 8
"""How often a look-up that got no answer is repeated before the activity goes on without it."""


class Bridge:
    def __init__(self, core: Core) -> None:
        self.core = core
        self.ghosts = Ghosts(core)
        self.threads = Threads(core, self.ghosts)
        self.chores = Chores(core, self.ghosts, self.threads)
        self.acting = Acting(core, self.ghosts, self.threads)
        self.timed = Timed(core, self.threads, self.acting.polls)
        self._lanes = Lanes(PARALLEL)
        self._busy: set[int] = set()
        self._signers: Counter[Ref] = Counter()

    async def run(self) -> None:
        """Takes what has arrived, until cancelled."""
        while True:
            self.core.inbox_wake.clear()
            most = BATCH * 2
            if flood := self.core.store.flood:
                most = FEW if flood > BURST else 1
                await asyncio.sleep(BREATH if flood > BURST else LULL)
            if len(self._busy) >= most:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await self.core.inbox_wake.wait()
                continue
            try:
                if await self.start(most) and len(self._busy) < BATCH:
                    continue  # there may be more
                due = await self.core.store.read(inboxes.next_due)
            except Busy as e:
                self.core.log.warning("bridge_waits_for_store", why=e.why)
                await asyncio.sleep(1)
                continue
            # what is due already is in hand: whoever has it wakes us
            ahead = 1.0 if due is None else due - self.core.now()
            wait = min(ahead, 1.0) if ahead > 0 else 1.0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self.core.inbox_wake.wait()

    async def step(self) -> int:
        """For tests: takes everything due now, and says how many envelopes there were."""
        count = await self.start()
        await self.drain()
        return count

    async def start(self, most: int = BATCH * 2) -> int:
        room = most - len(self._busy)
        if room <= 0:
            return 0
        now = self.core.now()
        busy = frozenset(self._busy)  # before the snapshot: what ends meanwhile must not look new
        sated = [signer.id for signer, count in self._signers.items() if count >= SHARE]
        rows = await self.core.store.claim(lambda tx: inboxes.claim(tx, now, min(BATCH, room), busy, sated))
        taken = 0
        for row in rows:
            signer = row.envelope.signer
            if self._signers[signer] >= SHARE:
                continue
            taken += 1
            self._signers[signer] += 1
            self._busy.add(row.id)
            self._lanes.add(signer, lambda r=row: self._take(r))
        return taken

    async def drain(self) -> None:
        await self._lanes.drain()

    async def stop(self) -> None:
        await self._lanes.stop()

    async def _take(self, row: inboxes.Row) -> None:
        try:
            await self._one(row)
        except Unreachable as e:
            if self.core.now() - row.envelope.received_at > GIVE_UP:
                self.core.log.warning("bridge_gave_up", envelope=row.envelope.id, why=str(e))
                self.core.metrics.dropped.labels(row.envelope.network, "unreachable").inc()
                await self._settle(lambda tx: inboxes.settle(tx, row.id, "dead"))
                seam("bridge.dead")
                return
            self.core.log.info("bridge_retry", envelope=row.envelope.id, why=str(e), attempt=row.attempt)
            due = self.core.now() + delay(row.attempt)
            await self._settle(lambda tx: inboxes.later(tx, row.id, due))
            seam("bridge.postponed")
        except Wait as e:
            due = self.core.now() + e.seconds
            await self._settle(lambda tx: inboxes.later(tx, row.id, due))
        except Busy as e:
            self.core.log.warning("bridge_waits_for_store", why=e.why)
            await asyncio.sleep(1)
        except Lost as e:
            self.core.log.warning("bridge_lost_envelope", envelope=row.envelope.id, why=str(e))
        except Exception:
            # one bad envelope must not stop the others; it is tried again, then set aside for a person to see
            self.core.log.exception("bridge_failed", network=row.envelope.network, envelope=row.envelope.id)
            if row.attempt >= ATTEMPTS:
                self.core.metrics.dropped.labels(row.envelope.network, "internal-error").inc()
                await self._settle(lambda tx: inboxes.settle(tx, row.id, "dead"))
            else:
                due = self.core.now() + delay(row.attempt)
                await self._settle(lambda tx: inboxes.later(tx, row.id, due))
        finally:
            self._busy.discard(row.id)
            self._signers[row.envelope.signer] -= 1
            if not self._signers[row.envelope.signer]:
                del self._signers[row.envelope.signer]
            self.core.inbox_wake.set()

    async def _settle(self, unit: Callable[[Tx], None]) -> None:
        try:
            await self.core.store.write(unit)
        except Lost as e:
            self.core.log.warning("bridge_not_settled", why=str(e))
        except Busy as e:
            self.core.log.warning("bridge_not_settled", why=e.why)
            await asyncio.sleep(1)  # it is due still, and would be taken at once, again and again

    async def _one(self, row: inboxes.Row) -> None:
        envelope = row.envelope
        if envelope.network == HOME:
            match envelope.channel:
                case digest.CHANNEL:
                    await digest.deliver(self.core, self.ghosts, envelope)
                case agenda.CHANNEL:
                    await self.timed.do(envelope)
                case _:
                    await self.chores.do(envelope)
            seam("bridge.worked")
            await self.core.store.write(lambda tx: inboxes.settle(tx, row.id))
            return
        adapter = self.core.adapters.get(envelope.network)
        if adapter is None:  # its adapter was switched off: it waits
            await self.core.store.write(lambda tx: inboxes.later(tx, row.id, self.core.now() + 3600))
            return
        activities: list[Activity]
        try:
            activities = list(adapter.decode(envelope))
        except Malformed as e:
            activities = []
            self.core.metrics.dropped.labels(envelope.network, e.reason).inc()
            self.core.log.info("envelope_malformed", envelope=envelope.id, reason=e.reason)
        units: list[Callable[[Tx], None]] = []
        for activity in activities:
            units += await self.acting.plan(activity, envelope.received_at, envelope.channel, attempt=row.attempt)
        seam("bridge.prepared")

        def unit(tx: Tx) -> None:
            for each in units:
                each(tx)
            inboxes.settle(tx, row.id)
            if any(isinstance(a.act, Message) for a in activities):
                # said to the bot alone: once it is answered, its words are nobody's business
                inboxes.amend(tx, envelope.network, envelope.id, b"")
            seam("bridge.deciding")
            tx.signal(OUTBOX)

        await self.core.store.write(unit)
        seam("bridge.committed")
