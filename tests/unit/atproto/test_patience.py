"""Patience is spent by waiting and won back with time."""

from adapters.atproto.patience import LEAST, MOST, PART, Patience


def test_patience_is_spent_down_to_the_least_and_comes_back() -> None:
    now = 0.0
    patience = Patience(lambda: now)
    assert patience.seconds() == MOST
    for _ in range(10):
        patience.spent(patience.seconds())
    assert patience.seconds() == LEAST
    now += 100
    assert patience.seconds() == LEAST + 100 * PART
    now += 10_000
    assert patience.seconds() == MOST


def test_short_waits_cost_nothing() -> None:
    patience = Patience(lambda: 0.0)
    for _ in range(1000):
        patience.spent(LEAST)
    assert patience.seconds() == MOST
