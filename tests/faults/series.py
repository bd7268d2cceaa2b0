"""A series of runs: `python -m tests.faults.series --runs 200 --store sqlite --seed 1 --jobs 2`.

A run of a series is repeated by `--runs 1 --seed SEED --first NUMBER`.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from bridged.seams import SEAMS

from .crash.run import BIRTH, ELSEWHERE, LATER, SELDOM, Outcome, run
from .kit.daemon import database
from .kit.nursery import Nursery
from .power import shim


def seams_of(number: int, each: int, but: Collection[str] = ()) -> list[str]:
    """The seams of run `number`: one of birth and `each` others; a few runs one after the other have all `but` some."""
    later = sorted((name for name in LATER if name not in but), key=lambda name: name not in SELDOM)  # long ones first
    return [BIRTH[number % len(BIRTH)], *(later[(number * each + n) % len(later)] for n in range(each))]


async def series(
    runs: range,
    kind: str,
    seed: int,
    folder: Path,
    jobs: int,
    *,
    each: int = 2,
    deaths: int = 1,
    but: Collection[str] = (),
    power_cuts: bool = False,
) -> list[Outcome]:
    """The runs of these numbers, each seeded by `seed` and its number, `jobs` at a time; as `run` and `seams_of` say.

    What went well leaves nothing behind.
    """
    room, outcomes = asyncio.Semaphore(jobs), list[Outcome]()
    if power_cuts:
        # time cannot be moved beneath a disk that is watched; and a minute is long
        but = {*but, *SELDOM, "bridge.dead"}

    async def one(number: int, nursery: Nursery) -> None:
        async with room, database(kind) as store:
            at, seams = folder / f"run-{number}", seams_of(number, each, but)
            outcome = await run(seed + number, at, store, seams, nursery, deaths=deaths, power_cuts=power_cuts)
            outcomes.append(outcome)
            if not outcome.faults:
                shutil.rmtree(at)
            print(f"run {number}, {_line(outcome)}", flush=True)

    async with Nursery({"LD_PRELOAD": str(shim(folder))} if power_cuts else None) as nursery:
        await asyncio.gather(*(one(number, nursery) for number in runs))
    return outcomes


def _line(o: Outcome) -> str:
    died, again = ", ".join(o.deaths), o.verdict.resent
    what = f"{o.store} seed {o.seed}: {o.acts} acts, {o.seconds:.0f} s, sent again {again}, died at {died}"
    return "\n  ".join([what, *(f"not fired: {name}" for name in o.unfired), *(f"FAULT {fault}" for fault in o.faults)])


def summary(outcomes: Sequence[Outcome]) -> str:
    deaths = Counter(death for o in outcomes for death in o.deaths)
    verdicts = [o.verdict for o in outcomes]
    lines = [
        f"{len(outcomes)} runs, {sum(o.acts for o in outcomes)} acts, {sum(deaths.values())} deaths:",
        *(f"  {deaths[name]:5} {name}" for name in ("random", *SEAMS)),
        f"lost {sum(len(v.lost) for v in verdicts)}, doubled {sum(len(v.doubled) for v in verdicts)},"
        f" out of order {sum(len(v.disorder) for v in verdicts)},"
        f" sent again {sum(v.resent for v in verdicts)}, without reason {sum(len(v.unexplained) for v in verdicts)},"
        f" otherwise wrong {sum(len(o.wrong) for o in outcomes)}",
        f"bytes not synced at deaths {sum(o.unsynced for o in outcomes)}",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.series")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="the number of the first run")
    parser.add_argument("--power-loss", action="store_true", help="the disk loses what was not synced (SQLite)")
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="bridged-series-"))
    if options.power_loss and options.store != "sqlite":
        parser.error("--power-loss is about SQLite: the disk of PostgreSQL is its own affair")
    folder.mkdir(parents=True, exist_ok=True)
    runs = range(options.first, options.first + options.runs)
    outcomes = asyncio.run(
        series(runs, options.store, options.seed, folder, options.jobs, power_cuts=options.power_loss)
    )
    print(summary(outcomes))
    never = [name for name in SEAMS if name not in ELSEWHERE and not any(name in o.deaths for o in outcomes)]
    if never:
        print(f"never died at: {', '.join(never)}")
    return 1 if any(o.faults for o in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
