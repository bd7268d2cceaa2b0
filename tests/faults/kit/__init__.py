"""What tests of faults share: the real process (daemon.py) and scripted others (fediverse.py, nostr.py, canary.py).

All of it is async and lives in the test's own loop; nothing in it blocks that loop for long, since the peers that the
daemon talks to live there too. `eventually` polls with a deadline.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp

T = TypeVar("T")


async def eventually(look: Callable[[], T | Awaitable[T]], timeout: float = 90, every: float = 0.05) -> T:
    """The first true value of look(), asked again until the timeout; a failed assertion means not yet, and so does a
    connection that broke."""
    end = time.monotonic() + timeout
    while True:
        why: object = "nothing seen"
        try:
            got: Any = look()
            if isinstance(got, Awaitable):
                got = await got
            if got:
                return got
        except (AssertionError, OSError, LookupError, aiohttp.ClientError) as e:
            why = e
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {why}")
        await asyncio.sleep(every)
