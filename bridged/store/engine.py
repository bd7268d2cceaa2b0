"""Runs units of work: plain functions of an open transaction.

Writes go through one writer: whatever waits is run in one transaction, each unit under its own savepoint, and
made durable by one commit; a unit that fails takes no other with it. What arrives goes first: somebody waits for
the word that it is on disk, and what becomes of it can wait. On SQLite the writer is a thread with its
own connection, and so is each of a few readers: a whole unit runs there, since a thread hop for every statement would
cost more than the statement. On PostgreSQL all go through asyncpg. SQLite runs with WAL and `synchronous=FULL`: what
`write` has returned for survives a power cut.

Several processes may share one PostgreSQL. They write one after the other: each commit holds one advisory lock, so a
unit need not fear what another process does meanwhile, and serial numbers become visible in their order. They claim
work beside that (`claim`), and hear of one another's commits by NOTIFY (`Tx.signal`). See ADR 11.
"""

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from bridged.adapter import Busy
from bridged.prepared import Prepared
from bridged.store import connecting
from bridged.store.signals import Signals
from bridged.store.workers import Workers

if TYPE_CHECKING:
    pass

T = TypeVar("T")
BATCH = 200
QUEUE = 5_000
FLOOD = 100
"""Arrivals in a second from which on what can wait does."""
READERS = 2
"""Threads that read from SQLite."""
ANSWER = 10.0
"""Seconds that who brings something waits for the word that it is stored."""
LAST = 5.0
"""Seconds that a store which is closed has for what still waits."""
WRITER = 0x6272_6467
"""The advisory lock that whoever writes holds (PostgreSQL)."""

AWAY = (DBAPIError, sqlite3.Error, OSError, TimeoutError)
"""What is raised where the database is not to be had."""


class Lost(Exception):
    """Another process has taken over what this one had claimed: it was thought dead."""


class Tx:
    """An open transaction as units see it. `process` is the number of this process, 0 where there is only one."""

    def __init__(self, conn: Connection, process: int = 0) -> None:
        self.conn = conn
        self.process = process
        self.after: list[Callable[[], None]] = []
        self.signals: dict[tuple[str, str], None] = {}

    def execute(self, statement: Any, parameters: Any = None) -> Any:
        if isinstance(statement, Prepared):
            return statement.run(self.conn, parameters)
        return self.conn.execute(statement, parameters)

    def on_commit(self, call: Callable[[], None]) -> None:
        self.after.append(call)

    def signal(self, name: str, what: str = "") -> None:
        """Once this unit is on disk, every process of the bridge hears of it (see `Store.on`)."""
        self.signals[name, what] = None


@dataclass
class _Unit(Generic[T]):
    run: Callable[[Tx], T]
    done: "asyncio.Future[T]"
    first: bool = False
    value: T | None = None
    error: BaseException | None = None
    after: list[Callable[[], None]] = field(default_factory=list)
    signals: dict[tuple[str, str], None] = field(default_factory=dict[tuple[str, str], None])


def url_of(store: str, data_dir: Path) -> str:
    """The SQLAlchemy URL of the `store` setting."""
    return f"sqlite:///{data_dir / 'bridged.sqlite3'}" if store == "sqlite" else store


