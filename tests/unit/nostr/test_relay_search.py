"""Search by words (NIP-50), and what it costs."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from adapters.nostr.event import Event
from adapters.nostr.filters import Filter
from adapters.nostr.relay import Relay, query, search, storage
from adapters.nostr.relay.tables import events, texts, words
from bridged.store.engine import Store, Tx
from tests.unit.nostr.relay_kit import World, as_object, key, opened, said, world

NOW = 1_700_000_000


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(request.param, tmp_path) as it:
        yield it


async def keep(store: Store, *given: Event) -> None:
    await store.write(lambda tx: [storage.store(tx, event, NOW) for event in given])


async def found(store: Store, question: str, reader: query.Reader = query.BRIDGE, **more: frozenset[str]) -> list[str]:
    return await store.read(lambda tx: query.find(tx, [Filter(search=question, **more)], NOW, reader=reader))


async def rows(store: Store, table: sa.Table) -> int:
    return await store.read(lambda tx: tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


@pytest.mark.parametrize(
    ("text", "question", "met"),
    [
        ("A blue cup", "BLUE cup", True),
        ("A blue cup", "blue cups", False),
        ("A blue cup", "blue red", False),
        ("Straße über Größe", "STRASSE GRÖSSE", True),
        ("ｆｕｌｌ　ｗｉｄｔｈ", "full width", True),
        ("आदि हिन्दी शब्द", "हिन्दी", True),
        ("今日は東京です", "東京", True),
        ("今日は東京です", "大阪", False),
        ("سلام دنیا", "دنیا", True),
        ("see https://example.com/page", "https://example.com", True),
        ("nul \x00 byte", "byte", True),
        ("x" * 41, "x" * 41, False),
        ("a cup", "language:en cup sort:new", True),
        ("a cup", "language:en", True),
        ("a cup", "", True),
        ("a cup", "!!!", False),
    ],
)
async def test_words_are_found_whole_in_any_case(tmp_path: Path, text: str, question: str, met: bool) -> None:
    note = said("a", 1, text, at=NOW)
    async with opened("sqlite", tmp_path) as store:
        await keep(store, note)
        assert await found(store, question) == ([note.id] if met else [])


async def test_profiles_and_titles_are_found_and_other_kinds_not(store: Store) -> None:
    profile = said("a", 0, '{"name":"Ada","about":"counts cups","lud16":"secret@x.test","bot":1}', at=NOW)
    article = said("a", 30023, "", ("d", "x"), ("title", "On cups"), at=NOW - 1)
    await keep(store, profile, article, said("b", 0, "cups, not JSON", at=NOW), said("a", 7, "cups", at=NOW))
    assert await found(store, "cups") == [profile.id, article.id]
    assert await found(store, "ada") == [profile.id]
    assert await found(store, "secret") == []


async def test_search_goes_with_other_conditions(store: Store) -> None:
    notes = [said(name, 1, "cup", ("t", name), at=NOW + n) for n, name in enumerate("abc")]
    await keep(store, *notes)
    assert await found(store, "cup") == [event.id for event in reversed(notes)]
    assert await found(store, "cup", authors=frozenset({key("b")})) == [notes[1].id]
    asked = [Filter(search="cup", tags=(("t", frozenset("ab")),), since=NOW + 1), Filter(search="cup", limit=1)]
    assert await store.read(lambda tx: query.find(tx, asked, NOW)) == [notes[2].id, notes[1].id]
    assert await store.read(lambda tx: query.count(tx, asked, NOW)) == 3


async def test_who_is_not_searchable_is_not_found(store: Store) -> None:
    mine, theirs = said("a", 1, "cup", at=NOW), said("b", 1, "cup", at=NOW + 1)
    await keep(store, mine, theirs)
    reader = query.Reader(searchable=lambda pubkey: pubkey != key("b"))
    assert await found(store, "cup", reader) == [mine.id]
    assert await found(store, "", reader) == [theirs.id, mine.id]


async def test_hook_is_asked_for_stored_and_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden: set[str] = set()
    monkeypatch.setattr(Relay, "searchable", lambda _, pubkey: pubkey not in hidden)
    async with world(tmp_path) as bridge, bridge.client() as client:
        note = bridge.ghost_says(1, "a blue cup")
        await bridge.deliver(note)
        assert await client.ids({"search": "cup"}) == [note.id]
        other, wanted = bridge.ghost_says(1, "a plate"), bridge.ghost_says(1, "CUP again")
        await bridge.deliver(other, wanted)
        assert await client.hear() == ["EVENT", "q", as_object(wanted)]
        hidden.add(bridge.ghost)
        await bridge.deliver(bridge.ghost_says(1, "a third cup"))
        assert await client.count({"search": "cup"}) == {"count": 0}
        assert await client.ids({"search": "cup"}) == []


async def test_many_searches_at_once_are_refused(bridge: World) -> None:
    async with bridge.client() as client:
        assert (await client.ask("REQ", "a", *[{"search": "x"}] * 3)) == ["CLOSED", "a", "invalid: too_many_searches"]
        assert await client.stored(*[{"search": "x"}] * 2) == []


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as it:
        yield it


async def test_words_go_with_their_event(store: Store) -> None:
    note = said("a", 1, "some words", at=NOW)
    await keep(store, note, said("a", 0, '{"name":"old"}', at=NOW), said("a", 0, '{"name":"new"}', at=NOW + 1))
    assert (await rows(store, texts), await rows(store, words)) == (2, 3)
    await keep(store, said("a", 5, "", ("e", note.id), at=NOW + 1))
    assert (await rows(store, texts), await rows(store, words)) == (1, 1)
    assert await found(store, "old") == []


async def test_endless_text_is_indexed_in_part(store: Store) -> None:
    note = said("a", 1, " ".join(f"w{n}" for n in range(2000)), at=NOW)
    await keep(store, note)
    assert await rows(store, words) == 300
    assert await found(store, "w299 w0") == [note.id]
    assert await found(store, " ".join(f"w{n}" for n in range(60))) == [note.id]


async def test_events_of_before_are_indexed_by_the_migration(tmp_path: Path) -> None:
    from importlib import import_module

    import adapters.nostr.migrations.versions as versions

    step = import_module(f"{versions.__name__}.0002_whole_relay")
    notes = [said("a", 1, f"cup {n}", at=NOW) for n in range(3)]
    async with opened("sqlite", tmp_path) as store:
        await keep(store, *notes)

        def unit(tx: Tx) -> None:
            step._PAGE = 2
            with Operations.context(MigrationContext.configure(tx.conn)):
                step.downgrade()
                step.upgrade()

        await store.write(unit)
        assert set(await found(store, "cup")) == {event.id for event in notes}
        assert await found(store, "1") == [notes[1].id]


async def test_commonest_words_cost_no_more_than_the_window(store: Store) -> None:
    """Of 20,000 events half hold one word, half another: none holds both, and only a window is looked at."""
    plain = {"pubkey": key("a"), "kind": 1, "address": None, "expires": None, "body": b""}
    made = [{**plain, "id": f"{n:064x}", "created_at": NOW + n} for n in range(20_000)]

    def fill(tx: Tx) -> None:
        tx.execute(sa.insert(events), made)
        tx.execute(sa.insert(texts), [{"seq": n, "event_id": row["id"]} for n, row in enumerate(made)])
        tx.execute(sa.insert(words), [{"word": "ab"[n % 2], "created_at": NOW + n, "seq": n} for n in range(len(made))])

    await store.write(fill)
    assert len(await found(store, "a")) == 500
    asked: list[Filter] = [Filter(search="a b"), Filter(search="a", authors=frozenset({key("b")}))]
    started = time.process_time()
    for _ in range(5):
        assert await store.read(lambda tx: query.find(tx, asked, NOW)) == []
    assert time.process_time() - started < 1.0
    assert await store.read(lambda tx: query.count(tx, [Filter(search="a")], NOW)) == search.WINDOW
