"""Posts and accounts that another bridge made, and the originals they are copies of."""

from sqlalchemy import select

from bridged.model import Ref
from bridged.store.engine import Tx
from bridged.store.schema import twins
from bridged.store.sql import upsert


def put(tx: Tx, copy: Ref, original: Ref) -> None:
    upsert(tx, twins, network=copy.network, id=copy.id, original_network=original.network, original_id=original.id)


def original(tx: Tx, copy: Ref) -> Ref | None:
    row = tx.execute(select(twins).where(twins.c.network == copy.network, twins.c.id == copy.id)).first()
    return Ref(row.original_network, row.original_id) if row else None
