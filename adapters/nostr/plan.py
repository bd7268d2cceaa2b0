"""What to ask relays for, and what of it is wanted. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from adapters.nostr.event import Event, first_tag, tag_values
from adapters.nostr.filters import Filter
from adapters.nostr.nip17 import SPREAD
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
FILTERS: Final = 8
"""Filters in one REQ."""
RECENT: Final = 20
"""Posts asked for of an account that is newly heard."""
RECENT_SPAN: Final = 30 * 24 * 3600
"""Seconds that those may lie back."""


def filters_for(heard: Heard, bot: str = "") -> tuple[Filter, ...]:
    """The conditions that cover `heard`, without times; and messages to the key `bot`."""
    found = [Filter(authors=frozenset(part), kinds=FULL_KINDS) for part in _chunks(heard.full)]
    found += [Filter(authors=frozenset(part), kinds=KNOWN_KINDS) for part in _chunks(heard.known - heard.full)]
    found += [Filter(tags=(("p", frozenset(part)),), kinds=NAMING_KINDS) for part in _chunks(heard.ghosts)]
    # A receipt is its wallet's; who paid is named by a tag.
    found += [Filter(tags=(("P", frozenset(part)),), kinds=frozenset({RECEIPT})) for part in _chunks(heard.full)]
    found += [Filter(tags=(("e", frozenset(part)),), kinds=frozenset({VOTE})) for part in _chunks(heard.polls)]
    if bot:
        found.append(Filter(tags=(("p", frozenset({bot})),), kinds=frozenset({GIFT_WRAP})))
    return tuple(found)


def subscriptions_for(heard: Heard, bot: str = "") -> tuple[tuple[Filter, ...], ...]:
    """The same in the portions that go into one REQ each."""
    return _portions(filters_for(heard, bot))


def recent_of(authors: Iterable[str], now: float) -> tuple[tuple[Filter, ...], ...]:
    """What newly heard accounts said lately, in portions; profile and follow list however old they are."""
    found: list[Filter] = []
    since = max(0, int(now) - RECENT_SPAN)
    for part in _chunks(authors):
        found.append(Filter(authors=frozenset(part), kinds=frozenset({0, 3})))
        found += [
            Filter(authors=frozenset({author}), kinds=FULL_KINDS - {0, 3}, since=since, limit=RECENT) for author in part
        ]
    return _portions(found)


def since(filters: Iterable[Filter], moment: int) -> tuple[Filter, ...]:
    """The filters, for events from `moment` on; gift wraps are dated up to two days back (NIP-59)."""
    return tuple(
        msgspec.structs.replace(
            filter_, since=max(0, moment - SPREAD if filter_.kinds == frozenset({GIFT_WRAP}) else moment)
        )
        for filter_ in filters
    )


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


def _chunks(names: Iterable[str]) -> list[list[str]]:
    ordered = sorted(names)
    return [ordered[start : start + CHUNK] for start in range(0, len(ordered), CHUNK)]


def _portions(filters: Sequence[Filter]) -> tuple[tuple[Filter, ...], ...]:
    return tuple(tuple(filters[start : start + FILTERS]) for start in range(0, len(filters), FILTERS))
