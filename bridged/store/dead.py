"""Dead letters: deliveries that were given up. Counted by host and reason, and put back into their lanes.

What is put back keeps its place in its lane, its id and its bytes.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, or_, select, update

from bridged.model import Ref
from bridged.store import hosts, queue
from bridged.store.engine import Tx
from bridged.store.schema import copies, lanes, outbox

TAKEN_BACK = "taken back since"
STANDS_AGAIN = "stands again since"
LEFT = "its account is no longer bridged"


@dataclass(frozen=True, slots=True)
class Which:
    """Dead letters to one host, by one account, with these words in their reason, that died between two times."""

    host: str = ""
    actor: Ref | None = None
    reason: str = ""
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters to one host for one reason; `first` and `last` are when they died (seconds since 1970)."""

    network: str
    host: str
    reason: str
    letters: int
    accounts: int
    first: float
    last: float


@dataclass
class Revived:
    """What became of some dead letters: put back by host, or left by reason. `last` is the row looked at last."""

    back: Counter[str] = field(default_factory=Counter[str])
    left: Counter[str] = field(default_factory=Counter[str])
    last: int = 0


_ended = func.coalesce(outbox.c.ended_at, outbox.c.queued_at)


def _chosen(which: Which) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [outbox.c.state == "dead"]
    if which.host:
        found.append(lanes.c.host == which.host)
    if which.actor is not None:
        found += [lanes.c.actor_network == which.actor.network, lanes.c.actor_id == which.actor.id]
    if which.reason:
        found.append(outbox.c.reason.icontains(which.reason, autoescape=True))
    if which.since is not None:
        found.append(_ended >= which.since)
    if which.until is not None:
        found.append(_ended < which.until)
    return found


def count(tx: Tx, which: Which, after: int = 0) -> int:
    query = select(func.count()).select_from(outbox.join(lanes, lanes.c.id == outbox.c.lane))
    return tx.execute(query.where(*_chosen(which), outbox.c.id > after)).scalar_one()


def groups(tx: Tx, which: Which, limit: int) -> list[Group]:
    """The largest first."""
    letters = func.count()
    actors = func.count((lanes.c.actor_network + ":" + lanes.c.actor_id).distinct())
    query = (
        select(lanes.c.network, lanes.c.host, outbox.c.reason, letters, actors, func.min(_ended), func.max(_ended))
        .join(lanes, lanes.c.id == outbox.c.lane)
        .where(*_chosen(which))
        .group_by(lanes.c.network, lanes.c.host, outbox.c.reason)
        .order_by(letters.desc(), lanes.c.host, outbox.c.reason)
        .limit(limit)
    )
    return [Group(*row) for row in tx.execute(query)]


def revive(tx: Tx, which: Which, now: float, limit: int, after: int = 0, *, dry: bool = False) -> Revived:
    """Puts dead letters back, oldest first, from behind row `after` on; with `dry` only says what would become of them.

    What was taken back meanwhile is left, and so is a goodbye to what stands again. Later versions that went the same
    way are sent again as well, so that the newest is seen last.
    """
    found = Revived()
    rows = tx.execute(
        select(outbox.c.id, outbox.c.act, outbox.c.lane, copies, lanes.c.host)
        .join(lanes, lanes.c.id == outbox.c.lane)
        .join(copies, copies.c.id == outbox.c.copy)
        .where(*_chosen(which), outbox.c.id > after)
        .order_by(outbox.c.id)
        .limit(limit)
    ).all()
    woken: set[int] = set()
    for row in rows:
        found.last = row.id
        why = _obstacle(tx, row)
        if why is not None:
            found.left[why] += 1
            continue
        found.back[row.host] += 1
        if not dry:
            woken.add(row.lane)
            tx.execute(_back(row, now))
    if woken:
        asleep = or_(lanes.c.due_at.is_(None), lanes.c.due_at > now)
        tx.execute(update(lanes).where(lanes.c.id.in_(woken), asleep).values(due_at=now))
        for host in found.back:
            hosts.open_at(tx, host, now)
    return found


def hasten(tx: Tx, which: Which, now: float, *, dry: bool = False) -> int:
    """What waits for its next try at this host, or of this account, is tried now; how many lanes."""
    waiting = [lanes.c.due_at > now]
    if which.host:
        waiting.append(lanes.c.host == which.host)
    if which.actor is not None:
        waiting += [lanes.c.actor_network == which.actor.network, lanes.c.actor_id == which.actor.id]
    lanes_found = tx.execute(select(func.count()).select_from(lanes).where(*waiting)).scalar_one()
    if not dry:
        tx.execute(update(lanes).where(*waiting).values(due_at=now))
        if which.host:
            hosts.open_at(tx, which.host, now)
    return lanes_found


def _same(row: Row[Any]) -> list[ColumnElement[bool]]:
    names = ("origin_network", "origin_id", "network", "part")
    return [copies.c[name] == getattr(row, name) for name in names]


def _versions(row: Row[Any]) -> Select[Any]:
    """All that was ever said here in place of the same original."""
    return select(copies.c.id).where(*_same(row))


def _obstacle(tx: Tx, row: Row[Any]) -> str | None:
    if row.act not in queue.AFTER and queue.withdrawn(tx, Ref(row.actor_network, row.actor_id)):
        return LEFT
    newest = select(copies.c.gone).where(*_same(row)).order_by(copies.c.version.desc()).limit(1)
    if tx.execute(newest).scalar_one() != row.gone:
        return STANDS_AGAIN if row.gone else TAKEN_BACK
    return None


def _back(row: Row[Any], now: float) -> Any:
    later = outbox.c.state.in_(("dead", "sent")) & (outbox.c.id > row.id) & outbox.c.copy.in_(_versions(row))
    # one attempt stays counted: nobody knows for sure how the last one ended
    return (
        update(outbox)
        .where(outbox.c.lane == row.lane, or_(outbox.c.id == row.id, later))
        .values(state="ready", attempt=1, queued_at=now, ended_at=None, reason="")
    )
