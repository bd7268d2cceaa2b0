"""What breaks in the very moment in which it is told to end."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class BreaksOff:
    """A job, or a method in place of one, that goes on for ever, and raises `error` when it is cancelled."""

    def __init__(self, error: Exception) -> None:
        self.began = asyncio.Event()
        self._error = error

    async def run(self, *_: object) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise self._error from None

    async def ends(self, whole: Coroutine[Any, Any, None]) -> None:
        """`whole`, which has this job in it, is cancelled once that has begun, and ends as one that was cancelled."""
        task = asyncio.create_task(whole)
        await self.began.wait()
        task.cancel()
        await asyncio.wait([task], timeout=60)
        assert task.cancelled()
