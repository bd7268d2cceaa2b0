"""Many events kept at once, in few statements: for those that neither replace nor delete anything.

What `storage` does for one event, and with the same result: a hundred clients that write at the same time would
else cost a dozen statements each. Units of work; whoever calls them has verified the events.
"""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from adapters.nostr.event import DELETION, VANISH, Event, address, is_ephemeral, to_json
from adapters.nostr.relay import search
from adapters.nostr.relay.storage import State, expires, sweep, tag_keys
from adapters.nostr.relay.tables import deleted, events, key, tags, vanished
from bridged.api import Tx

# built once: putting a statement together costs more than SQLite takes to run it
_HELD: Final = sa.select(events.c.id).where(events.c.id.in_(sa.bindparam("ids", expanding=True)))
_VANISHED: Final = sa.select(vanished.c.pubkey, vanished.c.until).where(
    vanished.c.pubkey.in_(sa.bindparam("keys", expanding=True))
)
_DELETED: Final = sa.select(deleted.c.pubkey, deleted.c.target, deleted.c.until).where(
    sa.tuple_(deleted.c.pubkey, deleted.c.target).in_(sa.bindparam("targets", expanding=True))
)
_INSERT_EVENTS: Final = sa.insert(events)
_INSERT_TAGS: Final = sa.insert(tags)


def is_plain(event: Event) -> bool:
    """Whether the event concerns no other that is held."""
    return address(event) is None and not is_ephemeral(event.kind) and event.kind not in (DELETION, VANISH)


def states(tx: Tx, several: Sequence[Event]) -> dict[str, State]:
    """By id what `storage.state` says of each."""
    held = set(tx.execute(_HELD, {"ids": [event.id for event in several]}).scalars())
    gone = dict(tx.execute(_VANISHED, {"keys": list({event.pubkey for event in several})}).all())
    named = {(event.pubkey, key("id", event.id)): event for event in several}
    barred = {
        named[pubkey, bytes(target)].id
        for pubkey, target, until in tx.execute(_DELETED, {"targets": list(named)})
        if until >= named[pubkey, bytes(target)].created_at
    }
    found: dict[str, State] = {}
    for event in several:
        if event.id in held:
            found[event.id] = State.HELD
        elif event.id in barred or gone.get(event.pubkey, -1) >= event.created_at:
            found[event.id] = State.DELETED
        else:
            found[event.id] = State.NEW
    return found


def store(tx: Tx, several: Sequence[Event], now: float) -> list[Event]:
    """Keeps those that are new, and says which these are; all must be plain, and no two the same."""
    sweep(tx, now)
    known = states(tx, several)
    new = [event for event in several if known[event.id] is State.NEW]
    if not new:
        return []
    tx.execute(
        _INSERT_EVENTS,
        [
            {
                "id": event.id,
                "pubkey": event.pubkey,
                "kind": event.kind,
                "created_at": event.created_at,
                "address": None,
                "expires": expires(event),
                "body": to_json(event),
            }
            for event in new
        ],
    )
    rows = [
        {"key": each, "kind": event.kind, "created_at": event.created_at, "event_id": event.id}
        for event in new
        for each in tag_keys(event)
    ]
    if rows:
        tx.execute(_INSERT_TAGS, rows)
    search.index(tx, *new)
    return new