class Store:
    """An open database. `open` first, `close` last."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sqlite = url.startswith("sqlite")
        self.process = 0
        self.signals = Signals()
        self._first: deque[_Unit[Any]] = deque()
        self._queue: deque[_Unit[Any]] = deque()
        self._some = asyncio.Event()
        self._since, self._arrivals, self._before = 0.0, 0, 0
        self._flood_began = 0.0
        self.failing = ""
        """Why the last write came to nothing, "" when it did not."""
        self._writer: asyncio.Task[None] | None = None
        self._thread: Workers | None = None

    async def open(self) -> None:
        """Connects. Raises Busy when the database cannot be had."""
        if self.sqlite:
            self._thread = Workers(connecting.sqlite(self.url, "BEGIN IMMEDIATE"), "store", 1)
            self._readers = Workers(connecting.sqlite(self.url, "BEGIN"), "store-read", READERS)
        else:
            self._async = connecting.postgres(self.url, pool_size=5, max_overflow=5)
            # PostgreSQL would else show what others commit between two statements
            self._snapshots = self._async.execution_options(isolation_level="REPEATABLE READ")
            # so that claims and signs of life wait for nobody's reads
            self._aside = connecting.postgres(self.url, pool_size=2, max_overflow=1)
            self.signals.listen(self._aside)
        self._writer = asyncio.create_task(self._write_loop(), name="store writer")

    async def close(self) -> None:
        """What waits to be written is, unless the database takes too long."""
        if self._writer:
            with contextlib.suppress(Busy, TimeoutError):
                async with asyncio.timeout(LAST):
                    await self.write(lambda tx: None)
            self._writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer
        for unit in (*self._first, *self._queue):
            unit.done.cancel()
        await self.signals.close()
        if self._thread:
            self._thread.close()
            self._readers.close()
        else:
            await self._async.dispose()
            await self._aside.dispose()

    async def read(self, unit: Callable[[Tx], T]) -> T:
        """Runs `unit` on a snapshot; it must not write. Raises what the unit raised, or Busy."""
        try:
            if self._thread:
                return await self._readers.run(lambda c: unit(_reading(c)))
            async with self._snapshots.connect() as conn:
                return await conn.run_sync(lambda c: unit(Tx(c, self.process)))
        except AWAY as e:
            if _values_at_fault(e):
                raise
            raise _busy(e) from e

    async def claim(self, unit: Callable[[Tx], T]) -> T:
        """Runs `unit`, which sets aside work for this process and changes nothing else, beside the writes.

        Where there is but one process it must not write at all. What it did need not survive a power cut. Raises Busy.
        """
        if not self.process:
            return await self.read(unit)
        try:
            async with self._aside.begin() as conn:
                await conn.exec_driver_sql("SET LOCAL synchronous_commit = off")
                return await conn.run_sync(lambda c: unit(Tx(c, self.process)))
        except AWAY as e:
            if _values_at_fault(e):
                raise
            raise _busy(e) from e

    async def write(self, unit: Callable[[Tx], T], *, first: int = 0) -> T:
        """Runs `unit`, and returns once it is on disk: before those that can wait, if `first` things have arrived.

        Raises what the unit raised, or Busy. Whoever comes `first` has somebody waiting, and is not kept longer than
        ANSWER: the unit may still run after that, so that it must be one that can come again.
        """
        queue = self._first if first else self._queue
        if first:
            self._count(first)
        if len(queue) >= QUEUE:
            raise Busy("more writes wait than the database takes")
        item: _Unit[T] = _Unit(unit, asyncio.get_running_loop().create_future(), bool(first))
        queue.append(item)
        self._some.set()
        try:
            async with asyncio.timeout(ANSWER if first else None):
                return await asyncio.shield(item.done)
        except TimeoutError as late:
            if item.done.done():
                raise
            raise Busy("the database does not answer") from late

    @property
    def pressed(self) -> bool:
        """Whether somebody waits for what arrived to be stored."""
        return bool(self._first)

    def _count(self, arrivals: int) -> None:
        now = monotonic()
        if not self.flood:
            self._flood_began = now
        if now - self._since > 1.0:
            self._before = self._arrivals if now - self._since < 2.0 else 0
            self._since, self._arrivals = now, 0
        self._arrivals += arrivals

    @property
    def flood(self) -> float:
        """For how many seconds so much has arrived, now or in the second before, that what can wait should; or 0."""
        now = monotonic()
        age = now - self._since
        full = (age < 1.0 and max(self._arrivals, self._before) >= FLOOD) or (age < 2.0 and self._arrivals >= FLOOD)
        return max(now - self._flood_began, 0.001) if full else 0.0

    async def migrate(self, folder: Path, table: str, to: str = "head") -> None:
        """Brings the tables of one migrations folder up to date, or up to an older state. Raises Busy."""
        from bridged.store.upgrade import upgrade

        if self._thread:
            await self._thread.run(lambda conn: upgrade(conn, folder, table, to))
        else:
            from sqlalchemy.ext.asyncio import create_async_engine

            # one process at a time, and however long it takes
            engine = create_async_engine(self.url, pool_size=1, connect_args={"timeout": connecting.PATIENCE})
            try:
                async with engine.connect() as conn:
                    await conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER})")
                    await conn.run_sync(lambda c: upgrade(c, folder, table, to))
            except (DBAPIError, OSError) as e:
                raise _busy(e) from e
            finally:
                await engine.dispose()

    async def _write_loop(self) -> None:
        while True:
            if not (self._first or self._queue):
                self._some.clear()
                await self._some.wait()
            batch = [self._first.popleft() for _ in range(min(len(self._first), BATCH))]
            batch += [self._queue.popleft() for _ in range(min(len(self._queue), max(1, BATCH - len(batch))))]
            done = len(batch)
            error: BaseException | None = None
            try:
                if self._thread:
                    done = await self._thread.run(partial(_commit, batch, self))
                else:
                    async with self._async.connect() as conn:
                        done = await conn.run_sync(partial(_commit_shared, batch, self))
            except asyncio.CancelledError:
                for unit in batch:
                    unit.done.cancel()
                raise
            except Exception as e:
                error = _busy(e) if isinstance(e, AWAY) else e
            self._queue.extendleft(reversed(batch[done:]))
            self.failing = str(error or next((_busy(u.error) for u in batch if u.error and _operational(u.error)), ""))
            for unit in batch[:done]:
                _settle(unit, error, self.signals)


def _reading(conn: Connection) -> Tx:
    """One snapshot for all that is read: a prepared statement begins none of its own accord."""
    if not conn.in_transaction():
        conn.begin()
    return Tx(conn)


def _commit_shared(batch: list[_Unit[Any]], store: Store, conn: Connection) -> int:
    conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER})")
    return _commit(batch, store, conn)


def _commit(batch: list[_Unit[Any]], store: Store, conn: Connection) -> int:
    """One transaction for the whole batch, one savepoint for each unit. How many were run.

    Of those that can wait one is, and the others only while nothing new has arrived.
    """
    signals: dict[tuple[str, str], None] = {}
    done, waited = 0, False
    try:
        if not conn.in_transaction():
            conn.begin()
        say = _plainly(conn) if store.sqlite else conn.exec_driver_sql
        for unit in batch:
            if waited and store.pressed:
                break
            done, waited = done + 1, not unit.first
            tx = Tx(conn, store.process)
            say("SAVEPOINT unit")
            try:
                unit.value = unit.run(tx)
                say("RELEASE SAVEPOINT unit")
                unit.after, unit.signals = tx.after, tx.signals
                signals |= tx.signals
            except DBAPIError as e:
                unit.error = e
                if e.connection_invalidated:
                    raise
                _undo(say)
            except Exception as e:
                unit.error = e
                _undo(say)
        if not store.sqlite:
            store.signals.notify(conn, signals)
        conn.commit()
    except BaseException:
        conn.rollback()
        raise
    return done


def _plainly(conn: Connection) -> Callable[[str], Any]:
    """What needs nothing of SQLAlchemy's goes straight to the driver of SQLite: two of that come with every unit."""
    driver: Any = conn.connection.dbapi_connection
    return driver.execute


