"""Our own identities in the store, and their operations. Every function here works in a transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import sqlalchemy as sa

from adapters.atproto import plc
from adapters.atproto.identity_tables import identities, operations
from adapters.atproto.plc import Operation
from bridged.api import Ref, Tx

MAX_WAITING: Final = 100
"""Identities handed in within one round."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A DID of ours, whom it was made for, and with which handle (a did:web: which it has now); `registered` once
    others may know of it."""

    did: str
    owner: Ref
    handle: str
    registered: bool


def of(tx: Tx, owner: Ref) -> Identity | None:
    """The identity made for this account."""
    return _one(tx, identities.c.owner_network == owner.network, identities.c.owner_id == owner.id)


def identity(tx: Tx, did: str) -> Identity | None:
    return _one(tx, identities.c.did == did)


def add(tx: Tx, did: str, owner: Ref, handle: str, first: Operation | None) -> Identity:
    """Keeps a new identity with its first operation, which a did:web has none of."""
    row = {"did": did, "owner_network": owner.network, "owner_id": owner.id, "handle": handle}
    tx.execute(sa.insert(identities).values(**row))
    if first is not None:
        append(tx, did, 0, first)
    return Identity(did, owner, handle, registered=first is None)


def rename(tx: Tx, did: str, handle: str) -> None:
    """A did:web has another handle; for others that is in their operations."""
    tx.execute(sa.update(identities).where(identities.c.did == did).values(handle=handle))


def append(tx: Tx, did: str, number: int, operation: Operation) -> None:
    body = orjson.dumps(dict(operation.fields))
    tx.execute(sa.insert(operations).values(did=did, number=number, operation=body, sent=False))


def last(tx: Tx, did: str) -> tuple[int, Operation] | None:
    """The newest operation and its number; None for a did:web."""
    newest = _of(did).order_by(operations.c.number.desc()).limit(1)
    row = tx.execute(newest).first()
    return _numbered(row) if row else None


def every(tx: Tx, after: str, most: int) -> list[str]:
    """DIDs of ours that have operations, by name, beginning after `after`."""
    statement = sa.select(operations.c.did).where(operations.c.did > after).distinct().order_by(operations.c.did)
    return list(tx.execute(statement.limit(most)).scalars())


def log(tx: Tx, did: str) -> list[Operation]:
    """All operations, sent or not, oldest first."""
    return [_numbered(row)[1] for row in tx.execute(_of(did).order_by(operations.c.number)).all()]


def adopt(tx: Tx, did: str, log: Sequence[Operation]) -> None:
    """The directory has this: it takes the place of what was known, and of what waits."""
    tx.execute(sa.delete(operations).where(operations.c.did == did))
    for number, operation in enumerate(log):
        append(tx, did, number, operation)
        sent(tx, did, number)


def unsent(tx: Tx, did: str) -> list[tuple[int, Operation]]:
    """What the directory has not got, oldest first."""
    rows = tx.execute(_of(did).where(sa.not_(operations.c.sent)).order_by(operations.c.number)).all()
    return [_numbered(row) for row in rows]


def waiting(tx: Tx) -> list[str]:
    """Identities with changes that the directory has not got. A first operation is handed in by who needs it."""
    changes = sa.and_(sa.not_(operations.c.sent), operations.c.number > 0)
    statement = sa.select(operations.c.did).where(changes).group_by(operations.c.did).order_by(operations.c.did)
    return list(tx.execute(statement.limit(MAX_WAITING)).scalars())


def sent(tx: Tx, did: str, number: int) -> None:
    where = (operations.c.did == did, operations.c.number == number)
    tx.execute(sa.update(operations).where(*where).values(sent=True))


def give_up(tx: Tx, did: str) -> None:
    """Forgets what waits of this identity, but for its first operation."""
    where = (operations.c.did == did, sa.not_(operations.c.sent), operations.c.number > 0)
    tx.execute(sa.delete(operations).where(*where))


def drop(tx: Tx, did: str) -> None:
    """Forgets an identity that nobody else has heard of, or that ended."""
    for table in (operations, identities):
        tx.execute(sa.delete(table).where(table.c.did == did))


def _of(did: str) -> Any:
    return sa.select(operations.c.number, operations.c.operation).where(operations.c.did == did)


def _numbered(row: Any) -> tuple[int, Operation]:
    return row.number, plc.read(orjson.loads(row.operation))


def _one(tx: Tx, *where: Any) -> Identity | None:
    row = tx.execute(sa.select(identities).where(*where)).first()
    if row is None:
        return None
    first = tx.execute(
        sa.select(operations.c.sent).where(operations.c.did == row.did, operations.c.number == 0)
    ).scalar()
    return Identity(row.did, Ref(row.owner_network, row.owner_id), row.handle, registered=first is not False)
