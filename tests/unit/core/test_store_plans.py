"""What a post costs must not grow with what is stored: no statement reads a whole table that grows."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import Connection, Engine, event

from bridged.prepared import Prepared
from bridged.store import acts, ledger, looks, queued
from bridged.store.engine import Tx
from bridged.testing import Harness
from bridged.web import health
from tests.bench.town import Town, harness

GROWING = (
    *("inbox", "acts", "copies", "outbox", "reached", "ledger", "pages", "accounts"),
    *("nostr_events", "nostr_tags", "nostr_texts", "nostr_words"),
)
_SOME = ("inbox_due", "inbox_next", "outbox_ready", "copies_posts", "acts_reports")
"""Indexes of some rows: those that wait, or are to be counted. Such an index may be read as a whole."""
_SCAN = re.compile(rf"SCAN ({'|'.join(GROWING)})\b(?!.* INDEX ({'|'.join(_SOME)})$)")


@contextmanager
def _watched() -> Iterator[dict[str, Any]]:
    """Every statement that is run meanwhile, with parameters it was run with."""
    seen: dict[str, Any] = {}

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        seen.setdefault(statement, parameters[0] if many else parameters)

    def put_together(self: Prepared, conn: Connection, given: Mapping[str, Any]) -> Any:
        plain = put(self, conn, given)
        seen.setdefault(plain.sql, plain.values(given))
        return plain

    put = Prepared._put_together
    event.listen(Engine, "before_cursor_execute", note)
    try:
        with mock.patch.object(Prepared, "_put_together", put_together):
            yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def _plans(tx: Tx, seen: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for statement, parameters in seen.items():
        if statement.split()[0] in ("SELECT", "UPDATE", "DELETE", "INSERT"):
            rows = tx.conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", tuple(parameters))
            found[statement] = [row[3] for row in rows]
    return found


@pytest.fixture
async def town(tmp_path: Path) -> Any:
    async with harness(tmp_path, "sqlite") as bridge:
        yield await Town(bridge, bridge.http).start()  # pyright: ignore[reportArgumentType]


async def test_no_statement_reads_a_whole_table(town: Town) -> None:
    bridge: Harness = town.bridge
    with _watched() as seen:
        await town.toot(1, "first")
        await town.note(2, "second")
        posts = set(seen)
        await health.refresh(bridge.core)
        await bridge.refresh.step()
        for host in bridge.hosts.values():
            await host.counts()
        await bridge.core.ears.refresh(bridge.core.adapters)
        await bridge.read(lambda tx: ledger.tally(tx, bridge.clock() - 3600))
        await bridge.read(lambda tx: acts.latest(tx, "Report", 10))
        await bridge.read(lambda tx: queued.of_actor(tx, town.fedi[0], 0.0))
        await bridge.read(lambda tx: looks.due(tx, ["nostr"], bridge.clock(), 10))
    plans = await bridge.read(lambda tx: _plans(tx, seen))
    assert len(posts) > 40
    assert len(plans) > len(posts) // 2
    bad = {statement: plan for statement, plan in plans.items() if any(_SCAN.match(step) for step in plan)}
    assert not bad
    sorted_ = [s for s, p in plans.items() if "FROM inbox" in s and "ORDER BY" in s and "TEMP B-TREE" in str(p)]
    assert not sorted_, "the more waits, the longer it would be sorted"


async def test_a_statement_that_reads_a_whole_table_is_found(town: Town) -> None:
    bridge: Harness = town.bridge
    with _watched() as seen:
        await bridge.read(lambda tx: tx.conn.exec_driver_sql("SELECT count(*) FROM acts WHERE state = 'x'").all())
    plans = await bridge.read(lambda tx: _plans(tx, seen))
    assert any(_SCAN.match(step) for plan in plans.values() for step in plan)
