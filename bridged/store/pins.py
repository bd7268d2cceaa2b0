"""What people keep at the top of their profiles: their own posts, on their home network."""

from sqlalchemy import delete, select

from bridged.model import Ref
from bridged.store.engine import Tx
from bridged.store.schema import pins
from bridged.store.sql import upsert


def put(tx: Tx, actor: Ref, post: Ref, at: float) -> None:
    upsert(tx, pins, network=actor.network, actor=actor.id, post=post.id, at=at)


def drop(tx: Tx, actor: Ref, post: Ref) -> bool:
    return (
        tx.execute(
            delete(pins).where(pins.c.network == actor.network, pins.c.actor == actor.id, pins.c.post == post.id)
        ).rowcount
        > 0
    )


def of(tx: Tx, actor: Ref) -> list[Ref]:
    """The posts an account keeps pinned, latest pinned first."""
    rows = tx.execute(
        select(pins.c.post)
        .where(pins.c.network == actor.network, pins.c.actor == actor.id)
        .order_by(pins.c.at.desc(), pins.c.post)
    )
    return [Ref(actor.network, r.post) for r in rows]
