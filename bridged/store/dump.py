"""Whole tables, out of one database and into another, whichever of the two kinds either is.

Tables are taken as they stand in the database, not as this version has them: so that an old state can be saved, and
put back before it is upgraded.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Integer, MetaData, Table, func, inspect, select, text

from bridged.store.engine import Tx
from bridged.store.schema_files import metadata

PAGE = 500
JUMP = 1 << 32
"""By how much serial numbers jump ahead after a restore: more than can have been given out since the backup."""


def tables(tx: Tx, networks: Collection[str]) -> list[Table]:
    """Ours: those of the core and of these networks' adapters. How far their schemas are is not among them."""
    versions = {version_table(each) for each in ("bridged", *networks)}
    prefixes = tuple(f"{network}_" for network in networks)
    names = [
        name
        for name in sorted(inspect(tx.conn).get_table_names())
        if name not in versions and (name in metadata.tables or name.startswith(prefixes))
    ]
    found = MetaData()
    found.reflect(tx.conn, only=names)
    return [found.tables[name] for name in names]


def version_table(part: str) -> str:
    return f"{part}_version"


def revision(tx: Tx, part: str) -> str | None:
    """How far the schema of the core ("bridged") or of an adapter is; None when it was never made."""
    name = version_table(part)
    if not inspect(tx.conn).has_table(name):
        return None
    return tx.execute(text(f"SELECT version_num FROM {name}")).scalar()  # a name of ours


def count(tx: Tx, table: Table) -> int:
    return tx.execute(select(func.count()).select_from(table)).scalar()


def stream(tx: Tx, table: Table) -> Iterator[Sequence[Any]]:
    """All rows, a page in memory at a time."""
    yield from tx.conn.execute(
        select(table), execution_options={"stream_results": True, "yield_per": PAGE, "max_row_buffer": PAGE}
    )


def load(tx: Tx, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    tx.execute(table.insert(), [dict(zip(columns, row, strict=True)) for row in rows])


def serial(tx: Tx, table: Table) -> int | None:
    """The last number that the table gave out by itself; None where it gives out none."""
    key = _serial_column(table)
    if key is None:
        return None
    highest = tx.execute(select(func.max(table.c[key]))).scalar() or 0
    return max(highest, _given_out(tx.conn, table.name, key))


def jump(tx: Tx, table: Table, last: int) -> None:
    """The next number that the table gives out lies far beyond `last`."""
    key = _serial_column(table)
    if key is None:
        return
    values = {"name": table.name, "last": last + JUMP}
    if tx.conn.dialect.name == "sqlite":
        if _numbered(tx.conn, table.name):
            tx.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
            tx.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), values)
    elif sequence := _sequence(tx.conn, table.name, key):
        tx.execute(text("SELECT setval(:sequence, :last)"), {**values, "sequence": sequence})


def clear(tx: Tx, networks: Collection[str]) -> bool:
    """Drops our tables if no row is in any of them; says whether they are gone."""
    ours = tables(tx, networks)
    if any(tx.execute(select(1).select_from(table).limit(1)).first() for table in ours):
        return False
    for table in ours:
        table.drop(tx.conn)
    for part in ("bridged", *networks):
        tx.execute(text(f"DROP TABLE IF EXISTS {version_table(part)}"))
    return True


def _serial_column(table: Table) -> str | None:
    keys = list(table.primary_key)
    return keys[0].name if len(keys) == 1 and isinstance(keys[0].type, Integer) else None


def _given_out(conn: Connection, table: str, key: str) -> int:
    if conn.dialect.name == "sqlite":
        found = (
            conn.execute(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table}).scalar()
            if _numbered(conn, table)
            else None
        )
    else:
        sequence = _sequence(conn, table, key)
        found = conn.execute(text(f"SELECT last_value FROM {sequence}")).scalar() if sequence else None
    return found or 0


def _numbered(conn: Connection, table: str) -> bool:
    """Whether SQLite remembers what numbers it gave out."""
    made = conn.execute(text("SELECT sql FROM sqlite_master WHERE name = :name"), {"name": table}).scalar()
    return "AUTOINCREMENT" in (made or "").upper()


def _sequence(conn: Connection, table: str, key: str) -> str | None:
    return conn.execute(text("SELECT pg_get_serial_sequence(:name, :key)"), {"name": table, "key": key}).scalar()
