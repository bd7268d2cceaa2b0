"""What waits to be sent: lanes, one for each endpoint and actor, and the rows in them.

A lane is sent in order: its oldest ready row is its head and blocks the rest until it is sent or dead. A lane's
`due_at` says when its head may next be tried, None that it is empty. So finding work costs the same however
long the queues are.

Where several processes share the database, a lane belongs to the one that claimed it until its head has to wait or
the lane is empty. Whoever changes a lane must still own it, else `Lost` is raised: it was thought dead meanwhile.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import Select, func, or_, select, union_all, update

from bridged.breaker import Trouble
from bridged.model import Ref
from bridged.prepared import Prepared
from bridged.store import hosts, identity
from bridged.store.engine import Lost, Tx
from bridged.store.schema import copies, lanes, outbox
from bridged.store.schema import hosts as _hosts
from bridged.store.schema import reached as gone_by
from bridged.store.sql import clean, insert_all_new, prepared, the, those

PAGE = 500
"""Lanes that one statement is about."""

_waits = msgspec.json.Decoder(list[tuple[Ref, int]])


AFTER = ("Delete", "Reject")
"""What is still said for an account that is no longer bridged."""


@dataclass(frozen=True, slots=True)
class Lane:
    id: int
    network: str
    endpoint: str
    host: str
    actor: Ref


@dataclass(frozen=True, slots=True)
class Item:
    """The head of a lane. `withdrawn` says that its actor is no longer bridged, or has a profile that says no;
    `trouble` that the host failed last time."""

    id: int
    lane: Lane
    copy: int
    act: str
    body: bytes
    waits: tuple[tuple[Ref, int], ...]
    wait_until: float
    attempt: int
    queued_at: float
    withdrawn: bool
    trouble: Trouble | None = None


_lanes_of = prepared(
    select(lanes.c.id, lanes.c.due_at).where(
        lanes.c.network == the("network"),
        lanes.c.actor_network == the("actor_network"),
        lanes.c.actor_id == the("actor_id"),
        lanes.c.endpoint.in_(those("endpoints")),
    ),
    "network actor_network actor_id endpoints",
)
_queued = prepared(
    union_all(
        select(outbox.c.lane).where(outbox.c.copy == the("copy")),
        select(gone_by.c.lane).where(gone_by.c.copy == the("copy")),
    ),
    "copy",
)
_add = Prepared(outbox.insert())
_wake = Prepared(update(lanes).where(lanes.c.id == the("lane"), lanes.c.due_at.is_(None)))
_ready = prepared(
    select(outbox, *hosts.COLUMNS)
    .join(_hosts, _hosts.c.host == the("host"), isouter=True)
    .where(outbox.c.lane == the("lane"), outbox.c.state == "ready")
    .order_by(outbox.c.id)
    .limit(1),
    "host lane",
)
_with_more = prepared(
    select(outbox.c.lane).where(outbox.c.lane.in_(those("lanes")), outbox.c.state == "ready").distinct(), "lanes"
)
_settling = Prepared(
    update(outbox)
    .where(outbox.c.id == the("id"))
    .values(state=the("state"), reason=the("reason"), attempt=the("attempt"), ended_at=the("now"))
)


def enqueue(
    tx: Tx,
    network: str,
    endpoints: Collection[str],
    actor: Ref,
    copy: int,
    act: str,
    body: bytes,
    waits: Collection[tuple[Ref, int]],
    wait_until: float,
    now: float,
) -> int:
    """Puts a copy into the lanes of its actor to these endpoints, and says into how many it had not gone before."""
    known = set(_queued(tx, copy).scalars())
    every, put = list(endpoints), 0
    for start in range(0, len(every), PAGE):
        page = every[start : start + PAGE]
        insert_all_new(
            tx,
            lanes,
            [
                {
                    "network": network,
                    "endpoint": endpoint,
                    "host": host_of(endpoint),
                    "actor_network": actor.network,
                    "actor_id": actor.id,
                    "due_at": None,
                }
                for endpoint in page
            ],
        )
        found = _lanes_of(tx, network, actor.network, actor.id, page).all()
        new = [lane.id for lane in found if lane.id not in known]
        if not new:
            continue
        row = {
            "copy": copy,
            "act": act,
            "body": body,
            "waits": msgspec.json.encode(list(waits)).decode() if waits else "",
            "after_until": wait_until,
            "state": "ready",
            "attempt": 0,
            "queued_at": now,
            "reason": "",
        }
        tx.execute(_add, [{"lane": lane, **row} for lane in new])
        tx.execute(_wake, [{"the_lane": lane, "due_at": now} for lane in new])
        put += len(new)
    return put


def host_of(endpoint: str) -> str:
    """Whom an endpoint belongs to: the host, and the port if one is named, of a URL; else the endpoint itself."""
    try:
        return urlsplit(endpoint).netloc.rpartition("@")[2].lower() or endpoint
    except ValueError:
        return endpoint


_owned_here = or_(lanes.c.owner.is_(None), lanes.c.owner == the("process"))
_of_others = (
    select(lanes)
    .where(lanes.c.due_at <= the("now"), lanes.c.host.not_in(those("full")), lanes.c.actor_id.not_in(those("sated")))
    .order_by(lanes.c.due_at)
    .limit(the("limit"))
)
_due = prepared(_of_others, "now full sated limit")
_due_here = prepared(_of_others.where(_owned_here).with_for_update(skip_locked=True), "now full sated limit process")


def claim(
    tx: Tx, now: float, limit: int, busy: Collection[int], full: Collection[str] = (), sated: Collection[Ref] = ()
) -> list[Lane]:
    """Lanes whose head may be tried now, for this process: without those already in hand (`busy`), those to `full`
    hosts, and those of `sated` actors. Run by `Store.claim`."""
    of = (now, list(full), [actor.id for actor in sated], limit + len(busy))
    rows = _due_here(tx, *of, tx.process) if tx.process else _due(tx, *of)
    found = [
        Lane(r.id, r.network, r.endpoint, r.host, Ref(r.actor_network, r.actor_id)) for r in rows if r.id not in busy
    ]
    del found[limit:]
    if tx.process and found:
        tx.execute(update(lanes).where(lanes.c.id.in_([lane.id for lane in found])).values(owner=tx.process))
    return found


def clock_jumped(tx: Tx, by: float) -> None:
    """What waits is as old as it was, and has as long to wait."""
    tx.execute(update(lanes).where(lanes.c.due_at.is_not(None)).values(due_at=lanes.c.due_at + by))
    later = {"queued_at": outbox.c.queued_at + by, "after_until": outbox.c.after_until + by}
    tx.execute(update(outbox).where(outbox.c.state == "ready").values(later))


def next_due(tx: Tx) -> float | None:
    """When a lane that is not in another process's hands may next be tried."""
    return (_next_here(tx, tx.process) if tx.process else _next(tx)).scalar()


