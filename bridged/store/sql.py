"""Statements that SQLite and PostgreSQL both take."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite

from bridged.model import NOTHING
from bridged.store.engine import Tx


def _insert(tx: Tx, table: Table) -> Any:
    return sqlite.insert(table) if tx.conn.dialect.name == "sqlite" else postgresql.insert(table)


def insert_new(tx: Tx, table: Table, **values: Any) -> bool:
    """Inserts a row unless one of the same key exists; says whether it did."""
    return tx.execute(_insert(tx, table).values(**values).on_conflict_do_nothing()).rowcount == 1


def upsert(tx: Tx, table: Table, **values: Any) -> None:
    """Inserts a row, or brings the row of the same primary key up to date."""
    keys = [c.name for c in table.primary_key]
    changes = {k: v for k, v in values.items() if k not in keys}
    statement = _insert(tx, table).values(**values)
    tx.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes))


def pack(value: object) -> bytes:
    """A neutral word as bytes."""
    return msgspec.json.encode(value)


def clean(text: str) -> str:
    """`text` without what databases refuse: NUL, lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def detail_in(text: str) -> Mapping[str, str]:
    return msgspec.json.decode(text, type=dict[str, str]) if text else NOTHING


def detail_out(detail: Mapping[str, str]) -> str:
    return msgspec.json.encode(dict(detail)).decode() if detail else ""
