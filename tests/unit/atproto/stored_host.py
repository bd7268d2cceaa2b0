"""A `FakeHost` on a database as the daemon has it, for what depends on how SQL is read."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

from bridged.store.engine import Store
from bridged.testing.fakehost import FakeHost
from tests.unit import stores
from tests.unit.atproto.pds_kit import MIGRATIONS

T = TypeVar("T")


class StoredHost(FakeHost):
    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store, self._signals = store, store.signals

    async def read(self, unit: Callable[[Any], T]) -> T:
        return await self.store.read(unit)

    async def write(self, unit: Callable[[Any], T]) -> T:
        return await self.store.write(unit)


@contextlib.asynccontextmanager
async def host_on(kind: str, folder: Path) -> AsyncIterator[FakeHost]:
    """With the tables of this adapter: in memory ("sqlite"), or on "postgresql"."""
    if kind == "sqlite":
        host = FakeHost()
        host.migrate(MIGRATIONS)
        yield host
        return
    async with stores.opened(kind, folder, MIGRATIONS, "atproto_version") as store:
        yield StoredHost(store)


@contextlib.asynccontextmanager
async def two_processes(folder: Path) -> AsyncIterator[tuple[StoredHost, StoredHost]]:
    """Two hosts of one bridge, on one PostgreSQL."""
    async with stores.opened("postgresql", folder, MIGRATIONS, "atproto_version") as store:
        other = Store(store.url)
        await other.open()
        try:
            yield StoredHost(store), StoredHost(other)
        finally:
            await other.close()
