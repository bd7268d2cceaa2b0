"""Keeping events: one version of an address (NIP-01), deletions (NIP-09), expiry (NIP-40), vanishing (NIP-62).

Units of work; whoever calls them has verified the events.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final

import sqlalchemy as sa

from adapters.nostr import ids
from adapters.nostr.event import (
    DELETION,
    GIFT_WRAP,
    VANISH,
    Event,
    address,
    first_tag,
    is_addressable,
    is_ephemeral,
    is_replaceable,
    parse_event,
    supersedes,
    tag_values,
    to_json,
)
from adapters.nostr.filters import MAX_TIME
from adapters.nostr.relay import search
from adapters.nostr.relay.tables import deleted, events, key, strangers, tags, vanished
from bridged.api import Prepared, Tx

_SWEEP: Final = 100
"""Expired events thrown away at a time."""
_PAGE: Final = 500
"""Events of one who vanishes thrown away at a time."""
_LASTING: Final = frozenset({DELETION, VANISH})
"""Kinds that a deletion has no effect on."""


INSERT_EVENTS: Final = Prepared(sa.insert(events))
INSERT_TAGS: Final = Prepared(sa.insert(tags))
_HELD: Final = Prepared(sa.select(events.c.id).where(events.c.id == sa.bindparam("of")))
_VANISHED: Final = Prepared(
    sa.select(vanished.c.until).where(
        vanished.c.pubkey == sa.bindparam("author"), vanished.c.until >= sa.bindparam("at")
    )
)
_DELETED: Final = Prepared(
    sa.select(deleted.c.until).where(
        deleted.c.pubkey == sa.bindparam("author"),
        deleted.c.target.in_(sa.bindparam("targets", expanding=True)),
        deleted.c.until >= sa.bindparam("at"),
    )
)
_BODY_AT: Final = Prepared(sa.select(events.c.body).where(events.c.address == sa.bindparam("place")))
_AT: Final = Prepared(sa.select(events.c.id).where(events.c.address == sa.bindparam("place")))
_EXPIRED: Final = Prepared(sa.select(events.c.id).where(events.c.expires <= sa.bindparam("now")).limit(_SWEEP))
_FORGET: Final = [
    Prepared(sa.delete(column.table).where(column.in_(sa.bindparam("ids", expanding=True))))
    for column in (strangers.c.event_id, tags.c.event_id, events.c.id)
]


class State(Enum):
    """What the relay knows of an event."""

    NEW = "new"
    HELD = "held"
    OLDER = "older"
    DELETED = "deleted"


def state(tx: Tx, event: Event) -> State:
    """Whether the event is held, was deleted, or is older than the version held of its address."""
    if tx.execute(_HELD, {"of": event.id}).first():
        return State.HELD
    if tx.execute(_VANISHED, {"author": event.pubkey, "at": event.created_at}).first():
        return State.DELETED
    place = address(event)
    targets = [key("id", event.id), *([key("address", place)] if place is not None else ())]
    barred = {"author": event.pubkey, "at": event.created_at, "targets": targets}
    if event.kind not in _LASTING and tx.execute(_DELETED, barred).first():
        return State.DELETED
    if place is not None:
        row = tx.execute(_BODY_AT, {"place": key("address", place)}).first()
        if row and not supersedes(event, parse_event(bytes(row[0]))):
            return State.OLDER
    return State.NEW


def store(tx: Tx, event: Event, now: float) -> bool:
    """Keep a verified event and carry out what it deletes or replaces; False when it is not to be kept.

    Ephemeral events are never kept.
    """
    sweep(tx, now)
    if is_ephemeral(event.kind) or state(tx, event) is not State.NEW:
        return False
    place = address(event)
    spot = None if place is None else key("address", place)
    if spot is not None:
        forget(tx, tx.execute(_AT, {"place": spot}).scalars().all())
    tx.execute(INSERT_EVENTS, event_row(event, spot))
    if rows := tag_rows(event):
        tx.execute(INSERT_TAGS, rows)
    search.index(tx, event)
    if event.kind == DELETION:
        _delete(tx, event)
    elif event.kind == VANISH:
        _vanish(tx, event)
    return True


def event_row(event: Event, spot: bytes | None) -> dict[str, object]:
    """What INSERT_EVENTS is told; `spot` is the key of the event's address."""
    return {
        "id": event.id,
        "pubkey": event.pubkey,
        "kind": event.kind,
        "created_at": event.created_at,
        "address": spot,
        "expires": expires(event),
        "body": to_json(event),
    }


