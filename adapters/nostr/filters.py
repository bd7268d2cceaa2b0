"""Subscription filters (NIP-01, the `search` member of NIP-50): parsing hostile input, matching, writing."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import msgspec

from adapters.nostr.event import MAX_KIND, Event

MAX_TIME: Final = 2**63 - 1
"""Largest `since` and `until`: what a database integer holds."""

_HEX_64: Final = re.compile("[0-9a-f]{64}")
_TAG_MEMBER: Final = re.compile("#[A-Za-z]")


class BadFilter(ValueError):
    """A filter is refused; `reason` is a short snake_case word.

    not_an_object, unknown_member, too_many_values, too_many_tags, else the name of the member.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Bounds(msgspec.Struct, frozen=True):
    """The most a filter may hold."""

    values: int = 1000
    """Values in all lists together."""
    tags: int = 10
    """Tag members (`#e`, `#p` …)."""
    value_length: int = 1024
    """Bytes of a tag value."""
    search_length: int = 256
    """Bytes of `search`."""
    limit: int = 500
    """A larger `limit` is brought down to this (NIP-11, `max_limit`)."""


DEFAULT_BOUNDS: Final = Bounds()


class Filter(msgspec.Struct, frozen=True):
    """The conditions of one filter, all of which must hold; None is no condition, nothing meets an empty set.

    `since` and `until` are Unix seconds, both inclusive. `tags` pairs each tag name with its wanted values.
    """

    ids: frozenset[str] | None = None
    authors: frozenset[str] | None = None
    kinds: frozenset[int] | None = None
    since: int | None = None
    until: int | None = None
    limit: int | None = None
    tags: tuple[tuple[str, frozenset[str]], ...] = ()
    search: str | None = None


def parse_filter(source: object, bounds: Bounds = DEFAULT_BOUNDS) -> Filter:
    """The filter in a decoded JSON object; raises BadFilter.

    Ids, authors, `#e` and `#p` are whole lowercase hex values: there is no matching by prefix. An unknown
    member is refused, for leaving out a condition would send what was not asked for.
    """
    if not isinstance(source, dict):
        raise BadFilter("not_an_object")
    members = cast(dict[str, object], source)
    lists = [cast(Sequence[object], value) for value in members.values() if _is_list(value)]
    if sum(map(len, lists)) > bounds.values:
        raise BadFilter("too_many_values")
    found: dict[str, Any] = {}
    tags: list[tuple[str, frozenset[str]]] = []
    for name, value in members.items():
        match name:
            case "ids" | "authors":
                found[name] = _list(name, value, _is_hex)
            case "kinds":
                found[name] = _list(name, value, _is_kind)
            case "since" | "until":
                found[name] = _integer(name, value)
            case "limit":
                found[name] = min(_integer(name, value), bounds.limit)
            case "search":
                if not _is_text(value, bounds.search_length):
                    raise BadFilter(name)
                found[name] = value
            case "#e" | "#p":
                tags.append((name[1:], _list(name, value, _is_hex)))
            case str() if _TAG_MEMBER.fullmatch(name):
                tags.append((name[1:], _list(name, value, lambda item: _is_text(item, bounds.value_length))))
            case _:
                raise BadFilter("unknown_member")
    if len(tags) > bounds.tags:
        raise BadFilter("too_many_tags")
    return Filter(tags=tuple(sorted(tags, key=_tag_name)), **found)


def matches(filter_: Filter, event: Event) -> bool:
    """Whether the event meets every condition; `limit`, which is about many events, and `search` are none.

    NIP-50 leaves the meaning of `search` to the relay, and a relay that does not know it ignores it.
    """
    return (
        (filter_.kinds is None or event.kind in filter_.kinds)
        and (filter_.authors is None or event.pubkey in filter_.authors)
        and (filter_.ids is None or event.id in filter_.ids)
        and (filter_.since is None or event.created_at >= filter_.since)
        and (filter_.until is None or event.created_at <= filter_.until)
        and all(_has_tag(event, name, values) for name, values in filter_.tags)
    )


def to_object(filter_: Filter) -> dict[str, object]:
    """The filter as a JSON object with sorted lists, so that equal filters are written alike."""
    found: dict[str, object] = {}
    for name, values in (("ids", filter_.ids), ("authors", filter_.authors), ("kinds", filter_.kinds)):
        if values is not None:
            found[name] = sorted(values)
    for name, values in filter_.tags:
        found["#" + name] = sorted(values)
    for name, value in (
        ("since", filter_.since),
        ("until", filter_.until),
        ("limit", filter_.limit),
        ("search", filter_.search),
    ):
        if value is not None:
            found[name] = value
    return found


def _has_tag(event: Event, name: str, values: frozenset[str]) -> bool:
    return any(len(tag) > 1 and tag[0] == name and tag[1] in values for tag in event.tags)


def _tag_name(tag: tuple[str, frozenset[str]]) -> str:
    return tag[0]


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _list(name: str, value: object, accepts: Callable[[object], bool]) -> frozenset[Any]:
    if not _is_list(value):
        raise BadFilter(name)
    values = cast(Sequence[object], value)
    if not all(accepts(item) for item in values):
        raise BadFilter(name)
    return frozenset(values)


def _integer(name: str, value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_TIME:
        raise BadFilter(name)
    return value


def _is_hex(value: object) -> bool:
    return type(value) is str and _HEX_64.fullmatch(value) is not None


def _is_kind(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_KIND


def _is_text(value: object, length: int) -> bool:
    """Whether it is a string of at most `length` bytes, free of lone surrogates, which no database takes."""
    if type(value) is not str:
        return False
    try:
        return len(value.encode()) <= length
    except UnicodeEncodeError:
        return False
