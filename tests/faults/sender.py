"""Sends requests that were made beforehand at a steady rate, in a process of its own, and says how each went.

    PLAN is a pickled list of Stream; what comes out is one JSON object, name of the stream -> Tally as a dict

Open loop: a request is due at its moment whether or not the earlier ones are answered, and its time counts from that
moment; so a server that stalls is seen as the crowd that waits at it sees it. Plain sockets with keep-alive: more
than ten thousand requests a second are no trouble, `late` proves that this process kept up.
"""

import asyncio
import contextlib
import json
import pickle
import resource
import sys
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stream:
    """`requests`: whole HTTP requests, as bytes, sent at `rate` a second; over again until `seconds` are over."""

    name: str
    host: str
    port: int
    requests: list[bytes]
    rate: float
    seconds: float
    connections: int = 100


@dataclass
class Tally:
    statuses: dict[str, int] = field(default_factory=Counter[str])
    """Status, or what went wrong instead, -> how often."""
    taken: list[int] = field(default_factory=list)
    """Numbers of the requests answered with 202."""
    p50: float = 0.0
    p99: float = 0.0
    worst: float = 0.0
    """Seconds until the answer, of all requests."""
    late: float = 0.0
    """99 % of the requests were sent with less delay than this, wherever a connection was free."""
    cpu: float = 0.0
    """Share of one core that this process took."""


class _Line(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self, sending: "_Sending") -> None:
        self._sending = sending
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._now: tuple[int, float] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._sending.free(self)

    def send(self, number: int, due: float, request: bytes) -> None:
        assert self._transport
        self._now = number, due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, blank, rest = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        if len(rest) < length:
            return
        self._buffer = b""
        self._end(head[9:12].decode())
        if b"connection: close" in lines:
            assert self._transport
            self._transport.close()
        else:
            self._sending.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("lost")
        self._sending.gone(self)

    def _end(self, how: str) -> None:
        if self._now is not None:
            self._sending.ended(*self._now, how)
            self._now = None


class _Sending:
    def __init__(self, stream: Stream) -> None:
        self.stream, self.tally = stream, Tally()
        self._loop = asyncio.get_running_loop()
        self._free: deque[_Line] = deque()
        self._waiting: deque[tuple[int, float]] = deque()
        self._open, self._total, self._all = 0, int(stream.rate * stream.seconds), asyncio.Event()
        self._times: list[float] = []
        self._late: list[float] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, began: float) -> Tally:
        stream, clock, total = self.stream, self._loop.time, self._total
        for number in range(total):
            due = began + number / stream.rate
            if (ahead := due - clock()) > 0:
                await asyncio.sleep(ahead)
            elif number % 50 == 0:
                await asyncio.sleep(0)
            if self._free:
                self._late.append(max(0.0, clock() - due))
                self._send(number, due)
                continue
            self._waiting.append((number, due))
            if self._open < stream.connections:
                self._open += 1
                task = asyncio.create_task(self._connect())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(90):
                await self._all.wait()
        self.tally.statuses["unanswered"] += total - len(self._times)
        self._times += [30.0] * (total - len(self._times))
        times, late = sorted(self._times), sorted(self._late) or [0.0]
        self.tally.p50, self.tally.p99, self.tally.worst = times[total // 2], times[int(total * 0.99)], times[-1]
        self.tally.late = late[int(len(late) * 0.99)]
        return self.tally

    async def _connect(self) -> None:
        try:
            await self._loop.create_connection(lambda: _Line(self), self.stream.host, self.stream.port)
        except OSError:
            self._open -= 1
            if self._waiting:
                self.ended(*self._waiting.popleft(), "no connection")

    def _send(self, number: int, due: float) -> None:
        self._free.popleft().send(number, due, self.stream.requests[number % len(self.stream.requests)])

    def free(self, line: _Line) -> None:
        self._free.append(line)
        if self._waiting:
            self._send(*self._waiting.popleft())

    def gone(self, line: _Line) -> None:
        self._open -= 1
        if line in self._free:
            self._free.remove(line)

    def ended(self, number: int, due: float, how: str) -> None:
        self.tally.statuses[how] += 1
        if how == "202":
            self.tally.taken.append(number)
        self._times.append(self._loop.time() - due)
        if len(self._times) == self._total:
            self._all.set()


async def _run(streams: list[Stream]) -> dict[str, Tally]:
    loop = asyncio.get_running_loop()
    began, spent = loop.time() + 0.2, _cpu()
    sendings = [_Sending(stream) for stream in streams]
    tallies = await asyncio.gather(*(sending.run(began) for sending in sendings))
    share = (_cpu() - spent) / (loop.time() - began)
    for tally in tallies:
        tally.cpu = share
    return {stream.name: tally for stream, tally in zip(streams, tallies, strict=True)}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def send(streams: list[Stream], folder: Path) -> dict[str, Tally]:
    """Runs them side by side in a process of their own."""
    plan = folder / "plan.pickle"
    plan.write_bytes(pickle.dumps(streams))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.sender", str(plan), stdout=asyncio.subprocess.PIPE
    )
    try:
        out, _ = await process.communicate()
    except BaseException:
        process.kill()
        raise
    finally:
        plan.unlink()
    assert process.returncode == 0
    return {name: Tally(**tally) for name, tally in json.loads(out).items()}


if __name__ == "__main__":
    found = asyncio.run(_run(pickle.loads(Path(sys.argv[1]).read_bytes())))
    print(json.dumps({name: vars(tally) for name, tally in found.items()}))
