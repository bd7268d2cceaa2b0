"""Who follows and blocks whom, across networks. Both ends are accounts at home, never ghosts."""

import math
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import ColumnElement, delete, func, select, update

from bridged.model import Ref
from bridged.store.engine import Tx
from bridged.store.schema import blocks, follows, lists
from bridged.store.sql import prepared, the, upsert

_ALL = 1 << 62

State = Literal["asked", "live"]


def _pair(actor: Ref, target: Ref) -> list[ColumnElement[bool]]:
    return [
        follows.c.network == actor.network,
        follows.c.actor == actor.id,
        follows.c.target_network == target.network,
        follows.c.target_id == target.id,
    ]


def put(tx: Tx, actor: Ref, target: Ref, ref: Ref, state: State, at: float) -> None:
    upsert(
        tx,
        follows,
        network=actor.network,
        actor=actor.id,
        target_network=target.network,
        target_id=target.id,
        ref=ref.id,
        state=state,
        at=at,
    )


def state_of(tx: Tx, actor: Ref, target: Ref) -> State | None:
    return tx.execute(select(follows.c.state).where(*_pair(actor, target))).scalar()


def grant(tx: Tx, actor: Ref, target: Ref) -> None:
    tx.execute(update(follows).where(*_pair(actor, target)).values(state="live"))


def drop(tx: Tx, actor: Ref, target: Ref) -> bool:
    return tx.execute(delete(follows).where(*_pair(actor, target))).rowcount > 0


def forget(tx: Tx, account: Ref) -> None:
    """Removes every follow of and by an account."""
    tx.execute(delete(follows).where(follows.c.network == account.network, follows.c.actor == account.id))
    tx.execute(delete(follows).where(follows.c.target_network == account.network, follows.c.target_id == account.id))


_followers = prepared(
    select(follows.c.actor)
    .where(follows.c.target_network == the("target_network"), follows.c.target_id == the("target"))
    .where(follows.c.network == the("network"), follows.c.state == "live", follows.c.at <= the("by"))
    .order_by(follows.c.at, follows.c.actor)
    .limit(the("limit"))
    .offset(the("offset")),
    "target_network target network by limit offset",
)


def followers(
    tx: Tx, target: Ref, network: str, limit: int | None = None, offset: int = 0, by: float | None = None
) -> list[Ref]:
    """Accounts of `network` that follow `target`, oldest first; with `by`, only those that did at that time."""
    end, most = math.inf if by is None else by, _ALL if limit is None else limit
    rows = _followers(tx, target.network, target.id, network, end, most, offset)
    return [Ref(network, r.actor) for r in rows]


def asking(tx: Tx, target: Ref, network: str) -> list[Ref]:
    """Accounts of `network` whose follow of `target` was not answered yet."""
    rows = tx.execute(
        select(follows.c.actor)
        .where(follows.c.target_network == target.network, follows.c.target_id == target.id)
        .where(follows.c.network == network, follows.c.state == "asked")
    )
    return [Ref(network, r.actor) for r in rows]


def following(tx: Tx, actor: Ref, network: str, limit: int | None = None, offset: int = 0) -> list[Ref]:
    """Accounts of `network` that `actor` follows, or has asked to, oldest first."""
    query = (
        select(follows.c.target_id)
        .where(follows.c.network == actor.network, follows.c.actor == actor.id)
        .where(follows.c.target_network == network)
        .order_by(follows.c.at, follows.c.target_id)
        .offset(offset)
    )
    return [Ref(network, r.target_id) for r in tx.execute(query.limit(limit) if limit is not None else query)]


def refs_of(tx: Tx, actor: Ref) -> dict[Ref, Ref]:
    """Every account that `actor` follows, with the act that made it so."""
    rows = tx.execute(select(follows).where(follows.c.network == actor.network, follows.c.actor == actor.id))
    return {Ref(r.target_network, r.target_id): Ref(actor.network, r.ref) for r in rows}


def made_by(tx: Tx, actor: Ref, target: Ref) -> Ref | None:
    """The act by which `actor` follows `target`."""
    id = tx.execute(select(follows.c.ref).where(*_pair(actor, target))).scalar()
    return Ref(actor.network, id) if id else None


def made_anew(tx: Tx, actor: Ref, target: Ref, ref: Ref) -> None:
    """It is this act now by which `actor` follows `target`."""
    tx.execute(update(follows).where(*_pair(actor, target)).values(ref=ref.id))


def count(tx: Tx, target: Ref, network: str) -> int:
    return _count(
        tx,
        follows.c.target_network == target.network,
        follows.c.target_id == target.id,
        follows.c.network == network,
        follows.c.state == "live",
    )


def count_following(tx: Tx, actor: Ref, network: str) -> int:
    return _count(
        tx, follows.c.network == actor.network, follows.c.actor == actor.id, follows.c.target_network == network
    )


def _count(tx: Tx, *where: Any) -> int:
    return tx.execute(select(func.count()).select_from(follows).where(*where)).scalar()


_audience = prepared(
    select(follows.c.network)
    .where(follows.c.target_network == the("network"), follows.c.target_id == the("id"), follows.c.state == "live")
    .distinct(),
    "network id",
)


def audience_networks(tx: Tx, target: Ref) -> set[str]:
    """Networks with at least one live follower of `target`."""
    return {r.network for r in _audience(tx, target.network, target.id)}


def wanted(tx: Tx, network: str) -> list[str]:
    """Ids of accounts of a network that somebody elsewhere follows or asks to."""
    rows = tx.execute(
        select(follows.c.target_id).where(follows.c.target_network == network, follows.c.network != network).distinct()
    )
    return [r.target_id for r in rows]


def newer_list(tx: Tx, actor: Ref, ref: Ref, at: float, kind: str = "FollowList") -> bool:
    """Notes the newest list, or profile, of an account; False when the one at hand is not newer."""
    mine = (lists.c.network == actor.network, lists.c.actor == actor.id, lists.c.kind == kind)
    known = tx.execute(select(lists.c.at, lists.c.ref).where(*mine)).first()
    if known is not None and (known.at > at or (known.at == at and known.ref <= ref.id)):
        return False
    upsert(tx, lists, network=actor.network, actor=actor.id, kind=kind, at=at, ref=ref.id)
    return True


def block(tx: Tx, actor: Ref, target: Ref, ref: Ref) -> None:
    upsert(
        tx,
        blocks,
        network=actor.network,
        actor=actor.id,
        target_network=target.network,
        target_id=target.id,
        ref=ref.id,
    )


def unblock(tx: Tx, actor: Ref, target: Ref) -> None:
    tx.execute(
        delete(blocks).where(
            blocks.c.network == actor.network,
            blocks.c.actor == actor.id,
            blocks.c.target_network == target.network,
            blocks.c.target_id == target.id,
        )
    )


_blocking = prepared(
    select(blocks.c.network, blocks.c.actor).where(
        blocks.c.target_network == the("network"), blocks.c.target_id == the("id")
    ),
    "network id",
)


def blocked_by(tx: Tx, actor: Ref, targets: Sequence[Ref]) -> set[Ref]:
    """Those of `targets` who have blocked `actor`."""
    rows = _blocking(tx, actor.network, actor.id)
    return {Ref(r.network, r.actor) for r in rows} & set(targets)


def blocks_of(tx: Tx, actor: Ref) -> dict[Ref, Ref]:
    """Every account that `actor` has blocked, with the act that made it so."""
    rows = tx.execute(select(blocks).where(blocks.c.network == actor.network, blocks.c.actor == actor.id))
    return {Ref(r.target_network, r.target_id): Ref(actor.network, r.ref) for r in rows}
