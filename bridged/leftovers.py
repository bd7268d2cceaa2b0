"""Files that nobody knows of, or shows any more, are removed."""

import asyncio

from bridged.core import Core

EVERY = 3600.0
"""Seconds between two looks."""


class Leftovers:
    def __init__(self, core: Core) -> None:
        self.core = core

    async def run(self) -> None:
        """Raises Busy."""
        media, keep = self.core.media, self.core.settings.keep.media
        if gone := await media.sweep():
            self.core.log.info("files_swept", files=gone)
        while True:
            gone = await media.prune(keep)
            self.core.metrics.pruned.labels("blobs").inc(gone)
            await asyncio.sleep(EVERY)