def tag_rows(event: Event) -> list[dict[str, object]]:
    """What INSERT_TAGS is told: what the event's single-letter tags are found by."""
    keys = {key(tag[0], tag[1]) for tag in event.tags if len(tag) > 1 and len(tag[0]) == 1 and tag[0].isascii()}
    return [
        {"key": each, "kind": event.kind, "created_at": event.created_at, "event_id": event.id} for each in sorted(keys)
    ]


def forget(tx: Tx, event_ids: Sequence[str]) -> None:
    """Throw events away, with all that is kept about them."""
    if event_ids:
        search.forget(tx, event_ids)
        for each in _FORGET:
            tx.execute(each, {"ids": list(event_ids)})


def expires(event: Event) -> int | None:
    """When the event ceases to be (NIP-40), in Unix seconds; a tag that is no number says nothing."""
    tag = first_tag(event, "expiration")
    if tag is None or len(tag) < 2 or len(tag[1]) > 12 or not (tag[1].isascii() and tag[1].isdigit()):
        return None
    return int(tag[1])


def own_addresses(event: Event) -> tuple[str, ...]:
    """The addresses a deletion names that are its author's own, as `event.address` spells them."""
    found: list[str] = []
    for value in tag_values(event, "a"):
        kind, _, rest = value.partition(":")
        pubkey, colon, _ = rest.partition(":")
        if pubkey != event.pubkey or not colon or not (kind.isascii() and kind.isdigit()) or len(kind) > 5:
            continue
        if is_replaceable(int(kind)):
            found.append(f"{int(kind)}:{pubkey}:")
        elif is_addressable(int(kind)):
            found.append(f"{int(kind)}:{rest}")
    return tuple(dict.fromkeys(found))


def named_ids(event: Event, *names: str) -> tuple[str, ...]:
    """The event ids in tags of these names."""
    return tuple(dict.fromkeys(v for name in names for v in tag_values(event, name) if ids.is_hex(v)))


def targets(event: Event) -> dict[bytes, int]:
    """What a deletion bars from being taken again: up to which time, by the keys of `tables.deleted`."""
    return {key("id", each): MAX_TIME for each in named_ids(event, "e")} | {
        key("address", place): event.created_at for place in own_addresses(event)
    }


def _delete(tx: Tx, event: Event) -> None:
    """Take away what the deletion names, where it is the author's own, and remember not to take it again."""
    ids_named, places = named_ids(event, "e"), [key("address", place) for place in own_addresses(event)]
    if ids_named:
        own = (events.c.pubkey == event.pubkey) & events.c.kind.not_in(_LASTING) & events.c.id.in_(ids_named)
        forget(tx, tx.execute(sa.select(events.c.id).where(own)).scalars().all())
    if places:
        old = events.c.address.in_(places) & (events.c.created_at <= event.created_at)
        forget(tx, tx.execute(sa.select(events.c.id).where(old)).scalars().all())
    until = targets(event)
    if not until:
        return
    known = (deleted.c.pubkey == event.pubkey) & deleted.c.target.in_(until)
    for target, reach in tx.execute(sa.select(deleted.c.target, deleted.c.until).where(known)).all():
        until[bytes(target)] = max(until[bytes(target)], reach)
    tx.execute(sa.delete(deleted).where(known))
    tx.execute(
        sa.insert(deleted),
        [{"pubkey": event.pubkey, "target": target, "until": reach} for target, reach in until.items()],
    )


def _vanish(tx: Tx, event: Event) -> None:
    """Take away all that its author wrote until then, and gift wraps for the author, and remember to take no more."""
    tx.execute(sa.delete(vanished).where(vanished.c.pubkey == event.pubkey))
    tx.execute(sa.insert(vanished).values(pubkey=event.pubkey, until=event.created_at))
    own = (events.c.pubkey == event.pubkey) & (events.c.id != event.id) & (events.c.created_at <= event.created_at)
    wraps = (
        (tags.c.key == key("p", event.pubkey)) & (tags.c.kind == GIFT_WRAP) & (tags.c.created_at <= event.created_at)
    )
    for doomed in (sa.select(events.c.id).where(own), sa.select(tags.c.event_id).where(wraps)):
        while page := tx.execute(doomed.limit(_PAGE)).scalars().all():
            forget(tx, page)


def sweep(tx: Tx, now: float) -> None:
    """Throws some of what has expired away."""
    forget(tx, tx.execute(_EXPIRED, {"now": int(now)}).scalars().all())
