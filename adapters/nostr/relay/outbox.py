"""What waits to be read by one client."""

import asyncio
from collections import deque

from adapters.nostr.relay.limits import MAX_WAITING, WAITING

Message = tuple[bytes, bytes, bytes]
"""Pieces of one frame; an event's JSON is shared by all who wait for it."""


class Gone(Exception):
    """The client is."""


class Outbox:
    """Bounded by bytes: answers wait for room, live events that find none end the connection."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._closed = False
        self._some, self._room, self._none = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def offer(self, head: bytes, body: bytes = b"", tail: bytes = b"") -> bool:
        """Without waiting; False when there is no room."""
        size = len(head) + len(body) + len(tail)
        if self._closed or self._bytes + size > MAX_WAITING:
            return False
        self._messages.append((head, body, tail))
        self._bytes += size
        self._none.clear()
        self._some.set()
        return True

    async def put(self, head: bytes, body: bytes = b"", tail: bytes = b"") -> None:
        """Waits for room. Raises Gone."""
        while self._bytes > WAITING and not self._closed:
            self._room.clear()
            await self._room.wait()
        if not self.offer(head, body, tail):
            raise Gone

    async def take(self) -> bytes:
        """The next frame; waits for it."""
        while not self._messages:
            self._none.set()
            self._some.clear()
            await self._some.wait()
        message = self._messages.popleft()
        self._bytes -= sum(map(len, message))
        self._room.set()
        return b"".join(message)

    async def emptied(self) -> None:
        """Waits until everything has been sent."""
        await self._none.wait()

    def close(self) -> None:
        """Whoever waits for room is told that the client is gone."""
        self._closed = True
        self._room.set()
