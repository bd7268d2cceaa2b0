"""Timestamp ids (TIDs): 13 letters that sort as the time they stand for. Pure (atproto.com/specs/tid)."""

import re
from hashlib import sha256
from typing import Final

from bridged.api import Malformed, Ref

LENGTH: Final = 13
CLOCKS: Final = 1 << 10
MICROSECONDS: Final = 1 << 53
"""Times are below this: microseconds since 1970, until the year 2255."""

_ALPHABET: Final = "234567abcdefghijklmnopqrstuvwxyz"
_PAIRS: Final = tuple(one + other for one in _ALPHABET for other in _ALPHABET)
_DIGITS: Final = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")
"""As Python counts to 32."""
_TID: Final = re.compile("[2-7a-j][2-7a-z]{12}")


def is_tid(text: str) -> bool:
    return _TID.fullmatch(text) is not None


def make(microseconds: int, clock: int) -> str:
    """The TID of a time and a clock id; ValueError where one of them is out of range."""
    if not (0 <= microseconds < MICROSECONDS and 0 <= clock < CLOCKS):
        raise ValueError("no TID stands for this")
    number = microseconds << 10 | clock
    pairs = [_PAIRS[number >> shift & 1023] for shift in (50, 40, 30, 20, 10, 0)]
    return _ALPHABET[number >> 60] + "".join(pairs)


def parse(text: str) -> tuple[int, int]:
    """(microseconds, clock id). Raises Malformed("tid")."""
    if not is_tid(text):
        raise Malformed("tid")
    number = int(text.translate(_DIGITS), 32)
    return number >> 10, number & (CLOCKS - 1)


def record_key(source: Ref, at: float, part: int = 0) -> str:
    """The record key of what we say for `source`, said at `at` (seconds), in that part of a thread.

    Always the same for the same arguments, and sorted by second. Microseconds and clock id are a hash of the source:
    of a million sources in one second of one repository, two share a key with odds of one in two thousand.
    """
    digest = sha256(f"{source.network}\0{source.id}\0{part}".encode()).digest()
    number = int.from_bytes(digest[:8], "big")
    second = min(max(int(at), 0), MICROSECONDS // 1_000_000 - 1)
    return make(second * 1_000_000 + number // CLOCKS % 1_000_000, number % CLOCKS)


def after(last: str | None, microseconds: int, clock: int) -> str:
    """The TID of now, or the least that follows `last` where the clock has not passed it (a repo's `rev`)."""
    least = parse(last)[0] + 1 if last else 0
    return make(max(microseconds, least), clock)
