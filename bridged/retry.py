"""When a delivery is tried again: a pure function of the attempt."""

GIVE_UP = 7 * 86400.0
"""A delivery is dead once its next try would come later than this after it was queued (seconds)."""
LONGEST_WAIT = 86400.0
_steps = (5.0, 15.0, 45.0, 120.0, 420.0, 1200.0, 3600.0, 10800.0)


def delay(attempt: int, asked: float | None = None) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 0); `asked` is what the other side wished for.

    5 s at first, 6 h from the ninth on: 35 attempts in seven days.
    """
    wait = _steps[attempt] if attempt < len(_steps) else 21600.0
    return max(wait, min(asked, LONGEST_WAIT)) if asked is not None and asked > 0 else wait
