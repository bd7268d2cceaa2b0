"""When a host is left alone: pure, so tried out as a table and against a model."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bridged.breaker import LONGEST, THRESHOLD, Trouble, failed
from bridged.retry import GIVE_UP, LONGEST_WAIT, delay

HOST = "down.test"


def after(*lanes: int, silent: bool = False) -> Trouble | None:
    """One failure each second, of these lanes."""
    trouble = None
    for at, lane in enumerate(lanes):
        trouble = failed(trouble, HOST, lane, float(at), "HTTP 500", silent=silent, probe=False)
    return trouble


def test_one_lane_that_fails_says_nothing_of_its_host() -> None:
    trouble = after(*[1] * 50)
    assert trouble is not None
    assert (trouble.failures, trouble.shut) == (1, False)


def test_lanes_that_fail_in_turn_shut_their_host() -> None:
    trouble = after(1, 2, 1)
    assert trouble == Trouble(HOST, THRESHOLD, 0.0, 2.0, 2.0 + delay(0), 1, "HTTP 500")
    assert trouble.waits(6.9)
    assert not trouble.waits(7.0)


def test_host_that_does_not_answer_is_shut_by_one_lane() -> None:
    trouble = after(1, 1, 1, silent=True)
    assert trouble is not None
    assert trouble.shut


def test_failures_that_were_under_way_do_not_count_once_it_is_shut() -> None:
    shut = after(1, 2, 3)
    assert shut is not None
    assert failed(shut, HOST, 4, 3.0, "HTTP 500", silent=True, probe=False, after=900.0) is shut


def test_probe_that_fails_makes_all_wait_longer_whoever_sent_it() -> None:
    shut = after(1, 2, 3)
    assert shut is not None
    for lane in (3, 4):
        longer = failed(shut, HOST, lane, shut.until, "HTTP 500", silent=False, probe=True)
        assert longer.until - longer.at == delay(1)


def test_week_out_of_order_costs_some_dozens_of_probes() -> None:
    trouble = after(1, 2, 3)
    assert trouble is not None
    probes = 0
    while trouble.until < GIVE_UP:
        waited = trouble
        trouble = failed(trouble, HOST, probes % 7, trouble.until, "HTTP 500", silent=False, probe=True)
        assert trouble.until - waited.until <= LONGEST
        probes += 1
    assert 40 <= probes <= 70
    assert trouble.since == 0.0


@given(st.integers(THRESHOLD, 2000), st.none() | st.floats(allow_nan=False))
def test_wish_to_be_left_alone_is_honoured_and_capped(failures: int, asked: float | None) -> None:
    shut = replace(after(1, 2, 3) or Trouble("", 0, 0, 0, 0, 0, ""), failures=failures)
    trouble = failed(shut, HOST, 1, 1000.0, "HTTP 429", silent=False, probe=True, after=asked)
    wait = trouble.until - 1000.0
    assert min(delay(failures + 1 - THRESHOLD), LONGEST) <= wait <= LONGEST_WAIT
    if asked is not None and LONGEST < asked <= LONGEST_WAIT:
        assert abs(wait - asked) < 0.01
