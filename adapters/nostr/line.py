"""A connection to a relay that is not listened to: opened when it is first needed, kept for a while after the last use.

Whoever says much to people who read there would else open one for every event.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from adapters.nostr.connection import Connection, Ended
from bridged.api import Retry

KEEP: Final = 60.0
"""Seconds that a connection is kept after its last use."""


class Line:
    """`connect` opens a connection; what it raises, `use` raises."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], keep: float = KEEP) -> None:
        self._connect, self._keep = connect, keep
        self._opening = asyncio.Lock()
        self._open: tuple[Connection, asyncio.Task[None]] | None = None
        self._users, self._failed = 0, False
        self._closing: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def use(self) -> AsyncGenerator[Connection]:
        """The connection, which several may use at a time."""
        self._users += 1
        self._stay()
        try:
            async with self._opening:
                if self._open is None:
                    connection = await self._connect()
                    reading = asyncio.create_task(self._read(connection), name="relay line")
                    self._open, self._failed = (connection, reading), False
                connection = self._open[0]
            yield connection
        except Retry:
            self._failed = True
            raise
        finally:
            self._users -= 1
            if not self._users and self._open is not None:
                # one that did not answer may be dead without our knowing
                keep = 0.0 if self._failed else self._keep
                self._closing = asyncio.get_running_loop().call_later(keep, self._open[1].cancel)

    def retire(self) -> None:
        """It is closed now, or once nobody uses it any more."""
        self._keep = 0.0
        if not self._users and self._open is not None:
            self._stay()
            self._open[1].cancel()

    def _stay(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    async def _read(self, connection: Connection) -> None:
        try:
            with suppress(Ended):
                await connection.run()
        finally:
            # closed by either side: who comes next connects anew
            if self._open is not None and self._open[0] is connection:
                self._open = None
