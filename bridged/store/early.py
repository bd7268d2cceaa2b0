"""What was changed or taken back before it was heard: networks, and what is sent again, turn things round.

Kept for each actor, since nobody knows yet whose act it will be: nobody can silence or change somebody else's.
"""

from dataclasses import replace
from hashlib import sha256

import msgspec
from sqlalchemy import delete, select

from bridged.model import Act, Activity, Delete, Edit, Post, Ref
from bridged.store.engine import Tx
from bridged.store.schema import acts
from bridged.store.sql import insert_new, pack, prepared, the, upsert

_edits = msgspec.json.Decoder(Edit)
_at = prepared(
    select(acts.c.at, acts.c.body).where(acts.c.network == the("network"), acts.c.id == the("id")), "network id"
)


def forestall(tx: Tx, ref: Ref, actor: Ref, at: float) -> None:
    """Remembers that `actor` took back an act not heard yet, so that it is not taken up when it comes late."""
    _forget_edit(tx, ref, actor)
    insert_new(tx, acts, network=ref.network, id=_name("early", ref, actor), **_row(actor, at, Delete(ref)))


def forestalled(tx: Tx, ref: Ref, actor: Ref) -> bool:
    return _at(tx, ref.network, _name("early", ref, actor)).first() is not None


def edit(tx: Tx, activity: Activity) -> None:
    """Remembers how a post not heard yet reads by now; the newest edit counts."""
    assert isinstance(activity.act, Edit)
    ref, actor = activity.act.body.ref, activity.actor
    known = _edit(tx, ref, actor)
    if known is None or known.at < activity.at:
        name = _name("edited", ref, actor)
        upsert(tx, acts, network=ref.network, id=name, **_row(actor, activity.at, activity.act))


def newest(tx: Tx, activity: Activity) -> Activity:
    """A post that is heard now, as it reads if it was edited before; that it was is forgotten."""
    known = _edit(tx, activity.ref, activity.actor)
    if known is None or not isinstance(activity.act, Post):
        return activity
    _forget_edit(tx, activity.ref, activity.actor)
    return replace(activity, at=known.at, act=known.act) if known.at > activity.at else activity


def _edit(tx: Tx, ref: Ref, actor: Ref) -> Activity | None:
    row = _at(tx, ref.network, _name("edited", ref, actor)).first()
    return None if row is None else Activity(ref, actor, row.at, Post(_edits.decode(row.body).body))


def _forget_edit(tx: Tx, ref: Ref, actor: Ref) -> None:
    tx.execute(delete(acts).where(acts.c.network == ref.network, acts.c.id == _name("edited", ref, actor)))


def _row(actor: Ref, at: float, act: Act) -> dict[str, object]:
    """Like an act that is over: nothing that looks for live ones finds it."""
    return {"kind": type(act).__name__, "actor": actor.id, "at": at, "state": "deleted", "body": pack(act)}


def _name(how: str, ref: Ref, actor: Ref) -> str:
    return f"{how}:" + sha256(f"{len(actor.id)}:{actor.id}{ref.id}".encode()).hexdigest()
