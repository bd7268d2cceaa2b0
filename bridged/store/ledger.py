"""The ledger: one row for everything that was heard of a bridged account, decided, lost, sent or given up."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select

from bridged.model import Ref
from bridged.prepared import Prepared
from bridged.store.engine import Tx
from bridged.store.schema import ledger
from bridged.store.sql import clean

_INSERT = Prepared(ledger.insert())


def write(
    tx: Tx,
    now: float,
    step: str,
    origin: Ref,
    *,
    actor: Ref | None = None,
    to: str = "",
    endpoint: str = "",
    ref: Ref | None = None,
    reason: str = "",
) -> None:
    """`step` is heard, carried, copied, lost, dropped, sent, retry, dead or cancelled."""
    write_all(tx, now, step, [(origin, actor, to, endpoint, ref, reason)])


def write_all(tx: Tx, now: float, step: str, told: Sequence[tuple[Ref, Ref | None, str, str, Ref | None, str]]) -> None:
    """As `write` for many: (origin, actor, to, endpoint, ref, reason) of each."""
    rows = [
        {
            "at": now,
            "step": step,
            "network": origin.network,
            "origin": origin.id,
            "actor": actor.id if actor else "",
            "to": to,
            "endpoint": endpoint,
            "ref": ref.id if ref else "",
            "reason": clean(reason[:500]),
        }
        for origin, actor, to, endpoint, ref, reason in told
    ]
    tx.execute(_INSERT, rows)


def about(tx: Tx, origin: Ref, limit: int = 500) -> list[dict[str, Any]]:
    rows = tx.execute(
        select(ledger)
        .where(ledger.c.network == origin.network, ledger.c.origin == origin.id)
        .order_by(ledger.c.id)
        .limit(limit)
    )
    return [dict(r._mapping) for r in rows]


def pruned(tx: Tx) -> bool:
    """Whether the first rows are kept no longer."""
    return (tx.execute(select(func.min(ledger.c.id))).scalar() or 1) > 1


def tally(tx: Tx, since: float) -> dict[tuple[str, str], int]:
    """(step, reason) -> rows since a time, for `bridged status`."""
    rows = tx.execute(
        select(ledger.c.step, ledger.c.reason, func.count())
        .where(ledger.c.id >= _first(tx, since), ledger.c.at >= since)
        .where(ledger.c.step.in_(("dropped", "dead", "lost", "sent")))
        .group_by(ledger.c.step, ledger.c.reason)
    )
    return {(r[0], r[1]): r[2] for r in rows}


def _first(tx: Tx, since: float) -> int:
    """The number of the first row of a time, found by halving: rows are numbered as they are written."""
    # each by itself: asked for both at once, SQLite reads the table
    low: int = tx.execute(select(func.min(ledger.c.id))).scalar() or 0
    high: int = (tx.execute(select(func.max(ledger.c.id))).scalar() or 0) + 1
    while low < high:
        middle = (low + high) // 2
        at = tx.execute(select(ledger.c.at).where(ledger.c.id >= middle).order_by(ledger.c.id).limit(1)).scalar()
        low, high = (middle + 1, high) if at is not None and at < since else (low, middle)
    return low
