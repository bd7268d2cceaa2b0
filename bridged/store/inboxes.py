"""What arrived and waits to be decided on, and how far each source was read.

Where several processes share the database, a row belongs to the one that claimed it until it is settled or put off,
and with it all that its signer says meanwhile. Whoever settles a row must still own it, else `Lost` is raised.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select, update

from bridged.adapter import Envelope
from bridged.model import Ref
from bridged.prepared import Prepared
from bridged.store.engine import Lost, Tx
from bridged.store.schema import cursors, inbox, said
from bridged.store.sql import insert_new, prepared, the, those, upsert

CLAIMS = 0x6272_6468
"""The advisory lock of whoever claims (PostgreSQL): two must not take rows of one signer at a time."""

_known = prepared(
    select(inbox.c.native_id).where(inbox.c.network == the("network"), inbox.c.native_id.in_(those("ids"))),
    "network ids",
)
_add = Prepared(inbox.insert())


@dataclass(frozen=True, slots=True)
class Row:
    id: int
    envelope: Envelope
    attempt: int


def add(tx: Tx, envelope: Envelope, due_at: float = 0.0) -> bool:
    """Stores an envelope once, to be taken from `due_at` on; False when it is known."""
    return insert_new(tx, inbox, **_row(envelope, due_at))


def _row(envelope: Envelope, due_at: float = 0.0) -> dict[str, Any]:
    return {
        "network": envelope.network,
        "native_id": envelope.id,
        "signer": envelope.signer.id,
        "channel": envelope.channel,
        "body": envelope.body,
        "received_at": envelope.received_at,
        "state": "new",
        "attempt": 0,
        "due_at": due_at,
    }


def add_all(tx: Tx, envelopes: Sequence[Envelope]) -> list[bool]:
    """Stores those that are not known; says which these are."""
    if len(envelopes) == 1:
        return [add(tx, envelopes[0])]
    given: dict[tuple[str, str], Envelope] = {}
    for envelope in envelopes:
        given.setdefault((envelope.network, envelope.id), envelope)
    for network in {network for network, _ in given}:
        ids = [envelope_id for of, envelope_id in given if of == network]
        for known in _known(tx, network, ids).scalars():
            del given[network, known]
    if given:
        tx.execute(_add, [_row(envelope) for envelope in given.values()])
    return [given.get((envelope.network, envelope.id)) is envelope for envelope in envelopes]


def waiting(tx: Tx, network: str, native_id: str) -> bytes | None:
    """The body of an envelope that was not decided on yet."""
    return tx.execute(
        select(inbox.c.body).where(
            inbox.c.network == network, inbox.c.native_id == native_id, inbox.c.state == said("new")
        )
    ).scalar()


def amend(tx: Tx, network: str, native_id: str, body: bytes) -> None:
    """Changes the body of an envelope of our own."""
    tx.execute(update(inbox).where(inbox.c.network == network, inbox.c.native_id == native_id).values(body=body))


# in the order of numbers, whose index tells what is due: sorting all that waits would cost more the more waits
_of_others = (
    select(inbox)
    .where(inbox.c.state == said("new"), inbox.c.due_at + 0 <= the("now"), inbox.c.signer.not_in(those("sated")))
    .order_by(inbox.c.id)
    .limit(the("limit"))
)
_due = prepared(_of_others, "now sated limit")
_due_here = prepared(_of_others.with_for_update(skip_locked=True), "now sated limit")  # a claim waits for nobody


def claim(tx: Tx, now: float, limit: int, busy: Collection[int], sated: Collection[str] = ()) -> list[Row]:
    """Rows to decide on now, oldest first, for this process: without those already in hand (`busy`), and those of
    `sated` signers (their ids). Run by `Store.claim`."""
    due = _due
    if tx.process:
        tx.execute(select(func.pg_advisory_xact_lock(CLAIMS)))
        taken = tx.execute(select(inbox.c.signer).where(inbox.c.owner != tx.process).distinct())
        sated, due = {*sated, *taken.scalars()}, _due_here
    rows = due(tx, now, list(sated), limit + len(busy))
    found = [
        Row(
            r.id,
            Envelope(r.network, r.native_id, r.body, r.channel, Ref(r.network, r.signer), r.received_at),
            r.attempt,
        )
        for r in rows
        if r.id not in busy
    ]
    del found[limit:]
    if tx.process and found:
        tx.execute(update(inbox).where(inbox.c.id.in_([row.id for row in found])).values(owner=tx.process))
    return found


def settle(tx: Tx, row_id: int, state: str = "done") -> None:
    """Raises Lost."""
    _change(tx, row_id, state=state, owner=None)


def later(tx: Tx, row_id: int, due_at: float) -> None:
    """Raises Lost."""
    _change(tx, row_id, due_at=due_at, owner=None)
    tx.execute(update(inbox).where(inbox.c.id == row_id).values(attempt=inbox.c.attempt + 1))


_a_row = update(inbox).where(inbox.c.id == the("row"))
_that_row = Prepared(_a_row)
_my_row = Prepared(_a_row.where(inbox.c.owner == the("process")))


def _change(tx: Tx, row_id: int, **values: Any) -> None:
    mine = {"the_process": tx.process} if tx.process else {}
    if tx.execute(_my_row if mine else _that_row, {"the_row": row_id, **mine, **values}).rowcount != 1:
        raise Lost("another process decides on this by now")


def clock_jumped(tx: Tx, by: float) -> None:
    """What is tried again is as old as it was, and has as long to wait; what is planned keeps its time."""
    again = (inbox.c.state == "new") & (inbox.c.attempt > 0)
    tx.execute(update(inbox).where(again).values(due_at=inbox.c.due_at + by, received_at=inbox.c.received_at + by))


def next_due(tx: Tx) -> float | None:
    """When a row that is not in another process's hands may next be taken."""
    return _next_due(tx, tx.process).scalar()


_next_due = prepared(
    select(func.min(inbox.c.due_at)).where(
        inbox.c.state == said("new"), or_(inbox.c.owner.is_(None), inbox.c.owner == the("process"))
    ),
    "process",
)


def backlog(tx: Tx, now: float) -> tuple[int, float | None]:
    """How many wait, and since when the oldest; what is planned for later, and was not tried yet, is no backlog."""
    waiting = select(func.count(), func.min(inbox.c.received_at)).where(inbox.c.state == said("new"))
    row = tx.execute(waiting.where((inbox.c.due_at <= now) | (inbox.c.attempt > 0))).one()
    return row[0], row[1]


def cursor(tx: Tx, network: str, key: str) -> str | None:
    return tx.execute(select(cursors.c.value).where(cursors.c.network == network, cursors.c.key == key)).scalar()


def move_cursor(tx: Tx, network: str, key: str, value: str) -> None:
    upsert(tx, cursors, network=network, key=key, value=value)


def forgo(tx: Tx, network: str, channel: str, now: float) -> None:
    """What is due of a channel is left undone."""
    due = (inbox.c.network == network, inbox.c.channel == channel, inbox.c.state == said("new"), inbox.c.due_at <= now)
    tx.execute(update(inbox).where(*due).values(state="done"))
