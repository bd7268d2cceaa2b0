"""The relay's statements, on both databases: what is kept, what is found, and along which index."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.nostr.event import Event
from adapters.nostr.filters import Filter, matches
from adapters.nostr.relay import query, storage
from adapters.nostr.relay.storage import State
from adapters.nostr.relay.tables import deleted, events, tags
from bridged.store.engine import Store, Tx
from tests.unit.nostr.relay_kit import key, opened, said

NOW = 1_700_000_000


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(request.param, tmp_path) as it:
        yield it


async def keep(store: Store, *given: Event, now: float = NOW) -> list[bool]:
    return await store.write(lambda tx: [storage.store(tx, event, now) for event in given])


async def found(store: Store, *filters: Filter, now: float = NOW) -> list[str]:
    return await store.read(lambda tx: query.find(tx, filters, now))


async def rows(store: Store, table: sa.Table) -> int:
    return await store.read(lambda tx: tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


async def test_tables_are_those_of_the_migration(store: Store) -> None:
    def unit(tx: Tx) -> dict[str, set[tuple[str, bool]]]:
        inspector = sa.inspect(tx.conn)
        return {
            table.name: {(c["name"], bool(c["nullable"])) for c in inspector.get_columns(table.name)}
            for table in (events, tags, deleted)
        }

    assert await store.read(unit) == {
        table.name: {(c.name, bool(c.nullable)) for c in table.columns} for table in (events, tags, deleted)
    }


@pytest.mark.parametrize("kind", [0, 3, 10002, 30023])
async def test_newest_version_stays_and_the_lowest_id_of_equals(store: Store, kind: int) -> None:
    same = sorted((said("a", kind, str(n), ("d", "x"), at=NOW) for n in range(4)), key=lambda e: e.id)
    older = said("a", kind, "older", ("d", "x"), at=NOW - 1)
    newer = said("a", kind, "newer", ("d", "x"), at=NOW + 1)
    assert await keep(store, same[1], same[2], older, same[0], same[3]) == [True, False, False, True, False]
    assert await found(store, Filter()) == [same[0].id]
    assert await keep(store, newer) == [True]
    assert await found(store, Filter()) == [newer.id]
    assert await rows(store, tags) == 1


async def test_versions_are_kept_apart_by_author_kind_and_d(store: Store) -> None:
    apart = [
        said("a", 30023, "", ("d", "x")),
        said("a", 30023, "", ("d", "y")),
        said("a", 30023, ""),
        said("b", 30023, "", ("d", "x")),
        said("a", 30024, "", ("d", "x")),
        said("a", 10002, "", ("d", "x")),
        said("a", 1, "", ("d", "x")),
        said("a", 1, "other", ("d", "x")),
    ]
    assert await keep(store, *apart) == [True] * 8
    assert await rows(store, events) == 8


async def test_deletion_takes_only_the_authors_own_and_is_remembered(store: Store) -> None:
    mine, other = said("a", 1, "mine", at=NOW), said("b", 1, "not mine", at=NOW)
    early = said("a", 1, "arrives after its deletion", at=NOW)
    deletion = said("a", 5, "", ("e", mine.id), ("e", other.id), ("e", early.id), ("e", "junk"), at=NOW + 1)
    assert await keep(store, mine, other, deletion, mine, early) == [True, True, True, False, False]
    assert await found(store, Filter()) == [deletion.id, other.id]
    assert await store.read(lambda tx: storage.state(tx, mine)) is State.DELETED
    assert await store.read(lambda tx: storage.state(tx, other)) is State.HELD


async def test_another_authors_deletion_bars_nothing(store: Store) -> None:
    note = said("a", 1, "to come", at=NOW)
    assert await keep(store, said("b", 5, "", ("e", note.id), at=NOW + 1), note) == [True, True]


async def test_event_with_many_wanted_tags_counts_once(store: Store) -> None:
    words = [str(number) for number in range(30)]
    newest = said("a", 1, "all of them", *(("t", word) for word in words), at=NOW + 1)
    oldest = said("a", 1, "one of them", ("t", "7"), at=NOW)
    await keep(store, newest, oldest)
    assert await found(store, Filter(tags=(("t", frozenset(words)),), limit=2)) == [newest.id, oldest.id]


async def test_deletion_of_a_deletion_has_no_effect(store: Store) -> None:
    note = said("a", 1, "x", at=NOW)
    first = said("a", 5, "", ("e", note.id), at=NOW + 1)
    second = said("a", 5, "", ("e", first.id), at=NOW + 2)
    assert await keep(store, note, first, second, note) == [True, True, True, False]
    assert await found(store, Filter()) == [second.id, first.id]


async def test_deleting_an_address_reaches_up_to_its_own_time(store: Store) -> None:
    place = f"30023:{key('a')}:x"
    old, middle, new = (said("a", 30023, str(n), ("d", "x"), at=NOW + n) for n in (0, 5, 9))
    foreign = said("b", 30023, "", ("d", "x"), at=NOW)
    deletion = said("a", 5, "", ("a", place), ("a", f"30023:{key('b')}:x"), ("a", "30023"), at=NOW + 5)
    earlier = said("a", 5, "again, but dated before", ("a", place), at=NOW + 1)
    assert await keep(store, old, foreign, deletion, earlier) == [True] * 4
    assert await keep(store, old, middle) == [False, False]
    assert await keep(store, new) == [True]
    assert set(await found(store, Filter(kinds=frozenset({30023})))) == {foreign.id, new.id}


async def test_profile_is_deleted_by_its_address(store: Store) -> None:
    profile = said("a", 0, "{}", at=NOW)
    assert await keep(store, profile, said("a", 5, "", ("a", f"0:{key('a')}:"), at=NOW)) == [True, True]
    assert await found(store, Filter(kinds=frozenset({0}))) == []


async def test_expired_is_hidden_at_once_and_thrown_away_later(store: Store) -> None:
    event = said("a", 1, "", ("expiration", str(NOW + 10)), ("t", "x"), at=NOW)
    assert await keep(store, event) == [True]
    for filter_ in (Filter(), Filter(ids=frozenset({event.id})), Filter(tags=(("t", frozenset({"x"})),))):
        assert await found(store, filter_, now=NOW + 9) == [event.id]
        assert await found(store, filter_, now=NOW + 10) == []
    other = said("a", 1, "later", at=NOW)
    await keep(store, other, now=NOW + 11)
    assert (await rows(store, events), await rows(store, tags)) == (1, 0)


async def test_unit_that_fails_leaves_nothing(store: Store) -> None:
    event = said("a", 1, "x", ("t", "x"), at=NOW)

    def unit(tx: Tx) -> None:
        assert storage.store(tx, event, NOW)
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(unit)
    assert await found(store, Filter()) == []
    assert await rows(store, tags) == 0


async def test_each_filter_has_its_own_limit(store: Store) -> None:
    notes = [said("a", 1, str(n), at=NOW + n) for n in range(6)]
    likes = [said("a", 7, str(n), at=NOW + n) for n in range(6)]
    await keep(store, *notes, *likes)
    kind_1, kind_7 = frozenset({1}), frozenset({7})
    assert await found(store, Filter(kinds=kind_1, limit=2)) == [notes[5].id, notes[4].id]
    both = await found(store, Filter(kinds=kind_1, limit=2), Filter(kinds=kind_7, limit=1), Filter(limit=0))
    assert set(both) == {notes[5].id, notes[4].id, likes[5].id}
    assert both[-1] == notes[4].id
    assert await store.read(lambda tx: query.count(tx, [Filter(kinds=kind_1, limit=2)], NOW)) == 6


async def test_count_is_exact_up_to_its_bound(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await keep(store, *(said("a", 1, str(n), ("t", "x"), at=NOW) for n in range(6)))
    filters = [Filter(kinds=frozenset({1})), Filter(tags=(("t", frozenset({"x", "y"})),))]
    assert await store.read(lambda tx: query.count(tx, filters, NOW)) == 6
    monkeypatch.setattr(query, "MAX_COUNT", 4)
    assert await store.read(lambda tx: query.count(tx, filters, NOW)) == 5


VALUES = ["", "x", "X", "é\u0000", "long" * 500]
AUTHORS = ["a", "b", "c"]
KINDS = [0, 1, 3, 5, 7, 30023]


def some_events() -> list[Event]:
    """Many alike, so that random filters find some and miss some; no deletion names anything."""
    dice = random.Random(7)
    made: list[Event] = []
    for number in range(150):
        pairs = [(dice.choice("etdpT"), dice.choice(VALUES), "more") for _ in range(dice.randrange(5))]
        odd = [("t",), ("title", "x")] if dice.random() < 0.2 else []
        expiry = [("expiration", str(NOW + dice.choice([-5, 5])))] if dice.random() < 0.1 else []
        at = NOW + dice.randrange(12)
        made.append(said(dice.choice(AUTHORS), dice.choice(KINDS), str(number), *pairs, *odd, *expiry, at=at))
    return made


EVENTS = some_events()


def subsets(values: list[Any], size: int = 4) -> st.SearchStrategy[frozenset[Any]]:
    return st.frozensets(st.sampled_from(values), max_size=size)


TIMES = st.none() | st.integers(NOW - 1, NOW + 13) | st.sampled_from([0, 2**63 - 1])
TAGS = st.dictionaries(st.sampled_from("etdpT"), subsets(VALUES), max_size=3)
FILTERS = st.builds(
    Filter,
    ids=st.none() | subsets([event.id for event in EVENTS] + ["ab" * 32], 40),
    authors=st.none() | subsets([key(name) for name in [*AUTHORS, "nobody"]]),
    kinds=st.none() | subsets(KINDS) | st.just(frozenset(range(40))),
    since=TIMES,
    until=TIMES,
    limit=st.none() | st.integers(0, 30),
    tags=TAGS.map(lambda found: tuple(sorted(found.items()))),
)


def naive(filter_: Filter, held: list[Event]) -> list[Event]:
    found = [event for event in held if matches(filter_, event)]
    return sorted(found, key=lambda event: (-event.created_at, event.id))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def ask(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs units on a store that holds EVENTS, outside of any event loop."""
    runner = asyncio.Runner()
    context = opened(request.param, tmp_path_factory.mktemp("relay"))
    store = runner.run(context.__aenter__())
    runner.run(keep(store, *EVENTS, now=NOW - 10))
    yield lambda unit: runner.run(store.read(unit))
    runner.run(context.__aexit__(None, None, None))
    runner.close()


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(filters=st.lists(FILTERS, max_size=3))
def test_query_finds_what_matching_one_by_one_finds(ask: Callable[[Any], Any], filters: list[Filter]) -> None:
    held = ask(lambda tx: set(tx.execute(sa.select(events.c.id)).scalars()))
    alive = [event for event in EVENTS if event.id in held and (storage.expires(event) or NOW + 1) > NOW]
    wanted = {event for filter_ in filters for event in naive(filter_, alive)[: filter_.limit]}
    ordered = [event.id for event in sorted(wanted, key=lambda event: (-event.created_at, event.id))]
    assert ask(lambda tx: query.find(tx, filters, NOW)) == ordered
    every = {event.id for filter_ in filters for event in naive(filter_, alive)}
    assert ask(lambda tx: query.count(tx, filters, NOW)) == len(every)


