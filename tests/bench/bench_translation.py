"""What one activity costs to read and to say: decode and encode of every golden case, each direction by itself."""

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from bridged.api import Activity, Envelope, Malformed, Outgoing, Rejected, View
from bridged.testing import golden
from bridged.testing.dialect import Dialect
from tests.bench.child import ROOT
from tests.bench.frame import Figure, Run, within
from tests.golden.atproto import OnAtproto
from tests.golden.dialects import OnActivityPub, OnNostr

GOLDEN = ROOT / "tests" / "golden"
MOST = 250.0
"""Microseconds."""


class _Watched:
    """A sink that remembers what it was asked to decode and to encode; all else is the sink's own."""

    def __init__(self, sink: Any, seen: "list[tuple[Envelope, str, Activity, View]]", last: list[Envelope]) -> None:
        self._sink, self._seen, self._last = sink, seen, last

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)

    def decode(self, envelope: Envelope) -> Any:
        self._last[:] = [envelope]
        return self._sink.decode(envelope)

    def encode(self, activity: Activity, view: View) -> Outgoing:
        said = self._sink.encode(activity, view)
        if self._last and self._last[0].network == activity.ref.network != self._sink.network:
            self._seen.append((self._last[0], self._sink.network, activity, view))
        return said


async def _seen(quick: bool) -> "tuple[dict[str, Dialect], list[tuple[Envelope, str, Activity, View]]]":
    dialects: dict[str, Dialect] = {
        "activitypub": await OnActivityPub.started(),
        "nostr": OnNostr(),
        "atproto": OnAtproto(),
    }
    sinks = {network: dialect.sink for network, dialect in dialects.items()}
    seen: list[tuple[Envelope, str, Activity, View]] = []
    last: list[Envelope] = []
    for dialect in dialects.values():
        dialect.sink = _Watched(dialect.sink, seen, last)  # pyright: ignore[reportAttributeAccessIssue]
    people = yaml.safe_load((GOLDEN / "cast.yaml").read_text())
    for case in golden.cases(GOLDEN)[: 20 if quick else None]:
        await golden.run(case, dialects, people)
    for network, dialect in dialects.items():
        dialect.sink = sinks[network]
    return dialects, seen


def bench(run: Run) -> Iterator[Figure]:
    dialects, seen = asyncio.run(_seen(run.quick))
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for envelope, to, activity, view in seen:
        reads, says = dialects[envelope.network].sink.decode, dialects[to].sink.encode
        try:
            cost = _cost(lambda e=envelope, r=reads: r(e)) + _cost(lambda a=activity, v=view, s=says: s(a, v))
        except (Malformed, Rejected):
            continue
        found[envelope.network, to].append(cost * 1e6)
    for (source, to), costs in sorted(found.items()):
        worst = statistics.quantiles(costs, n=20)[-1] if len(costs) > 1 else costs[0]
        yield Figure(
            f"decode and encode, {source} to {to}, median of {len(costs)}",
            statistics.median(costs),
            "µs",
            bar=within(MOST),
            note=f"19 of 20 below {worst:.0f} µs",
        )


def _cost(call: Callable[[], object]) -> float:
    """Seconds of the quickest of some calls: what else runs on the machine only ever adds."""
    best = float("inf")
    for _ in range(20):
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return best
