"""A sample of `python -m tests.faults.series`: SIGKILL of the real process at every seam and at random moments.

BRIDGED_SEED repeats what can be repeated of it.
"""

import asyncio
import os
import random
from pathlib import Path

import pytest

from bridged.seams import SEAMS

from .crash.run import ELSEWHERE, SELDOM, Outcome
from .series import series, summary

RUNS = 10
"""For each database: together they die at every seam."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    seed = int(os.environ.get("BRIDGED_SEED") or random.randrange(1 << 31))
    print(f"BRIDGED_SEED={seed}")

    async def both(folder: Path) -> list[Outcome]:
        (folder / "sqlite").mkdir()
        (folder / "postgresql").mkdir()
        sqlite = series(range(RUNS), "sqlite", seed, folder / "sqlite", jobs=3)
        # what the dead had in hand on PostgreSQL is free after a while only: fewer lives, more of them side by side
        postgresql = series(range(RUNS), "postgresql", seed + RUNS, folder / "postgresql", jobs=5, deaths=0, but=SELDOM)
        return [outcome for some in await asyncio.gather(sqlite, postgresql) for outcome in some]

    found = asyncio.run(both(tmp_path_factory.mktemp("series")))
    print(summary(found))
    return found


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_death_at_any_moment_loses_and_doubles_nothing(outcomes: list[Outcome], store: str) -> None:
    mine = [outcome for outcome in outcomes if outcome.store == store]
    assert len(mine) == RUNS
    assert {outcome.seed: outcome.faults for outcome in mine if outcome.faults} == {}


def test_every_seam_was_died_at(outcomes: list[Outcome]) -> None:
    assert {*SEAMS, "random"} - {*ELSEWHERE} - {death for outcome in outcomes for death in outcome.deaths} == set()