_next = prepared(select(func.min(lanes.c.due_at)), "")
_next_here = prepared(select(func.min(lanes.c.due_at)).where(_owned_here), "process")


_a_lane = update(lanes).where(lanes.c.id == the("lane"))
_that_lane = Prepared(_a_lane)
_mine = prepared(
    select(lanes.c.id).where(lanes.c.owner == the("process"), lanes.c.id.in_(those("lanes"))).with_for_update(),
    "process lanes",
)
_LOST = "the lane to {} belongs to another process by now"
_my_lane = Prepared(_a_lane.where(lanes.c.owner == the("process")))


def _change(tx: Tx, lane: Lane, **values: Any) -> None:
    mine = {"the_process": tx.process} if tx.process else {}
    if tx.execute(_my_lane if mine else _that_lane, {"the_lane": lane.id, **mine, **values}).rowcount != 1:
        raise Lost(_LOST.format(lane.endpoint))


def head(tx: Tx, lane: Lane, gone: Callable[[Ref], bool] | None = None) -> Item | None:
    """`gone` says whether an account is `withdrawn`, where that is asked for many lanes at once."""
    row = _ready(tx, lane.host, lane.id).first()
    if row is None:
        return None
    return Item(
        row.id,
        lane,
        row.copy,
        row.act,
        row.body,
        tuple(_waits.decode(row.waits)) if row.waits else (),
        row.after_until,
        row.attempt,
        row.queued_at,
        gone(lane.actor) if gone else withdrawn(tx, lane.actor),
        hosts.joined(row),
    )


