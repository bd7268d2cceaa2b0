"""What people did (origins), and our copies of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Select, and_, case, exists, func, select, update

from bridged import model
from bridged.adapter import Part
from bridged.model import Act, Activity, Copy, Ref
from bridged.prepared import Prepared
from bridged.store.engine import Tx
from bridged.store.schema import acts, copies, said
from bridged.store.sql import detail_in, detail_out, insert_new, pack, prepared, the

_kinds: Mapping[str, msgspec.json.Decoder[Any]] = {
    kind.__name__: msgspec.json.Decoder(kind)
    for kind in (
        model.Post,
        model.Edit,
        model.Delete,
        model.Follow,
        model.FollowList,
        model.Accept,
        model.Reject,
        model.React,
        model.Repost,
        model.Profile,
        model.Block,
        model.BlockList,
        model.Vote,
        model.Tally,
        model.Zap,
        model.Report,
        model.Move,
        model.Pin,
        model.PinList,
        model.Message,
        model.QuoteRequest,
        model.Approve,
        model.Gate,
    )
}


def kind_of(act: Act) -> str:
    """The act's name, as kept in tables and metrics."""
    return type(act).__name__


@dataclass(frozen=True, slots=True)
class Known:
    """An act on record. `target` is what a post answers, or what a like, repost, follow or block is about.

    `shown` says that it was fetched to be referred to, and has not been heard from its author yet.
    """

    activity: Activity
    target: Ref | None
    root: Ref | None
    live: bool
    shown: bool = False


def _known(row: Any) -> Known:
    return Known(
        Activity(
            Ref(row.network, row.id),
            Ref(row.network, row.actor),
            row.at,
            _kinds[row.kind].decode(row.body),
        ),
        Ref(row.target_network, row.target_id) if row.target_id else None,
        Ref(row.root_network, row.root_id) if row.root_id else None,
        row.state != "deleted",
        row.state == "shown",
    )


_act = prepared(select(acts).where(acts.c.network == the("network"), acts.c.id == the("id")), "network id")
_that_act = Prepared(update(acts).where(acts.c.network == the("network"), acts.c.id == the("id")))


def find(tx: Tx, ref: Ref) -> Known | None:
    row = _act(tx, ref.network, ref.id).first()
    return None if row is None else _known(row)


def record(tx: Tx, activity: Activity, target: Ref | None, root: Ref | None = None, *, shown: bool = False) -> bool:
    """Puts an act on record; False when it is there already, deleted ones included.

    One that was only `shown` before counts as new when it is heard, and reads as it did unless that was older: it was
    shown as its home had it then.
    """
    values: dict[str, Any] = {
        "kind": kind_of(activity.act),
        "actor": activity.actor.id,
        "at": activity.at,
        "target_network": target.network if target else None,
        "target_id": target.id if target else None,
        "root_network": root.network if root else None,
        "root_id": root.id if root else None,
        "state": "shown" if shown else "live",
        "body": pack(activity.act),
    }
    if insert_new(tx, acts, network=activity.ref.network, id=activity.ref.id, **values):
        return True
    if shown:
        return False
    heard = (
        update(acts)
        .where(acts.c.network == activity.ref.network, acts.c.id == activity.ref.id)
        .where(acts.c.actor == activity.actor.id, acts.c.state == "shown")
    )
    if tx.execute(heard.where(acts.c.at < activity.at).values(**values)).rowcount == 1:
        return True
    return tx.execute(heard.values(state="live")).rowcount == 1


def revise(tx: Tx, ref: Ref, act: Act, at: float) -> None:
    """The act on record now reads like this."""
    tx.execute(_that_act, {"the_network": ref.network, "the_id": ref.id, "body": pack(act), "at": at})


def strike(tx: Tx, ref: Ref) -> None:
    """Marks an act on record deleted."""
    tx.execute(_that_act, {"the_network": ref.network, "the_id": ref.id, "state": "deleted"})


RECENT = 200
"""How many of an actor's latest doings of a kind are looked through."""


def alike(tx: Tx, activity: Activity) -> list[Known]:
    """Live acts of the actor, of late, that do the very same to the same thing, newest first; the activity's apart."""
    known = find(tx, activity.ref)
    target = known.target if known is not None else None
    if target is None:
        return []
    latest = (
        select(acts.c.id, acts.c.target_network, acts.c.target_id, acts.c.state)
        .where(acts.c.network == activity.actor.network, acts.c.actor == activity.actor.id)
        .where(acts.c.kind == kind_of(activity.act))
        .order_by(acts.c.at.desc())
        .limit(RECENT)
        .subquery()
    )
    same = select(latest.c.id).where(
        latest.c.target_network == target.network,
        latest.c.target_id == target.id,
        latest.c.state == "live",
        latest.c.id != activity.ref.id,
    )
    found = (find(tx, Ref(activity.actor.network, row.id)) for row in tx.execute(same).all())
    alike = [k for k in found if k is not None and k.activity.act == activity.act]
    return sorted(alike, key=lambda k: k.activity.at, reverse=True)


