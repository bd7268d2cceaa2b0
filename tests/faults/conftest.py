"""What tests of faults get handed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridged.testing import Harness

from .kit.outside import Outside


@pytest.fixture
async def outside(store_url: str, tmp_path: Path) -> AsyncIterator[Outside]:
    made = Outside()
    made.red.join("alice", "rita")
    made.bridge = Harness([made.red.adapter, made.adapter], store=store_url, data_dir=tmp_path / "var")
    async with made.bridge:
        yield made
