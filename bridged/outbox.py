"""Station 3: bytes leave.

A lane is all that one actor sends to one endpoint. Its head is sent, again and again until it is sent or dead,
before the next: whoever reads there sees things in the order they were done. Lanes do not wait for one another,
but no endpoint gets more than a few requests at a time. A delivery that was sent but not marked is sent again:
the same bytes, under the same id.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256

from bridged.adapter import LOCAL, Busy, Delivery, Rejected, Retry, Sent
from bridged.core import Core
from bridged.model import Copy, Ghost
from bridged.retry import GIVE_UP, delay
from bridged.seams import seam
from bridged.store import acts, heirs, ledger, queue
from bridged.store.engine import Lost, Tx

PARALLEL = 64
PER_ENDPOINT = 4
BATCH = 200
WAITING = 16
"""Lanes in hand for one endpoint at most, so that one that hangs does not hold up the others."""
AFTER = ("Delete", "Reject")
"""What is still said for an account that is no longer bridged."""
ATTEMPT = 30.0
"""Seconds one attempt may take in all."""


@dataclass(frozen=True, slots=True)
class _Job:
    item: queue.Item
    copy: Copy
    delivery: Delivery


class Outbox:
    def __init__(self, core: Core) -> None:
        self.core = core
        self._busy: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(PARALLEL)
        self._gates: dict[str, tuple[asyncio.Semaphore, int]] = {}

    async def run(self) -> None:
        """Sends what is due, until cancelled."""
        while True:
            self.core.outbox_wake.clear()
            try:
                found = await self.start()
                due = await self.core.store.read(queue.next_due)
            except Busy as e:
                self.core.log.warning("outbox_waits_for_store", why=e.why)
                await asyncio.sleep(1)
                continue
            # what is due already is in hand: whoever has it wakes us
            ahead = 1.0 if due is None else due - self.core.now()
            wait = min(ahead, 1.0) if ahead > 0 else 1.0
            if found == 0 or len(self._busy) >= PARALLEL * 4:
                try:
                    async with asyncio.timeout(wait):
                        await self.core.outbox_wake.wait()
                except TimeoutError:
                    pass

    async def step(self) -> int:
        """For tests: sends everything due now, and says how many lanes there were."""
        count = await self.start()
        await self.drain()
        return count

    async def start(self) -> int:
        room = PARALLEL * 4 - len(self._busy)
        if room <= 0:
            return 0
        now = self.core.now()
        busy = frozenset(self._busy)  # before the snapshot: what ends meanwhile must not look free
        crowd = Counter({e: users for e, (_, users) in self._gates.items() if e != LOCAL})
        full = [e for e, users in crowd.items() if users >= WAITING]
        lanes = await self.core.store.claim(lambda tx: queue.claim(tx, now, min(BATCH, room), busy, full))
        taken = 0
        for lane in lanes:
            if lane.endpoint != LOCAL:
                if crowd[lane.endpoint] >= WAITING:
                    continue
                crowd[lane.endpoint] += 1
            taken += 1
            self._busy.add(lane.id)
            task = asyncio.create_task(self._lane(lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return taken

    async def drain(self) -> None:
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await self.drain()

    async def _lane(self, lane: queue.Lane) -> None:
        """Sends the heads of one lane until it is empty or has to wait."""
        try:
            more = True
            while more:
                # first the endpoint's gate: who waits there must not take up room that others could use
                async with self._gate(lane.endpoint), self._room:
                    more = await self._head(lane)
        except Busy as e:
            self.core.log.warning("outbox_waits_for_store", why=e.why, endpoint=lane.endpoint)
            await asyncio.sleep(1)
        except Lost as e:
            self.core.log.warning("outbox_lost_lane", endpoint=lane.endpoint, why=str(e))
        except Exception:
            self.core.log.exception("delivery_failed", endpoint=lane.endpoint, actor=str(lane.actor))
            await asyncio.sleep(1)
        finally:
            self._busy.discard(lane.id)
            self.core.outbox_wake.set()

    async def _head(self, lane: queue.Lane) -> bool:
        job = await self.core.store.read(lambda tx: self._claim(tx, lane))
        if not isinstance(job, _Job):
            more = await self.core.store.write(lambda tx: self._pass_over(tx, lane, job))
            seam("outbox.passed")
            return more
        seam("outbox.claimed")
        outcome: Sent | Retry | Rejected
        if lane.endpoint == LOCAL:
            try:
                more = await self.core.store.write(lambda tx: self._apply(tx, job))
            except Busy:
                raise
            except Exception as e:
                outcome = self._failed(lane, e)
                return await self.core.store.write(lambda tx: self._mark(tx, job, outcome))
            seam("outbox.applied")
            return more
        sink = self.core.adapters[lane.network]
        if sink.capabilities.ids == "server":
            # so that after a crash it shows as an attempt of uncertain end
            await self.core.store.write(lambda tx: queue.begin(tx, job.item))
        try:
            async with asyncio.timeout(ATTEMPT):
                outcome = await sink.deliver(job.delivery)
        except TimeoutError:
            outcome = Retry("no answer in time")
        except (Retry, Rejected) as e:
            outcome = e
        except Exception as e:
            outcome = self._failed(lane, e)
        seam("outbox.delivered")
        more = await self.core.store.write(lambda tx: self._mark(tx, job, outcome))
        if isinstance(outcome, Sent):
            seam("outbox.marked")
        else:
            seam("outbox.dead" if more else "outbox.postponed")
        return more

    def _failed(self, lane: queue.Lane, error: Exception) -> Retry:
        """A mistake in an adapter counts as an attempt, so that it ends some day."""
        self.core.log.error(
            "delivery_failed", endpoint=lane.endpoint, actor=str(lane.actor), exc_info=(type(error), error, None)
        )
        return Retry(f"internal error: {type(error).__name__}")

    def _claim(self, tx: Tx, lane: queue.Lane) -> "_Job | queue.Item | None":
        """The head, ready to send; or the bare item if it must not go now; None if the lane is empty."""
        item = queue.head(tx, lane)
        if item is None:
            return None
        if item.withdrawn and item.act not in AFTER:
            return item
        if lane.network not in self.core.adapters:
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
        if item.withdrawn and item.act not in AFTER:
            self._note(tx, item, "cancelled", "consent-withdrawn")
            return queue.settle(tx, item, "cancelled", "consent-withdrawn", self.core.now())
        if _ghost(tx, item) is None:
            self._note(tx, item, "dead", "no-ghost")
            return queue.settle(tx, item, "dead", "no-ghost", self.core.now())
        if lane.network not in self.core.adapters:
            queue.postpone(tx, item, self.core.now() + 3600, "its adapter is switched off", tried=False)
            return False
        queue.postpone(tx, item, self.core.now() + 0.2, "waits for what it refers to", tried=False)
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

    def _mark(self, tx: Tx, job: _Job, outcome: Sent | Retry | Rejected) -> bool:
        item, now = job.item, self.core.now()
        count = self.core.metrics.deliveries.labels
        if isinstance(outcome, Sent):
            acts.settle_copy(tx, item.copy, outcome.ref, outcome.detail)
            self._note(tx, item, "sent", outcome.note)
            count(item.lane.network, "sent").inc()
            self.core.metrics.latency.labels(item.lane.network).observe(max(0.0, now - item.queued_at))
            return queue.settle(tx, item, "sent", outcome.note, now)
        wait = delay(item.attempt, outcome.after if isinstance(outcome, Retry) else None)
        if isinstance(outcome, Rejected) or now + wait - item.queued_at > GIVE_UP:
            self._note(tx, item, "dead", outcome.why)
            count(item.lane.network, "dead").inc()
            self.core.log.warning("delivery_dead", endpoint=item.lane.endpoint, why=outcome.why, act=item.act)
            return queue.settle(tx, item, "dead", outcome.why, now)
        self._note(tx, item, "retry", outcome.why)
        queue.postpone(tx, item, now + wait, outcome.why, tried=True)
        count(item.lane.network, "retry").inc()
        return False

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

    def _gate(self, endpoint: str) -> "_Gate":
        return _Gate(self._gates, endpoint)


class _Gate:
    """Lets a few at a time through to one endpoint; forgotten when nobody is left."""

    def __init__(self, gates: dict[str, tuple[asyncio.Semaphore, int]], endpoint: str) -> None:
        self._gates, self._endpoint = gates, endpoint

    async def __aenter__(self) -> None:
        limit = PARALLEL if self._endpoint == LOCAL else PER_ENDPOINT
        room, users = self._gates.get(self._endpoint, (asyncio.Semaphore(limit), 0))
        self._gates[self._endpoint] = (room, users + 1)
        try:
            await room.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._gates[self._endpoint][0].release()
        self._leave()

    def _leave(self) -> None:
        room, users = self._gates[self._endpoint]
        if users == 1:
            del self._gates[self._endpoint]
        else:
            self._gates[self._endpoint] = (room, users - 1)


def _ghost(tx: Tx, item: queue.Item) -> Ghost | None:
    """The ghost that speaks; for a farewell also one that is gone, after a move the one that was handed over."""
    return heirs.last_ghost(tx, item.lane.actor, item.lane.network)
