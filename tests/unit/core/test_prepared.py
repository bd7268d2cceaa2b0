"""Prepared statements: what they give is what SQLAlchemy gives, on both databases."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, delete, func, insert, select, update

from bridged.prepared import Prepared
from bridged.store.engine import Store, Tx, url_of
from bridged.store.schema import cursors, ledger, said
from bridged.store.upgrade import CORE

Run = Callable[[Callable[[Tx], Any]], Any]
ROW = {"step": "sent", "network": "red", "actor": "", "to": "", "endpoint": "", "ref": "", "reason": "100% 'it'"}


@pytest.fixture
async def run(store_url: str, tmp_path: Path) -> AsyncIterator[Run]:
    store = Store(url_of(store_url, tmp_path))
    await store.open()
    await store.migrate(CORE, "bridged_version")
    await store.write(lambda tx: tx.execute(insert(ledger), [{**ROW, "at": n, "origin": f"o{n}"} for n in range(6)]))
    yield store.write
    await store.close()


async def test_select_gives_what_sqlalchemy_gives(run: Run) -> None:
    some = (
        select(ledger.c.origin, ledger.c.at, func.length(ledger.c.reason).label("size"))
        .where(ledger.c.step == "sent", ledger.c.reason == "100% 'it'", ledger.c.network == said("red"))
        .where(ledger.c.at >= bindparam("since"), ledger.c.origin.in_(bindparam("of", expanding=True)))
        .order_by(ledger.c.at)
        .limit(bindparam("most"))
    )
    prepared = Prepared(some)
    for of in ([], ["o1"], ["o1", "o4", "o5"], ["o0", "o2", "o3", "o4", "o5"]):
        given = {"since": 1.0, "of": of, "most": 3}
        theirs = await run(lambda tx, g=given: tx.execute(some, g).all())
        ours = await run(lambda tx, g=given: tx.execute(prepared, g).all())
        assert [tuple(row) for row in ours] == [tuple(row) for row in theirs]
        assert [(row.origin, row.at, row.size) for row in ours] == [(r.origin, r.at, r.size) for r in theirs]


async def test_results_have_the_methods_that_are_used(run: Run) -> None:
    one = Prepared(select(ledger.c.origin, ledger.c.at).where(ledger.c.origin == bindparam("of")))
    for of, first, scalar in (("o3", ("o3", 3.0), "o3"), ("none", None, None)):
        assert await run(lambda tx, o=of: tx.execute(one, {"of": o}).first()) == first
        assert await run(lambda tx, o=of: tx.execute(one, {"of": o}).scalar()) == scalar
        assert await run(lambda tx, o=of: list(tx.execute(one, {"of": o}).scalars())) == ([scalar] if scalar else [])
    assert await run(lambda tx: tx.execute(one, {"of": "o3"}).one().at) == 3.0
    assert await run(lambda tx: tx.execute(Prepared(select(func.count()).select_from(ledger))).scalar_one()) == 6
    with pytest.raises(Exception, match=r"No row|not enough values"):
        await run(lambda tx: tx.execute(one, {"of": "none"}).one() or 1)


async def test_columns_that_are_changed_are_those_that_are_given(run: Run) -> None:
    change = Prepared(update(ledger).where(ledger.c.origin == bindparam("of")))
    assert await run(lambda tx: tx.execute(change, {"of": "o1", "step": "dead"}).rowcount) == 1
    assert await run(lambda tx: tx.execute(change, {"of": "o1", "reason": "x", "to": "blue"}).rowcount) == 1
    assert await run(lambda tx: tx.execute(change, {"of": "none", "step": "dead"}).rowcount) == 0
    row = await run(lambda tx: tx.execute(select(ledger).where(ledger.c.origin == "o1")).one())
    assert (row.step, row.reason, row.to) == ("dead", "x", "blue")


async def test_many_are_put_in_and_taken_away_at_once(run: Run) -> None:
    put, taken = Prepared(insert(cursors)), Prepared(delete(cursors).where(cursors.c.key == bindparam("of")))
    rows = [{"network": "red", "key": f"k{n}", "value": str(n)} for n in range(300)]
    await run(lambda tx: tx.execute(put, rows))
    await run(lambda tx: tx.execute(taken, [{"of": f"k{n}"} for n in range(100, 300)]))
    assert await run(lambda tx: tx.execute(select(func.count()).select_from(cursors)).scalar()) == 100


async def test_list_longer_than_a_statement_takes_is_no_fault(run: Run) -> None:
    some = Prepared(select(ledger.c.origin).where(ledger.c.origin.in_(bindparam("of", expanding=True))))
    many = [f"o{n}" for n in range(1500)]
    assert len(await run(lambda tx: tx.execute(some, {"of": many}).all())) == 6


async def test_reads_of_one_unit_see_one_snapshot(store_url: str, tmp_path: Path) -> None:
    store = Store(url_of(store_url, tmp_path))
    await store.open()
    await store.migrate(CORE, "bridged_version")
    count = Prepared(select(func.count()).select_from(cursors))
    seen: list[int] = []
    written: list[Any] = []
    try:
        loop = asyncio.get_running_loop()

        def unit(tx: Tx) -> None:
            seen.append(tx.execute(count).scalar())
            if store.sqlite:
                put = asyncio.run_coroutine_threadsafe(
                    store.write(lambda t: t.execute(insert(cursors), {"network": "n", "key": "k", "value": ""})), loop
                )
                written.append(put.result(10))
            seen.append(tx.execute(count).scalar())

        await store.read(unit)
        assert seen == [0, 0]
        assert not store.sqlite or await store.read(lambda tx: tx.execute(count).scalar()) == 1
    finally:
        await store.close()
