from hypothesis import given
from hypothesis import strategies as st

from bridged.retry import GIVE_UP, LONGEST_WAIT, delay


def test_waits_grow_and_then_stay() -> None:
    waits = [delay(n) for n in range(40)]
    assert waits[0] == 5
    assert waits == sorted(waits)
    assert waits[-1] == 21600


def test_a_week_of_failures_is_some_dozens_of_attempts() -> None:
    elapsed, attempts = 0.0, 1
    while elapsed + delay(attempts - 1) <= GIVE_UP:
        elapsed += delay(attempts - 1)
        attempts += 1
    assert 30 <= attempts <= 40


@given(st.integers(0, 50), st.none() | st.floats(allow_nan=False))
def test_wish_is_honoured_and_capped(attempt: int, asked: float | None) -> None:
    wait = delay(attempt, asked)
    assert delay(attempt) <= wait <= LONGEST_WAIT
    if asked is not None and delay(attempt) <= asked <= LONGEST_WAIT:
        assert wait == asked
