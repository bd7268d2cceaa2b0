"""Listening to one relay: asks for whom the bridge hears, pages through what was missed, keeps the cursor.

The cursor is a time of our own clock: all that the relay had until then, and was asked for, is stored. It
moves only once everything from before the connection was opened has been stored, and always stays MARGIN
behind, for events that are published late.
"""

import asyncio
import contextlib
from collections import OrderedDict
from typing import Final

import msgspec

from adapters.nostr import ids, plan
from adapters.nostr.connection import Connection, Ended, Subscription
from adapters.nostr.event import Event, to_json
from adapters.nostr.filters import Filter, matches
from bridged.api import Busy, Envelope, Heard, Host, Malformed

MARGIN: Final = 15 * 60
"""Seconds that the cursor stays behind the clock."""
QUEUE: Final = 256
"""Verified events that wait to be stored; when it is full, the relay is read no further."""
BATCH: Final = 64
HOLD: Final = 8 << 20
"""Bytes of missed events that are held back to be put in order."""
HOLD_FOR = 2.0
"""Seconds for which they are."""
MAX_PAGES: Final = 200
_PAGED_FROM: Final = 20
"""An answer with this many events may have been cut at a relay's limit; a shorter one was not."""


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


class _Reach:
    """How far back the answers to one filter went."""

    def __init__(self, filter_: Filter) -> None:
        self.filter = filter_
        self.count, self.oldest = 0, filter_.until

    def note(self, event: Event) -> None:
        if matches(self.filter, event):
            self.count += 1
            self.oldest = event.created_at if self.oldest is None else min(self.oldest, event.created_at)

    def next_page(self) -> Filter | None:
        """The filter for what lies before, or None when there can be nothing."""
        if self.filter.limit is not None or self.count < _PAGED_FROM or self.oldest is None:
            return None
        # Some relays take `until` to be exclusive, hence one second more.
        until = self.oldest + 1
        if self.filter.until is not None and until >= self.filter.until:
            return None
        if self.filter.since is not None and self.oldest <= self.filter.since:
            return None
        return msgspec.structs.replace(self.filter, until=until)


class _Missed:
    """What was said before we asked, from one question and its further pages: relays tell it newest first.

    It is handed on oldest first, once all pages are in, so that others hear people in the order they spoke; or
    earlier, when it grows past HOLD bytes or takes longer than HOLD_FOR.
    """

    def __init__(self, until: float) -> None:
        self.open = self.pages = 0
        self.until = until
        self._held: list[Event] = []
        self._size = 0

    def hold(self, event: Event) -> bool:
        """Keeps the event; says whether there is room for more."""
        self._held.append(event)
        self._size += len(event.content) + 100 * len(event.tags) + 500
        return self._size < HOLD

    def release(self) -> list[Event]:
        """All that was held, oldest first."""
        held, self._held, self._size = self._held, [], 0
        return sorted(held, key=lambda event: (event.created_at, event.id))


class Listener:
    """One session of listening over an open connection; `run` ends with it, by raising Ended."""

    def __init__(
        self,
        url: str,
        connection: Connection,
        host: Host,
        seen: Seen,
        *,
        save_every: float = 60.0,
        eose_within: float = 60.0,
    ) -> None:
        self._url, self._connection, self._host, self._seen = url, connection, host, seen
        self._save_every, self._eose_within = save_every, eose_within
        self._queue: asyncio.Queue[Envelope] = asyncio.Queue(QUEUE)
        self._heard = Heard()
        self._asked: dict[str, tuple[Filter, ...]] = {}
        self._pending: dict[str, float] = {}
        """Names of what was asked and not yet fully answered -> when to give up."""
        self._missed: list[_Missed] = []
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
        return not self._pending and not self._releasing

    async def run(self) -> None:
        """Raises Ended."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._store())
                group.create_task(self._ask())
                group.create_task(self._watch())
        except* Ended as ended:
            raise ended.exceptions[0] from None

    async def _ask(self) -> None:
        now = self._host.now()
        saved = await self._host.cursor(self.cursor_key)
        first = saved is None or not saved.isdigit()
        self._floor = int(now) - MARGIN if first else min(int(saved or 0), int(now) - MARGIN)
        heard = self._host.heard()
        await self._plan(heard, heard.full if first else frozenset())
        while True:
            heard = await self._host.heard_change(self._heard)
            await self._plan(heard, heard.full - self._heard.full)

    async def _plan(self, heard: Heard, new: frozenset[str]) -> None:
        """Ask for what is heard now; what stays the same is left alone."""
        self._heard = heard
        wanted = {f"s{number}": filters for number, filters in enumerate(plan.subscriptions_for(heard))}
        for name in list(self._asked):
            if name not in wanted:
                del self._asked[name]
                self._pending.pop(name, None)
                await self._connection.unsubscribe(name)
        for name, filters in wanted.items():
            if self._asked.get(name) != filters:
                self._asked[name] = filters
                await self._subscribe(name, plan.since(filters, self._floor), standing=True)
        for filters in plan.recent_of(new, self._host.now()):
            await self._subscribe(self._connection.new_name(), filters, standing=False)

    async def _subscribe(
        self, name: str, filters: tuple[Filter, ...], *, standing: bool, missed: _Missed | None = None
    ) -> None:
        reaches = [_Reach(filter_) for filter_ in filters]
        clock = asyncio.get_running_loop().time
        if missed is None:
            missed = _Missed(clock() + HOLD_FOR)
            self._missed.append(missed)
        missed.open += 1

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
            if message is not None:
                self._host.log.warning("nostr_subscription_closed", relay=self._url, said=message)
                raise Ended("subscription_closed")
            if name not in self._pending:
                return
            further = [page for reach in reaches if (page := reach.next_page()) is not None]
            if not standing:
                await self._connection.unsubscribe(name)
            if further and missed.pages >= MAX_PAGES:
                self._host.log.warning("nostr_too_much_missed", relay=self._url, pages=missed.pages)
            elif further:
                missed.pages += 1
                await self._subscribe(self._connection.new_name(), tuple(further), standing=False, missed=missed)
            missed.open -= 1
            if not missed.open:
                await self._release(missed)
                self._missed.remove(missed)
            del self._pending[name]
            self._backlog = self._queued

        self._pending[name] = asyncio.get_running_loop().time() + self._eose_within
        await self._connection.subscribe(name, Subscription(filters, take, end, skip))

    async def _release(self, missed: _Missed) -> None:
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
        if not plan.wanted(event, self._host.heard()):
            self._host.dropped("own" if event.pubkey in self._host.heard().ghosts else "not_wanted")
            return
        if self.live:
            self._host.gauge("nostr_ingest_lag_seconds", max(0.0, now - event.created_at), relay=self._url)
        self._queued += 1
        await self._queue.put(envelope_of(event, self._url, now))

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
            if any(until < now for until in self._pending.values()):
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
