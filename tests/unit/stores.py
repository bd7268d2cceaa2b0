"""A store with one adapter's tables, and without a core."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from bridged.store.engine import Store
from tests import databases


@contextlib.asynccontextmanager
async def opened(kind: str, folder: Path, migrations: Path, table: str) -> AsyncIterator[Store]:
    """On "sqlite" or "postgresql"; `table` holds the version that `migrations` have brought it to."""
    tables = ((migrations, table),)
    async with contextlib.AsyncExitStack() as stack:
        if kind == "sqlite":
            file = folder / "adapter.sqlite3"
            await databases.laid(file, tables)
            url = f"sqlite:///{file}"
        else:
            url = await stack.enter_async_context(databases.lent(tables))
        store, listening = Store(url), asyncio.Event()
        store.signals.on("tests", lambda _: listening.set())
        await store.open()
        try:
            if not store.sqlite:
                # whoever listens is told at first that anything may have happened, and sends its clients away
                async with asyncio.timeout(60):
                    await listening.wait()
            yield store
        finally:
            await store.close()