def quotes_asked(tx: Tx, quoted: Ref, quote: Ref) -> list[Activity]:
    """The requests that the post `quote` may quote `quoted`."""
    rows = tx.execute(
        select(acts)
        .where(acts.c.target_network == quoted.network, acts.c.target_id == quoted.id)
        .where(acts.c.kind == "QuoteRequest", acts.c.network == quote.network)
    )
    asked = (_known(row).activity for row in rows)
    return [each for each in asked if isinstance(each.act, model.QuoteRequest) and each.act.quote == quote]


def latest(tx: Tx, kind: str, limit: int) -> list[Known]:
    """The newest acts of a kind, newest first."""
    rows = tx.execute(select(acts).where(acts.c.kind == said(kind)).order_by(acts.c.at.desc(), acts.c.id).limit(limit))
    return [_known(r) for r in rows]


def origins_with_copies(tx: Tx, actor: Ref, network: str, limit: int) -> list[Known]:
    """Acts of an account that still have copies on a network, newest first; not those of the account itself."""
    here = (
        select(copies.c.id)
        .where(
            copies.c.origin_network == acts.c.network,
            copies.c.origin_id == acts.c.id,
            copies.c.network == network,
        )
        .exists()
    )
    rows = tx.execute(
        select(acts)
        .where(acts.c.network == actor.network, acts.c.actor == actor.id, acts.c.state != "deleted", here)
        .where(acts.c.kind.in_(("Post", "React", "Zap", "Repost", "Pin", "Follow", "Block")))
        .order_by(acts.c.at.desc())
        .limit(limit)
    )
    return [_known(r) for r in rows]


def _copy(row: Any) -> Copy:
    return Copy(
        Ref(row.origin_network, row.origin_id),
        row.network,
        row.part,
        Ref(row.network, row.ref) if row.ref else None,
        row.served,
        row.version,
        bool(row.gone),
        detail_in(row.detail),
    )


def _of(origin_network: Any, origin_id: Any, network: Any) -> Select[Any]:
    return select(copies).where(
        copies.c.origin_network == origin_network, copies.c.origin_id == origin_id, copies.c.network == network
    )


def _latest() -> Any:
    each = copies.alias("each")
    keys = ("origin_network", "origin_id", "network", "part")
    return select(func.max(each.c.version)).where(*(each.c[k] == copies.c[k] for k in keys)).scalar_subquery()


_latest_of = prepared(
    _of(the("origin_network"), the("origin_id"), the("network"))
    .where(copies.c.version == _latest())
    .order_by(copies.c.part),
    "origin_network origin_id network",
)
_latest_part = prepared(
    _of(the("origin_network"), the("origin_id"), the("network"))
    .where(copies.c.part == the("part"))
    .order_by(copies.c.version.desc())
    .limit(1),
    "origin_network origin_id network part",
)
_copy_at = prepared(
    select(copies)
    .where(copies.c.network == the("network"), copies.c.ref == the("ref"))
    .order_by(copies.c.id.desc())
    .limit(1),
    "network ref",
)
_copy_row = prepared(select(copies).where(copies.c.id == the("id")), "id")
_add_copy = Prepared(copies.insert().returning(copies.c.id))


def copies_of(tx: Tx, origin: Ref, network: str) -> tuple[Copy, ...]:
    """The latest version of each part of what stands for `origin` on a network, by part."""
    return tuple(_copy(row) for row in _latest_of(tx, origin.network, origin.id, network))


def copy_ids(origin: Ref, network: str) -> Select[Any]:
    """Row ids of every version of every part, as a query: there may be more than one statement takes."""
    return _of(origin.network, origin.id, network).with_only_columns(copies.c.id)


def copy_at(tx: Tx, ref: Ref) -> Copy | None:
    """The latest version of the copy that has, or once had, this native ref."""
    row = _copy_at(tx, ref.network, ref.id).first()
    if row is None:
        return None
    return _copy(_latest_part(tx, row.origin_network, row.origin_id, ref.network, row.part).one())


def copy_row(tx: Tx, copy_id: int) -> tuple[Copy, Ref]:
    """A copy by row id, and the account it speaks for."""
    row = _copy_row(tx, copy_id).one()
    return _copy(row), Ref(row.actor_network, row.actor_id)


