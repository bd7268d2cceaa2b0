"""What somebody was told, or was done about them, once."""

from bridged.model import Ref
from bridged.store.engine import Tx
from bridged.store.schema import notices
from bridged.store.sql import insert_new


def tell_once(tx: Tx, ref: Ref, what: str, now: float) -> bool:
    """Notes `what` (at most 32 characters) about an account; False when it was noted before."""
    return insert_new(tx, notices, network=ref.network, id=ref.id, what=what, at=now)
