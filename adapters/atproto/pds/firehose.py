"""Events of the firehose: their frames, and the order they are in (com.atproto.sync.subscribeRepos)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from adapters.atproto import cbor
from adapters.atproto.cid import Cid
from adapters.atproto.pds import pace
from adapters.atproto.pds.tables import SPANS, WAITED, events, sequence
from adapters.atproto.repo.proof import Op
from bridged.api import Prepared, Tx

SIGNAL: Final = "atproto/event"
"""What every process of the bridge is told of each new event; the word with it is its `seq`."""
GONE: Final = "atproto/events-gone"
"""What they are told when events were thrown away."""

CLOCK: Final = 60_000
"""Milliseconds by which the clock may go back without being thought to have been wrong."""
JUMP: Final = 1_000_000
"""By how much numbers jump once the database was put back: more than can have been given out since the backup."""

_MOST: Final = tuple(sequence.c[f"most_{span}"] for span in SPANS)
_FULL: Final = tuple(sequence.c[f"full_{span}"] for span in SPANS)
_ONE: Final = sequence.c.id == 1
_BEFORE: Final = Prepared(sa.select(sequence.c.last, sequence.c["at"], sequence.c.due, *_MOST, *_FULL).where(_ONE))
_TOOK: Final = Prepared(
    sa.update(sequence)
    .where(_ONE)
    .values({"last": sa.bindparam("seq"), "due": sa.bindparam("then"), "at": sa.bindparam("new_at")})
    .values({column.name: sa.bindparam(f"new_{column.name}") for column in _FULL})
)
_LAST: Final = Prepared(sa.select(sequence.c.last).where(_ONE))
_INSERT: Final = Prepared(sa.insert(events))
_AFTER: Final = Prepared(
    sa.select(events.c.seq, events.c.frame)
    .where(events.c.seq > sa.bindparam("after"), events.c.seq < sa.bindparam("before"))
    .order_by(events.c.seq)
    .limit(sa.bindparam("most"))
)
_WAITING: Final = Prepared(
    sa.select(sa.func.min(events.c.seq), sa.func.min(events.c.due)).where(WAITED, events.c.due > sa.bindparam("now"))
)
_OLDEST: Final = Prepared(sa.select(events.c.seq).order_by(events.c.seq).limit(1))


class Event(NamedTuple):
    seq: int
    frame: bytes


def frame(kind: str, body: dict[str, Any]) -> bytes:
    """A message of the stream: two objects of CBOR, one after the other."""
    return _head(kind) + cbor.encode(body)


@cache
def _head(kind: str) -> bytes:
    return cbor.encode({"op": 1, "t": "#" + kind})


def error_frame(name: str, message: str) -> bytes:
    """What is sent before the stream is closed for a reason."""
    return cbor.encode({"op": -1}) + cbor.encode({"error": name, "message": message})


def commit_fields(
    did: str, *, commit: Cid, rev: str, since: str | None, prev_data: Cid | None, blocks: bytes, ops: Sequence[Op]
) -> dict[str, Any]:
    """A `#commit`, but for its number and time."""
    fields: dict[str, Any] = {
        "repo": did,
        "commit": commit,
        "rev": rev,
        "since": since,
        "blocks": blocks,
        "ops": [_op(op) for op in ops],
        "blobs": [],
        "rebase": False,
        "tooBig": False,
    }
    if prev_data is not None:
        fields["prevData"] = prev_data
    return fields


def _op(op: Op) -> dict[str, Any]:
    fields: dict[str, Any] = {"action": op.action, "path": op.path, "cid": op.cid}
    return fields if op.prev is None else {**fields, "prev": op.prev}


def emit(tx: Tx, repo: int, kind: str, fields: dict[str, Any], at: float) -> int:
    """Number and keep an event, in the transaction that it tells of, and give it its turn. Returns its `seq`."""
    now = int(at * 1000)
    row = tx.execute(_BEFORE, {}).one()
    seq, back = row.last + 1, row.at - now
    if back < CLOCK:
        back = 0
    else:  # the clock was wrong, and what waits is not to wait for that
        tx.execute(sa.update(events).where(WAITED, events.c.due > now).values(due=events.c.due - back))
    most, full = row[3:6], [bucket - back for bucket in row[6:9]]
    due, full = pace.turn(most, full, now, row.due - back)
    after = {f"new_{column.name}": value for column, value in zip(_FULL, full, strict=True)}
    tx.execute(_TOOK, {"seq": seq, "then": int(due), "new_at": now, **after})
    body = {**fields, "seq": seq, "time": _spelled(at)}
    waits = int(due) if due > now else 0
    tx.execute(
        _INSERT, {"seq": seq, "repo": repo, "at": int(at), "due": waits, "kind": kind, "frame": frame(kind, body)}
    )
    tx.signal(SIGNAL, str(seq))
    return seq


def set_pace(tx: Tx, most: Sequence[int]) -> None:
    """How many events a second, an hour and a day are shown from now on. To be said before all else."""
    pace = {c.name: n for c, n in zip(_MOST, most, strict=True)}
    if not tx.execute(sa.update(sequence).where(_ONE).values(pace)).rowcount:
        none = {"last": 0, "at": 0, "due": 0, "restored": 0.0, **{c.name: 0.0 for c in _FULL}}
        tx.execute(sa.insert(sequence).values(id=1, **none, **pace))


def jump(tx: Tx, restored: float) -> bool:
    """Numbers leap over those given out since the backup that the database was put back from at that time, and all
    repositories have yet to say where they stand; False when that is known already."""
    row = tx.execute(sa.select(sequence).where(_ONE)).one()
    if row.restored >= restored:
        return False
    tx.execute(sa.update(sequence).where(_ONE).values(last=row.last + JUMP, restored=restored, stood=0))
    return True


def stood(tx: Tx) -> int | None:
    """The last repository (`atproto_repos.id`) that has said where it stands; None once all have."""
    return tx.execute(sa.select(sequence.c.stood).where(_ONE)).scalar()


def stand(tx: Tx, repo: int | None) -> None:
    tx.execute(sa.update(sequence).where(_ONE).values(stood=repo))


class Budget(NamedTuple):
    """Of each span how many events there may be, and how many still; and how many wait for their turn."""

    most: tuple[int, ...]
    left: tuple[int, ...]
    waiting: int


def budget(tx: Tx, now: float) -> Budget:
    row = tx.execute(sa.select(*_MOST, *_FULL).where(_ONE)).one()
    waiting = tx.execute(sa.select(sa.func.count()).where(WAITED, events.c.due > now * 1000)).scalar_one()
    return Budget(tuple(row[:3]), tuple(pace.left(row[:3], row[3:], now * 1000)), int(waiting))


def last(tx: Tx) -> int:
    """The newest `seq` there ever was, 0 before the first."""
    return int(tx.execute(_LAST, {}).scalar_one())


def shown(tx: Tx, now: float) -> int:
    """The newest `seq` that needs not wait any more, nor has one before it that does."""
    first = _waiting(tx, now)[0]
    return last(tx) if first is None else first - 1


def next_due(tx: Tx, now: float) -> float | None:
    """When the next event has its turn, in seconds; None when none waits."""
    due = _waiting(tx, now)[1]
    return None if due is None else due / 1000


def _waiting(tx: Tx, now: float) -> tuple[int | None, int | None]:
    """The first event that waits, and its turn."""
    first, due = tx.execute(_WAITING, {"now": int(now * 1000)}).one()
    return first, due


def oldest(tx: Tx) -> int | None:
    """The `seq` of the oldest event still kept."""
    found = tx.execute(_OLDEST, {}).scalar()
    return None if found is None else int(found)


def after(tx: Tx, seq: int, most: int, now: float) -> list[Event]:
    """The events that follow `seq` and whose turn has come, in order, at most so many."""
    found = tx.execute(_AFTER, {"after": seq, "before": shown(tx, now) + 1, "most": most}).all()
    return [Event(row.seq, bytes(row.frame)) for row in found]


def forget(tx: Tx, repo: int) -> None:
    """Throw away what was said of a repository, its status left out."""
    tx.execute(sa.delete(events).where(events.c.repo == repo, events.c.kind != "account"))
    tx.signal(GONE)


def expire(tx: Tx, before: float) -> None:
    """Throw away events from before that time (seconds); their numbers are not used again."""
    tx.execute(sa.delete(events).where(events.c.at < int(before)))
    tx.signal(GONE)


def _spelled(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
