"""Open subscriptions, found by what an event must have to concern them."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Final

from adapters.nostr.event import Event
from adapters.nostr.filters import Filter, matches
from adapters.nostr.relay import search

Key = tuple[str, str | int]
_ANYTHING: Final = ("", "")


class Subscription:
    """`tell` is called with every new event that meets one of the filters; it must not wait."""

    __slots__ = ("_searches", "filters", "tell", "values")

    def __init__(self, filters: tuple[Filter, ...], tell: Callable[[Event, bytes], None]) -> None:
        self.filters, self.tell = filters, tell
        self.values = size(filters)
        self._searches = {
            filter_.search: search.words_in(filter_.search)
            for filter_ in filters
            if filter_.search is not None and search.asks(filter_.search)
        }

    def concerns(self, event: Event, words: Callable[[], frozenset[str]]) -> bool:
        """Whether the event meets a filter; `words` are those it can be found by (NIP-50)."""
        return any(matches(filter_, event) and self._finds(filter_, words) for filter_ in self.filters)

    def _finds(self, filter_: Filter, words: Callable[[], frozenset[str]]) -> bool:
        if filter_.search is None or filter_.search not in self._searches:
            return True
        wanted = self._searches[filter_.search]
        return bool(wanted) and wanted <= words()


class Live:
    """All open subscriptions; `searchable` says whose events may be found by search."""

    def __init__(self, searchable: Callable[[str], bool]) -> None:
        self._searchable = searchable
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

        @cache
        def words() -> frozenset[str]:
            return search.words_of(event) if self._searchable(event.pubkey) else frozenset()

        for subscription in concerned:
            if subscription.concerns(event, words):
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
