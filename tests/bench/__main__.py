"""The command: `python -m tests.bench`."""

import argparse
import importlib
import json
import sys
import time
from pathlib import Path

from tests.bench.frame import Figure, conduct, heading, table

NAMES = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))


def main() -> int:
    """0, also when a figure falls short, unless --strict."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measures bridged beside its ceilings.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(NAMES)}; all if none is named")
    parser.add_argument("--quick", action="store_true", help="only prove that each bench works; no bars")
    parser.add_argument("--json", action="store_true", help="JSON instead of the table")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a figure falls short")
    told = parser.parse_args()
    if unknown := set(told.names) - set(NAMES):
        parser.error(f"no bench is named {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    figures: list[Figure] = []
    for name in told.names or NAMES:
        started = time.monotonic()
        module = importlib.import_module(f"tests.bench.bench_{name}")
        for figure in conduct(module.bench, told.quick):
            print(f"{name}: {table([figure]).splitlines()[-1]}", file=sys.stderr, flush=True)
            figures.append(figure)
        print(f"{name}: took {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    if told.json:
        print(json.dumps({"machine": heading(), "figures": [f.as_json() for f in figures]}, indent=1))
    else:
        print(f"{heading()}\n\n{table(figures)}")
    short = [f for f in figures if f.verdict == "falls short"]
    return 1 if told.strict and short and not told.quick else 0


sys.exit(main())
