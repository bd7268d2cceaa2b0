"""The firehose as a relay reads it: from where it was, over all lives of the daemon."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from adapters.atproto.pds.firehose import Event
from adapters.atproto.pds.subscription import PATH
from tests.unit.atproto.pds_kit import unpacked

from ..kit import eventually
from ..kit.daemon import Daemon


class Stream:
    """`events` are all there were, as they were shown; `told` is called with each."""

    def __init__(self, daemon: Daemon, told: Callable[[Event], None] = lambda event: None) -> None:
        self.daemon, self.told = daemon, told
        self.events: list[Event] = []
        self.connections = 0

    @property
    def last(self) -> int:
        return self.events[-1].seq if self.events else 0

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncGenerator["Stream"]:
        """Reads on while entered, connecting again as often as need be."""
        reading = asyncio.create_task(self._read())
        try:
            yield self
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

    async def until_all(self, timeout: float = 120) -> None:
        """Until everything that was numbered has been read."""

        async def there() -> bool:
            (row,) = await self.daemon.rows("SELECT last FROM atproto_sequence")
            assert self.last == row["last"], f"read to {self.last} of {row['last']}"
            return True

        await eventually(there, timeout=timeout)

    async def _read(self) -> None:
        while True:
            url = f"ws://{self.daemon.domain}{PATH}?cursor={self.last}"
            with contextlib.suppress(OSError, WebSocketException, TimeoutError, EOFError):
                async with connect(url, proxy=None, compression=None, max_size=None) as socket:
                    self.connections += 1
                    async for frame in socket:
                        self._hear(frame)
            await asyncio.sleep(0.05)

    def _hear(self, frame: str | bytes) -> None:
        assert isinstance(frame, bytes)
        event = Event(unpacked(Event(0, frame))[1]["seq"], frame)
        self.events.append(event)
        self.told(event)


async def from_the_start(daemon: Daemon) -> list[Event]:
    """All events there are, read anew."""
    async with Stream(daemon).read() as again:
        await again.until_all()
        return again.events
