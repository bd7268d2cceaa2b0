"""What was changed or taken back before it was heard: networks, and what is sent again, turn things round; and who may
answer and quote a post, where that is said beside it.

Kept for each actor, since nobody knows yet whose act it will be: nobody can silence or change somebody else's.
"""

from dataclasses import replace
from hashlib import sha256

import msgspec
from sqlalchemy import delete, or_, select

from bridged.model import Act, Activity, Delete, Edit, Gate, Post, PostBody, Ref
from bridged.store.engine import Tx
from bridged.store.schema import acts
from bridged.store.sql import insert_new, pack, prepared, the, upsert

_edits = msgspec.json.Decoder(Edit)
_gates = msgspec.json.Decoder(Gate)
_at = prepared(
    select(acts.c.at, acts.c.body).where(acts.c.network == the("network"), acts.c.id == the("id")), "network id"
)
_of_both = prepared(
    select(acts.c.body)
    .where(acts.c.network == the("network"))
    .where(or_(acts.c.id == the("one"), acts.c.id == the("other"))),
    "network one other",
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
    """A post that is heard now, as it reads if it was edited or gated before; that it was edited is forgotten."""
    if not isinstance(activity.act, Post):
        return activity
    known = _edit(tx, activity.ref, activity.actor)
    if known is not None:
        _forget_edit(tx, activity.ref, activity.actor)
        if known.at > activity.at:
            activity = replace(activity, at=known.at, act=known.act)
    assert isinstance(activity.act, Post)
    return replace(activity, act=Post(gated(tx, activity.act.body)))


def gate(tx: Tx, activity: Activity) -> bool:
    """Remembers who may answer or quote a post, heard already or not; False when something newer is known."""
    act = activity.act
    assert isinstance(act, Gate)
    name = _name(act.what, act.target, activity.actor)
    known = _at(tx, act.target.network, name).first()
    if known is not None and (known.at > activity.at or (known.at == activity.at and _gates.decode(known.body) == act)):
        return False
    upsert(tx, acts, network=act.target.network, id=name, **_row(activity.actor, activity.at, act))
    return True


def gated(tx: Tx, body: PostBody) -> PostBody:
    """The post with all that its author said beside it of who may answer and quote it."""
    names = (_name(what, body.ref, body.author) for what in ("answers", "quotes"))
    for row in _of_both(tx, body.ref.network, *names).all():
        body = _gates.decode(row.body).on(body)
    return body


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
