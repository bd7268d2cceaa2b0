"""Units of work on both databases: durable together, apart in failure."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import await_only

from bridged.adapter import Busy
from bridged.store import engine, settings
from bridged.store.engine import Store, Tx, url_of
from bridged.store.schema_files import metadata
from bridged.store.upgrade import CORE


@pytest.fixture
async def store(store_url: str, tmp_path: Path) -> AsyncIterator[Store]:
    store, listening = Store(url_of(store_url, tmp_path)), asyncio.Event()
    store.signals.on("tests", lambda _: listening.set())
    await store.open()
    await store.migrate(CORE, "bridged_version")
    if not store.sqlite:  # whoever begins to listen is told at first that anything may have happened
        async with asyncio.timeout(90):
            await listening.wait()
    yield store
    await store.close()


async def test_migrations_and_schema_say_the_same(store: Store) -> None:
    def difference(tx: Tx) -> list[Any]:
        context = MigrationContext.configure(tx.conn, opts={"compare_type": True, "version_table": "bridged_version"})
        return list(compare_metadata(context, metadata))

    assert await store.read(difference) == []


async def test_migrations_run_once(store: Store) -> None:
    await store.write(lambda tx: settings.put(tx, "a", "1"))
    await store.migrate(CORE, "bridged_version")
    assert await store.read(lambda tx: settings.get(tx, "a")) == "1"


async def test_unit_that_fails_takes_no_other_with_it(store: Store) -> None:
    def bad(tx: Tx) -> None:
        settings.put(tx, "bad", "1")
        raise KeyError("no")

    def worse(tx: Tx) -> None:
        settings.put(tx, "worse", "1")
        tx.execute(text("SELECT * FROM nothing_of_the_kind"))

    results = await asyncio.gather(
        store.write(lambda tx: settings.put(tx, "one", "1")),
        store.write(bad),
        store.write(worse),
        store.write(lambda tx: settings.put(tx, "two", "2")),
        return_exceptions=True,
    )
    assert results[0] is None
    assert results[3] is None
    assert isinstance(results[1], KeyError)
    assert isinstance(results[2], Exception)
    kept = await store.read(lambda tx: [settings.get(tx, n) for n in ("one", "bad", "worse", "two")])
    assert kept == ["1", None, None, "2"]


async def test_later_units_of_a_batch_see_earlier_ones(store: Store) -> None:
    def count(tx: Tx) -> int:
        number = int(settings.get(tx, "count") or 0) + 1
        settings.put(tx, "count", str(number))
        return number

    assert sorted(await asyncio.gather(*(store.write(count) for _ in range(300)))) == list(range(1, 301))


async def test_calls_on_commit_run_for_what_was_committed_only(store: Store) -> None:
    called: list[str] = []

    def good(tx: Tx) -> None:
        tx.on_commit(lambda: called.append("good"))

    def bad(tx: Tx) -> None:
        tx.on_commit(lambda: called.append("bad"))
        raise KeyError

    await asyncio.gather(store.write(good), store.write(bad), return_exceptions=True)
    assert called == ["good"]


async def test_caller_that_gives_up_loses_no_write(store: Store) -> None:
    task = asyncio.create_task(store.write(lambda tx: settings.put(tx, "a", "1")))
    await asyncio.sleep(0)
    task.cancel()
    await store.write(lambda tx: settings.put(tx, "b", "2"))
    assert await store.read(lambda tx: settings.get(tx, "a")) == "1"


async def test_read_sees_one_moment_throughout(store: Store) -> None:
    await store.write(lambda tx: settings.put(tx, "a", "1"))
    seen: list[str | None] = []
    reading, written = asyncio.Event(), asyncio.Event()

    async def change() -> None:
        await reading.wait()
        await store.write(lambda tx: settings.put(tx, "a", "2"))
        written.set()

    loop = asyncio.get_running_loop()

    async def look() -> None:
        def unit(tx: Tx) -> None:
            seen.append(settings.get(tx, "a"))
            loop.call_soon_threadsafe(reading.set)
            if store.sqlite:  # in a thread of its own
                asyncio.run_coroutine_threadsafe(written.wait(), loop).result()
            else:
                await_only(written.wait())
            seen.append(settings.get(tx, "a"))

        await store.read(unit)

    async with asyncio.timeout(60):
        await asyncio.gather(change(), look())
    assert seen == ["1", "1"]
    assert await store.read(lambda tx: settings.get(tx, "a")) == "2"


async def test_more_writes_than_can_wait_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridged.store.engine.QUEUE", 1)
    first = asyncio.create_task(store.write(lambda tx: None))
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await store.write(lambda tx: None)
    await first


async def test_what_arrives_is_stored_before_what_can_wait(store: Store) -> None:
    order: list[str] = []
    running, arrived = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        order.append("slow")
        running.set()
        if store.sqlite:  # in a thread of its own
            assert arrived.wait(60)

    writes = [asyncio.create_task(store.write(slow))]
    writes += [asyncio.create_task(store.write(lambda tx: order.append("later"))) for _ in range(300)]
    while not running.is_set():  # noqa: ASYNC110
        await asyncio.sleep(0)
    first = asyncio.create_task(store.write(lambda tx: order.append("first"), first=True))
    await asyncio.sleep(0.01)
    arrived.set()
    await asyncio.gather(first, *writes)
    assert len(order) == 302
    assert order.index("first") == 1
    assert order[-1] == "later"


async def test_close_ends_while_writes_are_waiting(store_url: str, tmp_path: Path) -> None:
    store = Store(url_of(store_url, tmp_path))
    await store.open()
    await store.migrate(CORE, "bridged_version")
    writes = [asyncio.create_task(store.write(lambda tx: settings.put(tx, "a", "1"))) for _ in range(500)]
    await asyncio.sleep(0.001)
    async with asyncio.timeout(60):
        await store.close()
        await asyncio.gather(*writes, return_exceptions=True)
    again = Store(url_of(store_url, tmp_path))
    await again.open()
    assert await again.read(lambda tx: settings.get(tx, "a")) in (None, "1")
    await again.close()


async def test_database_that_is_away_is_busy_not_an_accident(tmp_path: Path) -> None:
    store = Store("postgresql+asyncpg://nobody@127.0.0.1:1/none")
    await store.open()
    with pytest.raises(Busy):
        await store.read(lambda tx: settings.get(tx, "a"))
    with pytest.raises(Busy):
        await store.write(lambda tx: settings.put(tx, "a", "1"))
    await store.close()


async def test_values_that_the_database_does_not_take_are_no_reason_to_wait(store: Store) -> None:
    """Only SQLite takes NUL: elsewhere it is an error that is not Busy, else what brings it was tried for ever."""

    def unit(tx: Tx) -> Any:
        return tx.execute(text("SELECT :letters || ''"), {"letters": "a\0b"}).scalar()

    for run in (store.read, store.write):
        if store.sqlite:
            assert await run(unit) == "a\0b"
        else:
            with pytest.raises(DBAPIError):
                await run(unit)


async def test_flood_is_told_while_it_lasts_and_a_moment_longer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(engine, "monotonic", lambda: now)
    assert not store.flood
    await store.write(lambda tx: None, first=engine.FLOOD - 1)
    assert not store.flood, "fewer"
    await store.write(lambda tx: None)
    assert not store.flood, "what the bridge does by itself is no arrival"
    await store.write(lambda tx: None, first=1)
    assert store.flood
    now += 1.5
    assert store.flood
    await store.write(lambda tx: None, first=1)
    assert store.flood, "the second before was full"
    now += 1.5
    await store.write(lambda tx: None, first=1)
    assert not store.flood
    now += 10
    assert not store.flood


async def test_listener_that_fails_stops_neither_the_writer_nor_other_listeners(store: Store) -> None:
    heard: list[str] = []

    def broken(_what: str) -> None:
        heard.append("broken")
        raise KeyError("no")

    store.signals.on("news", broken)
    store.signals.on("news", heard.append)
    await store.write(lambda tx: tx.signal("news", "first"))
    await store.write(lambda tx: tx.signal("news", "second"))
    assert heard == ["broken", "first", "broken", "second"]
