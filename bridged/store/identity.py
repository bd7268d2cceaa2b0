"""Accounts as last seen, what they decided, and the ghosts that stand for them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import Select, Table, delete, func, select, update

from bridged.model import Account, Ghost, Ref
from bridged.store.engine import Tx
from bridged.store.schema import accounts, former_handles, ghosts, members, pages
from bridged.store.sql import insert_new, pack, prepared, the, those, upsert

_account = msgspec.json.Decoder(Account)
Standing = Literal["in", "out"]
UNDONE = ("profile", "gone")
"""Reasons to be out that end by themselves: the profile says no, or the account is not to be found."""


def _is(table: Table, network: Any, id: Any) -> Any:
    return (table.c.network == network) & (table.c.id == id)


def save_account(tx: Tx, account: Account, now: float, due_at: float = 0.0) -> None:
    """Keeps an account as seen just now; `due_at` is when to look at it again."""
    upsert(
        tx,
        accounts,
        network=account.ref.network,
        id=account.ref.id,
        handle=account.handle,
        alias=account.alias,
        body=pack(account),
        fetched_at=now,
        due_at=due_at,
        tries=0,
        hidden=int(not account.indexable),
        refuses=int(bool(account.refuses)),
    )
    note_page(tx, account.url, account.ref)


def note_page(tx: Tx, url: str, ref: Ref) -> None:
    """Remembers where people read `ref`, if that is at the host of its id: elsewhere it could be somebody else's."""
    host = _host(ref.id)
    if host and url != ref.id and _host(url) == host and len(url.encode(errors="replace")) <= 1000:
        insert_new(tx, pages, url=url, network=ref.network, id=ref.id)


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def at_page(tx: Tx, url: str) -> Ref | None:
    """The post or account that people read there."""
    row = tx.execute(select(pages).where(pages.c.url == url)).first()
    return Ref(row.network, row.id) if row else None


_body_of = prepared(select(accounts.c.body).where(_is(accounts, the("network"), the("id"))), "network id")
_bodies_of = prepared(
    select(accounts.c.body).where(accounts.c.network == the("network"), accounts.c.id.in_(those("ids"))), "network ids"
)
_fetched_at = prepared(select(accounts.c.fetched_at).where(_is(accounts, the("network"), the("id"))), "network id")
_refuses = prepared(select(accounts.c.refuses).where(_is(accounts, the("network"), the("id"))), "network id")
_state_of = prepared(select(members.c.state).where(_is(members, the("network"), the("id"))), "network id")


def account(tx: Tx, ref: Ref) -> Account | None:
    body = _body_of(tx, ref.network, ref.id).scalar()
    return None if body is None else _account.decode(body)


def account_age(tx: Tx, ref: Ref, now: float) -> float | None:
    """Seconds since the account was last fetched; None when it never was."""
    at = _fetched_at(tx, ref.network, ref.id).scalar()
    return None if at is None else now - at


def refuses(tx: Tx, ref: Ref) -> bool:
    """Whether the account's profile, as last seen, says that it must not be bridged."""
    return bool(_refuses(tx, ref.network, ref.id).scalar())


def accounts_called(tx: Tx, network: str, name: str) -> list[Ref]:
    """Accounts of a network whose verified nicer name this is."""
    rows = tx.execute(select(accounts.c.id).where(accounts.c.network == network, accounts.c.alias == name).limit(5))
    return [Ref(network, r.id) for r in rows]


def accounts_handled(tx: Tx, network: str, handle: str) -> list[Ref]:
    """Accounts of a network that have this handle, the one seen last first."""
    mine = (accounts.c.network == network, accounts.c.handle == handle)
    rows = tx.execute(select(accounts.c.id).where(*mine).order_by(accounts.c.fetched_at.desc()).limit(5))
    return [Ref(network, r.id) for r in rows]


def accounts_of(tx: Tx, refs: Sequence[Ref]) -> list[Account]:
    """Those of `refs` (all of one network) that are known."""
    found: list[Account] = []
    for start in range(0, len(refs), 500):
        page = refs[start : start + 500]
        rows = _bodies_of(tx, page[0].network, [r.id for r in page])
        found += [_account.decode(r.body) for r in rows]
    return found


def standing(tx: Tx, ref: Ref) -> Standing | None:
    """What was decided about the account: in, out, or nothing yet."""
    return _state_of(tx, ref.network, ref.id).scalar()


