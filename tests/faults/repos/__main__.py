"""A series of runs: `python -m tests.faults.repos --runs 30 --store sqlite --seed 1 --jobs 2`."""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from .series import series, summary


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.repos")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="the number of the first run")
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="bridged-repos-"))
    folder.mkdir(parents=True, exist_ok=True)
    runs = range(options.first, options.first + options.runs)
    outcomes = asyncio.run(series(runs, options.store, options.seed, folder, options.jobs))
    print(summary(outcomes))
    return 1 if any(o.faults for o in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
