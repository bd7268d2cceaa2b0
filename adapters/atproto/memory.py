"""Answers remembered for a while, so that many who ask the same make one question of it."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from bridged.api import Unreachable

T = TypeVar("T")

MAX_ENTRIES: Final = 20_000
LOOKUPS: Final = 32
"""Questions asked at once."""
MAX_WAITING: Final = 1000
"""Questions asked and waiting; beyond, who asks is told to come back."""
STALE: Final = 7 * 86_400.0
"""Seconds that an old answer is good for where no new one is to be had."""


@dataclass(frozen=True, slots=True)
class _Answer(Generic[T]):
    value: T | None
    at: float


class Memory(Generic[T]):
    """What was found for a key is good for `found` seconds, and that nothing was found for `missing`."""

    def __init__(self, now: Callable[[], float], *, found: float, missing: float) -> None:
        self._now, self._found, self._missing = now, found, missing
        self._answers: OrderedDict[str, _Answer[T]] = OrderedDict()
        self._running: dict[str, asyncio.Task[T | None]] = {}
        self._slots = asyncio.Semaphore(LOOKUPS)

    async def get(
        self, key: str, look: Callable[[str], Awaitable[T | None]], *, within: float | None = None
    ) -> T | None:
        """The answer, remembered or looked for; `within` seconds it must have been found, if that is less.

        `look` raises Unreachable where there is no telling. Then an old answer serves, unless `within` was asked for.
        Raises Unreachable.
        """
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
            age = self._now() - answer.at
            good = self._missing if answer.value is None else self._found
            if 0 <= age < (good if within is None else min(good, within)):
                return answer.value
        try:
            return await asyncio.shield(self._task(key, look))
        except Unreachable:
            if within is None and answer is not None and answer.value is not None and self._now() - answer.at < STALE:
                return answer.value
            raise

    def age(self, key: str) -> float | None:
        """Seconds since an answer was found; None for none."""
        answer = self._answers.get(key)
        return None if answer is None else self._now() - answer.at

    def forget(self, key: str) -> None:
        """What is asked next is looked for anew."""
        self._answers.pop(key, None)
        self._running.pop(key, None)

    def _task(self, key: str, look: Callable[[str], Awaitable[T | None]]) -> "asyncio.Task[T | None]":
        task = self._running.get(key)
        if task is None:
            if len(self._running) >= MAX_WAITING:
                raise Unreachable("too many look-ups at once")
            task = self._running[key] = asyncio.create_task(self._look(key, look))
            task.add_done_callback(lambda done: self._done(key, done))
        return task

    async def _look(self, key: str, look: Callable[[str], Awaitable[T | None]]) -> T | None:
        async with self._slots:
            return await look(key)

    def _done(self, key: str, task: "asyncio.Task[T | None]") -> None:
        ours = self._running.get(key) is task
        if ours:
            del self._running[key]
        # whoever waited may be gone: an error nobody collects is no news
        if task.cancelled() or task.exception() is not None or not ours:
            return
        self._answers[key] = _Answer(task.result(), self._now())
        self._answers.move_to_end(key)
        if len(self._answers) > MAX_ENTRIES:
            self._answers.popitem(last=False)
