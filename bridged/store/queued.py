"""What was queued, for those who ask: what waits, what became of it, and whom a copy has reached."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, func, select

from bridged.model import Ref
from bridged.store.engine import Tx
from bridged.store.schema import lanes, outbox, said
from bridged.store.schema import reached as gone_by


def reached(tx: Tx, copy_ids: Collection[int] | Select[Any]) -> list[str]:
    """Every endpoint these copies were ever queued for, dead ones left out."""
    queued = (
        select(lanes.c.endpoint)
        .join(outbox, outbox.c.lane == lanes.c.id)
        .where(outbox.c.copy.in_(copy_ids), outbox.c.state != "dead")
    )
    return sorted(r.endpoint for r in tx.execute(queued.union(_before(copy_ids))))


def _before(copy_ids: Collection[int] | Select[Any]) -> Select[Any]:
    """Endpoints of deliveries that are kept no longer."""
    return (
        select(lanes.c.endpoint)
        .join(gone_by, gone_by.c.lane == lanes.c.id)
        .where(gone_by.c.copy.in_(copy_ids))
        .distinct()
    )


def deliveries(tx: Tx, copy_ids: Collection[int] | Select[Any]) -> list[dict[str, Any]]:
    """For `bridged trace`: endpoint, state, attempts and last reason of each delivery of these copies. Of old ones
    nothing is kept but the endpoint: they come first, without an act."""
    rows = tx.execute(
        select(lanes.c.endpoint, lanes.c.due_at, outbox)
        .join(outbox, outbox.c.lane == lanes.c.id)
        .where(outbox.c.copy.in_(copy_ids))
        .order_by(outbox.c.id)
    )
    old = {"act": "", "state": "sent", "attempts": 0, "reason": "", "next_try": None}
    return [{"endpoint": r.endpoint, **old} for r in tx.execute(_before(copy_ids))] + [
        {
            "endpoint": r.endpoint,
            "act": r.act,
            "state": r.state,
            "attempts": r.attempt,
            "reason": r.reason,
            "next_try": r.due_at if r.state == "ready" else None,
        }
        for r in rows
    ]


def of_actor(tx: Tx, actor: Ref, since: float) -> tuple[int, int, str]:
    """What one account has to be delivered: how many wait, how many queued `since` failed for good, and the
    commonest reason of those."""
    mine = (
        select(outbox.c.state, outbox.c.reason, outbox.c.queued_at)
        .join(lanes, lanes.c.id == outbox.c.lane)
        .where(lanes.c.actor_network == actor.network, lanes.c.actor_id == actor.id)
        .subquery()
    )
    waiting = tx.execute(select(func.count()).select_from(mine).where(mine.c.state == "ready")).scalar()
    failed = tx.execute(
        select(mine.c.reason, func.count().label("count"))
        .where(mine.c.state == "dead", mine.c.queued_at >= since)
        .group_by(mine.c.reason)
        .order_by(func.count().desc(), mine.c.reason)
    ).all()
    return waiting, sum(r.count for r in failed), failed[0].reason if failed else ""


def depth(tx: Tx) -> dict[str, tuple[int, float]]:
    """Network -> (rows waiting, when the oldest was queued)."""
    rows = tx.execute(
        select(lanes.c.network, func.count(), func.min(outbox.c.queued_at))
        .join(outbox, outbox.c.lane == lanes.c.id)
        .where(outbox.c.state == said("ready"))
        .group_by(lanes.c.network)
    )
    return {r[0]: (r[1], r[2]) for r in rows}
