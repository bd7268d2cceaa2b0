"""Processes that open files of strangers (`pictures.py`), started when there is something to open and gone when idle.

One that takes too long is killed, one that dies is replaced: either costs the file it was at, and nothing else.
"""

import asyncio
import contextlib
import json
import struct
import sys
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from bridged import pictures

HANDS = 2
"""Files opened at once."""
IDLE = 20.0
"""Seconds without work after which a process ends: it holds some 30 MB."""
LIMIT = 10.0
"""Seconds for one file."""
BACK = 64 << 20
"""Bytes taken back at most."""


class Spoilt(Exception):
    """The file cannot be used; `why` in a few words."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Workshop:
    """`limit`: seconds for one file; `idle`: seconds for which a process waits for the next."""

    def __init__(self, *, limit: float = LIMIT, idle: float = IDLE) -> None:
        self._limit, self._idle = limit, idle
        self._hands = asyncio.Semaphore(HANDS)
        self._waiting: list[tuple[asyncio.subprocess.Process, asyncio.TimerHandle]] = []

    @property
    def processes(self) -> list[int]:
        """Process ids of those that wait for work."""
        return [process.pid for process, _ in self._waiting]

    async def do(self, order: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        """What became of one file; orders are the parameters of `pictures.fit` and `pictures.card`. Raises Spoilt."""
        async with self._hands, self._process() as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                async with asyncio.timeout(self._limit):
                    process.stdin.write(pictures.frame(json.dumps(order).encode()) + pictures.frame(data))
                    await process.stdin.drain()
                    answer = json.loads(await _frame(process.stdout))
                    made = await _frame(process.stdout)
            except TimeoutError:
                raise Spoilt("took too long to open") from None
            except (OSError, EOFError, ValueError):
                raise Spoilt("killed what opened it") from None
        if "unfit" in answer:
            raise Spoilt(answer["unfit"])
        return answer, made

    async def close(self) -> None:
        while self._waiting:
            process, timer = self._waiting.pop()
            timer.cancel()
            await _end(process)

    @contextlib.asynccontextmanager
    async def _process(self) -> AsyncGenerator[asyncio.subprocess.Process]:
        """One that waits for work, or a new one; it waits again, unless it failed."""
        process = self._take() or await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(pictures.__file__),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},  # nothing of ours, secrets least of all
            cwd="/",
            start_new_session=True,
        )
        try:
            yield process
        except BaseException:
            await _end(process)
            raise
        timer = asyncio.get_running_loop().call_later(self._idle, self._retire, process)
        self._waiting.append((process, timer))

    def _take(self) -> asyncio.subprocess.Process | None:
        while self._waiting:
            process, timer = self._waiting.pop()
            timer.cancel()
            if process.returncode is None:
                return process
        return None

    def _retire(self, process: asyncio.subprocess.Process) -> None:
        self._waiting = [(p, t) for p, t in self._waiting if p is not process]
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def _frame(stream: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">I", await stream.readexactly(4))
    if size > BACK:
        raise ValueError("too much")
    return await stream.readexactly(size)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
