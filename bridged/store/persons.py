"""Accounts on different networks that were proved to be the same human's."""

from sqlalchemy import delete, select

from bridged.model import Ghost, Ref
from bridged.store import identity
from bridged.store.engine import Tx
from bridged.store.schema import persons
from bridged.store.sql import prepared, the, upsert


def put(tx: Tx, one: Ref, other: Ref, at: float) -> None:
    """Keeps the pair, both ways, in place of whom either was paired with on the other's network before."""
    for here, there in ((one, other), (other, one)):
        drop(tx, here, there.network)
        upsert(
            tx, persons, network=here.network, id=here.id, other_network=there.network, other_id=there.id, at=at
        )  # fmt: skip


def drop(tx: Tx, ref: Ref, network: str) -> None:
    """The account has no proved counterpart on `network` any more."""
    other = of(tx, ref).get(network)
    if other is None:
        return
    for here, there in ((ref, other), (other, ref)):
        tx.execute(
            delete(persons).where(
                persons.c.network == here.network, persons.c.id == here.id, persons.c.other_network == there.network
            )
        )


_pairs = prepared(select(persons).where(persons.c.network == the("network"), persons.c.id == the("id")), "network id")


def of(tx: Tx, ref: Ref) -> dict[str, Ref]:
    """Network -> the same human's account there."""
    rows = _pairs(tx, ref.network, ref.id)
    return {r.other_network: Ref(r.other_network, r.other_id) for r in rows}


def linked(tx: Tx, owner: Ref, network: str) -> Ghost | None:
    """The account that `owner` has on `network` of their own, in the place of a ghost; None for who has left."""
    if identity.standing(tx, owner) == "out":
        return None
    other = of(tx, owner).get(network)
    account = identity.account(tx, other) if other else None
    return Ghost(owner, account.ref, account.handle, custody="linked") if account else None
