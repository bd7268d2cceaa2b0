"""An inbox that misbehaves on the wire, one request after the other; afterwards it is as honest as any.

async with Inbox(status(b"503 Service Unavailable", b"Retry-After: 7"), hang) as inbox:
    inbox.url, inbox.bodies
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence

Turn = Callable[[asyncio.StreamWriter], Awaitable[None]]
"""What is done once a request has come in; then the connection is closed."""


class Inbox:
    """`got`: (time, body) of each POST that came in whole. Several `addresses` are as many hosts at one port."""

    def __init__(
        self, *turns: Turn, addresses: Sequence[str] = ("127.0.0.1",), tls: ssl.SSLContext | None = None, name: str = ""
    ) -> None:
        self.turns, self.addresses, self.tls = list(turns), addresses, tls
        self.name = name or addresses[0]
        self.got: list[tuple[float, bytes]] = []
        self.by_address: dict[str, list[float]] = {}
        self.usual: Callable[[str], Turn] = lambda address: status(b"202 Accepted")
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Inbox":
        port = 0
        self._servers: list[asyncio.Server] = []
        for address in self.addresses:
            server = await asyncio.start_server(self._serve, address, port, ssl=self.tls)
            port = server.sockets[0].getsockname()[1]
            self._servers.append(server)
        self.port: int = port
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.name}:{self.port}/inbox"

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, body in self.got]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        address = writer.get_extra_info("sockname")[0]
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                body = await reader.readexactly(int(length.partition(b":")[2]))
                self.got.append((time.time(), body))
                self.by_address.setdefault(address, []).append(time.time())
                await (self.turns.pop(0) if self.turns else self.usual(address))(writer)
                await writer.drain()
            finally:
                writer.close()


def says(data: bytes) -> Turn:
    """These bytes, and the end."""

    async def turn(writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return turn


def status(line: bytes, *headers: bytes, body: bytes = b"") -> Turn:
    lines = [b"HTTP/1.1 " + line, b"Content-Length: %d" % len(body), b"Connection: close", *headers]
    return says(b"\r\n".join(lines) + b"\r\n\r\n" + body)


def stalls(data: bytes = b"") -> Turn:
    """These bytes, and then nothing for ever."""

    async def turn(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await asyncio.Event().wait()

    return turn


def drips(start: bytes, each: bytes, pause: float) -> Turn:
    """`start`, then `each` every so often for ever."""

    async def turn(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(each)
            await writer.drain()
            await asyncio.sleep(pause)

    return turn


async def reset(writer: asyncio.StreamWriter) -> None:
    """Cut without a word: whether the request was taken nobody knows."""
    writer.transport.abort()
