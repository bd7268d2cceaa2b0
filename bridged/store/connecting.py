"""How the databases are connected to."""

import os
import socket
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

PATIENCE = 15
"""Seconds after which PostgreSQL ends what waits for a lock, or holds one and does nothing."""


def sqlite(url: str, begin: str) -> Engine:
    """Transactions are SQLAlchemy's: the driver's own rules would keep reads outside them."""
    engine = create_engine(url, connect_args={"check_same_thread": False, "cached_statements": 1000})
    event.listen(engine, "connect", _pragmas)

    def start(conn: Connection) -> None:
        driver: Any = conn.connection.dbapi_connection
        driver.execute(begin)  # SQLAlchemy's own way takes as long as a small transaction

    event.listen(engine, "begin", start)
    return engine


def _pragmas(dbapi: Any, _record: Any) -> None:
    dbapi.isolation_level = None
    cursor = dbapi.cursor()
    for pragma in (
        "auto_vacuum=INCREMENTAL",  # counts for new files alone
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=5000",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def postgres(url: str, *, pool_size: int, max_overflow: int) -> "AsyncEngine":
    """An engine whose connections neither wait nor hold others up for ever."""
    # megabytes that SQLite does without
    from sqlalchemy.ext.asyncio import create_async_engine

    settings = {
        "application_name": f"bridged {socket.gethostname()} {os.getpid()}",
        "lock_timeout": f"{PATIENCE}s",
        "idle_in_transaction_session_timeout": f"{PATIENCE}s",
    }
    arguments = {"server_settings": settings, "timeout": PATIENCE, "command_timeout": 2 * PATIENCE}
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_pre_ping=True,
        pool_timeout=PATIENCE,
        connect_args=arguments,
    )
