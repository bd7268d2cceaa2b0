"""Websockets byte by byte, for what no library would send: a hostile relay, and a hostile client of ours.

async with RawRelay() as relay:                  # config: adapters.nostr.relays = [relay.url]
    await relay.write(frame(PING, b"x" * 125) * 1000)

async with RawClient(daemon.relay_url) as client:
    await client.write(frame(TEXT, b"[", fin=False, mask=True))
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = False) -> bytes:
    """RFC 6455 §5.2; the mask is of zeros."""
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    size, bit = len(payload), 0x80 if mask else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 1 << 16:
        head += bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + size.to_bytes(8, "big")
    return head + (bytes(4) if mask else b"") + payload


def text(*items: Any) -> bytes:
    """A message of NIP-01 from a relay."""
    return frame(TEXT, json.dumps(items).encode())


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    """What the other side sends, until it ends."""
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        while True:
            first, second = await reader.readexactly(2)
            size = second & 0x7F
            if size > 125:
                size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
            mask = await reader.readexactly(4) if second & 0x80 else bytes(4)
            data = await reader.readexactly(size)
            if size and any(mask):
                over = (mask * (size // 4 + 1))[:size]
                data = (int.from_bytes(data, "big") ^ int.from_bytes(over, "big")).to_bytes(size, "big")
            yield first & 0x0F, data


class RawRelay:
    """Answers each REQ with EOSE, each EVENT with OK, and is silent else; what it is sent is in `frames`.

    `answer` sees every text frame first, and what it returns is sent instead of that.
    """

    def __init__(self) -> None:
        self.port, self.connections = 0, 0
        self.tried = 1
        """The number of the connection that a test is about."""
        self.frames: list[list[Any]] = []
        self.subscriptions: list[str] = []
        """Of the latest connection, in the order in which they were asked."""
        self.answer: Callable[[list[Any]], bytes | None] = lambda frame: None
        self.document = b""
        """The answer to whoever asks for NIP-11, head and all; b"" for 404."""
        self.extra = b""
        """Further header lines of the handshake."""
        self.reading = asyncio.Event()
        self.reading.set()
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "RawRelay":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        await self.drop()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def write(self, data: bytes) -> bool:
        """Sends bytes as they are; False once the other side is gone."""
        writer = self._writer
        if writer is None or writer.is_closing():
            return False
        try:
            writer.write(data)
            await writer.drain()
        except OSError:
            return False
        return True

    async def drop(self) -> None:
        """Cuts the connection."""
        self.subscriptions = []
        if self._writer is not None and not self._writer.is_closing():  # an ended one cannot be aborted
            self._writer.transport.abort()

    @property
    def connected(self) -> bool:
        """Whether the connection that a test is about stands; the other side may be back with another one."""
        return self.connections == self.tried and self._writer is not None and not self._writer.is_closing()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            fields = {k.strip().lower(): v.strip() for k, _, v in (li.partition(":") for li in head.split("\r\n")[1:])}
            if "sec-websocket-key" not in fields:
                writer.write(self.document or b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
                return
            accept = base64.b64encode(hashlib.sha1(fields["sec-websocket-key"].encode() + _MAGIC).digest())
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + self.extra
                + b"Sec-WebSocket-Accept: "
                + accept
                + b"\r\n\r\n"
            )
            self.connections += 1
            self.subscriptions = []
            self._writer = writer
            await self._listen(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for opcode, data in frames(reader):
            if opcode == PING:
                writer.write(frame(PONG, data))
            if opcode == CLOSE:
                return
            if opcode != TEXT:
                continue
            said = json.loads(data)
            self.frames.append(said)
            answer = self.answer(said)
            if said[0] == "REQ":
                self.subscriptions.append(said[1])
            if answer is None and said[0] == "REQ":
                answer = text("EOSE", said[1])
            if answer is None and said[0] == "EVENT":
                answer = text("OK", said[1]["id"], True, "")
            if answer:
                writer.write(answer)
            await self.reading.wait()


class RawClient:
    """Past the handshake; `frames` is what came in, and grows while `reading` is set."""

    def __init__(self, url: str, headers: str = "") -> None:
        self._url, self._headers = url, headers
        self.frames: list[tuple[int, bytes]] = []
        self.ended = asyncio.Event()
        self.reading = asyncio.Event()
        self.reading.set()
        self.head = b""
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "RawClient":
        parts = urlsplit(self._url)
        self._reader, self._writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 16)
        key = base64.b64encode(os.urandom(16)).decode()
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self._writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{self._headers}\r\n".encode()
        )
        async with asyncio.timeout(60):
            self.head = await self._reader.readuntil(b"\r\n\r\n")
        if b" 101 " in self.head:
            self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task:
            self._task.cancel()
        self._writer.transport.abort()

    async def write(self, data: bytes) -> bool:
        """Sends bytes as they are; False once the other side is gone."""
        if self.ended.is_set() or self._writer.is_closing():
            return False
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            return False
        return True

    async def say(self, *items: Any) -> bool:
        """A message of NIP-01, well framed."""
        return await self.write(frame(TEXT, json.dumps(items).encode(), mask=True))

    @property
    def texts(self) -> list[list[Any]]:
        return [json.loads(data) for opcode, data in self.frames if opcode == TEXT]

    def heard(self, *start: Any) -> list[list[Any]]:
        """The text frames that begin with these items."""
        return [items for items in self.texts if items[: len(start)] == list(start)]

    @property
    def close_code(self) -> int | None:
        """What the other side closed with, None if it did not, or cut the connection."""
        return next((int.from_bytes(data[:2], "big") for opcode, data in self.frames if opcode == CLOSE), None)

    async def _listen(self) -> None:
        try:
            async for got in frames(self._reader):
                self.frames.append(got)
                await self.reading.wait()
        finally:
            self.ended.set()
