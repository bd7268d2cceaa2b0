"""Throws away what was kept long enough (`keep` in the settings), in steps so small that nobody waits for them."""

import asyncio
import math
import time
from collections.abc import Callable

from bridged.core import Core
from bridged.store import pruning
from bridged.store.engine import Tx

EVERY = 600.0
"""Seconds between two passes over all tables."""
PAUSE = 0.1
"""Seconds between two steps, for others to write in."""
LONG, SHORT = 0.010, 0.003
"""Seconds of the writer that a step may take, and those after which it may do more."""
MOST = 500


class Retention:
    def __init__(self, core: Core) -> None:
        self.core = core
        self._keep = core.settings.keep.ages()
        self._number, self._after = 0, 0
        self.size = 50
        """Rows thrown away at a time; what the machine does in time."""

    async def run(self) -> None:
        while True:
            more = await self.step()
            await asyncio.sleep(PAUSE if more else EVERY)

    async def step(self) -> bool:
        """One step; False at the end of a pass. Raises Busy."""
        if self._number < len(pruning.SWEEPS):
            end = await self._sweep(pruning.SWEEPS[self._number], self._after)
            self._number, self._after = (self._number, end) if end is not None else (self._number + 1, 0)
            return True
        if await self.core.store.write(pruning.shrink):
            return True
        self._number = 0
        return False

    async def _sweep(self, sweep: pruning.Sweep, after: int) -> int | None:
        """How far it got; None when it is through."""
        core, keep = self.core, self._keep
        if all(math.isinf(keep[name]) for name in sweep.ages.values()):
            return None
        now = core.now()
        found, end = await core.store.read(lambda tx: pruning.find(tx, sweep, after, keep, now))
        while found:
            ids, found = found[: self.size], found[self.size :]
            gone = await self._measured(lambda tx, ids=ids: pruning.throw_away(tx, sweep, ids))
            core.metrics.pruned.labels(sweep.table.name).inc(gone)
            if found:
                await asyncio.sleep(PAUSE)
        return end

    async def _measured(self, unit: Callable[[Tx], int]) -> int:
        """Runs `unit`, and finds out how much may be done at a time."""

        def timed(tx: Tx) -> tuple[int, float]:
            begun = time.perf_counter()
            return unit(tx), time.perf_counter() - begun

        gone, seconds = await self.core.store.write(timed)
        if seconds > LONG:
            self.size = max(1, self.size // 2)
        elif seconds < SHORT:
            self.size = min(MOST, self.size * 2)
        return gone
