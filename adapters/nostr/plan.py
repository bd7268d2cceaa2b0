"""What to ask relays for, and what of it is wanted. Pure."""

from collections.abc import Iterable
from typing import Final

import msgspec

from adapters.nostr.event import Event, first_tag, tag_values
from adapters.nostr.filters import Filter, to_object
from adapters.nostr.nip11 import DEFAULT, Limits
from adapters.nostr.nip17 import SPREAD
from adapters.nostr.relays import LISTS
from bridged.api import Heard, Malformed

POST_KINDS: Final = frozenset({1, 20, 21, 22, 1068, 1111, 9802, 30023, 31922, 31923, 34235, 34236})
"""What somebody says; streams, offers, wiki pages and files are only fetched where something refers to them."""
FULL_KINDS: Final = POST_KINDS | {0, 3, 5, 6, 7, 16, 62, 1018, 10000, 10001}
KNOWN_KINDS: Final = frozenset({0, 3, 5, 62, 10000, 30023, 31922, 31923, 34235, 34236})
"""Of accounts known elsewhere: profile, deletions, edits, and lists (leaving us out of them unfollows, unblocks)."""
NAMING_KINDS: Final = POST_KINDS | {3, 6, 7, 16, 1984, 9735}
VOTE, RECEIPT, GIFT_WRAP = 1018, 9735, 1059

AHEAD: Final = 15 * 60
"""Seconds an event may be dated after it was heard."""

CHUNK: Final = 200
"""Authors or names in one filter."""
KINDS: Final = 20
"""Kinds in one filter. NIP-11 has no word for it, but @nostr-relay/core drops a REQ with more."""
FILTERS: Final = 8
"""Filters in one REQ, unless that makes more subscriptions than a relay takes."""
SIDE: Final = 4
"""Questions that one relay is asked at once beside the standing ones, for what was missed; and as many by others."""
_ROOM, _NAME, _TIMES = 512, 64, 48
"""Bytes kept free: in a filter beside its names, in a REQ beside its filters, in a filter for its times."""
RECENT: Final = 20
"""Posts asked for of an account that is newly heard."""
RECENT_SPAN: Final = 30 * 24 * 3600
"""Seconds that those may lie back."""


