"""Each bench works: one short run, whose figures nobody judges. And the table judges as it says it does."""

import json
import subprocess
import sys

import pytest

from tests.bench.child import ROOT
from tests.bench.frame import Figure, at_least, at_most, reaching, table, within

NAMES = sorted(path.stem.removeprefix("bench_") for path in (ROOT / "tests" / "bench").glob("bench_*.py"))


@pytest.mark.parametrize(
    ("bar", "verdict"),
    [
        (at_least(0.5), "pass"),
        (at_least(0.51), "falls short"),
        (at_most(0.5), "pass"),
        (at_most(0.49), "falls short"),
        (within(50), "pass"),
        (within(49), "falls short"),
        (reaching(50), "pass"),
        (reaching(51), "falls short"),
        (None, "told"),
    ],
)
def test_figure_is_judged_by_its_bar(bar, verdict):
    figure = Figure("posts", 50.0, "/s", 100.0, "a bare server", bar)
    assert figure.verdict == verdict
    assert figure.as_json()["ratio"] == 0.5
    assert verdict in table([figure])


@pytest.mark.parametrize("name", NAMES)
def test_bench_runs(name):
    command = [sys.executable, "-m", "tests.bench", name, "--quick", "--json"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stderr[-4000:]
    figures = json.loads(run.stdout)["figures"]
    assert figures
    assert all(f["measured"] > 0 for f in figures)
