"""What is asked for at one time is done at once."""

import asyncio
from collections.abc import Sequence

from bridged.adapter import Busy
from bridged.heaps import ROOM, Heaps


class Doubler:
    """Doubles numbers, in heaps; 13 is refused, and with `broken` everything."""

    def __init__(self, most: int = 3) -> None:
        self.heaps: list[list[int]] = []
        self.broken = False
        self.go = asyncio.Event()
        self.go.set()
        self.all: Heaps[int, int] = Heaps(self._do, most)

    async def _do(self, numbers: Sequence[int]) -> Sequence[int | BaseException]:
        self.heaps.append(list(numbers))
        await self.go.wait()
        if self.broken:
            raise RuntimeError("no more")
        return [ValueError("13") if n == 13 else 2 * n for n in numbers]


async def test_those_that_wait_are_done_together_in_their_order() -> None:
    doubler = Doubler()
    assert await asyncio.gather(*(doubler.all.ask(n) for n in range(7))) == [0, 2, 4, 6, 8, 10, 12]
    assert doubler.heaps == [[0, 1, 2], [3, 4, 5], [6]]
    assert await doubler.all.ask(9) == 18


async def test_next_heap_gathers_while_one_is_under_way() -> None:
    doubler = Doubler()
    doubler.go.clear()
    asked = [asyncio.create_task(doubler.all.ask(1))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asked += [asyncio.create_task(doubler.all.ask(n)) for n in (2, 3)]
    await asyncio.sleep(0)
    doubler.go.set()
    assert await asyncio.gather(*asked) == [2, 4, 6]
    assert doubler.heaps == [[1], [2, 3]]


async def test_one_that_fails_takes_no_other_with_it() -> None:
    doubler = Doubler()
    found = await asyncio.gather(*(doubler.all.ask(n) for n in (12, 13, 14)), return_exceptions=True)
    assert found[0] == 24
    assert isinstance(found[1], ValueError)
    assert found[2] == 28


async def test_heap_that_fails_fails_all_of_it_and_no_other() -> None:
    doubler = Doubler()
    doubler.broken = True
    found = await asyncio.gather(*(doubler.all.ask(n) for n in range(2)), return_exceptions=True)
    assert [str(each) for each in found] == ["no more", "no more"]
    doubler.broken = False
    assert await doubler.all.ask(1) == 2


async def test_nobody_is_left_waiting_by_a_heap_that_dies() -> None:
    class Death(BaseException):
        pass

    async def die(numbers: Sequence[int]) -> Sequence[int]:
        raise Death

    heaps: Heaps[int, int] = Heaps(die)
    found = await asyncio.gather(*(heaps.ask(n) for n in range(2)), return_exceptions=True)
    assert [type(each) for each in found] == [Death, Death]


async def test_who_leaves_does_not_disturb_the_others() -> None:
    doubler = Doubler()
    doubler.go.clear()
    tasks = [asyncio.create_task(doubler.all.ask(n)) for n in (1, 2)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    doubler.go.set()
    assert await tasks[1] == 4
    assert tasks[0].cancelled() or tasks[0].cancelling()


async def test_drain_waits_for_what_nobody_asks_about_any_more() -> None:
    doubler = Doubler()
    doubler.go.clear()
    tasks = [asyncio.create_task(doubler.all.ask(n)) for n in range(5)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    drained = asyncio.create_task(doubler.all.drain())
    await asyncio.sleep(0)
    assert not drained.done()
    doubler.go.set()
    await drained
    assert doubler.heaps == [[0, 1, 2], [3, 4]]


async def test_more_than_there_is_room_for_is_refused() -> None:
    doubler = Doubler(most=1)
    doubler.go.clear()
    waiting = [asyncio.create_task(doubler.all.ask(n)) for n in range(ROOM + 5)]
    await asyncio.sleep(0)
    refused = [t for t in waiting if t.done() and isinstance(t.exception(), Busy)]
    assert len(refused) == 5
    doubler.go.set()
    await asyncio.gather(*waiting, return_exceptions=True)
