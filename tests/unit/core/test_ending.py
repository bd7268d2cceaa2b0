"""What is told to end ends, also where something of it fails in that very moment."""

import asyncio

import pytest

from bridged import ending
from bridged.ending import beside, end


class Broken(Exception):
    pass


async def _breaks_when_told_to_end(began: asyncio.Event) -> None:
    try:
        began.set()
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise Broken from None


async def _connects_for_ever(began: asyncio.Event, tries: list[int]) -> None:
    while True:
        tries.append(len(tries))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_breaks_when_told_to_end(began))
        except* Broken:
            pass
        if len(tries) > 1:
            await asyncio.Event().wait()


async def test_task_that_misses_its_end_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "AGAIN", 0.01)
    began, tries = asyncio.Event(), list[int]()
    task = asyncio.create_task(_connects_for_ever(began, tries))
    await began.wait()
    async with asyncio.timeout(60):
        await end(task)
    assert task.cancelled()
    assert tries == [0, 1], "the first word was missed"


async def test_end_leaves_what_a_task_raised_with_it() -> None:
    task = asyncio.create_task(_breaks_when_told_to_end(began := asyncio.Event()))
    await began.wait()
    await end(task)
    assert isinstance(task.exception(), Broken)


async def test_jobs_beside_one_another_end_with_the_first_that_fails() -> None:
    async def fails() -> None:
        await began.wait()
        raise LookupError

    ended = asyncio.Event()

    async def goes_on() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    began = asyncio.Event()
    with pytest.raises(LookupError):
        await beside(goes_on(), fails())
    assert ended.is_set()


async def test_jobs_beside_one_another_heed_a_cancellation_that_breaks_one() -> None:
    task = asyncio.create_task(beside(_breaks_when_told_to_end(began := asyncio.Event())))
    await began.wait()
    task.cancel()
    await asyncio.wait([task], timeout=60)
    assert task.cancelled()
