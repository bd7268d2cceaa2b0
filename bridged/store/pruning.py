"""Old rows, found and thrown away a few at a time.

Serial numbers grow with time, so a table is gone through by them, oldest first, until its rows are young: that needs
no index, and costs as much as there is to throw away. Rows are looked for beside the writer, which only deletes.

Kept for good, whatever its age, is what later acts need: what people did (`acts`, so that nothing is taken twice, nor
comes to life again), copies under all their ids, where they went (`reached`, so that a Delete gets there), who was told
what, and the ids of words to the bot (so that none is obeyed twice).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, delete, func, select, text

from bridged.store.engine import Tx
from bridged.store.schema import copies, inbox, ledger, outbox, reached
from bridged.store.sql import insert

LOOK = 500
"""Rows looked at in one step."""
PAGES = 200
"""Free pages given back to the file system in one step."""

Ages = Mapping[str, float]
"""What is kept -> for how many seconds; for ever, infinity."""


@dataclass(frozen=True)
class Sweep:
    """How one table is swept.

    ages      state of a row -> which of the ages it is kept for; a table without states has the one of "any"
    at        when a row was made
    """

    table: Table
    at: Any
    ages: Mapping[str, str]
    state: Any = None
    besides: Any = None
    before: Callable[[Tx, Sequence[int]], None] | None = None


def _note_reached(tx: Tx, ids: Sequence[int]) -> None:
    """Where copies went outlives the deliveries: copies that are gone already need no Delete any more."""
    went = (
        select(outbox.c.copy, outbox.c.lane)
        .join(copies, copies.c.id == outbox.c.copy)
        .where(outbox.c.id.in_(ids), outbox.c.state.in_(("sent", "cancelled")), copies.c.gone == 0)
    )
    tx.execute(insert(tx, reached).from_select(["copy", "lane"], went).on_conflict_do_nothing())


SWEEPS = (
    Sweep(
        inbox,
        inbox.c.received_at,
        {"done": "input", "dead": "dead"},
        inbox.c.state,
        besides=func.length(inbox.c.body) > 0,
    ),
    Sweep(
        outbox,
        outbox.c.queued_at,
        {"sent": "sent", "cancelled": "sent", "dead": "dead"},
        outbox.c.state,
        before=_note_reached,
    ),
    Sweep(ledger, ledger.c.at, {"any": "ledger"}),
)


def find(tx: Tx, sweep: Sweep, after: int, ages: Ages, now: float) -> tuple[list[int], int | None]:
    """Numbers of rows beyond `after` that are old enough to go, and how far was looked; None: up to the young ones."""
    state = sweep.state if sweep.state is not None else text("'any' AS state")
    goes = sweep.besides if sweep.besides is not None else text("1 AS goes")
    rows = tx.execute(
        select(sweep.table.c.id, sweep.at.label("at"), state, goes)
        .where(sweep.table.c.id > after)
        .order_by(sweep.table.c.id)
        .limit(LOOK)
    ).all()
    youngest = now - min(ages[name] for name in sweep.ages.values())
    found: list[int] = []
    for id, at, condition, may_go in rows:
        if at >= youngest:
            return found, None
        age = sweep.ages.get(condition)
        if age is not None and may_go and at < now - ages[age]:
            found.append(id)
    return found, rows[-1][0] if len(rows) == LOOK else None


def throw_away(tx: Tx, sweep: Sweep, ids: Collection[int]) -> int:
    """How many rows went; one whose state is another by now stays."""
    ids = list(ids)
    if sweep.before is not None:
        sweep.before(tx, ids)
    doomed = delete(sweep.table).where(sweep.table.c.id.in_(ids))
    if sweep.state is not None:
        doomed = doomed.where(sweep.state.in_(sweep.ages))
    return tx.execute(doomed).rowcount


def size(tx: Tx) -> int:
    """Bytes of the database, free space in it included."""
    if tx.conn.dialect.name == "sqlite":
        return _pragma(tx, "page_count") * _pragma(tx, "page_size")
    return tx.execute(text("SELECT pg_database_size(current_database())")).scalar()


def shrink(tx: Tx) -> bool:
    """Gives some of what is free back to the file system, where more than a quarter is; False when nothing was.

    Only SQLite files made by this version or later can; PostgreSQL uses the room again by itself.
    """
    if tx.conn.dialect.name != "sqlite":
        return False
    free = _pragma(tx, "freelist_count")
    if free * 4 <= _pragma(tx, "page_count") or free <= PAGES:
        return False
    cursor = tx.conn.connection.cursor()
    try:
        cursor.execute(f"PRAGMA incremental_vacuum({PAGES})").fetchall()
    finally:
        cursor.close()
    return _pragma(tx, "freelist_count") < free


def _pragma(tx: Tx, name: str) -> int:
    return tx.execute(text(f"PRAGMA {name}")).scalar()
