"""Threads that work on SQLite, each over a connection of its own.

A job runs there as a whole: a hop between threads for every statement would cost more than the statements. Jobs that
wait when a thread comes round are run one after the other, on one snapshot, and told together.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

T = TypeVar("T")
AT_ONCE = 16
"""Jobs taken at once, so that one that is slow holds up few."""

_Job = tuple[Callable[[Connection], Any], "asyncio.Future[Any]"]
_Told = tuple["asyncio.Future[Any]", Any, BaseException | None]


class Workers:
    """`engine` says how a transaction begins; what a job leaves of it is rolled back."""

    def __init__(self, engine: Engine, name: str, count: int) -> None:
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name=f"{name}-{n}", daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    async def run(self, job: Callable[[Connection], T]) -> T:
        """What `job` returns or raises. It sees all that was committed before this call."""
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((job, done))
        return await done

    def close(self) -> None:
        """Waits for jobs in hand."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._engine.dispose()

    def _work(self) -> None:
        conn: Connection | None = None
        while jobs := self._next():
            told: list[_Told] = []
            try:
                conn = conn or self._engine.connect()
                told += [_run(job, done, conn) for job, done in jobs]
                conn.rollback()
            except BaseException as e:  # a connection that fails is no use to the next
                conn = None
                told += [(done, None, e) for _, done in jobs[len(told) :]]
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(_tell, told)
        if conn is not None:
            conn.close()

    def _next(self) -> list[_Job]:
        """What waits, once something does; nothing when it is time to end."""
        jobs: list[_Job] = []
        with contextlib.suppress(queue.Empty):
            while len(jobs) < AT_ONCE:
                job = self._jobs.get(block=not jobs)
                if job is None:
                    if jobs:
                        self._jobs.put(None)
                    break
                jobs.append(job)
        return jobs


def _run(job: Callable[[Connection], Any], done: "asyncio.Future[Any]", conn: Connection) -> _Told:
    try:
        return done, job(conn), None
    except Exception as e:
        return done, None, e


def _tell(told: list[_Told]) -> None:
    for done, value, error in told:
        if done.cancelled():
            continue
        if error is None:
            done.set_result(value)
        else:
            done.set_exception(error)