def withdrawn(tx: Tx, actor: Ref) -> bool:
    """Whether an account is no longer bridged, or has a profile that says no."""
    return identity.standing(tx, actor) == "out" or identity.refuses(tx, actor)


def unsent_before(tx: Tx, origin: Ref, part: int, item: Item) -> bool:
    """Whether this part of `origin`, queued before `item`, still waits to be sent to its endpoint, in whatever lane.

    Only what was queued before counts, so no two can wait for one another, nor a delete for itself.
    """
    return (
        tx.execute(
            select(outbox.c.id)
            .join(copies, copies.c.id == outbox.c.copy)
            .join(lanes, lanes.c.id == outbox.c.lane)
            .where(
                copies.c.origin_network == origin.network,
                copies.c.origin_id == origin.id,
                copies.c.network == item.lane.network,
                copies.c.part == part,
                lanes.c.endpoint == item.lane.endpoint,
                outbox.c.state == "ready",
                outbox.c.id < item.id,
            )
            .limit(1)
        ).first()
        is not None
    )


def begin(tx: Tx, item: Item) -> None:
    """Counts an attempt before it is made."""
    tx.execute(update(outbox).where(outbox.c.id == item.id).values(attempt=item.attempt + 1))


def settle(tx: Tx, item: Item, state: str, reason: str, now: float) -> bool:
    """The head is sent, dead or cancelled. Whether there is another, to be tried at once: if not, the lane is no longer
    this process's. Raises Lost."""
    (more,) = settle_all(tx, [item], state, [reason], now)
    if isinstance(more, Lost):
        raise more
    return more


def settle_all(tx: Tx, items: Sequence[Item], state: str, reasons: Sequence[str], now: float) -> list[bool | Lost]:
    """As `settle` for each of many, in few statements: `Lost` is said, not raised."""
    ids = [item.lane.id for item in items]
    mine = set(_mine(tx, tx.process, ids).scalars()) if tx.process else set(ids)
    ended = [
        {"the_id": i.id, "the_state": state, "the_reason": clean(r), "the_attempt": i.attempt + 1, "the_now": now}
        for i, r in zip(items, reasons, strict=True)
        if i.lane.id in mine
    ]
    if ended:
        tx.execute(_settling, ended)
    more = set(_with_more(tx, list(mine)).scalars())
    for lanes_, values in ((more, {"due_at": now}), (mine - more, {"due_at": None, "owner": None})):
        if lanes_:
            tx.execute(_that_lane, [{"the_lane": lane, **values} for lane in lanes_])
    return [i.lane.id in more if i.lane.id in mine else Lost(_LOST.format(i.lane.endpoint)) for i in items]


def postpone(tx: Tx, item: Item, due_at: float, reason: str, tried: bool) -> None:
    """The head is tried again at `due_at`. Raises Lost."""
    tx.execute(
        update(outbox)
        .where(outbox.c.id == item.id)
        .values(reason=clean(reason), attempt=item.attempt + (1 if tried else 0))
    )
    _change(tx, item.lane, due_at=due_at, owner=None)


def rest(tx: Tx, lane: Lane) -> None:
    """A due lane turned out empty. Raises Lost."""
    _change(tx, lane, due_at=None, owner=None)


def cancel(tx: Tx, copy_ids: Collection[int] | Select[Any], reason: str) -> int:
    """Withdraws rows that were never tried; says how many."""
    return tx.execute(
        update(outbox)
        .where(outbox.c.copy.in_(copy_ids), outbox.c.state == "ready", outbox.c.attempt == 0)
        .values(state="cancelled", reason=reason)
    ).rowcount
