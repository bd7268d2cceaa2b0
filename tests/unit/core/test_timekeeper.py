"""Time that jumps, as those see it who wait."""

from types import SimpleNamespace
from typing import Any

from bridged.timekeeper import Timekeeper


def _clock() -> tuple[Timekeeper, Any]:
    now = SimpleNamespace(wall=1_000_000.0, steady=50.0)
    return Timekeeper(lambda: now.wall, lambda: now.steady), now


def test_time_passes_and_small_corrections_are_followed() -> None:
    clock, now = _clock()
    now.wall, now.steady = now.wall + 10, now.steady + 10
    assert clock() == 1_000_010
    now.wall += 3
    assert clock() == 1_000_013
    assert clock.jumped == 0


def test_jump_is_withheld_until_what_waits_was_told() -> None:
    clock, now = _clock()
    now.wall += 1_000_000
    assert clock() == 1_000_000
    now.wall, now.steady = now.wall + 5, now.steady + 5
    assert clock() == 1_000_005
    now.wall -= 2_000_000
    assert clock() == 1_000_005
    assert clock.jumped == -1_000_000
    clock._told(clock.jumped)
    assert clock() == now.wall
