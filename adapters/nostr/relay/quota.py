"""How much is kept of those who are not bridged. Units of work."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from adapters.nostr.config import StrangersConfig
from adapters.nostr.event import DELETION, Event, parse_event
from adapters.nostr.relay.storage import forget, targets
from adapters.nostr.relay.tables import deleted, events, strangers
from bridged.api import Tx

_AT_ONCE: Final = 200
"""Events thrown away after one that is taken, at most."""


def charge(tx: Tx, event: Event, size: int, now: float, most: StrangersConfig) -> None:
    """Note a stranger's event of `size` bytes that has just been stored, and throw away the oldest beyond `most`."""
    tx.execute(sa.insert(strangers).values(event_id=event.id, pubkey=event.pubkey, taken=int(now * 1000), size=size))
    own = strangers.c.pubkey == event.pubkey
    number: int = tx.execute(sa.select(sa.func.count()).select_from(strangers).where(own)).scalar_one()
    if number > most.each:
        oldest = sa.select(strangers.c.event_id).where(own).order_by(strangers.c.taken)
        _evict(tx, tx.execute(oldest.limit(min(number - most.each, _AT_ONCE))).scalars().all())
    number, held = tx.execute(sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(strangers.c.size), 0))).one()
    over, surplus = number - most.events, held - most.megabytes * 1_000_000
    if over > 0 or surplus > 0:
        doomed: list[str] = []
        oldest = sa.select(strangers.c.event_id, strangers.c.size).order_by(strangers.c.taken).limit(_AT_ONCE)
        for event_id, bytes_ in tx.execute(oldest).all():
            if over <= 0 and surplus <= 0:
                break
            doomed.append(event_id)
            over, surplus = over - 1, surplus - bytes_
        _evict(tx, doomed)


def _evict(tx: Tx, event_ids: Sequence[str]) -> None:
    """With what their deletions made us remember, or that would grow for ever."""
    deletions = sa.select(events.c.body).where(events.c.id.in_(event_ids), events.c.kind == DELETION)
    for (body,) in tx.execute(deletions).all():
        deletion = parse_event(bytes(body))
        named = (deleted.c.pubkey == deletion.pubkey) & deleted.c.target.in_(targets(deletion))
        tx.execute(sa.delete(deleted).where(named))
    forget(tx, event_ids)
