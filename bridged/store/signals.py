"""What has just been committed, told to whoever listens: here at once, to other processes by NOTIFY (PostgreSQL).

A signal only says that it is worth looking: what it is about is in the database. Nothing depends on its arriving, so
after a lost connection everybody who listens is told once, without a word about what.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection, text

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

CHANNEL = "bridged"
LONGEST = 7_000
"""Bytes a notification may have; PostgreSQL takes 8000."""
ALIVE = 10.0
"""Seconds after which a silent connection is tried."""

_NOTIFY = text(f"SELECT pg_notify('{CHANNEL}', p) FROM json_array_elements_text(CAST(:payloads AS json)) AS p")

INBOX, OUTBOX, EARS = "inbox", "outbox", "ears"


class Signals:
    def __init__(self) -> None:
        self._calls: dict[str, list[Callable[[str], None]]] = {}
        self._me = os.urandom(8).hex()
        self._task: asyncio.Task[None] | None = None
        self._log: Any = structlog.get_logger("bridged")

    def on(self, name: str, call: Callable[[str], None]) -> None:
        """`call(what)` runs on the event loop after each such commit; with "" anything may have happened."""
        self._calls.setdefault(name, []).append(call)

    def tell(self, name: str, what: str) -> None:
        for call in self._calls.get(name, ()):
            try:
                call(what)
            except Exception:
                # what it is about is committed: neither the writer nor the others may end over it
                self._log.exception("signal_failed", signal=name)

    def notify(self, conn: Connection, signals: Iterable[tuple[str, str]]) -> None:
        """Tells the other processes, once the transaction is committed."""
        payloads: list[str] = []
        for name, what in signals:
            payload = json.dumps([self._me, name, what])
            payloads.append(payload if len(payload) <= LONGEST else json.dumps([self._me, name, ""]))
        if payloads:
            conn.execute(_NOTIFY, {"payloads": json.dumps(payloads)})

    def listen(self, engine: "AsyncEngine") -> None:
        """Hears what other processes notify of, until `close`."""
        self._task = asyncio.create_task(self._listen(engine), name="store signals")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _listen(self, engine: "AsyncEngine") -> None:
        while True:
            try:
                await self._hear(engine)
            except Exception as e:  # the driver's own exceptions have no common base
                self._log.info("signals_lost", why=f"{type(e).__name__}: {str(e)[:200]}")
            await asyncio.sleep(1)

    async def _hear(self, engine: "AsyncEngine") -> None:
        async with engine.connect() as conn:
            raw: Any = (await conn.get_raw_connection()).driver_connection
            try:
                await raw.add_listener(CHANNEL, self._heard)
                for name in list(self._calls):
                    self.tell(name, "")
                while not raw.is_closed():
                    await asyncio.sleep(ALIVE)
                    await raw.execute("SELECT 1")
            finally:
                # a pool would hand the connection on with its listener
                await conn.invalidate()

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        try:
            sender, name, what = json.loads(payload)
        except ValueError:
            return  # somebody else's
        if sender != self._me:
            self.tell(name, what)
