"""Open subscriptions, found by what an event must have to concern them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from adapters.nostr.event import Event
from adapters.nostr.filters import Filter, matches

Key = tuple[str, str | int]
_ANYTHING: Final = ("", "")


class Subscription:
    """`tell` is called with every new event that meets one of the filters; it must not wait."""

    __slots__ = ("filters", "tell", "values")

    def __init__(self, filters: tuple[Filter, ...], tell: Callable[[Event, bytes], None]) -> None:
        self.filters, self.tell = filters, tell
        self.values = size(filters)


class Live:
    """All open subscriptions."""

    def __init__(self) -> None:
        self._by: dict[Key, set[Subscription]] = {}
        self.values = 0
        """How many values all filters hold."""

    def add(self, subscription: Subscription) -> None:
        self.values += subscription.values
        for key in _wanted(subscription.filters):
            self._by.setdefault(key, set()).add(subscription)

    def remove(self, subscription: Subscription) -> None:
        """Once for each `add`."""
        self.values -= subscription.values
        for key in _wanted(subscription.filters):
            found = self._by.get(key)
            if found is not None:
                found.discard(subscription)
                if not found:
                    del self._by[key]

    def publish(self, event: Event, body: bytes) -> None:
        """Tell whom it concerns; `body` is the event's JSON."""
        concerned: set[Subscription] = set()
        for key in _offered(event):
            concerned |= self._by.get(key, set())
        for subscription in concerned:
            if any(matches(filter_, event) for filter_ in subscription.filters):
                subscription.tell(event, body)


def size(filters: Iterable[Filter]) -> int:
    """How many values the filters hold."""
    return sum(
        len(values)
        for filter_ in filters
        for values in (filter_.ids, filter_.authors, filter_.kinds, *(tag[1] for tag in filter_.tags))
        if values is not None
    )


def _wanted(filters: Iterable[Filter]) -> Iterator[Key]:
    """For each filter the values of the condition that the fewest events meet."""
    for filter_ in filters:
        if filter_.ids is not None:
            yield from (("id", value) for value in filter_.ids)
        elif filter_.tags:
            name, values = filter_.tags[0]
            yield from (("#" + name, value) for value in values)
        elif filter_.authors is not None:
            yield from (("author", value) for value in filter_.authors)
        elif filter_.kinds is not None:
            yield from (("kind", kind) for kind in filter_.kinds)
        else:
            yield _ANYTHING


def _offered(event: Event) -> Iterator[Key]:
    yield _ANYTHING
    yield ("id", event.id)
    yield ("author", event.pubkey)
    yield ("kind", event.kind)
    yield from {("#" + tag[0], tag[1]) for tag in event.tags if len(tag) > 1 and len(tag[0]) == 1}
