"""How long strangers' slow servers may hold up a stream that everybody is heard on."""

import time
from collections.abc import Callable
from typing import Final

MOST: Final = 20.0
LEAST: Final = 0.5
"""Seconds that one wait may take at most, and may take in any case."""
PART: Final = 0.1
"""Of the time, in the long run."""


class Patience:
    """Spent by waiting, and won back with time: who makes us wait again and again makes us wait less each time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._left, self._at = clock, MOST, clock()

    def seconds(self) -> float:
        """How long to wait now."""
        now = self._clock()
        self._left, self._at = min(MOST, self._left + (now - self._at) * PART), now
        return max(LEAST, self._left)

    def spent(self, seconds: float) -> None:
        """So long was waited. What would have been waited in any case costs nothing."""
        self._left = max(0.0, self._left - max(0.0, seconds - LEAST))
