"""Listening to one relay: asks for whom the bridge hears, pages through what was missed, keeps the cursor.

The cursor is a time of our own clock: all that the relay had until then, and was asked for, is stored. It
moves only once everything from before the connection was opened has been stored, and always stays MARGIN
behind, for events that are published late.
"""

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Protocol

from adapters.nostr import ids, plan, syncing
from adapters.nostr.connection import Connection, Ended, Subscription, Unsynced
from adapters.nostr.event import Event, to_json
from adapters.nostr.filters import Filter
from adapters.nostr.missed import Missed, Question, Reach
from adapters.nostr.nip11 import DEFAULT, Limits
from adapters.nostr.relaylists import RelayLists
from adapters.nostr.relays import LISTS
from bridged.api import Busy, Envelope, Heard, Host, Malformed

MARGIN: Final = 15 * 60
"""Seconds that the cursor stays behind the clock."""
QUEUE: Final = 256
"""Verified events that wait to be stored; when it is full, the relay is read no further."""
BATCH: Final = 64
HOLD_FOR = 2.0
"""Seconds for which they are."""
MAX_PAGES: Final = 200
_PAGED_FROM: Final = 20
"""An answer with this many events may have been cut at a relay's limit; a shorter one was not."""


Admit = Callable[[Event, str, float], Envelope | None]
"""(event, relay URL, now) -> the envelope to hand in."""


class Hearing(Protocol):
    """Whom one relay is asked for: everybody, as the host says, or some."""

    def heard(self) -> Heard: ...
    async def heard_change(self, since: Heard) -> Heard: ...


class Seen:
    """Ids of events that are stored, the latest `size` of them; shared by all relays."""

    def __init__(self, size: int = 50_000) -> None:
        self._size = size
        self._ids: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._ids

    def add(self, event_id: str) -> None:
        """Only for what was verified and is on disk."""
        self._ids[event_id] = None
        self._ids.move_to_end(event_id)
        if len(self._ids) > self._size:
            self._ids.popitem(last=False)


