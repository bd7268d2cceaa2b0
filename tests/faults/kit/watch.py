"""Whether the daemon stays well under attack: its memory, and how soon it answers /healthz meanwhile.

    async with calm(daemon):
        ...                       # the attack; fails afterwards if it was felt

A probe in a process of its own asks /healthz all the time, since the test's own loop is busy attacking. On a machine
with other work the daemon waits for its turn too: the bar is raised by what the kernel says it waited
(/proc/PID/schedstat), so that it holds for the daemon and not for the machine.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.interop.world import die_with_parent

from .daemon import Daemon

MEMORY = 64 << 20
LAG = 0.1
"""Seconds within which 99 % of the probes are answered, on a machine with nothing else to do."""


@dataclass
class Felt:
    """What an attack did to the daemon."""

    grown: int = 0
    """Bytes of memory, at the worst moment."""
    p99: float = 0.0
    """Seconds until /healthz answered."""
    slowdown: float = 1.0
    """How many times longer the daemon took because it had to wait for a processor."""
    probes: int = 0


@contextlib.asynccontextmanager
async def watched(daemon: Daemon) -> AsyncIterator[Felt]:
    """Measures; what it says is complete afterwards."""
    felt = Felt()
    probe = await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", str(Path(__file__).with_name("probe.py")), "127.0.0.1", str(daemon.port)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    assert probe.stdout
    assert await probe.stdout.readline() == b"ready\n"
    before, ran = daemon.rss(), scheduled(daemon.pid)

    async def look() -> None:
        while True:
            felt.grown = max(felt.grown, daemon.rss() - before)
            await asyncio.sleep(0.05)

    looking = asyncio.create_task(look())
    try:
        yield felt
        felt.grown = max(felt.grown, daemon.rss() - before)
        on, waited = (b - a for a, b in zip(ran, scheduled(daemon.pid), strict=True))
        felt.slowdown = 1 + waited / max(on, 0.001)
    finally:
        looking.cancel()
        out, _ = await probe.communicate(b"\n")
    times: list[float] = sorted(json.loads(out))
    # the worst one is let go of, however few there are
    felt.probes, felt.p99 = len(times), times[min(int(len(times) * 0.99), len(times) - 2)] if len(times) > 1 else 0.0


@contextlib.asynccontextmanager
async def calm(daemon: Daemon, memory: int = MEMORY, lag: float = LAG) -> AsyncIterator[Felt]:
    """As `watched`, and asserts that memory and answers stayed within their bars."""
    async with watched(daemon) as felt:
        yield felt
    assert felt.grown <= memory, f"memory grew by {felt.grown >> 20} MiB: {felt}"
    assert felt.probes > 1, f"no time to see anything: {felt}"
    assert felt.p99 <= lag * (2 * felt.slowdown - 1), f"the event loop was held up: {felt}"


def scheduled(pid: int) -> tuple[float, float]:
    """Seconds that the main thread has run, and that it has waited for a processor."""
    ran, waited, _ = Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()
    return int(ran) / 1e9, int(waited) / 1e9
