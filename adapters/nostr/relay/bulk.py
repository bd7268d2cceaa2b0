"""Many events kept at once, in few statements: for those that neither replace nor delete anything.

What `storage` does for one event, and with the same result: a hundred clients that write at the same time would
else cost a dozen statements each. Units of work; whoever calls them has verified the events.
"""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from adapters.nostr.event import DELETION, VANISH, Event, address, is_ephemeral
from adapters.nostr.relay import search
from adapters.nostr.relay.storage import INSERT_EVENTS, INSERT_TAGS, State, event_row, sweep, tag_rows
from adapters.nostr.relay.tables import deleted, events, key, vanished
from bridged.api import Prepared, Tx

# built once: putting a statement together costs more than SQLite takes to run it
_HELD: Final = Prepared(sa.select(events.c.id).where(events.c.id.in_(sa.bindparam("ids", expanding=True))))
_VANISHED: Final = Prepared(
    sa.select(vanished.c.pubkey, vanished.c.until).where(vanished.c.pubkey.in_(sa.bindparam("keys", expanding=True)))
)
_DELETED: Final = sa.select(deleted.c.pubkey, deleted.c.target, deleted.c.until).where(
    sa.tuple_(deleted.c.pubkey, deleted.c.target).in_(sa.bindparam("targets", expanding=True))
)


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
        INSERT_EVENTS,
        [event_row(event, None) for event in new],
    )
    if rows := [row for event in new for row in tag_rows(event)]:
        tx.execute(INSERT_TAGS, rows)
    search.index(tx, *new)
    return new
