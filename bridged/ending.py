"""The end of tasks."""

import asyncio
from collections.abc import Coroutine
from typing import Any

AGAIN = 3.0
"""Seconds a task has to clear up, websockets' goodbyes included, until it is cancelled once more."""


async def end(*tasks: "asyncio.Future[Any]") -> None:
    """Cancels tasks until they have ended; what they raise stays with them, and is told to nobody.

    Once is not always enough: see `beside`.
    """
    while going := [task for task in tasks if not task.done()]:
        for task in going:
            task.cancel()
        await asyncio.wait(going, timeout=AGAIN)
    await asyncio.gather(*tasks, return_exceptions=True)  # else asyncio logs what nobody looked at


async def beside(*jobs: Coroutine[Any, Any, None]) -> None:
    """Runs jobs beside one another until all have ended, or one fails: then the others are ended, and that is raised.

    For whoever goes on after a failure, say to connect anew. A TaskGroup of which a task fails in the moment in which
    the whole is cancelled raises that failure alone (before Python 3.13), so that what was to end would live on.
    """
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await end(*tasks)
    failed = [error for task in tasks if task in done and (error := task.exception())]
    if failed:
        raise failed[0]
