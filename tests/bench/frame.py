"""What a bench says, how it is judged, and the table."""

import contextlib
import os
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Bar:
    """What a figure should reach: `limit` for the ratio to its ceiling, or for the figure itself."""

    of: Literal["ratio", "value"]
    sense: Literal["at least", "at most"]
    limit: float

    def holds(self, figure: "Figure") -> bool:
        value = figure.ratio if self.of == "ratio" else figure.measured
        assert value is not None, f"{figure.what}: a bar on the ratio needs a ceiling"
        return value >= self.limit if self.sense == "at least" else value <= self.limit


def at_least(ratio: float) -> Bar:
    """Of the ceiling."""
    return Bar("ratio", "at least", ratio)


def at_most(ratio: float) -> Bar:
    """Of the ceiling."""
    return Bar("ratio", "at most", ratio)


def within(value: float) -> Bar:
    """In the unit of the figure itself."""
    return Bar("value", "at most", value)


def reaching(value: float) -> Bar:
    """In the unit of the figure itself."""
    return Bar("value", "at least", value)


@dataclass(frozen=True)
class Figure:
    """One line of the table. Without a bar it is told, not judged.

    unit     as written after the number: "/s", "ms", "µs", "MB", "s", "%"
    ceiling  in the same unit, measured in the same run; `beside` says what it is
    """

    what: str
    measured: float
    unit: str
    ceiling: float | None = None
    beside: str = ""
    bar: Bar | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.measured / self.ceiling if self.ceiling else None

    @property
    def verdict(self) -> str:
        if self.bar is None:
            return "told"
        return "pass" if self.bar.holds(self) else "falls short"

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"ratio": self.ratio, "verdict": self.verdict}


@dataclass
class Run:
    """One run of one bench: how long to take over it, where to put files, what to end afterwards.

    With `quick` a bench only proves that it works: one short round, figures that mean nothing.
    """

    quick: bool
    folder: Path
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def rounds(self) -> int:
        return 1 if self.quick else 3

    def size(self, whole: int, quick: int) -> int:
        return quick if self.quick else whole

    def enter(self, thing: contextlib.AbstractContextManager[T]) -> T:
        """Ended when the bench is over."""
        return self.stack.enter_context(thing)

    def median(self, measure: Callable[[], float]) -> float:
        """The median of the rounds, after one to warm up."""
        if not self.quick:
            measure()
        return statistics.median(measure() for _ in range(self.rounds))

    def beside(self, measure: Callable[[], float], ceiling: Callable[[], float]) -> tuple[float, float]:
        """(figure, ceiling) of the round with the median ratio, taken by turns after one round to warm up."""
        if not self.quick:
            ceiling(), measure()
        pairs = [(ceiling(), measure()) for _ in range(self.rounds)]
        top, value = sorted(pairs, key=lambda pair: pair[1] / pair[0])[len(pairs) // 2]
        return value, top


Bench = Callable[[Run], Iterator[Figure]]


def conduct(bench: Bench, quick: bool) -> Iterator[Figure]:
    """Runs a bench in a folder of its own: on a real disk, since what is measured is made durable there."""
    with tempfile.TemporaryDirectory(prefix="bridged-bench.") as folder, contextlib.ExitStack() as stack:
        yield from bench(Run(quick, Path(folder), stack))


def heading() -> str:
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, shared by the daemon, its peers and what loads it (processes of their own);"
        f" load average {load:.1f}; ratios are to the ceiling beside, measured by turns in this run."
    )


def table(figures: Iterable[Figure]) -> str:
    rows = [("what", "measured", "ceiling", "ratio", "bar", "")]
    rows += [_row(f) for f in figures]
    wide = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(_aligned(cell, wide[i], i) for i, cell in enumerate(row)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column in (1, 3) else cell.ljust(width)


def _row(f: Figure) -> tuple[str, str, str, str, str, str]:
    ceiling = f"{_number(f.ceiling)} {f.unit}, {f.beside}" if f.ceiling is not None else "-"
    ratio = f"{f.ratio:.2f}" if f.ratio is not None else "-"
    verdict = f.verdict + (f" ({f.note})" if f.note else "")
    return f.what, f"{_number(f.measured)} {f.unit}", ceiling, ratio, _bar(f), verdict


def _bar(f: Figure) -> str:
    if f.bar is None:
        return "-"
    sign = "≥" if f.bar.sense == "at least" else "≤"
    return f"{sign} {f.bar.limit:.2f}" if f.bar.of == "ratio" else f"{sign} {_number(f.bar.limit)} {f.unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
