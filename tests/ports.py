"""Ports for servers of tests."""

import contextlib
import random
import socket

_given: set[int] = set()


def free_port(low: int = 10_000) -> int:
    """One of ten thousand that nobody listens at, never given twice in one process.

    They are below those that the system gives to connections: a port stays free while its server is not up.
    """
    while True:
        port = random.randrange(low, low + 10_000)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port