class Listener:
    """One session of listening over an open connection; `run` ends with it, by raising Ended.

    Beside the standing questions, few are asked at a time: for what newly heard accounts said lately, and for
    further pages, which come first.

    label    what the relay is called in figures
    bot      the public key that messages are for, "" to ask for none
    admit    makes an envelope of a verified event; None when it is refused, or handed in later
    """

    def __init__(
        self,
        url: str,
        connection: Connection,
        host: Host,
        seen: Seen,
        lists: RelayLists,
        *,
        hearing: Hearing | None = None,
        limits: Limits = DEFAULT,
        label: str = "",
        bot: str = "",
        admit: Admit | None = None,
        syncs: bool = False,
        save_every: float = 60.0,
        eose_within: float = 60.0,
    ) -> None:
        self._url, self._connection, self._host, self._seen, self._lists = url, connection, host, seen, lists
        self._hearing, self._limits, self._label, self._bot = hearing or host, limits, label or url, bot
        self._admit = admit or envelope_of
        self._syncs, self._syncing = syncs, 0
        self._save_every, self._eose_within = save_every, eose_within
        self._queue: asyncio.Queue[Envelope] = asyncio.Queue(QUEUE)
        self._heard = Heard()
        self._standing: dict[str, tuple[Filter, ...]] = {}
        self._pending: dict[str, tuple[float, Missed]] = {}
        """Names of what was asked and not yet fully answered -> when to give up, and what it is part of."""
        self._missed: list[Missed] = []
        self._later: deque[Question] = deque()
        """What is still to be asked."""
        self._more = asyncio.Event()
        self._releasing = 0
        self._floor = 0
        self._queued = self._stored = self._backlog = 0
        """Counts of events; `_backlog` is how many were queued when the last question was answered."""

    @property
    def cursor_key(self) -> str:
        return f"relay {self._url}"

    @property
    def live(self) -> bool:
        """Whether all that was stored before has come in."""
        return not self._pending and not self._later and not self._releasing

    @property
    def syncs(self) -> bool:
        """Whether the relay may be asked for ids again when much was missed: it did not fail at it."""
        return self._syncs and not self._syncing

    async def run(self) -> None:
        """Raises Ended."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._store())
                group.create_task(self._ask())
                for _ in range(plan.side(self._limits)):
                    group.create_task(self._ask_later())
                group.create_task(self._watch())
        except* Ended as ended:
            raise ended.exceptions[0] from None

    async def _ask(self) -> None:
        now = self._host.now()
        saved = await self._host.cursor(self.cursor_key)
        first = saved is None or not saved.isdigit()
        self._floor = int(now) - MARGIN if first else min(int(saved or 0), int(now) - MARGIN)
        heard = self._hearing.heard()
        await self._plan(heard, heard.full if first else frozenset())
        while True:
            heard = await self._hearing.heard_change(self._heard)
            await self._plan(heard, heard.full - self._heard.full)

    async def _plan(self, heard: Heard, new: frozenset[str]) -> None:
        """Ask for what is heard now; what stays the same is left alone."""
        self._heard = heard
        portions = plan.subscriptions_for(heard, self._bot, self._limits)
        most = max(1, self._limits.subscriptions - 2 * plan.side(self._limits))
        if len(portions) > most:
            self._host.log.warning("nostr_relay_too_small", relay=self._url, takes=most, wanted=len(portions))
        wanted = dict.fromkeys(portions[:most])
        for name, filters in list(self._standing.items()):
            if filters in wanted:
                del wanted[filters]
                continue
            del self._standing[name]
            await self._connection.unsubscribe(name)
            if name in self._pending:
                await self._answered(name)
        self._later += map(Question, plan.recent_of(new, self._host.now(), self._limits))
        begin = self._floor
        if self._syncs and self._host.now() - begin > syncing.WORTH:
            begin = int(self._host.now()) - MARGIN
            for filters in wanted:
                missed = plan.since(filters, self._floor, until=begin)
                self._later.append(Question(missed, self._open_missed(), sync=True))
        for filters in wanted:
            # Never a name again: an answer on its way must not be taken for that to the new question.
            name = self._connection.new_name()
            self._standing[name] = filters
            await self._subscribe(name, plan.since(filters, begin))
        self._more.set()

    async def _ask_later(self) -> None:
        while True:
            while not self._later:
                self._more.clear()
                await self._more.wait()
            question = self._later.popleft()
            name = self._connection.new_name()
            if question.sync:
                assert question.missed is not None
                await self._sync(name, question.filters, question.missed)
                continue
            answered = await self._subscribe(name, question.filters, question.missed)
            await answered.wait()

    async def _sync(self, name: str, filters: tuple[Filter, ...], missed: Missed) -> None:
        """Have what was missed fetched by its ids; page by page where the relay does not list them."""
        self._pending[name] = asyncio.get_running_loop().time() + syncing.ROUNDS * syncing.SECONDS, missed
        self._syncing += 1  # stays where the connection ends over it
        try:
            found = [await syncing.ids_at(self._connection, filter_) for filter_ in filters]
            unknown = {event_id for event_ids in found for event_id in event_ids if event_id not in self._seen}
            self._host.log.info("nostr_synced", relay=self._url, missed=len(unknown))
            portions = [(filter_,) for filter_ in plan.by_id(unknown, self._limits)]
        except Unsynced as error:
            self._host.log.info("nostr_not_synced", relay=self._url, why=error.why)
            self._syncs = False
            portions = [filters]
        self._syncing -= 1
        missed.open += len(portions)
        self._later.extendleft(Question(portion, missed) for portion in portions)
        self._more.set()
        await self._answered(name)

    def _open_missed(self) -> Missed:
        missed = Missed(asyncio.get_running_loop().time() + HOLD_FOR)
        self._missed.append(missed)
        return missed

    async def _subscribe(self, name: str, filters: tuple[Filter, ...], missed: Missed | None = None) -> asyncio.Event:
        """Ask; what is returned is set once the answer has ended, further pages or not."""
        reaches = [Reach(filter_, min(_PAGED_FROM, self._limits.answers)) for filter_ in filters]
        answered = asyncio.Event()
        clock = asyncio.get_running_loop().time
        standing, page = name in self._standing, missed is not None
        missed = missed or self._open_missed()

        async def take(event: Event) -> None:
            note(event)
            if not missed.open or clock() >= missed.until:
                await self.take(event)
            elif not missed.hold(event):
                await self._release(missed)

        def note(event: Event) -> None:
            if name in self._pending:
                for reach in reaches:
                    reach.note(event)

        def skip(event: Event) -> bool:
            if event.id not in self._seen:
                return False
            note(event)  # its word alone, but no more depends on it than how far this relay is asked
            return True

        async def end(message: str | None) -> None:
            answered.set()
            if message is not None:
                self._host.log.warning("nostr_subscription_closed", relay=self._url, said=message)
                if standing or page:
                    raise Ended("subscription_closed")
            if name not in self._pending:
                return
            further = tuple(before for reach in reaches if (before := reach.next_page()) is not None)
            if not standing and message is None:
                await self._connection.unsubscribe(name)
            if further and missed.pages >= MAX_PAGES:
                self._host.log.warning("nostr_too_much_missed", relay=self._url, pages=missed.pages)
            elif further:
                missed.pages += 1
                missed.open += 1
                self._later.appendleft(Question(further, missed))
                self._more.set()
            await self._answered(name)

        self._pending[name] = clock() + self._eose_within, missed
        await self._connection.subscribe(name, Subscription(filters, take, end, skip))
        return answered

    async def _answered(self, name: str) -> None:
        """There is nothing more to wait for under this name."""
        _, missed = self._pending[name]
        missed.open -= 1
        if not missed.open:
            await self._release(missed)
            self._missed.remove(missed)
        del self._pending[name]
        self._backlog = self._queued

    async def _release(self, missed: Missed) -> None:
        """Hands on what was held; until all of it is queued, the cursor stays."""
        self._releasing += 1
        try:
            for event in missed.release():
                await self.take(event)
            self._backlog = self._queued
        finally:
            self._releasing -= 1

    async def take(self, event: Event) -> None:
        """Queue a verified event if it is for us; waits while the queue is full."""
        now = self._host.now()
        try:
            plan.refuse_untimely(event, now)
        except Malformed as bad:
            self._host.dropped(bad.reason)
            return
        if not plan.wanted(event, self._host.heard(), self._bot):
            self._host.dropped("own" if event.pubkey in self._host.heard().ghosts else "not_wanted")
            return
        if event.kind in LISTS:
            await self._lists.note([event])
            self._seen.add(event.id)
            return
        if self.live:
            self._host.gauge("nostr_ingest_lag_seconds", max(0.0, now - event.created_at), relay=self._label)
        envelope = self._admit(event, self._url, now)
        if envelope is not None:
            self._queued += 1
            await self._queue.put(envelope)

    async def _store(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            cursor = self._moved(batch[-1].received_at, self._stored + len(batch))
            while True:
                try:
                    await self._host.receive(*batch, cursor=cursor)
                    break
                except Busy as busy:
                    await asyncio.sleep(busy.after)
            self._note_moved(cursor)
            for envelope in batch:
                self._seen.add(envelope.id)
            self._stored += len(batch)

    async def _watch(self) -> None:
        """Give up on a relay that never finishes an answer; keep the cursor moving while nothing happens."""
        waited = 0.0
        step = min(1.0, self._eose_within, self._save_every)
        while True:
            await asyncio.sleep(step)
            now = asyncio.get_running_loop().time()
            for missed in [m for m in self._missed if m.until <= now]:
                await self._release(missed)
            if any(until < now for until, _ in self._pending.values()):
                raise Ended("no_eose")
            waited += step
            if waited < self._save_every or self._queued != self._stored:
                continue
            waited = 0.0
            cursor = self._moved(self._host.now(), self._stored)
            if cursor is not None:
                with contextlib.suppress(Busy):
                    await self._host.receive(cursor=cursor)
                    self._note_moved(cursor)

    def _moved(self, moment: float, stored: int) -> tuple[str, str] | None:
        """The cursor, once `stored` events are stored and all that came until `moment` is among them.

        None while something older is still to come or to be stored.
        """
        floor = int(min(moment, self._host.now())) - MARGIN
        if not self.live or stored < self._backlog or floor <= self._floor:
            return None
        return self.cursor_key, str(floor)

    def _note_moved(self, cursor: tuple[str, str] | None) -> None:
        if cursor is not None:
            self._floor = max(self._floor, int(cursor[1]))


def envelope_of(event: Event, channel: str, now: float) -> Envelope:
    """A verified event as it is handed to the core."""
    return Envelope(ids.NETWORK, event.id, to_json(event), channel, ids.account_ref(event.pubkey), now)
