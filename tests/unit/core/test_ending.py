"""What is told to end ends, also where something of it fails in that very moment."""

import asyncio

import pytest

from bridged import ending
from bridged.ending import beside, end
from tests.unit.ends import BreaksOff


class Broken(Exception):
    pass


async def _connects_for_ever(job: BreaksOff, tries: list[int]) -> None:
    while True:
        tries.append(len(tries))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(job.run())
        except* Broken:
            pass
        if len(tries) > 1:
            await asyncio.Event().wait()


async def test_task_that_misses_its_end_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "AGAIN", 0.01)
    job, tries = BreaksOff(Broken()), list[int]()
    task = asyncio.create_task(_connects_for_ever(job, tries))
    await job.began.wait()
    async with asyncio.timeout(60):
        await end(task)
    assert task.cancelled()
    assert tries == [0, 1], "the first word was missed"


async def test_end_leaves_what_a_task_raised_with_it() -> None:
    job = BreaksOff(Broken())
    task = asyncio.create_task(job.run())
    await job.began.wait()
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
    job = BreaksOff(Broken())
    await job.ends(beside(job.run()))
