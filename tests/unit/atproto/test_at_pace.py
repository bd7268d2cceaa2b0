"""The pace of the firehose: nobody waits below it, what is more waits its turn, and order is kept."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.atproto.pds import firehose, pace
from bridged.store.engine import Store, Tx
from tests.unit.atproto.pds_kit import NOW, opened

MANY = 1_000_000


@pytest.fixture(params=["sqlite", "postgresql"])
async def db(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path, request.param) as store:
        yield store


async def say(db: Store, count: int, at: float = NOW) -> None:
    def unit(tx: Tx) -> None:
        for _ in range(count):
            firehose.emit(tx, 1, "sync", {"did": "did:plc:x"}, at)

    await db.write(unit)


async def shown(db: Store, at: float) -> list[int]:
    return [event.seq for event in await db.read(lambda tx: firehose.after(tx, 0, 1000, at))]


async def set_pace(db: Store, second: int = MANY, hour: int = MANY, day: int = MANY) -> None:
    await db.write(lambda tx: firehose.set_pace(tx, (second, hour, day)))


async def test_events_below_the_pace_are_shown_at_once(db: Store):
    await set_pace(db, second=5, hour=100, day=100)
    await say(db, 5)
    assert await shown(db, NOW) == [1, 2, 3, 4, 5]
    assert await db.read(lambda tx: firehose.next_due(tx, NOW)) is None


async def test_events_above_the_pace_wait_their_turn_in_order(db: Store):
    await set_pace(db, second=5)
    await say(db, 9)
    assert await shown(db, NOW) == [1, 2, 3, 4, 5]
    assert await db.read(lambda tx: firehose.next_due(tx, NOW)) == pytest.approx(NOW + 0.2, abs=0.01)
    assert await shown(db, NOW + 0.41) == [1, 2, 3, 4, 5, 6, 7]
    assert await shown(db, NOW + 1) == list(range(1, 10))
    await say(db, 1, NOW + 0.5)  # before those that wait have had theirs
    assert await shown(db, NOW + 0.85) == list(range(1, 10))
    assert (await shown(db, NOW + 1.01))[-1] == 10


async def test_hour_and_day_are_counted_beside_the_second(db: Store):
    await set_pace(db, hour=10, day=12)
    await say(db, 11)
    assert len(await shown(db, NOW)) == 10
    assert len(await shown(db, NOW + 360)) == 11
    await say(db, 3, NOW + 3600)
    assert len(await shown(db, NOW + 3600)) == 12
    budget = await db.read(lambda tx: firehose.budget(tx, NOW + 3600))
    assert (budget.most, budget.left[2], budget.waiting) == ((MANY, 10, 12), 0, 2)


async def test_what_was_shown_stays_shown_when_the_clock_goes_back(db: Store):
    await set_pace(db, second=5, hour=1000, day=1000)
    await say(db, 3, NOW + 86_400)
    assert len(await shown(db, NOW)) == 3
    await say(db, 4, NOW)
    assert len(await shown(db, NOW)) == 5, "the two that go beyond the second's five wait, and no day"
    assert len(await shown(db, NOW + 0.5)) == 7


async def test_events_that_wait_do_not_wait_for_a_clock_that_was_wrong(db: Store):
    await set_pace(db, second=5)
    await say(db, 8, NOW + 86_400)
    await say(db, 1, NOW)
    assert len(await shown(db, NOW + 1)) == 9


async def test_numbers_jump_once_for_each_restore(db: Store):
    await say(db, 1)
    assert not await db.write(lambda tx: firehose.jump(tx, 0.0))
    assert await db.write(lambda tx: firehose.jump(tx, NOW))
    assert not await db.write(lambda tx: firehose.jump(tx, NOW))
    await say(db, 1)
    assert await shown(db, NOW) == [1, firehose.JUMP + 2]


@given(st.lists(st.floats(0, 5), max_size=200), st.integers(1, 20), st.integers(1, 50))
def test_no_span_ever_shows_more_than_twice_its_share(gaps: list[float], second: int, hour: int):
    most, full, at, before = (second, hour, MANY), [0.0] * 3, 1e12, 0.0
    turns: list[float] = []
    for gap in gaps:
        at += gap * 1000
        before, full = pace.turn(most, full, at, before)
        assert before >= at
        turns.append(before)
    assert turns == sorted(turns)
    for first in turns:
        # a bucket that was full, and what flows in meanwhile
        assert sum(first <= turn < first + 1000 for turn in turns) <= 2 * second
        assert sum(first <= turn < first + 3_600_000 for turn in turns) <= 2 * hour
