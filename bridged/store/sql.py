"""Statements that SQLite and PostgreSQL both take."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import BindParameter, Executable, Table, bindparam

from bridged.model import NOTHING
from bridged.prepared import Prepared
from bridged.store.engine import Tx


@cache
def _insert(dialect: str, table: Table) -> Any:
    # the one of the two that is used: each is megabytes
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


# kept: putting a statement together takes five times as long as running it


def the(name: str) -> BindParameter[Any]:
    """What a prepared statement is told each time it is run."""
    return bindparam(f"the_{name}")


def those(name: str) -> BindParameter[Any]:
    """As `the`, for a list."""
    return bindparam(f"the_{name}", expanding=True)


def prepared(statement: Executable, names: str) -> Callable[..., Any]:
    """Runs a statement that is put together once, with (tx, *values): a value for each of `names`, in their order."""
    keys = [f"the_{name}" for name in names.split()]
    whole = Prepared(statement)

    def run(tx: Tx, *values: Any) -> Any:
        return whole.run(tx.conn, dict(zip(keys, values, strict=True)))

    return run


@cache
def _insert_new(dialect: str, table: Table) -> Any:
    return Prepared(_insert(dialect, table).on_conflict_do_nothing())


@cache
def _upsert(dialect: str, table: Table, columns: frozenset[str]) -> Any:
    keys = [c.name for c in table.primary_key]
    statement = _insert(dialect, table)
    changes = {name: statement.excluded[name] for name in sorted(columns.difference(keys))}
    return Prepared(statement.on_conflict_do_update(index_elements=keys, set_=changes))


def insert(tx: Tx, table: Table) -> Any:
    """An INSERT that can be given an `on_conflict_…`."""
    return _insert(tx.conn.dialect.name, table)


def insert_new(tx: Tx, table: Table, **values: Any) -> bool:
    """Inserts a row unless one of the same key exists; says whether it did."""
    return tx.execute(_insert_new(tx.conn.dialect.name, table), values).rowcount == 1


def insert_all_new(tx: Tx, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts those rows of which none of the same key exists."""
    tx.execute(_insert_new(tx.conn.dialect.name, table), list(rows))


def upsert(tx: Tx, table: Table, **values: Any) -> None:
    """Inserts a row, or brings the row of the same primary key up to date."""
    tx.execute(_upsert(tx.conn.dialect.name, table, frozenset(values)), values)


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
