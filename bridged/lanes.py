"""Parallel across keys, ordered within a key, bounded in all."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable


class Lanes:
    """Runs jobs: those of one key one after the other, in the order given; at most `limit` at a time."""

    def __init__(self, limit: int) -> None:
        self._room = asyncio.Semaphore(limit)
        self._last: dict[Hashable, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def add(self, key: Hashable, job: Callable[[], Awaitable[None]]) -> None:
        """`job` must not raise; what it raises all the same ends up with the loop's exception handler."""
        task = asyncio.create_task(self._run(self._last.get(key), job))
        self._last[key] = task
        self._tasks.add(task)
        task.add_done_callback(lambda t: self._done(key, t))

    async def _run(self, before: "asyncio.Task[None] | None", job: Callable[[], Awaitable[None]]) -> None:
        if before is not None:
            await asyncio.wait([before])
        async with self._room:
            await job()

    def _done(self, key: Hashable, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if self._last.get(key) is task:
            del self._last[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": "job failed", "exception": error, "task": task})

    async def drain(self) -> None:
        """Waits until nothing is left."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def stop(self) -> None:
        """Cancels what is left, and waits for it."""
        for task in list(self._tasks):
            task.cancel()
        await self.drain()


class Gate:
    """Lets a few at a time through to one host; forgotten when nobody is left."""

    def __init__(self, gates: dict[str, tuple[asyncio.Semaphore, int]], name: str, limit: int) -> None:
        self._gates, self._name, self._limit = gates, name, limit

    async def __aenter__(self) -> None:
        room, users = self._gates.get(self._name, (asyncio.Semaphore(self._limit), 0))
        self._gates[self._name] = (room, users + 1)
        try:
            await room.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._gates[self._name][0].release()
        self._leave()

    def _leave(self) -> None:
        room, users = self._gates[self._name]
        if users == 1:
            del self._gates[self._name]
        else:
            self._gates[self._name] = (room, users - 1)
