"""A websocket to somebody else, whose floods are not felt.

The library takes apart at once whatever one read of the socket brought, which may be 100,000 frames of two bytes; and
it answers every ping, whether or not the other side reads the answers. Here what came in is taken in small bites, no
more of it than there is room for, and who pings without end is hung up on.
"""

import asyncio
from collections.abc import Callable

from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import Event

BITE = 4096
"""Bytes taken apart at a time."""
PINGS = 200
"""Pings and pongs at once after which the connection is cut; PING_RATE of them a second are forgiven."""
PING_RATE = 10.0


class Websocket(ClientConnection):
    """`on_flood` is called when the other side is hung up on."""

    on_flood: Callable[[], None] = staticmethod(lambda: None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._unread = bytearray()
        self._pings, self._pinged_at = 0.0, self.loop.time()
        self.recv_messages.resume = self._go_on

    def data_received(self, data: bytes) -> None:
        self._unread += data
        self._take_in()

    def _go_on(self) -> None:
        self.loop.call_soon(self._take_in)

    def _take_in(self) -> None:
        """Reads on from the network only once all is taken in that it brought: its end comes last."""
        while self._unread and not self.recv_messages.paused and not self.transport.is_closing():
            bite = bytes(self._unread[:BITE])
            del self._unread[:BITE]
            super().data_received(bite)
        if not self._unread and not self.recv_messages.paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def process_event(self, event: Event) -> None:
        super().process_event(event)
        if isinstance(event, Frame) and event.opcode in (Opcode.PING, Opcode.PONG):
            now = self.loop.time()
            self._pings = max(0.0, self._pings - (now - self._pinged_at) * PING_RATE) + 1
            self._pinged_at = now
            if self._pings > PINGS and not self.transport.is_closing():
                self.transport.abort()
                self.on_flood()
