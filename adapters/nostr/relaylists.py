"""What is known of accounts' relay lists, kept in a table of its own."""

from collections.abc import Callable, Collection, Iterable
from typing import Final

import sqlalchemy as sa

from adapters.nostr import relays
from adapters.nostr.event import Event
from adapters.nostr.relays import RelayList
from bridged.api import Host, Tx

_metadata = sa.MetaData()

table: Final = sa.Table(
    "nostr_relay_lists",
    _metadata,
    sa.Column("pubkey", sa.Text, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("write", sa.Text, nullable=False),
    sa.Column("read", sa.Text, nullable=False),
    sa.Column("dm_at", sa.BigInteger, nullable=False),
    sa.Column("dm", sa.Text, nullable=False),
)
"""`at` and `dm_at` are the dates of the newest kind 10002 and 10050, 0 for none; URLs have spaces between."""

_CHUNK: Final = 500
AHEAD: Final = 15 * 60
"""Seconds a list may be dated after it was heard: no later one could replace it else."""


class RelayLists:
    """`on_change` is called after each change, once it is on disk."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.on_change: Callable[[], None] = lambda: None

    async def of(self, pubkeys: Collection[str]) -> dict[str, RelayList]:
        """The lists of those of whom one is known."""
        return await self._host.read(lambda tx: known(tx, pubkeys))

    async def note(self, events: Iterable[Event]) -> None:
        """Remember verified events of kinds 10002 and 10050; older ones than known, and future ones, change nothing."""
        latest = self._host.now() + AHEAD
        lists = [event for event in events if event.kind in relays.LISTS and event.created_at <= latest]
        if lists and await self._host.write(lambda tx: record(tx, lists)):
            self.on_change()


def known(tx: Tx, pubkeys: Collection[str]) -> dict[str, RelayList]:
    """The lists of those of whom one is known."""
    ordered = sorted(pubkeys)
    found: dict[str, RelayList] = {}
    for start in range(0, len(ordered), _CHUNK):
        query = sa.select(table).where(table.c.pubkey.in_(ordered[start : start + _CHUNK]))
        for pubkey, at, write, read, dm_at, dm in tx.execute(query):
            found[pubkey] = RelayList(at, tuple(write.split()), tuple(read.split()), dm_at, tuple(dm.split()))
    return found


def record(tx: Tx, events: Iterable[Event]) -> bool:
    """Whether anything changed."""
    changed = False
    for event in events:
        old = known(tx, [event.pubkey]).get(event.pubkey)
        new = relays.merge(old or RelayList(), event)
        if new == old or (old is None and new == RelayList()):
            continue
        changed = True
        row = {"at": new.at, "dm_at": new.dm_at, "write": "", "read": "", "dm": "", **relays.detail_of(new)}
        if old is None:
            tx.execute(table.insert().values(pubkey=event.pubkey, **row))
        else:
            tx.execute(table.update().where(table.c.pubkey == event.pubkey).values(row))
    return changed
