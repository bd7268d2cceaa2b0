"""The processes of one bridge on one PostgreSQL: signs of life, and leases on what only one of them may do.

Times are the database's own, so that clocks of different machines do not matter.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Float, cast, delete, func, select, text, update

from bridged.store.engine import Tx
from bridged.store.schema import inbox, lanes, leases, processes
from bridged.store.sql import insert_new


@dataclass(frozen=True, slots=True)
class Process:
    """`silent` is how many seconds ago it was heard of last."""

    id: int
    host: str
    pid: int
    roles: str
    since: float
    silent: float
    leases: tuple[str, ...]


# found first, and ended then: else the planner is free to end whatever has a lock, and to look whose it is afterwards
_CUT = text("""
WITH stuck AS MATERIALIZED (
    SELECT pg_locks.pid FROM pg_locks
    JOIN pg_stat_activity ON pg_stat_activity.pid = pg_locks.pid AND datname = current_database()
    JOIN (SELECT host, pid, max(seen_at) AS heard FROM processes GROUP BY host, pid) AS process
        ON application_name = left(format('bridged %s %s', host, process.pid), 63)
    WHERE locktype = 'advisory' AND granted AND heard < extract(epoch FROM clock_timestamp()) - :silence
)
SELECT pid FROM stuck WHERE pg_terminate_backend(pid)""")
_now = cast(func.extract("epoch", func.clock_timestamp()), Float)


def enter(tx: Tx, host: str, pid: int, roles: str) -> int:
    """A new process; its number, which is never given again."""
    row = processes.insert().values(host=host, pid=pid, roles=roles, since=_now, seen_at=_now)
    return tx.execute(row.returning(processes.c.id)).scalar_one()


def beat(tx: Tx, process: int) -> bool:
    """A sign of life. False when the process was taken for dead, and what it had is another's."""
    return tx.execute(update(processes).where(processes.c.id == process).values(seen_at=_now)).rowcount == 1


def bury(tx: Tx, me: int, silence: float) -> list[int]:
    """Frees what those had who were silent for so many seconds; their numbers. Whoever can bury others is alive."""
    silent = select(processes.c.id).where(processes.c.seen_at < _now - silence, processes.c.id != me)
    dead = silent.with_for_update(skip_locked=True)
    found = list(tx.execute(dead).scalars())
    if found:
        leave(tx, found)
    return found


def cut(tx: Tx, silence: float) -> list[int]:
    """Ends connections of processes that were silent for so long, and that all who write wait for; what ended.

    Who is stopped between two words of a question is busy, as far as the database is concerned, for ever.
    """
    return list(tx.execute(_CUT, {"silence": silence}).scalars())


def leave(tx: Tx, numbers: Collection[int]) -> None:
    """These processes are no more: whatever they had in hand is free."""
    tx.execute(update(lanes).where(lanes.c.owner.in_(numbers)).values(owner=None))
    tx.execute(update(inbox).where(inbox.c.owner.in_(numbers)).values(owner=None))
    tx.execute(delete(leases).where(leases.c.owner.in_(numbers)))
    tx.execute(delete(processes).where(processes.c.id.in_(numbers)))


def forget(tx: Tx) -> None:
    """Nobody has anything in hand: the database comes out of a backup."""
    leave(tx, tx.execute(select(processes.c.id)).scalars().all())


def take(tx: Tx, name: str, process: int) -> bool:
    """Whether this process holds the lease, be it from now on."""
    if insert_new(tx, leases, name=name, owner=process):
        return True
    return tx.execute(select(leases.c.owner).where(leases.c.name == name)).scalar() == process


def give_up(tx: Tx, name: str, process: int) -> None:
    tx.execute(delete(leases).where(leases.c.name == name, leases.c.owner == process))


def living(tx: Tx) -> list[Process]:
    """All processes, oldest first, with the leases they hold; none where one process has a database for itself."""
    held: dict[int, list[str]] = {}
    for lease in tx.execute(select(leases).order_by(leases.c.name)):
        held.setdefault(lease.owner, []).append(lease.name)
    clock = _now if tx.conn.dialect.name == "postgresql" else processes.c.seen_at
    rows = tx.execute(select(processes, (clock - processes.c.seen_at).label("silent")).order_by(processes.c.id))
    return [Process(r.id, r.host, r.pid, r.roles, r.since, r.silent, tuple(held.get(r.id, ()))) for r in rows]
