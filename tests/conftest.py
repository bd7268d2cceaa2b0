"""Shared fixtures: databases to test on, and the invented network's entry point."""

import os
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from bridged.testing import FakeNetwork, Harness

POSTGRES = os.environ.get("BRIDGED_TEST_POSTGRES", "postgresql+asyncpg://postgres@127.0.0.1:5432/postgres")

# An adapter from outside: nothing but its entry point tells the bridge that it is there.
_outside = str(Path(__file__).parent / "pigeon")
if _outside not in sys.path:
    sys.path.append(_outside)


@pytest.fixture(params=["sqlite", "postgresql"])
async def store_url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The `store` setting: SQLite, then a scratch database on PostgreSQL."""
    if request.param == "sqlite":
        yield "sqlite"
        return
    async for url in _scratch():
        yield url


async def _scratch() -> AsyncIterator[str]:
    name = f"bridged_test_{uuid.uuid4().hex[:12]}"
    admin = create_async_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    try:
        try:
            async with admin.connect() as connection:
                await connection.execute(text(f"CREATE DATABASE {name}"))
        except OSError as error:
            if os.environ.get("CI"):
                pytest.fail(f"PostgreSQL is missing: {error}; set BRIDGED_TEST_POSTGRES")
            pytest.skip(f"no PostgreSQL to test on: {error}")
        yield POSTGRES.rsplit("/", 1)[0] + f"/{name}"
        async with admin.connect() as connection:
            await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        await admin.dispose()


Bridge = Callable[..., Awaitable[Harness]]


@pytest.fixture
async def bridge_of(store_url: str, tmp_path: Path) -> AsyncIterator[Bridge]:
    """Opens a bridge over networks: `await bridge_of(red, blue, answers={"red": "drop"})`."""
    opened: list[Harness] = []

    async def make(*networks: FakeNetwork | type[Any], **settings: Any) -> Harness:
        classes = [n.adapter if isinstance(n, FakeNetwork) else n for n in networks]
        harness = Harness(classes, store=store_url, data_dir=tmp_path / "var", **settings)
        opened.append(harness)
        await harness.open()
        return harness

    yield make
    for harness in opened:
        await harness.close()
