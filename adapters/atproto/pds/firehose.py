"""Events of the firehose: their frames, and the order they are in (com.atproto.sync.subscribeRepos)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from adapters.atproto import cbor
from adapters.atproto.cid import Cid
from adapters.atproto.pds.tables import events, sequence
from adapters.atproto.repo.proof import Op
from bridged.api import Prepared, Tx

SIGNAL: Final = "atproto/event"
"""What every process of the bridge is told of each new event; the word with it is its `seq`."""
GONE: Final = "atproto/events-gone"
"""What they are told when events were thrown away."""

_NEXT: Final = Prepared(
    sa.update(sequence).where(sequence.c.id == 1).values(last=sequence.c.last + 1).returning(sequence.c.last)
)
_LAST: Final = Prepared(sa.select(sequence.c.last).where(sequence.c.id == 1))
_INSERT: Final = Prepared(sa.insert(events))
_AFTER: Final = Prepared(
    sa.select(events.c.seq, events.c.frame)
    .where(events.c.seq > sa.bindparam("after"))
    .order_by(events.c.seq)
    .limit(sa.bindparam("most"))
)
_OLDEST: Final = Prepared(sa.select(events.c.seq).order_by(events.c.seq).limit(1))


class Event(NamedTuple):
    seq: int
    frame: bytes


def frame(kind: str, body: dict[str, Any]) -> bytes:
    """A message of the stream: two objects of CBOR, one after the other."""
    return cbor.encode({"op": 1, "t": "#" + kind}) + cbor.encode(body)


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
    """Number and keep an event, in the transaction that it tells of. Returns its `seq`."""
    seq = int(tx.execute(_NEXT, {}).scalar_one())
    body = {**fields, "seq": seq, "time": _spelled(at)}
    tx.execute(_INSERT, {"seq": seq, "repo": repo, "at": int(at), "kind": kind, "frame": frame(kind, body)})
    tx.signal(SIGNAL, str(seq))
    return seq


def last(tx: Tx) -> int:
    """The newest `seq` there ever was, 0 before the first."""
    return int(tx.execute(_LAST, {}).scalar_one())


def oldest(tx: Tx) -> int | None:
    """The `seq` of the oldest event still kept."""
    found = tx.execute(_OLDEST, {}).scalar()
    return None if found is None else int(found)


def after(tx: Tx, seq: int, most: int) -> list[Event]:
    """The events that follow `seq`, in order, at most so many."""
    return [Event(row.seq, bytes(row.frame)) for row in tx.execute(_AFTER, {"after": seq, "most": most}).all()]


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
