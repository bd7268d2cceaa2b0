"""The time of day, which may jump: a clock that was wrong is set, a machine was asleep.

What waits has not waited longer for that, and need not wait longer either. So the time goes on as it was until the
jump has been added to all that waits: then nothing is due all at once, nothing is given up for an age that it does not
have, and nothing is left waiting for a year that is not to come.
"""

import asyncio
import time
from collections.abc import Callable

from bridged.core import Core
from bridged.store import hosts, inboxes, queue, settings
from bridged.store.engine import Tx

MINDED = 60.0
"""Seconds by which a clock jumps before anybody minds."""
LOOK_EVERY = 1.0
_SAME = 30.0
"""Seconds by which two processes of one machine may differ in what they see of one jump."""


class Timekeeper:
    """Called, it says the time in seconds since 1970. `run` in a task of its own."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._steady = wall, steady
        self._offset = wall() - steady()
        self.jumped = 0.0
        """Seconds, of jumps that what waits has not been told of yet."""

    def __call__(self) -> float:
        offset = self._wall() - self._steady()
        if abs(offset - self._offset) > MINDED:
            self.jumped += offset - self._offset
        self._offset = offset
        return self._steady() + offset - self.jumped

    async def run(self, core: Core) -> None:
        """Tells what waits. Raises Busy."""
        while True:
            now, by = self(), self.jumped
            if by:
                core.log.warning("clock_jumped", by=round(by))
                await core.store.write(lambda tx, now=now, by=by: self._tell(tx, now, by))
            await asyncio.sleep(LOOK_EVERY)

    def _tell(self, tx: Tx, now: float, by: float) -> None:
        told = [float(word) for word in (settings.get(tx, "clock_jumped") or "0 0").split()]
        # another process of this bridge may have told already
        if abs(told[0] - now) > _SAME or abs(told[1] - by) > _SAME:
            settings.put(tx, "clock_jumped", f"{now} {by}")
            for waiting in (queue, inboxes, hosts):
                waiting.clock_jumped(tx, by)
        tx.on_commit(lambda: self._told(by))

    def _told(self, by: float) -> None:
        self.jumped -= by
