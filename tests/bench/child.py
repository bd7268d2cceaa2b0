"""Processes beside the daemon: each is a module that says one line of JSON when it is ready, and then answers lines.

Both ends of the pipe are here. `Child` is the bench's; `answer` is the process's own.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 600.0
"""Seconds after which a process that does not answer counts as hung, and is killed."""


class Child:
    """A process whose first line is in `ready`: JSON, from other people's programs as it is. Enter it to start it."""

    def __init__(self, *command: str | Path, env: dict[str, str] | None = None, cwd: Path = ROOT) -> None:
        self._command = [str(part) for part in command]
        self._env = env or {}
        self._cwd = cwd

    @classmethod
    def module(cls, name: str, **options: Any) -> "Child":
        """A Python module of ours; `options` reach it as JSON (`options()`)."""
        return cls(sys.executable, "-m", name, json.dumps(options))

    def __enter__(self) -> "Child":
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self._cwd,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | self._env,
        )
        try:
            self.ready = self._line()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._end()

    def ask(self, **question: Any) -> Any:
        """What it answers. Raises RuntimeError when it is gone, or says nothing for too long."""
        self.tell(**question)
        return self._line()

    def tell(self, **question: Any) -> None:
        """A question whose answer is fetched later, by `hear`."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        return self._line()

    def _line(self) -> Any:
        assert self._process.stdout
        clock = threading.Timer(PATIENCE, self._process.kill)
        clock.start()
        try:
            line = self._process.stdout.readline()
        finally:
            clock.cancel()
        if not line:
            raise RuntimeError(f"{' '.join(self._command)[:200]} ended or was silent for {PATIENCE:.0f} s")
        try:
            return json.loads(line)
        except ValueError:
            return line

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()


def options() -> dict[str, Any]:
    """What the bench gave this process."""
    return json.loads(sys.argv[1])


def say(thing: Any) -> None:
    print(json.dumps(thing), flush=True)


async def answer(ready: Any, handle: Callable[..., Awaitable[Any]]) -> None:
    """Says `ready`, then answers each question with what `handle(**question)` returns, until the pipe is closed."""
    reader = asyncio.StreamReader(limit=1 << 26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    say(ready)
    while line := await reader.readline():
        say(await handle(**json.loads(line)))
