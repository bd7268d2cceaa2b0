"""A sample of `python -m tests.faults.repos`: SIGKILL of the real process on the way into a repository of ours.

BRIDGED_SEED repeats what can be repeated of it.
"""

import asyncio
import os
import random
from pathlib import Path

import pytest

from .repos.run import SEAMS, Outcome
from .repos.series import ROUND, series, summary


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    seed = int(os.environ.get("BRIDGED_SEED") or random.randrange(1 << 31))
    print(f"BRIDGED_SEED={seed}")

    async def both(folder: Path) -> list[Outcome]:
        sqlite = series(range(ROUND), "sqlite", seed, folder / "sqlite", jobs=2)
        postgresql = series(range(ROUND), "postgresql", seed + ROUND, folder / "postgresql", jobs=2, deaths=0)
        return [outcome for some in await asyncio.gather(sqlite, postgresql) for outcome in some]

    found = asyncio.run(both(tmp_path_factory.mktemp("repos")))
    print(summary(found))
    return found


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_death_on_the_way_into_a_repository_leaves_each_act_one_record(outcomes: list[Outcome], store: str) -> None:
    mine = [outcome for outcome in outcomes if outcome.store == store]
    assert len(mine) == ROUND
    assert {outcome.seed: outcome.faults for outcome in mine if outcome.faults} == {}
    for outcome in mine:
        assert outcome.verdict.changes + outcome.verdict.unsaid > outcome.acts * 9 // 10 > 20
        assert outcome.events > outcome.verdict.changes
    assert sum(len(outcome.verdict.pictures) for outcome in mine) > 2


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_every_seam_on_the_way_into_a_repository_was_died_at(outcomes: list[Outcome], store: str) -> None:
    assert {death for o in outcomes if o.store == store for death in o.deaths} >= {*SEAMS}
