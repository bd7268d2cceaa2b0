"""When accounts are to be looked at again, as `refresh.py` does."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import bindparam, exists, select, update

from bridged.model import Account, Ref
from bridged.store.engine import Tx
from bridged.store.identity import UNDONE
from bridged.store.schema import accounts, ghosts, members

_account = msgspec.json.Decoder(Account)
_PASS = (
    update(accounts)
    .where(accounts.c.network == bindparam("of"), accounts.c.id == bindparam("name"))
    .values(due_at=bindparam("when"))
)


@dataclass(frozen=True, slots=True)
class Look:
    """An account to be looked at again: how it was last seen, and the looks in vain since."""

    account: Account
    tries: int


def due(tx: Tx, networks: Sequence[str], now: float, limit: int) -> tuple[list[Look], list[Ref]]:
    """The `limit` accounts longest due: those to look at, and those that need not be.

    Looked at are those that have a live ghost, or are left alone because of their profile. There are many more
    accounts that somebody merely answered once: if they stayed due, every look would begin with them.
    """
    mine = (ghosts.c.owner_network == accounts.c.network, ghosts.c.owner_id == accounts.c.id, ghosts.c.state == "live")
    refusing = (members.c.network == accounts.c.network, members.c.id == accounts.c.id, members.c.by.in_(UNDONE))
    rows = tx.execute(
        select(
            accounts.c.network,
            accounts.c.id,
            accounts.c.body,
            accounts.c.tries,
            (exists().where(*mine) | exists().where(*refusing)).label("ours"),
        )
        .where(accounts.c.due_at <= now)
        .order_by(accounts.c.due_at)
        .limit(limit)
    )
    looks: list[Look] = []
    others: list[Ref] = []
    for r in rows:
        if r.ours and r.network in networks:
            looks.append(Look(_account.decode(r.body), r.tries))
        else:
            others.append(Ref(r.network, r.id))
    return looks, others


def pass_over(tx: Tx, refs: Sequence[Ref], due_at: float) -> None:
    """These accounts need not be looked at before `due_at`."""
    if refs:
        tx.execute(_PASS, [{"of": ref.network, "name": ref.id, "when": due_at} for ref in refs])


def nudge(tx: Tx, ref: Ref, now: float) -> None:
    """The account is to be looked at again soon, unless it was tried in vain just now."""
    tx.execute(
        update(accounts)
        .where(accounts.c.network == ref.network, accounts.c.id == ref.id)
        .where(accounts.c.due_at > now, accounts.c.tries == 0)
        .values(due_at=now)
    )


def look_later(tx: Tx, ref: Ref, due_at: float) -> None:
    """Counts a look in vain."""
    tx.execute(
        update(accounts)
        .where(accounts.c.network == ref.network, accounts.c.id == ref.id)
        .values(due_at=due_at, tries=accounts.c.tries + 1)
    )


def look_at_all(tx: Tx, now: float) -> None:
    """Every account is to be looked at again, those first that were due first."""
    tx.execute(update(accounts).where(accounts.c.due_at > now).values(due_at=now))
