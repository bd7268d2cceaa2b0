"""What was said before a relay was asked: how far back its answers went, and what to ask next. Pure."""

from dataclasses import dataclass
from typing import Final

import msgspec

from adapters.nostr.event import Event
from adapters.nostr.filters import Filter, matches

HOLD: Final = 8 << 20
"""Bytes of missed events that are held back to be put in order."""


class Reach:
    """How far back the answers to one filter went; one of fewer than `full` events was not cut."""

    def __init__(self, filter_: Filter, full: int) -> None:
        self.filter, self.full = filter_, full
        self.count, self.oldest = 0, filter_.until
        self.ids: set[str] = set()

    def note(self, event: Event) -> None:
        if matches(self.filter, event):
            self.count += 1
            if self.filter.ids is not None:
                self.ids.add(event.id)
            self.oldest = event.created_at if self.oldest is None else min(self.oldest, event.created_at)

    def next_page(self) -> Filter | None:
        """The filter for what lies before, or None when there can be nothing."""
        if self.filter.ids is not None:
            # the relay gives fewer at once than it says, or does not have them
            rest = self.filter.ids - self.ids
            return Filter(ids=rest, limit=len(rest)) if rest and self.ids else None
        if self.filter.limit is not None or self.count < self.full or self.oldest is None:
            return None
        # Some relays take `until` to be exclusive, hence one second more.
        until = self.oldest + 1
        if self.filter.until is not None and until >= self.filter.until:
            return None
        if self.filter.since is not None and self.oldest <= self.filter.since:
            return None
        return msgspec.structs.replace(self.filter, until=until)


class Missed:
    """What was said before we asked, from one question and its further pages: relays tell it newest first.

    It is handed on oldest first, once all pages are in, so that others hear people in the order they spoke; or
    earlier, when it grows past HOLD bytes or takes longer than HOLD_FOR.
    """

    def __init__(self, until: float) -> None:
        self.open, self.pages = 1, 0
        """Questions that are not answered yet, the first included; and pages asked for."""
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


@dataclass(frozen=True, slots=True)
class Question:
    """`missed` is the question it is a further part of; `sync` asks for ids first (NIP-77)."""

    filters: tuple[Filter, ...]
    missed: Missed | None = None
    sync: bool = False
