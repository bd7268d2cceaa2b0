"""Runs units of work: plain functions of an open transaction.

Writes go through one writer: whatever waits is run in one transaction, each unit under its own savepoint, and
made durable by one commit; a unit that fails takes no other with it. On SQLite the writer is a thread with its
own connection, since a thread hop for every statement would cost more than the statement; reads go through
aiosqlite. On PostgreSQL both go through asyncpg. SQLite runs with WAL and `synchronous=FULL`: what `write` has
returned for survives a power cut.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bridged.adapter import Busy

T = TypeVar("T")
BATCH = 200
QUEUE = 5_000


class Tx:
    """An open transaction as units see it."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.after: list[Callable[[], None]] = []

    def execute(self, statement: Any, parameters: Any = None) -> Any:
        return self.conn.execute(statement, parameters)

    def on_commit(self, call: Callable[[], None]) -> None:
        self.after.append(call)


@dataclass
class _Unit(Generic[T]):
    run: Callable[[Tx], T]
    done: "asyncio.Future[T]"
    value: T | None = None
    error: BaseException | None = None
    after: list[Callable[[], None]] = field(default_factory=list)


def url_of(store: str, data_dir: Path) -> str:
    """The SQLAlchemy URL of the `store` setting."""
    return f"sqlite:///{data_dir / 'bridged.sqlite3'}" if store == "sqlite" else store


def _prepare(engine: Engine, begin: str) -> None:
    """Hands transactions over to SQLAlchemy: the driver's own rules would keep reads outside them."""
    event.listen(engine, "connect", _pragmas)

    def start(conn: Connection) -> None:
        conn.exec_driver_sql(begin)

    event.listen(engine, "begin", start)


def _pragmas(dbapi: Any, _record: Any) -> None:
    dbapi.isolation_level = None
    cursor = dbapi.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=5000",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


class Store:
    """An open database. `open` first, `close` last."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sqlite = url.startswith("sqlite")
        self._queue: asyncio.Queue[_Unit[Any]] = asyncio.Queue(QUEUE)
        self._writer: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._sync: Engine | None = None
        self._conn: Connection | None = None

    async def open(self) -> None:
        """Connects. Raises Busy when the database cannot be had."""
        if self.sqlite:
            self._sync = create_engine(self.url, connect_args={"check_same_thread": False})
            _prepare(self._sync, "BEGIN IMMEDIATE")
            self._thread = ThreadPoolExecutor(1, "store")
            self._async: AsyncEngine = create_async_engine(
                self.url.replace("sqlite:", "sqlite+aiosqlite:", 1), pool_size=4
            )
            _prepare(self._async.sync_engine, "BEGIN")
            self._snapshots = self._async
        else:
            self._async = create_async_engine(self.url, pool_size=5, max_overflow=5, pool_pre_ping=True)
            # PostgreSQL would else show what others commit between two statements
            self._snapshots = self._async.execution_options(isolation_level="REPEATABLE READ")
        self._writer = asyncio.create_task(self._write_loop(), name="store writer")

    async def close(self) -> None:
        if self._writer:
            self._writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer
        while not self._queue.empty():
            self._queue.get_nowait().done.cancel()
        await self._async.dispose()
        if self._thread:
            self._thread.submit(self._close_sync).result()
            self._thread.shutdown()

    def _close_sync(self) -> None:
        if self._conn:
            self._conn.close()
        if self._sync:
            self._sync.dispose()

    async def read(self, unit: Callable[[Tx], T]) -> T:
        """Runs `unit` on a snapshot; it must not write. Raises Busy when the database is away."""
        try:
            async with self._snapshots.connect() as conn:
                return await conn.run_sync(lambda c: unit(Tx(c)))
        except (DBAPIError, OSError) as e:
            raise _busy(e) from e

    async def write(self, unit: Callable[[Tx], T]) -> T:
        """Runs `unit` and returns once it is on disk. Raises what the unit raised, or Busy."""
        if self._queue.full():
            raise Busy("more writes wait than the database takes")
        item: _Unit[T] = _Unit(unit, asyncio.get_running_loop().create_future())
        self._queue.put_nowait(item)
        return await asyncio.shield(item.done)

    async def migrate(self, folder: Path, table: str, to: str = "head") -> None:
        """Brings the tables of one migrations folder up to date, or up to an older state."""
        from bridged.store.upgrade import upgrade

        if self._thread:
            await asyncio.get_running_loop().run_in_executor(
                self._thread, lambda: upgrade(self._connection(), folder, table, to)
            )
        else:
            async with self._async.connect() as conn:
                await conn.run_sync(lambda c: upgrade(c, folder, table, to))

    def _connection(self) -> Connection:
        if self._conn is None:
            assert self._sync is not None
            self._conn = self._sync.connect()
        return self._conn

    async def _write_loop(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            error: BaseException | None = None
            try:
                if self._thread:
                    await asyncio.get_running_loop().run_in_executor(self._thread, partial(_commit_on, self, batch))
                else:
                    async with self._async.connect() as conn:
                        await conn.run_sync(_commit, batch)
            except asyncio.CancelledError:
                for unit in batch:
                    unit.done.cancel()
                raise
            except Exception as e:
                error = _busy(e) if isinstance(e, (DBAPIError, OSError)) else e
            for unit in batch:
                _settle(unit, error)


def _commit_on(store: Store, batch: list[_Unit[Any]]) -> None:
    _commit(store._connection(), batch)  # pyright: ignore[reportPrivateUsage]


def _commit(conn: Connection, batch: list[_Unit[Any]]) -> None:
    """One transaction for the whole batch, one savepoint for each unit."""
    try:
        for unit in batch:
            tx = Tx(conn)
            point = conn.begin_nested()
            try:
                unit.value = unit.run(tx)
                point.commit()
                unit.after = tx.after
            except DBAPIError as e:
                unit.error = e
                if e.connection_invalidated:
                    raise
                point.rollback()
            except Exception as e:
                unit.error = e
                point.rollback()
        conn.commit()
    except BaseException:
        conn.rollback()
        raise


def _settle(unit: _Unit[Any], error: BaseException | None) -> None:
    if unit.done.cancelled():
        return
    if error is None and unit.error is None:
        for call in unit.after:
            call()
        unit.done.set_result(unit.value)
        return
    why = unit.error or error
    assert why is not None
    operational = isinstance(why, DBAPIError) and type(why).__name__ in (
        "OperationalError",
        "InterfaceError",
        "InternalError",
    )
    unit.done.set_exception(_busy(why) if operational or error is not None else why)


def _busy(error: BaseException) -> Busy:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return error if isinstance(error, Busy) else Busy(f"database: {type(cause).__name__}: {str(cause)[:200]}")
