"""Station 3: bytes leave.

A lane is all that one actor sends to one endpoint. Its head is sent, again and again until it is sent or dead,
before the next: whoever reads there sees things in the order they were done. Lanes do not wait for one another,
but no host gets more than a few requests at a time, and one that is down only a probe now and then (`breaker.py`).
A delivery that was sent but not marked is sent again: the same bytes, under the same id.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import count

from bridged import downtime, heads
from bridged.adapter import LOCAL, Busy, Rejected, Retry, Sent
from bridged.core import Core
from bridged.downtime import Fault, Silence
from bridged.heads import Claimed, Job
from bridged.heaps import Heaps
from bridged.lanes import Gate
from bridged.model import BOT, Account, Ref
from bridged.parting import lose
from bridged.retry import GIVE_UP, delay
from bridged.seams import seam
from bridged.store import acts, follows, hosts, identity, ledger, queue
from bridged.store.engine import AWAY, Lost, Tx

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


class Outbox:
    def __init__(self, core: Core) -> None:
        self.core = core
        self._busy: dict[int, queue.Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(PARALLEL)
        self._gates: dict[str, tuple[asyncio.Semaphore, int]] = {}
        self._claims = Heaps(self._claim_all)
        self._settled = Heaps(self._mark_all)

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
        await self._settled.drain()  # what was sent and not yet written down would be sent again

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
        job, probe = await self._claims.ask((lane, False)), False
        if isinstance(job, queue.Item) and downtime.shut(job):
            probe = await self.core.store.write(lambda tx: downtime.probe(self.core, tx, lane))
            job = await self._claims.ask((lane, probe))
        if not isinstance(job, Job):
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
        if isinstance(outcome, Sent) and outcome.ref is None and not outcome.detail and job.item.trouble is None:
            more = await self._settled.ask((job, outcome))
        else:
            lost = await self._unreached(lane) if isinstance(outcome, Rejected) and outcome.gone else []
            more = await self.core.store.write(lambda tx: self._mark(tx, job, outcome, probe=probe, lost=lost))
        if isinstance(outcome, Sent):
            seam("outbox.marked")
        return more

    async def _attempt(self, job: Job) -> Sent | Retry | Rejected:
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

    async def _claim_all(self, asked: Sequence[tuple[queue.Lane, bool]]) -> Sequence[Claimed | BaseException]:
        """What most of them share, whoever they go to, is looked up once."""

        def unit(tx: Tx) -> list[Claimed | BaseException]:
            look = heads.Looks(tx)
            found: list[Claimed | BaseException] = []
            for lane, probe in asked:
                try:
                    found.append(heads.claim(self.core, look, lane, probe=probe))
                except Exception as e:  # one row that nobody can read must not hold up the others
                    if isinstance(e, AWAY):
                        raise
                    found.append(e)
            return found

        return await self.core.store.read(unit)

    def _pass_over(self, tx: Tx, lane: queue.Lane, item: Claimed) -> bool:
        if item is None:
            if queue.head(tx, lane) is not None:
                return True
            queue.rest(tx, lane)
            return False
        assert isinstance(item, queue.Item)
        if item.withdrawn and item.act not in queue.AFTER:
            self._note(tx, item, "cancelled", "consent-withdrawn")
            return queue.settle(tx, item, "cancelled", "consent-withdrawn", self.core.now())
        if heads.ghost(tx, item) is None:
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

    def _apply(self, tx: Tx, job: Job) -> bool:
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
        job: Job,
        outcome: Sent | Retry | Rejected,
        *,
        probe: bool = False,
        lost: Collection[Ref] = (),
    ) -> bool:
        item, now = job.item, self.core.now()
        if not isinstance(outcome, Retry):
            downtime.better(self.core, tx, item, probe=probe)
        if isinstance(outcome, Sent):
            acts.settle_copy(tx, item.copy, outcome.ref, outcome.detail)
            self._note(tx, item, "sent", outcome.note)
            self._count(job, now)
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
        self.core.metrics.deliveries.labels(item.lane.network, "retry").inc()
        return False

    async def _mark_all(self, sent: "Sequence[tuple[Job, Sent]]") -> Sequence[bool | BaseException]:
        """As `_mark` does what was simply sent."""
        items, notes = [job.item for job, _ in sent], [outcome.note for _, outcome in sent]

        def unit(tx: Tx) -> Sequence[bool | Lost]:
            now = self.core.now()
            more = queue.settle_all(tx, items, "sent", notes, now)
            mine = [(j, o) for (j, o), m in zip(sent, more, strict=True) if not isinstance(m, Lost)]
            told = [
                (j.copy.origin, j.item.lane.actor, j.copy.network, j.item.lane.endpoint, j.copy.ref, o.note)
                for j, o in mine
            ]
            if told:
                ledger.write_all(tx, now, "sent", told)
            for job, _ in mine:
                self._count(job, now)
            return more

        return await self.core.store.write(unit)

    def _count(self, job: Job, now: float) -> None:
        network = job.item.lane.network
        self.core.metrics.deliveries.labels(network, "sent").inc()
        self.core.metrics.latency.labels(network).observe(max(0.0, now - job.item.queued_at))

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
