"""Hosts whose last delivery failed (see `bridged.breaker`), and the lanes that wait for them.

Where there is no row all is well, or there is no room: then each lane goes by its own waits.
"""

from typing import Any

from sqlalchemy import Row, delete, func, select, update

from bridged.breaker import THRESHOLD, Trouble
from bridged.store.engine import Tx
from bridged.store.schema import hosts, lanes, outbox
from bridged.store.sql import clean, upsert

MOST = 10_000
"""Hosts kept at most. Those that are tried now and then keep their place, so that a flood of others drives none out."""
STALE = 2 * 86400.0
"""Seconds after which a host that nobody has tried counts no more: nothing waits for it."""

COLUMNS = tuple(column.label(f"host_{column.name}") for column in hosts.c)
"""For queries of other tables that want to know of the host as well; see `joined`."""


def joined(row: Row[Any]) -> Trouble | None:
    """What a row with COLUMNS, outer-joined, says of the host."""
    if row.host_host is None:
        return None
    return Trouble(
        row.host_host,
        row.host_failures,
        row.host_since,
        row.host_at,
        row.host_until,
        row.host_lane,
        row.host_why,
    )


def of(tx: Tx, host: str) -> Trouble | None:
    row = tx.execute(select(*COLUMNS).where(hosts.c.host == host)).first()
    return joined(row) if row is not None else None


def put(tx: Tx, trouble: Trouble) -> bool:
    """Whether there was room for it."""
    if trouble.failures == 1 and tx.execute(select(func.count()).select_from(hosts)).scalar_one() >= MOST:
        tx.execute(delete(hosts).where(hosts.c.at < trouble.at - STALE))
        if tx.execute(select(func.count()).select_from(hosts)).scalar_one() >= MOST:
            return False
    upsert(
        tx,
        hosts,
        host=trouble.host,
        failures=trouble.failures,
        since=trouble.since,
        at=trouble.at,
        until=trouble.until,
        lane=trouble.lane,
        why=clean(trouble.why[:500]),
    )
    return True


def forget(tx: Tx, host: str) -> None:
    tx.execute(delete(hosts).where(hosts.c.host == host))


def probe(tx: Tx, host: str, now: float, until: float) -> bool:
    """Whether the caller may try the shut host now; if so, all others wait `until` then."""
    free = update(hosts).where(hosts.c.host == host, hosts.c.until <= now)
    return tx.execute(free.values(until=until)).rowcount == 1


def open_at(tx: Tx, host: str, now: float) -> bool:
    """Lets the next probe go now; whether the host was shut."""
    shut = update(hosts).where(hosts.c.host == host, hosts.c.failures >= THRESHOLD)
    return tx.execute(shut.values(until=now)).rowcount == 1


def park(tx: Tx, host: str, now: float, until: float, queued_since: float) -> None:
    """All lanes of the host rest until then, but those whose head was queued before `queued_since`.

    They come back within a second, in another order each time, so that not always the same are probes.
    """
    head = (
        select(outbox.c.queued_at)
        .where(outbox.c.lane == lanes.c.id, outbox.c.state == "ready")
        .order_by(outbox.c.id)
        .limit(1)
        .scalar_subquery()
    )
    mine = (lanes.c.host == host, lanes.c.due_at < until, head >= queued_since)
    place = (lanes.c.id % 1009 * 7919 + int(now)) % 1009 / 1009.0
    tx.execute(update(lanes).where(*mine).values(due_at=until + place))


def release(tx: Tx, host: str, now: float) -> None:
    """Whatever waits for the host may be tried now."""
    tx.execute(update(lanes).where(lanes.c.host == host, lanes.c.due_at > now).values(due_at=now))


def shut(tx: Tx, now: float, limit: int) -> list[Trouble]:
    """Hosts that are left alone, those first that have failed for longest."""
    query = select(*COLUMNS).where(hosts.c.failures >= THRESHOLD, hosts.c.at >= now - STALE)
    return [found for row in tx.execute(query.order_by(hosts.c.since).limit(limit)) if (found := joined(row))]


def count_shut(tx: Tx, now: float) -> int:
    """How many those are in all."""
    query = select(func.count()).select_from(hosts).where(hosts.c.failures >= THRESHOLD, hosts.c.at >= now - STALE)
    return tx.execute(query).scalar_one()


def clock_jumped(tx: Tx, by: float) -> None:
    """What is known of them is as old as it was."""
    known = {name: hosts.c[name] + by for name in ("since", "at", "until")}
    tx.execute(update(hosts).values(known))
