"""Station 3: bytes leave.

A lane is all that one actor sends to one endpoint. Its head is sent, again and again until it is sent or dead,
before the next: whoever reads there sees things in the order they were done. Lanes do not wait for one another,
but no host gets more than a few requests at a time, and one that is down only a probe now and then (`breaker.py`).
A delivery that was sent but not marked is sent again: the same bytes, under the same id.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from itertools import count

from bridged import downtime
from bridged.adapter import LOCAL, Busy, Delivery, Rejected, Retry, Sent
from bridged.core import Core
from bridged.downtime import Fault, Silence
from bridged.lanes import Gate
from bridged.model import BOT, Account, Copy, Ghost, Ref
from bridged.parting import lose
from bridged.retry import GIVE_UP, delay
from bridged.seams import seam
from bridged.store import acts, follows, heirs, hosts, identity, ledger, queue
from bridged.store.engine import Lost, Tx

PARALLEL = 64
PER_HOST = 4
BATCH = 200
HANDS = 256
"""Lanes in hand at most."""
WAITING = 8
"""Of these for one host, so that one that hangs does not hold up the others."""
PER_ACTOR = HANDS // 4
"""And of one account, so that those with little to say need not wait for one with very much."""
REFILL = PER_ACTOR * 3 // 4
"""When an account has no more than these in hand, others are looked for: one at a time costs more than sending it."""
TURN = 20
"""Deliveries after which a lane lets others that are due go first."""
ATTEMPT = 30.0
"""Seconds one attempt may take in all."""
PAGE = 500


@dataclass(frozen=True, slots=True)
class _Job:
    item: queue.Item
    copy: Copy
    delivery: Delivery


class Outbox:
    def __init__(self, core: Core) -> None:
        self.core = core
        self._busy: dict[int, queue.Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(PARALLEL)
        self._gates: dict[str, tuple[asyncio.Semaphore, int]] = {}

    async def run(self) -> None:
        """Sends what is due, until cancelled."""
        while True:
            self.core.outbox_wake.clear()
            try:
                if await self.start() and len(self._busy) < HANDS:
                    continue  # there may be more
                due = await self.core.store.read(queue.next_due)
            except Busy as e:
                self.core.log.warning("outbox_waits_for_store", why=e.why)
                await asyncio.sleep(1)
                continue
            # what is due already is in hand: whoever has it wakes us
            ahead = 1.0 if due is None else due - self.core.now()
            wait = min(ahead, 1.0) if ahead > 0 else 1.0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self.core.outbox_wake.wait()

    async def step(self) -> int:
        """For tests: sends everything due now, and says how many lanes there were."""
        count = await self.start()
        await self.drain()
        return count

    async def start(self) -> int:
        room = HANDS - len(self._busy)
        if room <= 0:
            return 0
        now = self.core.now()
        busy = frozenset(self._busy)  # before the snapshot: what ends meanwhile must not look free
        at_host = Counter(lane.host for lane in self._busy.values() if lane.endpoint != LOCAL)
        of_actor = Counter(lane.actor for lane in self._busy.values())
        full = [host for host, count in at_host.items() if count >= WAITING]
        sated = [actor for actor, count in of_actor.items() if count > REFILL]
        lanes = await self.core.store.claim(lambda tx: queue.claim(tx, now, min(BATCH, room), busy, full, sated))
        taken = 0
        for lane in lanes:
            crowded = lane.endpoint != LOCAL and at_host[lane.host] >= WAITING
            if crowded or of_actor[lane.actor] >= PER_ACTOR:
                continue
            at_host[lane.host] += 1
            of_actor[lane.actor] += 1
            taken += 1
            self._busy[lane.id] = lane
            task = asyncio.create_task(self._lane(lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return taken

    def in_hand(self) -> list[queue.Lane]:
        return list(self._busy.values())

    async def drain(self) -> None:
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await self.drain()

    async def _lane(self, lane: queue.Lane) -> None:
        """Sends the heads of one lane until it is empty, has to wait, or has had its turn."""
        try:
            for _ in range(TURN):
                # first the host's gate: who waits there must not take up room that others could use
                async with self._gate(lane), self._room:
                    if not await self._head(lane):
                        break
        except Busy as e:
            self.core.log.warning("outbox_waits_for_store", why=e.why, endpoint=lane.endpoint)
            await asyncio.sleep(1)
        except Lost as e:
            self.core.log.warning("outbox_lost_lane", endpoint=lane.endpoint, why=str(e))
        except Exception:
            self.core.log.exception("delivery_failed", endpoint=lane.endpoint, actor=str(lane.actor))
            await asyncio.sleep(1)
        finally:
            self._busy.pop(lane.id, None)
            self.core.outbox_wake.set()

    async def _head(self, lane: queue.Lane) -> bool:
        """Tries the head; whether the next may be tried at once."""
        job = await self.core.store.read(lambda tx: self._claim(tx, lane))
        probe = False
        if isinstance(job, queue.Item) and downtime.shut(job):
            probe = await self.core.store.write(lambda tx: downtime.probe(self.core, tx, lane))
            job = await self.core.store.read(lambda tx: self._claim(tx, lane, probe=probe))
        if not isinstance(job, _Job):
            more = await self.core.store.write(lambda tx: self._pass_over(tx, lane, job))
            seam("outbox.passed")
            return more
        seam("outbox.claimed")
        if lane.endpoint == LOCAL:
            try:
                more = await self.core.store.write(lambda tx: self._apply(tx, job))
            except (Busy, Lost):
                raise
            except Exception as e:
                fault = self._failed(lane, e)
                return await self.core.store.write(lambda tx: self._mark(tx, job, fault))
            seam("outbox.applied")
            return more
        outcome = await self._attempt(job)
        seam("outbox.delivered")
        lost = await self._unreached(lane) if isinstance(outcome, Rejected) and outcome.gone else []
        more = await self.core.store.write(lambda tx: self._mark(tx, job, outcome, probe=probe, lost=lost))
        if isinstance(outcome, Sent):
            seam("outbox.marked")
        return more

    async def _attempt(self, job: _Job) -> Sent | Retry | Rejected:
        lane = job.item.lane
        sink = self.core.adapters[lane.network]
        if sink.capabilities.ids == "server":
            # so that after a crash it shows as an attempt of uncertain end
            await self.core.store.write(lambda tx: queue.begin(tx, job.item))
        try:
            async with asyncio.timeout(ATTEMPT):
                return await sink.deliver(job.delivery)
        except TimeoutError:
            return Silence("no answer in time")
        except (Retry, Rejected) as e:
            return e
        except Exception as e:
            return self._failed(lane, e)

    async def _unreached(self, lane: queue.Lane) -> list[Ref]:
        """Who follows the lane's actor by an endpoint that is gone. Members of the bridge are not let go of so."""
        if lane.actor == BOT:
            return []
        found: list[Ref] = []
        for offset in count(0, PAGE):

            def page(tx: Tx, offset: int = offset) -> tuple[int, list[Account]]:
                refs = follows.followers(tx, lane.actor, lane.network, PAGE, offset)
                return len(refs), identity.accounts_of(tx, refs)

            looked, accounts = await self.core.store.read(page)
            found += [account.ref for account in accounts if account.endpoint == lane.endpoint]
            if looked < PAGE:
                break
        return found

    def _failed(self, lane: queue.Lane, error: Exception) -> Fault:
        """A mistake in an adapter counts as an attempt, so that it ends some day."""
        self.core.log.error(
            "delivery_failed", endpoint=lane.endpoint, actor=str(lane.actor), exc_info=(type(error), error, None)
        )
        return Fault(f"internal error: {type(error).__name__}")

    def _claim(self, tx: Tx, lane: queue.Lane, *, probe: bool = False) -> "_Job | queue.Item | None":
        """The head, ready to send; or the bare item if it must not go now; None if the lane is empty.

        To a host that is shut only a `probe` goes.
        """
        item = queue.head(tx, lane)
        if item is None:
            return None
        if item.withdrawn and item.act not in queue.AFTER:
            return item
        if lane.network not in self.core.adapters:
            return item
        if downtime.shut(item) and not probe:
            return item
        now = self.core.now()
        if now < item.wait_until and any(queue.unsent_before(tx, o, p, item) for o, p in item.waits):
            return item
        copy, _ = acts.copy_row(tx, item.copy)
        ghost = _ghost(tx, item)
        if ghost is None:
            return item
        facts = tuple(
            next((c for c in acts.copies_of(tx, origin, lane.network) if c.part == part), None)
            for origin, part in item.waits
        )
        name = f"{copy.origin} {copy.network} {copy.part} {copy.version} {lane.endpoint}"
        # the bytes too: after a restore from a backup another version may have this number
        key = sha256(name.encode() + b"\0" + item.body).hexdigest()
        return _Job(item, copy, Delivery(key, lane.endpoint, item.body, ghost, copy.ref, item.attempt, facts))

    def _pass_over(self, tx: Tx, lane: queue.Lane, item: "_Job | queue.Item | None") -> bool:
        if item is None:
            if queue.head(tx, lane) is not None:
                return True
            queue.rest(tx, lane)
            return False
        assert isinstance(item, queue.Item)
        if item.withdrawn and item.act not in queue.AFTER:
            self._note(tx, item, "cancelled", "consent-withdrawn")
            return queue.settle(tx, item, "cancelled", "consent-withdrawn", self.core.now())
        if _ghost(tx, item) is None:
            return self._end(tx, item, "no-ghost")
        if lane.network not in self.core.adapters:
            queue.postpone(tx, item, self.core.now() + 3600, "its adapter is switched off", tried=False)
            return False
        now, trouble = self.core.now(), hosts.of(tx, lane.host)
        if downtime.shut(item) and trouble is not None and trouble.waits(now):
            if now - item.queued_at > GIVE_UP:
                return self._end(tx, item, trouble.why)
            queue.postpone(tx, item, trouble.until, f"its host is down: {trouble.why}", tried=False)
            return False
        queue.postpone(tx, item, now + 0.2, "waits for what it refers to", tried=False)
        return False

    def _apply(self, tx: Tx, job: _Job) -> bool:
        """A local effect and `sent` in one transaction."""
        sink = self.core.adapters[job.item.lane.network]
        try:
            outcome: Sent | Rejected = sink.apply(tx, job.delivery)
        except Rejected as e:
            outcome = e
        more = self._mark(tx, job, outcome)
        seam("outbox.applying")
        return more

    def _mark(
        self,
        tx: Tx,
        job: _Job,
        outcome: Sent | Retry | Rejected,
        *,
        probe: bool = False,
        lost: Collection[Ref] = (),
    ) -> bool:
        item, now = job.item, self.core.now()
        counted = self.core.metrics.deliveries.labels
        if not isinstance(outcome, Retry):
            downtime.better(self.core, tx, item, probe=probe)
        if isinstance(outcome, Sent):
            acts.settle_copy(tx, item.copy, outcome.ref, outcome.detail)
            self._note(tx, item, "sent", outcome.note)
            counted(item.lane.network, "sent").inc()
            self.core.metrics.latency.labels(item.lane.network).observe(max(0.0, now - item.queued_at))
            return queue.settle(tx, item, "sent", outcome.note, now)
        if isinstance(outcome, Rejected):
            for follower in lost:
                lose(self.core, tx, follower, item.lane.actor, item.lane.endpoint, outcome.why)
            return self._end(tx, item, outcome.why)
        due = now + delay(item.attempt, outcome.after)
        trouble = downtime.worse(self.core, tx, item, outcome, probe=probe) if item.lane.endpoint != LOCAL else None
        if trouble is not None and trouble.shut:
            # a moment after the others, so that the next probe is one of theirs
            due = max(due, trouble.until + 1)
        if due - item.queued_at > GIVE_UP:
            return self._end(tx, item, outcome.why)
        self._note(tx, item, "retry", outcome.why)
        queue.postpone(tx, item, due, outcome.why, tried=True)
        tx.on_commit(lambda: seam("outbox.postponed"))
        counted(item.lane.network, "retry").inc()
        return False

    def _end(self, tx: Tx, item: queue.Item, why: str) -> bool:
        """Given up for good; whether there is another."""
        self._note(tx, item, "dead", why)
        tx.on_commit(lambda: seam("outbox.dead"))
        self.core.metrics.deliveries.labels(item.lane.network, "dead").inc()
        self.core.log.warning("delivery_dead", endpoint=item.lane.endpoint, why=why, act=item.act)
        return queue.settle(tx, item, "dead", why, self.core.now())

    def _note(self, tx: Tx, item: queue.Item, step: str, reason: str) -> None:
        copy, actor = acts.copy_row(tx, item.copy)
        ledger.write(
            tx,
            self.core.now(),
            step,
            copy.origin,
            actor=actor,
            to=item.lane.network,
            endpoint=item.lane.endpoint,
            ref=copy.ref,
            reason=reason,
        )

    def _gate(self, lane: queue.Lane) -> Gate:
        if lane.endpoint == LOCAL:
            return Gate(self._gates, LOCAL, PARALLEL)
        return Gate(self._gates, lane.host, PER_HOST)


def _ghost(tx: Tx, item: queue.Item) -> Ghost | None:
    """The ghost that speaks; for a farewell also one that is gone, after a move the one that was handed over."""
    return heirs.last_ghost(tx, item.lane.actor, item.lane.network)
