"""Databases for tests, with their tables in place: to make tables costs more than most tests do.

A process makes each kind once and lends it out again and again. On SQLite that is a file to copy, on PostgreSQL a
database whose rows are deleted first; where a test has changed the tables themselves, they are made anew.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from bridged.store.engine import Store
from bridged.store.upgrade import CORE

POSTGRES = os.environ.get("BRIDGED_POSTGRES", "postgres@127.0.0.1:5432")
Migrations = tuple[tuple[Path, str], ...]
"""Folders of migrations, each with the table that holds its version."""
CORES: Migrations = ((CORE, "bridged_version"),)
_BIG = 1 << 18
_OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
_TABLES = """
SELECT md5(string_agg(line, ';' ORDER BY line)) FROM (
    SELECT format('%s %s %s %s', attrelid::regclass, attname, atttypid, attnotnull) FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace AND attnum > 0
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT pg_get_triggerdef(pg_trigger.oid) FROM pg_trigger
    UNION ALL SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
) AS all_there_is (line)"""
_EMPTY = rf"""
SET session_replication_role = replica;
DO $$ DECLARE it record; BEGIN
    FOR it IN SELECT oid::regclass AS name, pg_relation_size(oid) > {_BIG} AS big FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT LIKE '%\_version'
        AND pg_relation_size(oid) > 0
    LOOP EXECUTE (CASE WHEN it.big THEN 'TRUNCATE ' ELSE 'DELETE FROM ' END) || it.name; END LOOP;
    PERFORM setval(format('public.%I', sequencename)::regclass, start_value, false) FROM pg_sequences
        WHERE schemaname = 'public' AND last_value IS NOT NULL;
END $$"""


@dataclass
class _Database:
    name: str
    tables: str = ""
    """What they are when nobody has changed them."""

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://{POSTGRES}/{self.name}"


_free: defaultdict[Migrations, list[_Database]] = defaultdict(list)
_made: list[str] = []
_files: dict[Migrations, Path] = {}


@contextlib.asynccontextmanager
async def lent(migrations: Migrations) -> AsyncGenerator[str]:
    """The URL of a database on PostgreSQL with these tables, empty."""
    free = _free[migrations]
    database = free.pop() if free else await _new()
    connection = await _connected(database.name)
    try:
        # whoever left a connection open might hold what is to be emptied
        await connection.execute(f"{_OTHERS} AND pid <> pg_backend_pid()")
        if database.tables and await connection.fetchval(_TABLES) == database.tables:
            await connection.execute(_EMPTY)
        else:
            await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            await _migrate(database.url, migrations)
            database.tables = await connection.fetchval(_TABLES) or ""
    finally:
        await connection.close()
    try:
        yield database.url
    finally:
        free.append(database)


async def laid(path: Path, migrations: Migrations) -> None:
    """A database on SQLite with these tables, unless there is one."""
    if migrations not in _files:
        _files[migrations] = Path(tempfile.mkdtemp(prefix="bridged-tables-")) / "tables.sqlite3"
        await _migrate(f"sqlite:///{_files[migrations]}", migrations)
    _copy(_files[migrations], path)


def _copy(source: Path, to: Path) -> None:
    if not to.exists():
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, to)


async def drop() -> None:
    """When all tests are done."""
    for file in _files.values():
        shutil.rmtree(file.parent)
    if _made:
        async with admin() as connection:
            for name in _made:
                await dropped(connection, name)


async def _migrate(url: str, migrations: Migrations) -> None:
    store = Store(url)
    await store.open()
    try:
        for folder, table in migrations:
            await store.migrate(folder, table)
    finally:
        await store.close()


async def _connected(name: str) -> Any:
    return await connected(f"postgresql://{POSTGRES}/{name}")


async def connected(url: str) -> Any:
    """A connection to PostgreSQL, which has no more than so many: daemons of other tests may have them just now."""
    end = time.monotonic() + 90
    while True:
        try:
            return await asyncpg.connect(url.replace("+asyncpg", ""), timeout=60)
        except asyncpg.TooManyConnectionsError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def admin() -> AsyncGenerator[Any]:
    """A connection from which databases are made and dropped."""
    connection = await _connected("postgres")
    try:
        yield connection
    finally:
        await connection.close()


async def dropped(admin: Any, name: str) -> None:
    """The database is no more. Whoever is thrown out of it may take longer to leave than PostgreSQL waits for."""
    for left in reversed(range(6)):
        try:
            await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            return
        except asyncpg.ObjectInUseError:
            if not left:
                raise


async def _new() -> _Database:
    name = f"bridged_test_{uuid.uuid4().hex[:12]}"
    try:
        async with admin() as connection:
            await connection.execute(f"CREATE DATABASE {name}")
            # what a test writes need not survive a power cut
            await connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    except OSError as error:
        if os.environ.get("CI"):
            pytest.fail(f"PostgreSQL is missing: {error}; set BRIDGED_POSTGRES")
        pytest.skip(f"no PostgreSQL to test on: {error}")
    _made.append(name)
    return _Database(name)
