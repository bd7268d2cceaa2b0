"""What tests of faults get handed."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bridged.testing import Harness

from .kit.internet import internet
from .kit.outside import Outside


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`database_kind`, for a fixture with the daemon of a module: its tests on PostgreSQL are those marked `both`."""
    if "database_kind" in metafunc.fixturenames:
        both = metafunc.definition.get_closest_marker("both") is not None
        metafunc.parametrize("database_kind", ["sqlite", "postgresql"] if both else ["sqlite"], scope="module")


@pytest.fixture(scope="module")
def net() -> Iterator[None]:
    """An internet of this module's own, in a network namespace."""
    with internet():
        yield


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[Outside]:
    async for made in _opened("sqlite", tmp_path):
        yield made


@pytest.fixture
async def outside_on_both(store_url: str, tmp_path: Path) -> AsyncIterator[Outside]:
    """For what depends on how SQL is read; days on PostgreSQL take their time."""
    async for made in _opened(store_url, tmp_path):
        yield made


async def _opened(store: str, folder: Path) -> AsyncIterator[Outside]:
    made = Outside()
    made.red.join("alice", "rita")
    made.bridge = Harness([made.red.adapter, made.adapter], store=store, data_dir=folder / "var")
    async with made.bridge:
        yield made
