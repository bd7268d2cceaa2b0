"""What somebody was told, or what was noticed about them, and when. `what` has at most 32 characters."""

from sqlalchemy import delete, select

from bridged.model import Ref
from bridged.store.engine import Tx
from bridged.store.schema import notices
from bridged.store.sql import insert_new, upsert


def tell_once(tx: Tx, ref: Ref, what: str, now: float) -> bool:
    """Notes `what` about an account; False when it was noted before."""
    return insert_new(tx, notices, network=ref.network, id=ref.id, what=what, at=now)


def at(tx: Tx, ref: Ref, what: str) -> float | None:
    return tx.execute(
        select(notices.c.at).where(notices.c.network == ref.network, notices.c.id == ref.id, notices.c.what == what)
    ).scalar()


def put(tx: Tx, ref: Ref, what: str, now: float) -> None:
    upsert(tx, notices, network=ref.network, id=ref.id, what=what, at=now)


def drop(tx: Tx, ref: Ref, what: str) -> None:
    tx.execute(delete(notices).where(notices.c.network == ref.network, notices.c.id == ref.id, notices.c.what == what))
