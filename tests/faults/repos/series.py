"""Runs of which a few, one after the other, die at every seam on the way into a repository."""

import asyncio
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..kit.daemon import database
from ..kit.nursery import Nursery
from .run import SEAMS, Outcome, run

EACH = 3
"""Seams of one run."""
ROUND = -(-len(SEAMS) // EACH)
"""Runs that have all seams between them."""


async def series(runs: range, kind: str, seed: int, folder: Path, jobs: int, *, deaths: int = 1) -> list[Outcome]:
    """The runs of these numbers, each seeded by `seed` and its number, `jobs` at a time. What went well leaves nothing
    behind."""
    room, outcomes = asyncio.Semaphore(jobs), list[Outcome]()

    async def one(number: int, nursery: Nursery) -> None:
        async with room, database(kind) as store:
            at = folder / f"run-{number}"
            seams = [SEAMS[(number * EACH + n) % len(SEAMS)] for n in range(EACH)]
            outcome = await run(seed + number, at, store, seams, nursery, deaths=deaths)
            outcomes.append(outcome)
            if not outcome.faults:
                shutil.rmtree(at)
            print(f"run {number}, {_line(outcome)}", flush=True)

    async with Nursery() as nursery:
        await asyncio.gather(*(one(number, nursery) for number in runs))
    return outcomes


def _line(o: Outcome) -> str:
    what = (
        f"{o.store} seed {o.seed}: {o.acts} acts, {o.events} events, {o.seconds:.0f} s, died at {', '.join(o.deaths)}"
    )
    return "\n  ".join([what, *(f"FAULT {fault}" for fault in o.faults)])


def summary(outcomes: Sequence[Outcome]) -> str:
    deaths = Counter(death for o in outcomes for death in o.deaths)
    verdicts = [o.verdict for o in outcomes]
    return "\n".join(
        [
            f"{len(outcomes)} runs, {sum(o.acts for o in outcomes)} acts, {sum(deaths.values())} deaths:",
            *(f"  {deaths[name]:5} {name}" for name in ("random", *SEAMS)),
            f"{sum(o.events for o in outcomes)} events, {sum(v.changes for v in verdicts)} changes of records,"
            f" {sum(len(v.pictures) for v in verdicts)} pictures, {sum(v.unsaid for v in verdicts)} acts ended before"
            f" they were said, {sum(len(o.faults) for o in outcomes)} faults",
        ]
    )
