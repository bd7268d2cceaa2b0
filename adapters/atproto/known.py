"""The repos we keep up with: how far each is known, in a table."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from adapters.atproto.cid import Cid
from bridged.api import Tx

table: Final = sa.Table(
    "atproto_known_repos",
    sa.MetaData(),
    sa.Column("did", sa.Text, primary_key=True),
    sa.Column("rev", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("stale", sa.Boolean, nullable=False),
)
"""`rev` and `data` (the root of the tree) are of the last commit whose records are all stored. A `stale` one has gone
on without us."""

_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class Known:
    rev: str
    data: Cid
    stale: bool = False


def of(tx: Tx, dids: Collection[str]) -> dict[str, Known]:
    """Those of them that are known."""
    ordered = sorted(dids)
    found: dict[str, Known] = {}
    for start in range(0, len(ordered), _CHUNK):
        query = sa.select(table).where(table.c.did.in_(ordered[start : start + _CHUNK]))
        found |= {did: Known(rev, Cid.parse(data), stale) for did, rev, data, stale in tx.execute(query)}
    return found


def stale(tx: Tx) -> dict[str, Known]:
    rows = tx.execute(sa.select(table).where(table.c.stale).order_by(table.c.did))
    return {did: Known(rev, Cid.parse(data), stale) for did, rev, data, stale in rows}


def everybody(tx: Tx) -> list[str]:
    return [did for (did,) in tx.execute(sa.select(table.c.did))]


def put(tx: Tx, did: str, known: Known) -> None:
    row = {"rev": known.rev, "data": str(known.data), "stale": known.stale}
    if not tx.execute(table.update().where(table.c.did == did).values(row)).rowcount:
        tx.execute(table.insert().values(did=did, **row))


def doubt_all(tx: Tx) -> None:
    """Each may have gone on without us."""
    tx.execute(table.update().values(stale=True))


def drop(tx: Tx, dids: Iterable[str]) -> None:
    for did in dids:
        tx.execute(table.delete().where(table.c.did == did))
