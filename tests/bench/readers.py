"""Many readers of a firehose, and one that sleeps: each checks nothing but that it hears the same bytes as the others.

{"do": "read", "readers": …, "cursor": …}          all are connected, the sleeper too
{"do": "heard"}                                    -> when the last reader had each event, by the clock of all processes
{"do": "wait", "events": …, "frames": […]?}        -> {"at": as above, "alike": how many heard just these frames}
{"do": "wake"}                                     -> {"events": …, "word": …}: what the sleeper still finds
"""

import asyncio
import hashlib
import socket
import time
from typing import Any

from tests.bench.child import answer, options

PATIENCE = 300.0
SEGMENT = 1460
"""Bytes, as on the way through the internet: on loopback the kernel keeps megabytes for who sleeps."""


class Reader(asyncio.Protocol):
    """Counts and digests what it is sent."""

    def __init__(self, at: list[float]) -> None:
        self._at = at
        self._rest: bytes | None = None
        self.events = 0
        self.gone = False
        self.digest = hashlib.sha256()
        self.open = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True

    def data_received(self, data: bytes) -> None:
        if self._rest is None:
            head, end, data = data.partition(b"\r\n\r\n")
            assert end, head
            assert head.startswith(b"HTTP/1.1 101 "), head
            self._rest = b""
            self.open.set_result(None)
        data = self._rest + data
        at, now = 0, time.monotonic()
        while (found := _frame(data, at)) is not None:
            kind, start, at = found
            if kind == 2:
                self.digest.update(data[start:at])
                if self.events == len(self._at):
                    self._at.append(now)
                self._at[self.events] = now
                self.events += 1
            elif kind == 9:  # a ping, which is answered with its own words, masked with nothing
                self._transport.write(bytes((0x8A, 0x80 | at - start)) + bytes(4) + data[start:at])
        self._rest = data[at:]


def _frame(data: bytes, at: int) -> tuple[int, int, int] | None:
    """(opcode, start, end) of the message that begins there, if all of it is here (RFC 6455, not masked)."""
    if len(data) < at + 2:
        return None
    size, start = data[at + 1], at + 2
    for mark, width in ((126, 2), (127, 8)):
        if size == mark:
            size, start = int.from_bytes(data[start : start + width], "big"), start + width
            break
    return (data[at] & 15, start, start + size) if start + size <= len(data) else None


async def main() -> None:
    port, path = options()["port"], options()["path"]
    readers: list[Reader] = []
    at: list[float] = []
    sleeper = socket.socket()
    sleeper.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
    sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def request(cursor: int) -> bytes:
        lines = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        return "\r\n".join((f"GET {path}?cursor={cursor} HTTP/1.1", "Host: x", *lines, key, "", "")).encode()

    async def read(count: int, cursor: int) -> None:
        loop = asyncio.get_running_loop()
        sleeper.connect(("127.0.0.1", port))
        sleeper.sendall(request(cursor))
        for start in range(0, count, 50):
            some = range(min(50, count - start))
            made = await asyncio.gather(*(loop.create_connection(lambda: Reader(at), "127.0.0.1", port) for _ in some))
            for transport, reader in made:
                transport.write(request(cursor))
                readers.append(reader)
            await asyncio.gather(*(reader.open for _, reader in made))

    async def wait(events: int) -> None:
        until = time.monotonic() + PATIENCE
        while (least := min(reader.events for reader in readers)) < events:
            gone = sum(reader.gone for reader in readers)
            assert not gone, f"{gone} readers were sent away"
            assert time.monotonic() < until, f"somebody heard {least} of {events} events"
            await asyncio.sleep(0.05)

    def woken() -> dict[str, Any]:
        sleeper.settimeout(PATIENCE)
        data = b""
        while b"\r\n\r\n" not in data or not _last(data)[1]:
            more = sleeper.recv(1 << 16)
            data += more
            if not more:
                break
        events, word = _last(data)
        return {"events": events, "word": word}

    def _last(data: bytes) -> tuple[int, str]:
        """How many events there were, and what the reader was told when it was sent away."""
        data, place, events = data.partition(b"\r\n\r\n")[2], 0, 0
        while (found := _frame(data, place)) is not None:
            kind, start, place = found
            if kind == 2 and b"ConsumerTooSlow" in data[start:place]:
                return events, "ConsumerTooSlow"
            events += kind == 2
        return events, ""

    async def handle(do: str, **told: Any) -> Any:
        match do:
            case "read":
                return await read(told["readers"], told["cursor"])
            case "heard":
                return at
            case "wake":
                return await asyncio.to_thread(woken)
        await wait(told["events"])
        digest = hashlib.sha256(b"".join(bytes.fromhex(frame) for frame in told.get("frames", ()))).digest()
        return {"at": at, "alike": sum(reader.digest.digest() == digest for reader in readers)}

    await answer({}, handle)


if __name__ == "__main__":
    asyncio.run(main())
