"""How decoding, look-ups and deliveries fail: typed, so that each gets what is due to it."""

from email.utils import parsedate_to_datetime

_DAY = 86400.0
"""Longest Retry-After honoured, in seconds."""


class Malformed(Exception):
    """The bytes are not what their network's rules ask for; `reason` is a short snake_case word, counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Retry(Exception):
    """Delivery may succeed later; `after` is the seconds the other side asked us to wait, if it did."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.why, self.after = why, after


class Rejected(Exception):
    """Delivery will never succeed. `gone` says that the endpoint itself no longer exists."""

    def __init__(self, why: str, *, gone: bool = False) -> None:
        super().__init__(why)
        self.why, self.gone = why, gone


class Unreachable(Exception):
    """A look-up got no answer: nothing may be concluded from it, and it may be tried again later."""


class EgressRefused(Rejected):
    """The guard said no to an address, port or scheme, for ever. Nothing was connected to."""


class EgressFailed(Retry):
    """The other side could not be reached or broke the rules of the wire this time."""


class Busy(Exception):
    """The store cannot take more now; `after` seconds later it may."""

    def __init__(self, why: str, after: float = 5.0) -> None:
        super().__init__(why)
        self.why, self.after = why, after


def retry_after(value: str, now: float) -> float | None:
    """Seconds from `now` (Unix time) that a Retry-After header asks for, in either form (RFC 9110 §10.2.3): from 0 to a
    day. None when it asks for nothing."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), _DAY)
    try:
        return min(max(0.0, parsedate_to_datetime(value).timestamp() - now), _DAY)
    except (ValueError, TypeError, OverflowError):
        return None