def _undo(say: Callable[[str], Any]) -> None:
    say("ROLLBACK TO SAVEPOINT unit")
    say("RELEASE SAVEPOINT unit")


def _settle(unit: _Unit[Any], error: BaseException | None, signals: Signals) -> None:
    if unit.done.cancelled():
        return
    if error is None and unit.error is None:
        for call in unit.after:
            call()
        for name, what in unit.signals:
            signals.tell(name, what)
        unit.done.set_result(unit.value)
        return
    why = unit.error or error
    assert why is not None
    unit.done.set_exception(_busy(why) if _operational(why) or error is not None else why)


def _operational(error: BaseException) -> bool:
    """Whether it is the database that fails, and not what was asked of it."""
    ours = ("OperationalError", "InterfaceError", "InternalError")
    return isinstance(error, (DBAPIError, sqlite3.Error)) and type(error).__name__ in ours


def _values_at_fault(error: BaseException) -> bool:
    """Whether the database does not take the values (SQLSTATE class 22): waiting for it would never end."""
    return str(getattr(getattr(error, "orig", None), "sqlstate", "")).startswith("22")


def _busy(error: BaseException) -> Busy:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return error if isinstance(error, Busy) else Busy(f"database: {type(cause).__name__}: {str(cause)[:200]}")
