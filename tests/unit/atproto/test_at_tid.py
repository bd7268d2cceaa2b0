"""TIDs: there and back, order, record keys, revisions that grow whatever the clock does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.atproto import tid
from bridged.api import Malformed, Ref

TIMES = st.integers(0, tid.MICROSECONDS - 1)
CLOCKS = st.integers(0, tid.CLOCKS - 1)


@given(TIMES, CLOCKS)
def test_tid_reads_back(at: int, clock: int):
    text = tid.make(at, clock)
    assert tid.is_tid(text)
    assert tid.parse(text) == (at, clock)


@given(TIMES, TIMES, CLOCKS)
def test_tids_sort_as_their_times(one: int, other: int, clock: int):
    assert (tid.make(one, clock) < tid.make(other, clock)) == (one < other)


def test_tid_of_a_known_time_is_known():
    assert tid.make(0, 0) == "2222222222222"
    assert tid.parse("3jzfcijpj2z2a") == (1688137381887007, 6)


@pytest.mark.parametrize(("at", "clock"), [(-1, 0), (tid.MICROSECONDS, 0), (0, tid.CLOCKS), (0, -1)])
def test_tid_out_of_range_is_refused(at: int, clock: int):
    with pytest.raises(ValueError, match="TID"):
        tid.make(at, clock)


@pytest.mark.parametrize(
    "text", ["", "zzzzzzzzzzzzz", "3JZFCIJPJ2Z2A", "3jzfcijpj2z2", "3jzfcijpj2z2aa", "0000000000000"]
)
def test_text_that_is_no_tid_is_refused(text: str):
    with pytest.raises(Malformed, match="tid"):
        tid.parse(text)


def test_record_key_is_of_the_second_and_the_source():
    ref = Ref("nostr", "a" * 64)
    key = tid.record_key(ref, 1_700_000_000.9)
    assert key == tid.record_key(ref, 1_700_000_000)
    assert tid.parse(key)[0] // 1_000_000 == 1_700_000_000
    others = {tid.record_key(Ref("nostr", f"{n:064x}"), 1_700_000_000) for n in range(2000)}
    parts = {tid.record_key(ref, 1_700_000_000, part) for part in range(50)}
    assert len(others) == 2000
    assert len(parts) == 50
    assert key not in others


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_record_key_is_a_tid_at_any_time(at: float):
    assert tid.is_tid(tid.record_key(Ref("nostr", "x"), at))


@given(st.lists(st.tuples(TIMES.filter(lambda at: at < tid.MICROSECONDS - 1000), CLOCKS), min_size=2, max_size=20))
def test_revision_grows_though_the_clock_goes_back(ticks: list[tuple[int, int]]):
    last = None
    for at, clock in ticks:
        following = tid.after(last, at, clock)
        assert last is None or following > last
        last = following
