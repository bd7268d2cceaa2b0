"""Times as records spell them. Pure."""

from datetime import UTC, datetime
from typing import Any, Final

from adapters.atproto import tid
from adapters.atproto.syntax import parse_datetime
from bridged.api import Malformed

_LAST: Final = 253_402_300_799.0
"""The end of the year 9999."""


def moment(value: Any) -> float | None:
    """Seconds since 1970 of a `datetime` string since then; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        at = parse_datetime(value)
    except Malformed:
        return None
    return at if at >= 0 else None


def dated(value: Any, heard: float) -> float:
    """When something was done whose author says `value`: they may not date it later than we heard of it."""
    at = moment(value)
    return heard if at is None else min(at, heard)


def committed(rev: str, heard: float) -> float:
    """When a commit was made, by its revision; no later than we heard of it."""
    return min(tid.parse(rev)[0] / 1_000_000, heard) if tid.is_tid(rev) else heard


def spelled(at: float) -> str:
    """A time as records have it, to the millisecond."""
    found = datetime.fromtimestamp(min(max(at, 0.0), _LAST), UTC)
    return found.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
