"""What is asked for at one time is done at once: while one heap is under way, the next gathers.

So a database is asked as seldom as it may be, and nobody waits for longer than two of its answers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from bridged.adapter import Busy

ROOM = 25
"""Heaps that may wait."""

T = TypeVar("T")
R = TypeVar("R")


class Heaps(Generic[T, R]):
    """`do` is given at most `most` things, and says for each what became of it: a result, or what to raise."""

    def __init__(self, do: Callable[[Sequence[T]], Awaitable[Sequence[R | BaseException]]], most: int = 200) -> None:
        self._do, self._most = do, most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, what: T) -> R:
        """Raises what `do` raises, or says for this one; Busy when too many wait."""
        if len(self._waiting) >= ROOM * self._most:
            raise Busy("more waits than the database takes")
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((what, done))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="heaps")
        return await asyncio.shield(done)

    async def drain(self) -> None:
        """Waits until nothing waits: also what nobody asks about any more is done."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._waiting:
                heap, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                try:
                    said: Sequence[R | BaseException] = await self._do([what for what, _ in heap])
                except asyncio.CancelledError:
                    self._waiting = heap + self._waiting
                    raise
                except BaseException as error:  # whoever asked raises it, whatever it is
                    said = [error] * len(heap)
                for (_, done), came in zip(heap, said, strict=True):
                    if done.done():
                        continue
                    if isinstance(came, BaseException):
                        done.set_exception(came)
                    else:
                        done.set_result(came)
        finally:
            self._task = None
            for _, done in self._waiting:
                done.cancel()
