"""A store with one adapter's tables, and without a core."""

import contextlib
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from bridged.store.engine import Store

POSTGRES = os.environ.get("BRIDGED_POSTGRES", "postgres@127.0.0.1:5432")


@contextlib.asynccontextmanager
async def opened(kind: str, folder: Path, migrations: Path, table: str) -> AsyncIterator[Store]:
    """On "sqlite" or "postgresql"; `table` holds the version that `migrations` have brought it to."""
    if kind == "sqlite":
        async with _migrated(f"sqlite:///{folder / 'adapter.sqlite3'}", migrations, table) as store:
            yield store
        return
    try:
        admin: asyncpg.Connection[Any] = await asyncpg.connect(f"postgresql://{POSTGRES}/postgres", timeout=5)
    except OSError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no PostgreSQL at {POSTGRES}: {error}")
    name = f"adapter_{uuid.uuid4().hex}"
    await admin.execute(f"CREATE DATABASE {name}")
    try:
        async with _migrated(f"postgresql+asyncpg://{POSTGRES}/{name}", migrations, table) as store:
            yield store
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


@contextlib.asynccontextmanager
async def _migrated(url: str, migrations: Path, table: str) -> AsyncIterator[Store]:
    store = Store(url)
    await store.open()
    try:
        await store.migrate(migrations, table)
        yield store
    finally:
        await store.close()
