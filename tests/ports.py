"""Ports for servers of tests."""

import contextlib
import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

_SLICE = 100
_locks: list[IO[bytes]] = []
_left: dict[int, list[int]] = {}
"""What is left of our slices, by where they are from."""


def free_port(low: int = 10_000) -> int:
    """One of ten thousand that nobody listens at, not given to anybody else, here or in a process beside this one.

    They are below those that the system gives to connections: a port stays free while its server is not up.
    """
    left = _left.setdefault(low, [])
    while True:
        if not left:
            left += _slice(low)
        port = left.pop()
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


def _slice(low: int) -> list[int]:
    """A hundred ports that are this process's own for as long as it lives."""
    folder = Path(tempfile.gettempdir()) / f"bridged-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    firsts = range(low, low + 10_000, _SLICE)
    for first in random.sample(firsts, len(firsts)):
        lock = (folder / str(first)).open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _locks.append(lock)
        return random.sample(range(first, first + _SLICE), _SLICE)
    raise RuntimeError(f"all ports from {low} on are taken by other processes")
