"""Shared fixtures: databases to test on, and the invented network's entry point."""

import asyncio
import logging
import os
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog

from bridged.testing import FakeNetwork, Harness
from tests import databases

POSTGRES = os.environ.get("BRIDGED_TEST_POSTGRES", "postgresql+asyncpg://postgres@127.0.0.1:5432/postgres")

# A machine under load is slow, which is no fault of the test's.
hypothesis.settings.register_profile("bridged", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("bridged")

# An adapter from outside: nothing but its entry point tells the bridge that it is there.
_outside = str(Path(__file__).parent / "pigeon")
if _outside not in sys.path:
    sys.path.append(_outside)


_LOGGERS = ("", "aiohttp", "asyncio", "websockets", "sqlalchemy", "alembic")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Whoever runs a command here sets logging up, and the next test of this process may look for a line."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], [logging.getLogger(name).level for name in _LOGGERS]
    yield
    root.handlers[:] = handlers
    for name, level in zip(_LOGGERS, levels, strict=True):
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def tables() -> databases.Migrations:
    """Those that a database has before the test."""
    return databases.CORES


@pytest.fixture(params=["sqlite", "postgresql"])
async def store_url(request: pytest.FixtureRequest, tables: databases.Migrations) -> AsyncIterator[str]:
    """The `store` setting: SQLite, then a database on PostgreSQL with the tables, empty."""
    if request.param == "sqlite":
        yield "sqlite"
        return
    async with databases.lent(tables) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
async def bare_store_url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The same without tables."""
    if request.param == "sqlite":
        yield "sqlite"
        return
    async with databases.lent(()) as url:
        yield url


def pytest_sessionfinish() -> None:
    asyncio.run(databases.drop())


@pytest.fixture(scope="session")
def scratch_for_peers() -> Iterator[str]:
    """One for servers of others that a session has."""
    yield from _scratch()


@pytest.fixture
def scratch_beside() -> Iterator[str]:
    """One more, for a test alone."""
    yield from _scratch()


def _scratch() -> Iterator[str]:
    name = f"bridged_test_{uuid.uuid4().hex[:12]}"
    try:
        _beside(lambda admin: _make(admin, name))
    except OSError as error:
        if os.environ.get("CI"):
            pytest.fail(f"PostgreSQL is missing: {error}; set BRIDGED_TEST_POSTGRES")
        pytest.skip(f"no PostgreSQL to test on: {error}")
    yield POSTGRES.rsplit("/", 1)[0] + f"/{name}"
    _beside(lambda admin: databases.dropped(admin, name))


def _beside(do: Callable[[Any], Awaitable[None]]) -> None:
    """In a thread with a loop of its own, since a test's loop may be running here."""

    async def run() -> None:
        admin = await databases.connected(POSTGRES)
        try:
            await do(admin)
        finally:
            await admin.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(run())).result()


async def _make(admin: Any, name: str) -> None:
    await admin.execute(f"CREATE DATABASE {name}")
    # what a test writes need not survive a power cut
    await admin.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")


Bridge = Callable[..., Awaitable[Harness]]


@pytest.fixture
async def bridge_of(store_url: str, tables: databases.Migrations, tmp_path: Path) -> AsyncIterator[Bridge]:
    """Opens a bridge over networks: `await bridge_of(red, blue, answers={"red": "drop"})`."""
    opened: list[Harness] = []

    async def make(*networks: FakeNetwork | type[Any], **settings: Any) -> Harness:
        classes = [n.adapter if isinstance(n, FakeNetwork) else n for n in networks]
        harness = Harness(classes, store=store_url, data_dir=tmp_path / "var", **settings)
        opened.append(harness)
        if harness.core.store.sqlite:
            await databases.laid(tmp_path / "var" / "bridged.sqlite3", tables)
        await harness.open()
        return harness

    yield make
    for harness in opened:
        await harness.close()
