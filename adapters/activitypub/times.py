"""Times as ActivityStreams writes them. Pure."""

from datetime import UTC, datetime
from typing import Any

from adapters.activitypub.shapes import text, when

LAST = 253_402_300_799
"""The end of the year 9999: what is said to be later is written as this."""


def timestamp(at: float) -> str:
    """An xsd:dateTime in UTC, whole seconds."""
    return datetime.fromtimestamp(min(max(0, int(at)), LAST), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(seconds: float) -> str:
    """An xsd:duration in seconds."""
    return f"PT{seconds:.3f}".rstrip("0").rstrip(".") + "S"


def moment(value: Any) -> str:
    """An xsd:dateTime as people write it, in the offset it is given in; "" for what is none."""
    if when(value) is None:
        return ""
    read = datetime.fromisoformat(text(value))
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).strftime("%Y-%m-%d %H:%M %Z")
