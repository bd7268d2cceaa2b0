"""The golden table: every case, in all directions. `make golden-update` writes the files anew."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridged.testing import golden
from bridged.testing.dialect import Dialect
from tests.golden.dialects import OnActivityPub, OnNostr

HERE = Path(__file__).parent
PEOPLE: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "cast.yaml").read_text())
UPDATE = os.environ.get("GOLDEN") == "update"


@pytest.fixture(scope="module")
def dialects() -> dict[str, Dialect]:
    return {"activitypub": asyncio.run(OnActivityPub.started()), "nostr": OnNostr()}


@pytest.mark.parametrize("case", golden.cases(HERE), ids=lambda case: case.name)
async def test_case_crosses_as_written(case: Path, dialects: dict[str, Dialect]) -> None:
    result = await golden.run(case, dialects, PEOPLE)
    if UPDATE:
        golden.update(case, result)
    found = golden.differences(case, result)
    assert not found, f"{found}\n\nIf that is better than before: make golden-update, and read the difference."


def test_every_case_says_what_must_survive() -> None:
    for case in golden.cases(HERE):
        assert len((case / "note.md").read_text().split()) >= 5, case.name
    assert len(golden.cases(HERE)) >= 1
