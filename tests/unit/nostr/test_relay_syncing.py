"""Negentropy at the relay (NIP-77): what a client may cost, and how sessions end."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.nostr.negentropy import Negentropy
from adapters.nostr.relay import limits
from bridged.api import Busy
from tests.unit.nostr.relay_kit import Client, World, authenticated, world

EMPTY = Negentropy([]).initiate().hex()


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as it:
        yield it


@pytest.fixture
async def client(bridge: World) -> AsyncIterator[Client]:
    async with bridge.client() as it:
        yield it


async def needed(client: Client, filter_: dict[str, Any], name: str = "n") -> list[str]:
    """What a client without events is told to fetch, in one round."""
    word, _, text = await client.ask("NEG-OPEN", name, filter_, EMPTY)
    assert word == "NEG-MSG", text
    message, _, need = Negentropy([]).reconcile(bytes.fromhex(text))
    assert message is None
    return need


async def test_set_is_what_the_filter_matches(bridge: World, client: Client) -> None:
    now = int(time.time())
    notes = [bridge.ghost_says(1, str(n), ("t", "ab"[n % 2]), at=now - n) for n in range(6)]
    like = bridge.ghost_says(7, "+", ("expiration", str(now + 1000)), at=now)
    await bridge.deliver(*notes, like)
    assert set(await needed(client, {"kinds": [1]})) == {note.id for note in notes}
    assert set(await needed(client, {"#t": ["b"]})) == {note.id for note in notes[1::2]}
    assert set(await needed(client, {"kinds": [1], "limit": 2})) == {note.id for note in notes[:2]}
    assert await needed(client, {"search": "4"}) == [notes[4].id]
    assert await needed(client, {"kinds": [7]}) == [like.id]
    bridge.host.clock = lambda: now + 2000.0
    assert await needed(client, {"kinds": [7]}) == []


async def test_limit_of_questions_does_not_cut_a_set(bridge: World, client: Client) -> None:
    now = int(time.time())
    await bridge.deliver(*(bridge.ghost_says(1, str(n), at=now - n) for n in range(600)))
    assert len(await needed(client, {"kinds": [1]})) == 600
    assert len(await needed(client, {"kinds": [1], "limit": 550})) == 550


async def test_gift_wraps_are_for_their_reader(bridge: World, client: Client) -> None:
    wrap = bridge.wrapped_for("full", at=int(time.time()))
    await bridge.deliver(wrap)
    assert await needed(client, {}) == []
    await authenticated(bridge, client, "eve")
    assert await needed(client, {"kinds": [1059]}) == []
    await authenticated(bridge, client, "full")
    assert await needed(client, {"kinds": [1059]}) == [wrap.id]


async def test_query_that_is_too_big_is_blocked(bridge: World, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SYNC_RECORDS", 5)
    notes = [bridge.ghost_says(1, str(n)) for n in range(6)]
    await bridge.deliver(*notes[:5])
    assert len(await needed(client, {})) == 5
    await bridge.deliver(notes[5])
    assert await client.ask("NEG-OPEN", "n", {}, EMPTY) == ["NEG-ERR", "n", "blocked: this query is too big"]
    assert len(await needed(client, {"limit": 3})) == 3
    assert await client.ask("NEG-MSG", "other", EMPTY) == ["NEG-ERR", "other", "closed: no such session is open"]


async def test_sessions_of_one_and_records_of_all_are_bounded(
    bridge: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = bridge.adapter._relay
    assert relay is not None
    await bridge.deliver(*(bridge.ghost_says(1, str(n)) for n in range(10)))
    for number in range(4):
        assert len(await needed(client, {}, name=str(number))) == 10
    assert await client.ask("NEG-OPEN", "4", {}, EMPTY) == ["NEG-ERR", "4", "blocked: at most 4 sessions"]
    assert len(await needed(client, {}, name="3")) == 10  # in place of the one of this name
    await client.say("NEG-CLOSE", "0")
    await client.say("NEG-CLOSE", "never opened")
    assert len(await needed(client, {}, name="4")) == 10
    assert relay.records.held == 40
    monkeypatch.setattr(limits, "ALL_SYNC_RECORDS", limits.SYNC_RECORDS + 39)
    async with bridge.client() as other:
        word, _, why = await other.ask("NEG-OPEN", "n", {}, EMPTY)
        assert (word, why.partition(":")[0]) == ("NEG-ERR", "blocked")
        await client.say("NEG-CLOSE", "4")
        assert await client.count({}) == {"count": 10}
        assert len(await needed(other, {})) == 10


async def test_nothing_is_held_for_who_has_gone(bridge: World) -> None:
    relay = bridge.adapter._relay
    assert relay is not None
    await bridge.deliver(bridge.ghost_says(1, "x"))
    async with bridge.client() as client:
        await needed(client, {})
        assert relay.records.held == 1
    await relay.close()
    assert relay.records.held == 0


async def test_session_ends_after_its_time(bridge: World, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SYNC_TIME", 0.05)
    await needed(client, {})
    word, name, why = await client.hear()
    assert (word, name, why.partition(":")[0]) == ("NEG-ERR", "n", "closed")
    assert (await client.ask("NEG-MSG", "n", EMPTY))[0] == "NEG-ERR"


@pytest.mark.parametrize(
    ("filter_", "message", "why"),
    [
        ({"ids": ["x"]}, EMPTY, "invalid: ids"),
        ([], EMPTY, "invalid: not_an_object"),
        ({}, "", "invalid: another version of the protocol"),
        ({}, "6100", "invalid: cut short"),
        ({}, "61000009", "invalid: unknown mode"),
    ],
)
async def test_bad_opening_is_an_error(client: Client, filter_: Any, message: str, why: str) -> None:
    assert await client.ask("NEG-OPEN", "n", filter_, message) == ["NEG-ERR", "n", why]
    assert (await client.ask("NEG-MSG", "n", EMPTY))[2] == "closed: no such session is open"
    assert await needed(client, {}) == []


SENSELESS = [
    ("NEG-OPEN", "n", {}, "zz"),
    ("NEG-OPEN", "n", {}),
    ("NEG-MSG", "n", 5),
    ("NEG-MSG", "n", "é"),
    ("NEG-CLOSE",),
]


@pytest.mark.parametrize("frame", SENSELESS)
async def test_frames_that_make_no_sense_get_a_notice(client: Client, frame: tuple[Any, ...]) -> None:
    word, why = await client.ask(*frame)
    assert (word, why.partition(":")[0]) == ("NOTICE", "invalid")


async def test_unknown_version_is_told_ours(client: Client) -> None:
    assert await client.ask("NEG-OPEN", "n", {}, "62") == ["NEG-MSG", "n", "61"]


async def test_busy_store_says_later(bridge: World, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(_: Any) -> Any:
        raise Busy("full")

    monkeypatch.setattr(bridge.host, "read", busy)
    assert await client.ask("NEG-OPEN", "n", {}, EMPTY) == ["NEG-ERR", "n", "error: try again later"]
    relay = bridge.adapter._relay
    assert relay is not None
    assert relay.records.held == 0
