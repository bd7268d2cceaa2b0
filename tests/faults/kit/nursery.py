"""Starts daemons by forking a process that has everything imported: a tenth of a second each, not one and a half.

What it starts is a process of its own that runs `bridged …` and dies like any other; only the reading of Python's
modules is shared. For series of short lives:

    async with Nursery() as nursery:
        daemon = Daemon(folder, nursery=nursery)

Run as a program it is the process that forks: a JSON line {argv, env, cwd, log} on standard input starts one,
standard output tells [pid, null] when it was and [pid, exit code] when it has ended.
"""

import asyncio
import gc
import importlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.interop.world import ENVIRON, die_with_parent

ROOT = Path(__file__).parents[3]


class Child:
    """One started process, with what is needed of `asyncio.subprocess.Process`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.ended = asyncio.Event()

    async def wait(self) -> int:
        await self.ended.wait()
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        # the nursery reaps: until it has said so, the number is nobody else's
        if self.returncode is None:
            os.kill(self.pid, number)


class Nursery:
    """`env` is laid over the environment of all (LD_PRELOAD …)."""

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        self._env = dict(env or {})
        self._children: dict[int, Child] = {}
        self._born: asyncio.Queue[Child | None] = asyncio.Queue()
        self._one = asyncio.Lock()

    async def __aenter__(self) -> "Nursery":
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.faults.kit.nursery",
            env={**ENVIRON, "PYTHONPATH": str(ROOT), **self._env},
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            preexec_fn=die_with_parent,
        )
        self._listener = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()
        await self._listener

    async def start(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path) -> Child:
        assert self._process.stdin
        order = {"argv": list(argv), "env": {**env, **self._env}, "cwd": str(cwd), "log": str(log)}
        async with self._one:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            child = await self._born.get()
            assert child is not None, "the nursery has ended; standard error says why"
            return child

    async def _listen(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            pid, code = json.loads(line)
            if code is None:
                child = self._children[pid] = Child(pid)
                self._born.put_nowait(child)
            else:
                child = self._children.pop(pid)
                child.returncode = code
                child.ended.set()
        self._born.put_nowait(None)


IMPORTED = (
    "adapters.activitypub.adapter",
    "adapters.nostr.adapter",
    "asyncpg",
    "bridged.cli.running",
    "bridged.store.upgrade",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.sqlite",
)
"""With what they import, all that `bridged run` imports."""


def _serve() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()

    def tell(pid: int, code: int | None) -> None:
        os.write(1, json.dumps([pid, code]).encode() + b"\n")

    def reap(*_: object) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            tell(pid, os.waitstatus_to_exitcode(status))

    signal.signal(signal.SIGCHLD, reap)
    for line in sys.stdin.buffer:
        order = json.loads(line)
        # its end must not be told before its beginning
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if pid == 0:
            _be(order)
        tell(pid, None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def _be(order: dict[str, object]) -> None:
    """From here on this is the daemon."""
    code = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        die_with_parent()
        log = os.open(str(order["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, null), (1, log), (2, log)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(order["env"])  # type: ignore[call-overload]
        os.chdir(str(order["cwd"]))
        sys.argv = ["bridged", *order["argv"]]  # type: ignore[misc]
        from bridged import cli, seams

        seams.arm(os.environ.get("BRIDGED_CRASH", ""))
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    _serve()