def decided_by(tx: Tx, ref: Ref) -> str | None:
    """Who decided on the standing of an account: config, operator, person; `profile` or `gone` (see `UNDONE`),
    or that it `ended-for-good`."""
    return tx.execute(select(members.c.by).where(members.c.network == ref.network, members.c.id == ref.id)).scalar()


def set_standing(tx: Tx, ref: Ref, state: Standing, by: str, now: float) -> None:
    upsert(tx, members, network=ref.network, id=ref.id, state=state, by=by, at=now)


def forget_standing(tx: Tx, ref: Ref) -> None:
    """Nothing is decided about the account any more."""
    tx.execute(delete(members).where(members.c.network == ref.network, members.c.id == ref.id))


def decided_at(tx: Tx, ref: Ref) -> float | None:
    return tx.execute(select(members.c.at).where(members.c.network == ref.network, members.c.id == ref.id)).scalar()


def count_members(tx: Tx) -> dict[tuple[str, str, str], int]:
    """How many there are for each network, state, and who decided."""
    what = (members.c.network, members.c.state, members.c.by)
    rows = tx.execute(select(*what, func.count()).group_by(*what).order_by(*what))
    return {(r[0], r[1], r[2]): r[3] for r in rows}


def members_of(tx: Tx, network: str | None = None) -> list[tuple[Ref, Standing, str]]:
    query = select(members).order_by(members.c.network, members.c.id)
    if network:
        query = query.where(members.c.network == network)
    return [(Ref(r.network, r.id), r.state, r.by) for r in tx.execute(query)]


def _ghost(r: Any) -> Ghost:
    return Ghost(
        Ref(r.owner_network, r.owner_id),
        Ref(r.network, r.ref),
        r.handle,
        r.custody,
        r.generation,
        Ref(r.first_network, r.first_id) if r.first_network else None,
    )


def _owned(owner_network: Any, owner_id: Any) -> Select[Any]:
    return select(ghosts).where(ghosts.c.owner_network == owner_network, ghosts.c.owner_id == owner_id)


_all_of = prepared(_owned(the("network"), the("id")).where(ghosts.c.state == "live"), "network id")
_live = prepared(
    _owned(the("network"), the("id")).where(ghosts.c.network == the("on"), ghosts.c.state == "live"), "network id on"
)
_newest = prepared(
    _owned(the("network"), the("id"))
    .where(ghosts.c.network == the("on"))
    .order_by(ghosts.c.generation.desc())
    .limit(1),
    "network id on",
)
_first_at = prepared(_owned(the("network"), the("id")).with_only_columns(func.min(ghosts.c.at)), "network id")
_at_ref = prepared(select(ghosts).where(ghosts.c.network == the("network"), ghosts.c.ref == the("ref")), "network ref")


def ghost_for(tx: Tx, owner: Ref, network: str) -> Ghost | None:
    """The live ghost that stands for `owner` there."""
    row = _live(tx, owner.network, owner.id, network).first()
    return None if row is None else _ghost(row)


def last_ghost(tx: Tx, owner: Ref, network: str) -> Ghost | None:
    """The newest ghost of `owner` there, living or gone."""
    row = _newest(tx, owner.network, owner.id, network).first()
    return None if row is None else _ghost(row)


def ghost_at(tx: Tx, ref: Ref) -> tuple[Ghost, str] | None:
    """The ghost with this native ref, and whether it is "live" or "gone"."""
    row = _at_ref(tx, ref.network, ref.id).first()
    return None if row is None else (_ghost(row), row.state)


def ghost_named(tx: Tx, network: str, handle: str) -> Ghost | None:
    """The live ghost that has this handle, or once had it."""
    row = tx.execute(
        select(ghosts).where(ghosts.c.network == network, ghosts.c.handle == handle, ghosts.c.state == "live")
    ).first()
    if row is not None:
        return _ghost(row)
    owner = _formerly(tx, network, handle)
    return ghost_for(tx, owner, network) if owner else None


def _formerly(tx: Tx, network: str, handle: str) -> Ref | None:
    row = tx.execute(
        select(former_handles).where(former_handles.c.network == network, former_handles.c.handle == handle)
    ).first()
    return None if row is None else Ref(row.owner_network, row.owner_id)


