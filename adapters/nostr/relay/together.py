"""What clients publish at one time is taken together: one look at what is known, one transaction, one commit.

While one heap is on its way to the disk the next one gathers. So the disk is waited for as seldom as it may be,
and nobody waits longer than for two of its answers.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final, Protocol

from adapters.nostr.event import Event
from adapters.nostr.relay.storage import State
from bridged.api import Busy, Envelope, Host, Tx

HEAP: Final = 200
"""Events in one transaction."""


class Kept(Protocol):
    def states(self, tx: Tx, several: Sequence[Event]) -> dict[str, State]: ...
    def keep(self, tx: Tx, several: Sequence[Event]) -> None: ...


class _Waiting:
    def __init__(self, event: Event, envelope: Envelope) -> None:
        self.event, self.envelope = event, envelope
        self.done: asyncio.Future[State] = asyncio.get_running_loop().create_future()


class Together:
    """`kept` is asked for states, and keeps what is new, in the transaction that hands it in."""

    def __init__(self, host: Host, kept: Kept) -> None:
        self._host, self._kept = host, kept
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def take(self, event: Event, envelope: Envelope) -> State:
        """What was known of a plain, verified event; NEW: by now it is on disk. Raises Busy."""
        item = _Waiting(event, envelope)
        self._waiting.append(item)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="relay intake")
        return await asyncio.shield(item.done)

    async def _run(self) -> None:
        try:
            while self._waiting:
                heap, self._waiting = self._waiting[:HEAP], self._waiting[HEAP:]
                await self._settle(heap)
        finally:
            self._task = None

    async def _settle(self, heap: list[_Waiting]) -> None:
        first: dict[str, _Waiting] = {}
        for item in heap:
            first.setdefault(item.event.id, item)
        found = await self._taken(list(first.values()))
        for item in heap:
            came = found[item.event.id]
            if isinstance(came, BaseException):
                item.done.set_exception(came)
            else:
                item.done.set_result(came if first[item.event.id] is item else State.HELD)

    async def _taken(self, items: list[_Waiting]) -> dict[str, State | BaseException]:
        several = [item.event for item in items]
        try:
            found = await self._host.read(lambda tx: self._kept.states(tx, several))
            new = [item for item in items if found[item.event.id] is State.NEW]
            if new:
                keep = partial(self._keep, [item.event for item in new])
                await self._host.receive(*(item.envelope for item in new), also=keep)
            return dict(found)
        except Exception as error:
            # one that the database does not take must not take the others with it
            if isinstance(error, Busy) or len(items) == 1:
                return {item.event.id: error for item in items}
            alone: dict[str, State | BaseException] = {}
            for item in items:
                alone |= await self._taken([item])
            return alone

    def _keep(self, several: Sequence[Event], tx: Tx) -> None:
        self._kept.keep(tx, several)
