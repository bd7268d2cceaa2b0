"""How fast the firehose goes: relays take so many events of one host a second, an hour and a day. Pure.

Each span is a bucket that fills evenly (GCRA): `full` is the time, in milliseconds since 1970, at which it is full
again. Who stays below the pace is never kept waiting.
"""

from collections.abc import Sequence
from typing import Final

SPANS: Final = (1_000, 3_600_000, 86_400_000)
"""A second, an hour and a day, in milliseconds."""


def turn(most: Sequence[int], full: Sequence[float], at: float, before: float) -> tuple[float, list[float]]:
    """When the next event may be shown, and the buckets after it.

    most    events of each span
    at      when the event happens; `before` is the turn of the one before it, which it comes no earlier than
    """
    each = [span / count for span, count in zip(SPANS, most, strict=True)]
    due = max(at, before, *(bucket + part - span for bucket, part, span in zip(full, each, SPANS, strict=True)))
    return due, [max(due, bucket) + part for bucket, part in zip(full, each, strict=True)]


def left(most: Sequence[int], full: Sequence[float], at: float) -> list[int]:
    """How many events each span has room for now."""
    return [
        max(0, min(count, int((at + span - bucket) * count / span)))
        for count, bucket, span in zip(most, full, SPANS, strict=True)
    ]
