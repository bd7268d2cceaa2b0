"""All rows that are about one account, or of its making, for it to read."""

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import and_, or_, select

from bridged.model import Ref
from bridged.store.engine import Tx
from bridged.store.schema import (
    accounts,
    acts,
    blocks,
    copies,
    follows,
    former_handles,
    ghosts,
    inbox,
    lanes,
    ledger,
    lists,
    members,
    notices,
    outbox,
    persons,
    pins,
    reached,
    votes,
)

PAGE = 200


def named(tx: Tx, network: str, name: str) -> list[Ref]:
    """Accounts with this id, handle or nicer name."""
    same = or_(accounts.c.id == name, accounts.c.handle == name, accounts.c.alias == name)
    return [
        Ref(network, id)
        for id in tx.execute(select(accounts.c.id).where(accounts.c.network == network, same)).scalars()
    ]


def sections(tx: Tx, ref: Ref) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    """(what it is, its rows); read one section before the next. Who blocks the account is those others' own affair."""
    for name, query in _queries(ref.network, ref.id):
        yield name, _rows(tx, query)


def _rows(tx: Tx, query: Any) -> Iterator[dict[str, Any]]:
    found = tx.conn.execute(query, execution_options={"stream_results": True, "yield_per": PAGE})
    for row in found.mappings():
        yield {name: _readable(value) for name, value in row.items()}


def _readable(value: Any) -> Any:
    """Stored words as they are meant, where they are JSON."""
    if not isinstance(value, bytes):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.MsgspecError:
        return value.decode(errors="replace")


def _queries(network: str, id: str) -> list[tuple[str, Any]]:
    def its(table: Any, column: str = "id", of: str = "network") -> Any:
        return select(table).where(table.c[of] == network, table.c[column] == id)

    mine = and_(lanes.c.actor_network == network, lanes.c.actor_id == id)
    sent: Any = select(
        lanes.c.network, lanes.c.endpoint, *(outbox.c[n] for n in ("act", "state", "attempt", "queued_at"))
    )
    return [
        ("account", its(accounts)),
        ("consent", its(members)),
        ("told", its(notices)),
        ("ghosts", its(ghosts, "owner_id", "owner_network")),
        ("former_handles", its(former_handles, "owner_id", "owner_network")),
        ("same_person", its(persons)),
        ("acts", its(acts, "actor").order_by(acts.c.at)),
        ("copies", its(copies, "actor_id", "actor_network").order_by(copies.c.id)),
        ("deliveries", sent.join(outbox, outbox.c.lane == lanes.c.id).where(mine).order_by(outbox.c.id)),
        (
            "delivered_before",
            select(lanes.c.network, lanes.c.endpoint, reached.c.copy)
            .join(reached, reached.c.lane == lanes.c.id)
            .where(mine)
            .order_by(reached.c.copy),
        ),
        ("follows", its(follows, "actor")),
        ("followers", its(follows, "target_id", "target_network")),
        ("blocks", its(blocks, "actor")),
        ("pins", its(pins, "actor")),
        ("votes", its(votes, "voter_id", "voter_network")),
        ("lists", its(lists, "actor")),
        ("heard", its(inbox, "signer").order_by(inbox.c.id)),
        ("ledger", its(ledger, "actor").order_by(ledger.c.id)),
    ]