SHAPES = {
    "ids": Filter(ids=frozenset({"ab" * 32, "cd" * 32})),
    "author": Filter(authors=frozenset({key("a")})),
    "authors": Filter(authors=frozenset({f"{n:064x}" for n in range(300)})),
    "authors and kinds": Filter(authors=frozenset({f"{n:064x}" for n in range(300)}), kinds=frozenset({1, 6})),
    "profile": Filter(authors=frozenset({key("a")}), kinds=frozenset({0})),
    "kinds": Filter(kinds=frozenset({1, 6, 7})),
    "many kinds": Filter(kinds=frozenset(range(100))),
    "since": Filter(since=NOW),
    "window": Filter(since=NOW, until=NOW + 5, limit=10),
    "newest": Filter(limit=10),
    "answers": Filter(tags=(("e", frozenset({"ab" * 32})),)),
    "likes": Filter(tags=(("e", frozenset({f"{n:064x}" for n in range(100)})),), kinds=frozenset({7})),
    "mentions": Filter(tags=(("p", frozenset({key("a")})),), kinds=frozenset({1, 7}), since=NOW),
    "two tags": Filter(tags=(("e", frozenset({"ab" * 32})), ("p", frozenset({key("a")})))),
    "article": Filter(authors=frozenset({key("a")}), kinds=frozenset({30023}), tags=(("d", frozenset({"x"})),)),
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_common_questions_scan_no_table(tmp_path: Path, shape: str) -> None:
    async with opened("sqlite", tmp_path) as store:

        def unit(tx: Tx) -> list[str]:
            seen: list[str] = []
            engine_conn = tx.conn

            def note(conn: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
                plan = engine_conn.connection.cursor()
                plan.execute("EXPLAIN QUERY PLAN " + statement, parameters)
                seen.extend(str(row[3]) for row in plan.fetchall())

            sa.event.listen(engine_conn, "before_cursor_execute", note)
            query.find(tx, [SHAPES[shape]], NOW)
            query.count(tx, [SHAPES[shape]], NOW)
            return seen

        plan = await store.read(unit)
    assert plan
    assert [line for line in plan if line.startswith("SCAN nostr") and "USING INDEX" not in line] == []
    if shape not in ("newest",):
        assert not any("nostr_tags" in line and line.startswith("SCAN") for line in plan)


async def test_newest_of_many_come_quickly(tmp_path: Path) -> None:
    async with opened("sqlite", tmp_path) as store:
        plain = {"pubkey": key("a"), "address": None, "expires": None, "body": b"{}"}

        def fill(tx: Tx) -> None:
            made = [{**plain, "id": f"{n:064x}", "kind": n % 3, "created_at": NOW + n} for n in range(20_000)]
            tx.execute(sa.insert(events), made)

        await store.write(fill)
        asked = [
            Filter(kinds=frozenset({1, 2})),
            Filter(authors=frozenset({key("a")}), kinds=frozenset({0, 1})),
            Filter(),
        ]
        await found(store, *asked)
        started = time.process_time()
        for _ in range(5):
            assert len(await found(store, *asked, now=NOW)) > 500
        assert time.process_time() - started < 1.0
