"""This process among those that share the bridge's database.

With SQLite there is one process, which does everything. On PostgreSQL there may be several, each with its roles. Each
gives a sign of life every few seconds; who gives none for a while is taken for dead, and the others take over what it
had in hand: lanes, envelopes, and the leases on what only one process may do at a time. A process that could not give
its sign of life in time stops doing those things before the others begin.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import structlog

from bridged.adapter import Busy
from bridged.ending import end
from bridged.store import processes
from bridged.store.engine import Store, Tx
from bridged.store.signals import INBOX, OUTBOX

ROLES = ("web", "relay", "ingest", "bridge", "deliver")
"""web: pages and inboxes; relay: connections that stay open; ingest: listening to the outside; bridge: station 2 and
what is done by the clock; deliver: station 3."""
BEAT = 2.0
SILENCE = 9.0
"""Seconds without a sign of life after which a process is taken for dead. With the beats of the others and the time it
takes to go and look for leases, what it did is taken over within 15 s."""
MARGIN = 2.0
LEASES = "leases"


class Process:
    def __init__(self, store: Store) -> None:
        self.roles: Sequence[str] = ROLES
        self._store = store
        self._log: Any = structlog.get_logger("bridged")
        self._beat = 0.0
        self._free = asyncio.Event()
        store.signals.on(LEASES, lambda _: self._free.set())

    async def open(self) -> None:
        """Enters the list of processes, and takes from it those of this machine that are no more. Raises Busy."""
        if self._store.sqlite:
            return
        host, roles = socket.gethostname(), ",".join(self.roles)

        def unit(tx: Tx) -> int:
            gone = [p.id for p in processes.living(tx) if p.host == host and not _runs(p.pid)]
            if gone:
                processes.leave(tx, gone)
                tx.signal(LEASES)
            return processes.enter(tx, host, os.getpid(), roles)

        self._beat = time.monotonic()
        self._store.process = await self._store.write(unit)

    async def close(self) -> None:
        """Leaves the list: the others need not wait until this process is taken for dead."""
        me, self._store.process = self._store.process, 0
        if me:
            with contextlib.suppress(Busy):
                await self._store.write(lambda tx: (processes.leave(tx, [me]), tx.signal(LEASES)))

    async def run(self) -> None:
        """Signs of life until cancelled, and a look at those of the others."""
        while not self._store.sqlite:
            try:
                await self.step()
            except Busy as e:
                self._log.warning("sign_of_life_failed", why=e.why)
                with contextlib.suppress(Busy):
                    await self._cut()
            await asyncio.sleep(BEAT)
        await asyncio.Event().wait()

    async def step(self) -> None:
        """One sign of life. Raises Busy."""
        now, me = time.monotonic(), self._store.process
        if not await self._store.claim(lambda tx: processes.beat(tx, me)):
            self._log.warning("taken_for_dead", process=me, mend="is the machine overloaded, or the database far away?")
            await self.open()
            return
        self._beat = now

        def bury(tx: Tx) -> list[int]:
            found = processes.bury(tx, me, SILENCE)
            if found:
                for what in (LEASES, INBOX, OUTBOX):
                    tx.signal(what)
            return found

        dead = await self._store.write(bury)
        if dead:
            self._log.warning("processes_dead", processes=dead)

    async def _cut(self) -> None:
        """Nobody waits any longer for one that was stopped in the midst of a write."""
        ended = await self._store.read(lambda tx: processes.cut(tx, SILENCE))
        if ended:
            self._log.warning("processes_cut_off", connections=len(ended))

    async def alone(self, name: str, job: Callable[[], Awaitable[None]]) -> None:
        """Runs `job` in one process at a time: waits until this one holds the lease, and stops `job` when it is lost.

        Ends when `job` ends, and raises what it raises.
        """
        if self._store.sqlite:
            await job()
            return
        while True:
            process = await self._take(name)
            work = asyncio.ensure_future(job())
            lost = asyncio.create_task(self._lost(process))
            try:
                await asyncio.wait([work, lost], return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    return work.result()
                self._log.warning("lease_lost", lease=name)
            finally:
                lost.cancel()
                await end(work)
                with contextlib.suppress(Busy):
                    await self._store.claim(lambda tx, p=process: processes.give_up(tx, name, p))
                    await self._store.write(lambda tx: tx.signal(LEASES))

    async def _take(self, name: str) -> int:
        """Waits for the lease; the number under which this process holds it."""
        while True:
            self._free.clear()
            me = self._store.process
            with contextlib.suppress(Busy):
                if self._fresh() and await self._store.claim(partial(processes.take, name=name, process=me)):
                    return me
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await self._free.wait()

    async def _lost(self, process: int) -> None:
        """Returns once nobody can be sure any more that `process` is thought alive."""
        while self._store.process == process and self._fresh():  # noqa: ASYNC110 - the clock tells nobody
            await asyncio.sleep(BEAT / 4)

    def _fresh(self) -> bool:
        return time.monotonic() - self._beat < SILENCE - MARGIN


def _runs(pid: int) -> bool:
    """Whether another process has this number. Our own had whoever ran here before us, as in a container."""
    if pid == os.getpid():
        return False
    with contextlib.suppress(PermissionError):  # somebody else's runs as well
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
