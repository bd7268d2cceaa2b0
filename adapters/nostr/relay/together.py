"""What clients publish at one time is taken together: one look at what is known, one transaction, one commit.

While one heap is on its way to the disk the next one gathers. So the disk is waited for as seldom as it may be,
and nobody waits longer than for two of its answers.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final, Protocol, TypeAlias

from adapters.nostr.event import Event
from adapters.nostr.relay.storage import State
from bridged.api import Busy, Envelope, Heaps, Host, Tx

HEAP: Final = 200
"""Events in one transaction."""
_Item: TypeAlias = tuple[Event, Envelope]


class Kept(Protocol):
    def states(self, tx: Tx, several: Sequence[Event]) -> dict[str, State]: ...
    def keep(self, tx: Tx, several: Sequence[Event]) -> None: ...


class Together:
    """`kept` is asked for states, and keeps what is new, in the transaction that hands it in."""

    def __init__(self, host: Host, kept: Kept) -> None:
        self._host, self._kept = host, kept
        self._heaps: Heaps[_Item, State] = Heaps(self._settle, HEAP)

    async def take(self, event: Event, envelope: Envelope) -> State:
        """What was known of a plain, verified event; NEW: by now it is on disk. Raises Busy."""
        return await self._heaps.ask((event, envelope))

    async def _settle(self, heap: Sequence[_Item]) -> list[State | BaseException]:
        first: dict[str, _Item] = {}
        for item in heap:
            first.setdefault(item[0].id, item)
        found = await self._taken(list(first.values()))

        def came(item: _Item) -> State | BaseException:
            """Who brings what another has just brought is told that it is held."""
            what = found[item[0].id]
            return State.HELD if isinstance(what, State) and first[item[0].id] is not item else what

        return [came(item) for item in heap]

    async def _taken(self, items: list[_Item]) -> dict[str, State | BaseException]:
        several = [event for event, _ in items]
        try:
            found = await self._host.read(lambda tx: self._kept.states(tx, several))
            new = [item for item in items if found[item[0].id] is State.NEW]
            if new:
                keep = partial(self._keep, [event for event, _ in new])
                await self._host.receive(*(envelope for _, envelope in new), also=keep)
            return dict(found)
        except Exception as error:
            # one that the database does not take must not take the others with it
            if isinstance(error, Busy) or len(items) == 1:
                return {event.id: error for event, _ in items}
            alone: dict[str, State | BaseException] = {}
            for item in items:
                alone |= await self._taken([item])
            return alone

    def _keep(self, several: Sequence[Event], tx: Tx) -> None:
        self._kept.keep(tx, several)