def rename_ghost(tx: Tx, ghost: Ghost, handle: str) -> Ghost:
    """The ghost is called `handle` from now on; the old name goes on leading to it."""
    insert_new(
        tx,
        former_handles,
        network=ghost.ref.network,
        handle=ghost.handle,
        owner_network=ghost.owner.network,
        owner_id=ghost.owner.id,
    )
    tx.execute(
        update(ghosts).where(ghosts.c.network == ghost.ref.network, ghosts.c.ref == ghost.ref.id).values(handle=handle)
    )
    return replace(ghost, handle=handle)


def handle_taken(tx: Tx, network: str, handle: str, owner: Ref) -> bool:
    """Whether the ghost of anybody but `owner`, living or gone, has or had this handle: they are never handed on."""
    former = _formerly(tx, network, handle)
    if former is not None and former != owner:
        return True
    rows = tx.execute(
        select(ghosts.c.owner_network, ghosts.c.owner_id).where(ghosts.c.network == network, ghosts.c.handle == handle)
    )
    return any(Ref(r.owner_network, r.owner_id) != owner for r in rows)


def add_ghost(tx: Tx, ghost: Ghost, now: float) -> bool:
    """Stores a new ghost, or revives the same one; False when it was live already."""
    if insert_new(
        tx,
        ghosts,
        owner_network=ghost.owner.network,
        owner_id=ghost.owner.id,
        network=ghost.ref.network,
        generation=ghost.generation,
        ref=ghost.ref.id,
        handle=ghost.handle,
        custody=ghost.custody,
        state="live",
        at=now,
    ):
        return True
    return (
        tx.execute(
            update(ghosts)
            .where(ghosts.c.network == ghost.ref.network, ghosts.c.ref == ghost.ref.id, ghosts.c.state == "gone")
            .values(state="live")
        ).rowcount
        == 1
    )


def end_ghost(tx: Tx, ghost: Ghost) -> None:
    tx.execute(
        update(ghosts).where(ghosts.c.network == ghost.ref.network, ghosts.c.ref == ghost.ref.id).values(state="gone")
    )


def hand_over(tx: Tx, ghost: Ghost, owner: Ref) -> None:
    """The ghost, with its keys and followers, stands for `owner` from now on."""
    tx.execute(
        update(ghosts)
        .where(ghosts.c.network == ghost.ref.network, ghosts.c.ref == ghost.ref.id)
        .values(
            owner_network=owner.network,
            owner_id=owner.id,
            first_network=ghost.keyed.network,
            first_id=ghost.keyed.id,
        )
    )
    former = former_handles.c
    tx.execute(
        update(former_handles)
        .where(former.network == ghost.ref.network)
        .where(former.owner_network == ghost.owner.network, former.owner_id == ghost.owner.id)
        .values(owner_network=owner.network, owner_id=owner.id)
    )


def ghosts_of(tx: Tx, owner: Ref) -> list[Ghost]:
    """All live ghosts of an account."""
    return [_ghost(r) for r in _all_of(tx, owner.network, owner.id)]


def shown_since(tx: Tx, owner: Ref) -> float | None:
    """When the first ghost of an account was made; None for whom there never was one."""
    return _first_at(tx, owner.network, owner.id).scalar()


def live_refs(tx: Tx, network: str) -> list[str]:
    """Native ids of all live ghosts on a network."""
    return [
        r.ref for r in tx.execute(select(ghosts.c.ref).where(ghosts.c.network == network, ghosts.c.state == "live"))
    ]


def hidden_refs(tx: Tx, network: str) -> list[str]:
    """Native ids of the live ghosts there whose owners ask not to be found by search."""
    mine = (accounts.c.network == ghosts.c.owner_network) & (accounts.c.id == ghosts.c.owner_id)
    rows = tx.execute(
        select(ghosts.c.ref)
        .join(accounts, mine)
        .where(ghosts.c.network == network, ghosts.c.state == "live", accounts.c.hidden == 1)
    )
    return [r.ref for r in rows]


def owners(tx: Tx, network: str) -> list[str]:
    """Ids of accounts of a network that have a live ghost somewhere."""
    return [
        r.owner_id
        for r in tx.execute(
            select(ghosts.c.owner_id).where(ghosts.c.owner_network == network, ghosts.c.state == "live").distinct()
        )
    ]


def count_ghosts(tx: Tx, network: str) -> int:
    return tx.execute(select(func.count()).where(ghosts.c.network == network, ghosts.c.state == "live")).scalar()
