"""What a post costs when a million are stored, beside what it costs when ten thousand are.

To store them takes some minutes, and 11 GB.
"""

import asyncio
import itertools
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bridged.testing import Harness
from tests.bench.frame import Figure, Run, at_most
from tests.bench.town import Copier, Row, Town, harness

TEMPLATES = 10
"""Posts on each side that are multiplied."""
CHUNK = 2_000
POSTS = 60


def bench(run: Run) -> Iterator[Figure]:
    few, many = run.size(10_000, 400), run.size(1_000_000, 4_000)
    posts = run.size(POSTS, 10)
    costs = asyncio.run(_costs(run.folder, few, many, posts))
    for name, (small, large) in costs.items():
        yield Figure(
            f"{name}, {many:,} posts stored", large, "ms", small, f"with {few:,}", at_most(1.2), "processor time"
        )


async def _costs(folder: Path, few: int, many: int, posts: int) -> dict[str, tuple[float, float]]:
    """Milliseconds of processor time for a post: what is measured -> (with few, with many), medians taken by turns."""
    towns: list[Town] = []
    try:
        for size in (few, many):
            bridge = harness(folder / str(size), "sqlite")
            towns.append(await filled(bridge, size))
        found: dict[str, list[tuple[float, float]]] = {"a post to Nostr": [], "a note to the fediverse": []}
        for number in range(posts + 5):
            toots, notes = [], []
            for town in towns:
                toots.append(await _cost(town.toot(number, _name(number))))
                notes.append(await _cost(town.note(number, _name(number))))
            if number >= 5:
                found["a post to Nostr"].append((toots[0], toots[1]))
                found["a note to the fediverse"].append((notes[0], notes[1]))
    finally:
        for town in towns:
            await town.bridge.close()
    return {
        name: (statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs))
        for name, pairs in found.items()
    }


def _name(number: int) -> str:
    return f"measured{number:08d}"


async def _cost(work: Any) -> float:
    began = time.process_time()
    await work
    return (time.process_time() - began) * 1000


async def filled(bridge: Harness, size: int) -> Town:
    """A town in which so many posts were made, half of them on each side."""
    await bridge.open()
    town = await Town(bridge, bridge.http).start()  # pyright: ignore[reportArgumentType]
    copier = await bridge.read(lambda tx: Copier(tx.conn))
    templates: list[tuple[dict[str, list[Row]], list[str]]] = []
    for number in range(TEMPLATES):
        for carry in (town.toot, town.note):
            name = f"template{number:04d}{carry.__name__}x"
            before = await bridge.read(lambda tx: copier.rows(tx.conn))
            await carry(number, name)
            after = await bridge.read(lambda tx: copier.rows(tx.conn))
            left = {
                table: rows
                for table in after
                if (rows := [row for key, row in after[table].items() if key not in before[table]])
            }
            (event,) = left["nostr_events"]
            templates.append((left, [name, event[0]]))
    numbers = await bridge.read(lambda tx: copier.numbers(tx.conn))
    each = size // len(templates)
    rows = itertools.chain.from_iterable(
        copier.further(left, marks, numbers, range(start, min(start + CHUNK, each)))
        for start in range(0, each, CHUNK)
        for left, marks in templates
    )
    _insert(bridge.core.store.url, copier, rows)
    await bridge.restart()
    return town


def _insert(url: str, copier: Copier, rows: Iterator[tuple[str, Row]]) -> None:
    engine = sa.create_engine(url)
    with engine.connect() as conn:
        conn.exec_driver_sql("PRAGMA synchronous=OFF")
        conn.exec_driver_sql("PRAGMA cache_size=-1000000")
        # put up again afterwards: sorting once costs less than finding a place for every row
        secondary = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        indexes = conn.exec_driver_sql(secondary).all()
        for name, _ in indexes:
            conn.exec_driver_sql(f'DROP INDEX "{name}"')
        while chunk := list(itertools.islice(rows, 200_000)):
            by_table: dict[str, list[Row]] = {}
            for table, row in chunk:
                by_table.setdefault(table, []).append(row)
            for table, several in by_table.items():
                names = ",".join(f'"{name}"' for name in copier.columns[table])
                marks = ",".join("?" * len(copier.columns[table]))
                conn.exec_driver_sql(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', several)
            conn.commit()
        for _, sql in indexes:
            conn.exec_driver_sql(sql)
        conn.commit()
    engine.dispose()