def side(limits: Limits) -> int:
    """How many questions a relay is asked at once for each purpose, beside the standing ones."""
    return max(1, min(SIDE, limits.subscriptions // 5))


def filters_for(heard: Heard, bot: str = "", limits: Limits = DEFAULT) -> tuple[Filter, ...]:
    """The conditions that cover `heard`, without times; and messages to the key `bot`."""
    full = _chunks(heard.full, limits)
    found = [Filter(authors=part, kinds=kinds) for part in full for kinds in _few(FULL_KINDS | LISTS)]
    found += [Filter(authors=part, kinds=KNOWN_KINDS | LISTS) for part in _chunks(heard.known - heard.full, limits)]
    found += [Filter(tags=(("p", part),), kinds=NAMING_KINDS) for part in _chunks(heard.ghosts, limits)]
    # A receipt is its wallet's; who paid is named by a tag.
    found += [Filter(tags=(("P", part),), kinds=frozenset({RECEIPT})) for part in _chunks(heard.full, limits)]
    found += [Filter(tags=(("e", part),), kinds=frozenset({VOTE})) for part in _chunks(heard.polls, limits)]
    if bot:
        found.append(Filter(tags=(("p", frozenset({bot})),), kinds=frozenset({GIFT_WRAP})))
    return tuple(found)


def subscriptions_for(heard: Heard, bot: str = "", limits: Limits = DEFAULT) -> tuple[tuple[Filter, ...], ...]:
    """The same in the portions that go into one REQ each: larger ones where the relay takes few subscriptions.

    They may still be more than it takes.
    """
    filters = filters_for(heard, bot, limits)
    portions = _portions(filters, min(FILTERS, limits.filters), limits)
    if len(portions) > limits.subscriptions - 2 * side(limits):
        portions = _portions(filters, limits.filters, limits)
    return portions


def recent_of(authors: Iterable[str], now: float, limits: Limits = DEFAULT) -> tuple[tuple[Filter, ...], ...]:
    """What newly heard accounts said lately, in portions; profile and lists however old they are."""
    found: list[Filter] = []
    since = max(0, int(now) - RECENT_SPAN)
    for part in _chunks(authors, limits):
        found.append(Filter(authors=part, kinds=frozenset({0, 3}) | LISTS))
        found += [
            Filter(authors=frozenset({author}), kinds=kinds, since=since, limit=RECENT)
            for author in sorted(part)
            for kinds in _few(FULL_KINDS - {0, 3})
        ]
    return _portions(found, min(FILTERS, limits.filters), limits)


def since(filters: Iterable[Filter], moment: int, until: int | None = None) -> tuple[Filter, ...]:
    """The filters, for events from `moment` on; gift wraps are dated up to two days back (NIP-59)."""
    return tuple(
        msgspec.structs.replace(
            filter_, since=max(0, moment - SPREAD if filter_.kinds == frozenset({GIFT_WRAP}) else moment), until=until
        )
        for filter_ in filters
    )


def by_id(event_ids: Iterable[str], limits: Limits = DEFAULT) -> tuple[Filter, ...]:
    """Filters for these events, each within what a relay gives at once; with a limit, so that none is paged."""
    size = min(CHUNK, limits.answers)
    return tuple(Filter(ids=part, limit=len(part)) for part in _chunks(event_ids, limits, size))


def wanted(event: Event, heard: Heard, bot: str = "") -> bool:
    """Whether a verified event is for us; what our own ghosts said is not."""
    if event.pubkey in heard.ghosts:
        return False
    match event.kind:
        case kind if kind == GIFT_WRAP:
            return bool(bot) and bot in tag_values(event, "p")
        case kind if kind == RECEIPT and not heard.full.isdisjoint(tag_values(event, "P")):
            return True
        case kind if kind == VOTE and not heard.polls.isdisjoint(tag_values(event, "e")):
            return True
        case _:
            pass
    return (
        (event.pubkey in heard.full and event.kind in FULL_KINDS)
        or (event.pubkey in heard.known and event.kind in KNOWN_KINDS)
        or (event.kind in LISTS and (event.pubkey in heard.full or event.pubkey in heard.known))
        or (event.kind in NAMING_KINDS and not heard.ghosts.isdisjoint(tag_values(event, "p")))
    )


def refuse_untimely(event: Event, now: float) -> None:
    """Raises Malformed for what must not be passed on: future, expired (NIP-40), protected (NIP-70)."""
    if event.created_at > now + AHEAD:
        raise Malformed("future")
    expires = first_tag(event, "expiration")
    if expires is not None and len(expires) > 1:
        text = expires[1]
        if not (text.isascii() and text.isdigit()) or len(text) > 12 or int(text) <= now:
            raise Malformed("expired")
    if first_tag(event, "-") is not None:
        raise Malformed("protected")


def _chunks(names: Iterable[str], limits: Limits, most: int = CHUNK) -> list[frozenset[str]]:
    ordered = sorted(names)
    # 67 bytes each, and some for the other members: even the smallest frame takes one filter
    size = max(1, min(most, (limits.message - _ROOM) // 67))
    return [frozenset(ordered[start : start + size]) for start in range(0, len(ordered), size)]


def _few(kinds: Iterable[int]) -> list[frozenset[int]]:
    ordered = sorted(kinds)
    return [frozenset(ordered[start : start + KINDS]) for start in range(0, len(ordered), KINDS)]


def _portions(filters: Iterable[Filter], most: int, limits: Limits) -> tuple[tuple[Filter, ...], ...]:
    """At most so many filters in each, and no more than fit into a frame."""
    found: list[list[Filter]] = []
    room = 0
    for filter_ in filters:
        size = len(msgspec.json.encode(to_object(filter_))) + _TIMES
        if not found or len(found[-1]) >= most or size > room:
            found.append([])
            room = limits.message - _NAME
        found[-1].append(filter_)
        room -= size
    return tuple(map(tuple, found))