def networks_with(tx: Tx, origin: Ref) -> set[str]:
    """Networks where something that is not gone stands for `origin`."""
    rows = tx.execute(
        select(copies.c.network)
        .where(copies.c.origin_network == origin.network, copies.c.origin_id == origin.id)
        .distinct()
    )
    return {r.network for r in rows if any(not c.gone for c in copies_of(tx, origin, r.network))}


def add_copy(tx: Tx, part: Part, network: str, actor: Ref, act: str, at: float) -> tuple[int, bool]:
    """Stores what a part says; the row's id, and False when the same is stored already.

    An id that a server assigned, and the facts that came with it, stay with later versions.
    """
    last = _latest_part(tx, part.of.network, part.of.id, network, part.number).first()
    ref, detail = part.ref.id if part.ref else None, part.detail
    if ref is None and last is not None:
        ref, detail = last.ref, {**detail_in(last.detail), **part.detail}
    if last is not None and last.ref == ref and last.served == part.served and bool(last.gone) == part.gone:
        return last.id, False
    if last is not None:
        # an old version's id goes on leading to the newest; what it said is nobody's business any more
        tx.execute(update(copies).where(copies.c.id == last.id).values(served=b""))
    values = {
        "origin_network": part.of.network,
        "origin_id": part.of.id,
        "network": network,
        "part": part.number,
        "version": 1 if last is None else last.version + 1,
        "ref": ref,
        "actor_network": actor.network,
        "actor_id": actor.id,
        "act": act,
        "served": part.served,
        "gone": int(part.gone),
        "detail": detail_out(detail),
        "at": at,
    }
    return int(tx.execute(_add_copy, values).scalar_one()), True


def settle_copy(tx: Tx, copy_id: int, ref: Ref | None, detail: Mapping[str, str]) -> None:
    """Keeps what the other side made of a copy, its id and its facts, with it and with later versions."""
    if ref is None and not detail:
        return
    copy = _copy_row(tx, copy_id).one()
    later = _of(copy.origin_network, copy.origin_id, copy.network).where(
        copies.c.part == copy.part, copies.c.version >= copy.version
    )
    for row in tx.execute(later).all():
        values = {"detail": detail_out({**detail_in(row.detail), **detail})}
        if ref is not None:
            values["ref"] = ref.id
        tx.execute(update(copies).where(copies.c.id == row.id).values(**values))


def copies_by(
    tx: Tx, actor: Ref, network: str, kinds: Iterable[str], limit: int, before: int | None
) -> list[tuple[int, Copy]]:
    """Newest first: the latest copies an account has on a network, made by acts of some kinds, with paging numbers."""
    first, newer = copies.alias("first"), copies.alias("newer")

    def same(table: Any) -> list[Any]:
        names = ("origin_network", "origin_id", "network", "part")
        return [table.c[n] == copies.c[n] for n in names]

    query = (
        select(first.c.id.label("number"), copies)
        .join(first, and_(*same(first), first.c.version == 1))
        .where(
            first.c.network == network,
            first.c.actor_network == actor.network,
            first.c.actor_id == actor.id,
            first.c.act.in_(list(kinds)),
            first.c.part == 0,
            copies.c.gone == 0,
            ~exists().where(*same(newer), newer.c.version > copies.c.version),
        )
        .order_by(first.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(first.c.id < before)
    return [(row.number, _copy(row)) for row in tx.execute(query)]


def answers(tx: Tx, to: Ref, network: str, limit: int, offset: int) -> tuple[int, list[Ref]]:
    """How many posts that answer `to` stand on `network`, and a page of their ids there, oldest first."""
    copy = (
        select(copies.c.ref)
        .where(
            copies.c.origin_network == acts.c.network,
            copies.c.origin_id == acts.c.id,
            copies.c.network == network,
            copies.c.part == 0,
            copies.c.gone == 0,
        )
        .order_by(copies.c.version.desc())
        .limit(1)
        .scalar_subquery()
    )
    here = case((acts.c.network == network, acts.c.id), else_=copy)
    found = (
        select(here.label("ref"), acts.c.at)
        .where(acts.c.target_network == to.network, acts.c.target_id == to.id)
        .where(acts.c.kind == "Post", acts.c.state != "deleted")
        .subquery()
    )
    shown = select(found.c.ref).where(found.c.ref.is_not(None))
    total = tx.execute(select(func.count()).select_from(shown.subquery())).scalar()
    rows = tx.execute(shown.order_by(found.c.at, found.c.ref).limit(limit).offset(offset))
    return total, [Ref(network, r.ref) for r in rows]


def count_posts(tx: Tx, network: str) -> int:
    return tx.execute(
        select(func.count()).where(
            copies.c.network == network,
            copies.c.act == said("Post"),
            copies.c.version == said(1),
            copies.c.part == said(0),
        )
    ).scalar()
