"""What clients of the embedded relay read: stored and live events, counts, and the page about it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from itertools import product
from pathlib import Path

import aiohttp
import nostr_sdk as sdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.nostr.event import Event
from adapters.nostr.filters import parse_filter
from adapters.nostr.relay.live import Live, Subscription
from bridged.api import Ref
from tests.unit.nostr.relay_conformance import naive, some_filter
from tests.unit.nostr.relay_kit import Client, World, as_object, authenticated, key, said, secret, world


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as it:
        yield it


@pytest.fixture
async def client(bridge: World) -> AsyncIterator[Client]:
    async with bridge.client() as it:
        yield it


async def test_stored_come_newest_first_then_eose_then_live(bridge: World, client: Client) -> None:
    now = int(time.time())
    old, new, later = (bridge.ghost_says(1, str(n), at=now - 10 + n) for n in range(3))
    await bridge.deliver(old, new)
    assert await client.ids({"authors": [bridge.ghost]}) == [new.id, old.id]
    await bridge.deliver(later)
    assert await client.hear() == ["EVENT", "q", as_object(later)]


async def test_event_meeting_two_filters_is_sent_once(bridge: World, client: Client) -> None:
    note = bridge.ghost_says(1, "x")
    filters = ({"kinds": [1]}, {"authors": [bridge.ghost]})
    await bridge.deliver(note)
    assert await client.ids(*filters) == [note.id]
    again = bridge.ghost_says(1, "y")
    await bridge.deliver(again)
    assert (await client.hear())[2]["id"] == again.id
    assert await client.count(*filters) == {"count": 2}


async def test_live_reaches_only_whom_it_concerns(bridge: World, client: Client) -> None:
    note = bridge.ghost_says(1, "x", ("t", "tea"), ("p", key("full")), at=int(time.time()) - 5)
    met = [
        {"ids": [note.id]},
        {"authors": [bridge.ghost]},
        {"kinds": [1]},
        {"#t": ["milk", "tea"]},
        {"#p": [key("full")], "kinds": [1], "since": note.created_at},
        {},
    ]
    missed = [
        {"ids": ["ab" * 32]},
        {"authors": [key("full")]},
        {"kinds": [7]},
        {"#t": ["Tea"]},
        {"#t": ["tea"], "kinds": [7]},
        {"until": note.created_at - 1},
        {"since": note.created_at + 1},
        {"authors": []},
    ]
    for number, filter_ in enumerate(met):
        assert await client.stored(filter_, name=f"met {number}") == []
    for number, filter_ in enumerate(missed):
        assert await client.stored(filter_, name=f"missed {number}") == []
    await bridge.deliver(note)
    told = [await client.hear() for _ in met]
    assert sorted(frame[1] for frame in told) == [f"met {number}" for number in range(len(met))]
    assert await client.count({}) == {"count": 1}  # nothing else came before this answer


async def test_gift_wraps_are_shown_only_to_whom_they_are_for(bridge: World, client: Client) -> None:
    """Stored and live, whatever is asked for (NIP-17)."""
    now = int(time.time())
    mine, others = bridge.wrapped_for("full", at=now - 5), bridge.wrapped_for("known", at=now - 4)
    note = bridge.ghost_says(1, "x", ("p", key("full")), at=now - 6)
    await bridge.deliver(mine, others, note)
    assert await client.ask("REQ", "a", {"kinds": [1059]}, {"kinds": [1059], "limit": 1}) == [
        "CLOSED",
        "a",
        "auth-required: gift wraps are shown only to whom they are for",
    ]
    assert (await client.ask("COUNT", "a", {"kinds": [1059], "#p": [key("full")]}))[0] == "CLOSED"
    filters = [{}, {"ids": [mine.id, note.id]}, {"#p": [key("full")]}, {"kinds": [1, 1059]}]
    for filter_ in filters:
        assert await client.ids(filter_) == [note.id]
        assert await client.count(filter_) == {"count": 1}
    await client.say("CLOSE", "q")
    async with bridge.client() as reader:
        await authenticated(bridge, reader, "eve", "full")
        for filter_ in filters[1:]:
            assert await reader.ids(filter_) == [mine.id, note.id]
        assert await reader.ids({"kinds": [1059]}) == [mine.id]
        assert await reader.ids({"authors": [others.pubkey]}) == []
        assert await reader.count({"kinds": [1059]}) == {"count": 1}
        assert await client.stored({"kinds": [1, 1059]}, name="open") == [as_object(note)]
        assert len(await reader.stored({"kinds": [1, 1059]}, name="open")) == 2
        await reader.say("CLOSE", "q")
        told = bridge.wrapped_for("full", at=now), bridge.wrapped_for("known", at=now), bridge.ghost_says(1, "last")
        await bridge.deliver(*told)
        assert [(await reader.hear())[2]["id"] for _ in range(2)] == [told[0].id, told[2].id]
        assert (await client.hear())[2]["id"] == told[2].id


EVENTS = [
    said(name, kind, str(n), *tags, at=1_700_000_000 + n % 5)
    for n, (name, kind, tags) in enumerate(
        product("ab", (1, 7, 30023), ((), (("t", "x"),), (("t", "y"), ("e", "ab" * 32)), (("e", "cd" * 32), ("t",))))
    )
]


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_live_matches_what_a_naive_filter_does(data: st.DataObject) -> None:
    objects = [as_object(event) for event in EVENTS]
    dice = data.draw(st.randoms(use_true_random=False))
    asked = [[some_filter(dice, objects) for _ in range(dice.randint(1, 2))] for _ in range(5)]
    live = Live(lambda _: True)
    told: list[list[str]] = [[] for _ in asked]
    subscriptions = [
        Subscription(tuple(map(parse_filter, filters)), partial(_note, told[n])) for n, filters in enumerate(asked)
    ]
    for subscription in subscriptions:
        live.add(subscription)
    for event in EVENTS:
        live.publish(event, b"")
    for filters, ids in zip(asked, told, strict=True):
        assert ids == [o["id"] for o in objects if any(naive(filter_, o) for filter_ in filters)]
    for subscription in subscriptions:
        live.remove(subscription)
    live.publish(EVENTS[0], b"")
    assert live.values == 0


def _note(ids: list[str], event: Event, _: bytes) -> None:
    ids.append(event.id)


async def test_closed_and_replaced_subscriptions_are_silent(bridge: World, client: Client) -> None:
    await client.stored({"kinds": [1]}, name="a")
    await client.stored({"kinds": [1]}, name="b")
    await client.stored({"kinds": [7]}, name="b")
    await client.say("CLOSE", "a")
    await client.say("CLOSE", "never opened")
    assert await client.count({"kinds": [1]}) == {"count": 0}
    await bridge.deliver(bridge.ghost_says(1, "x"))
    assert await client.count({"kinds": [1]}) == {"count": 1}


async def test_nothing_is_lost_or_doubled_between_stored_and_live(bridge: World, client: Client) -> None:
    now = int(time.time())
    notes = [bridge.ghost_says(1, str(number), at=now - number % 7) for number in range(150)]

    async def write() -> None:
        for note in notes:
            await bridge.deliver(note)

    writing = asyncio.create_task(write())
    await bridge.deliver(bridge.ghost_says(7, "+"))
    await client.say("REQ", "q", {"kinds": [1]})
    got = [frame[2]["id"] for frame in [await client.hear() for _ in range(151)] if frame[0] == "EVENT"]
    await writing
    assert sorted(got) == sorted(note.id for note in notes)


async def test_ghosts_profile_is_replaced_and_its_note_deleted(bridge: World, client: Client) -> None:
    now = int(time.time())
    old, new = bridge.ghost_says(0, "{}", at=now - 9), bridge.ghost_says(0, '{"name":"a"}', at=now - 5)
    note = bridge.ghost_says(1, "x", at=now - 4)
    await bridge.deliver(old, note, new)
    assert await client.ids({"kinds": [0]}) == [new.id]
    deletion = bridge.ghost_says(5, "", ("e", note.id))
    await bridge.deliver(deletion, note)
    assert await client.ids({"authors": [bridge.ghost], "kinds": [1, 5]}) == [deletion.id]


async def test_limits_bound_what_is_sent(bridge: World, client: Client) -> None:
    now = int(time.time())
    await bridge.deliver(*(bridge.ghost_says(1, str(number), at=now - number) for number in range(510)))
    assert len(await client.ids({"limit": 10**18})) == 500
    assert len(await client.ids({})) == 500
    assert len(await client.ids({"limit": 3})) == 3
    assert await client.ids({"limit": 0}) == []
    assert await client.count({"limit": 3}) == {"count": 510}


async def test_bridge_reads_its_own_relay(bridge: World, client: Client) -> None:
    note = said("full", 1, "x")
    assert await client.publish(note) == (True, "")
    (envelope,) = await bridge.adapter.fetch(Ref("nostr", note.id))
    assert envelope.id == note.id


async def test_information_is_what_is_enforced(bridge: World) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(bridge.http, headers={"Accept": "application/nostr+json"}) as answer:
            assert answer.status == 200
            assert answer.content_type == "application/nostr+json"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            told = json.loads(await answer.text())
        async with http.options(bridge.http) as answer:
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Headers"] == "*"
        async with http.get(bridge.http, headers={"Accept": "text/html"}) as answer:
            assert answer.content_type == "text/plain"
            assert "Nostr relay of the bridge at bridge.test" in await answer.text()
    assert (told["name"], told["pubkey"]) == ("The bridge", bridge.bot)
    assert told["supported_nips"] == [1, 2, 9, 11, 13, 17, 40, 42, 45, 50, 62, 65, 70, 77]
    assert told["retention"] == [{"time": None}]
    assert {"contact", "posting_policy"}.isdisjoint(told)
    assert told["limitation"] == {
        "max_message_length": 131_072,
        "max_subscriptions": 20,
        "max_filters": 10,
        "max_limit": 500,
        "default_limit": 500,
        "max_subid_length": 64,
        "max_event_tags": 2000,
        "max_content_length": 60_000,
        "min_pow_difficulty": 0,
        "created_at_upper_limit": 900,
        "auth_required": False,
        "payment_required": False,
        "restricted_writes": True,
    }


async def test_nostr_sdk_answers_fetches_and_counts(bridge: World) -> None:
    """A client that nobody here wrote."""
    sdk.uniffi_set_event_loop(asyncio.get_running_loop())
    note = bridge.ghost_says(1, "from the fediverse")
    await bridge.deliver(note)
    keys, url = sdk.Keys.parse(secret("eve").hex()), sdk.RelayUrl.parse(bridge.url)
    client = sdk.ClientBuilder().authenticator(sdk.SignerAuthenticator(keys)).build()
    try:
        await client.add_relay(url)
        await client.connect(and_wait=timedelta(seconds=60))
        asked = sdk.Filter.from_json(json.dumps({"authors": [bridge.ghost], "kinds": [1]}))
        (read,) = await client.fetch_events(sdk.ReqTarget.auto([asked]), timeout=timedelta(seconds=60))
        assert json.loads(read.as_json()) == as_object(note)

        def event(text: str, *tags: list[str]) -> sdk.Event:
            parsed = [sdk.Tag.parse(tag) for tag in tags]
            return sdk.EventBuilder(sdk.Kind(1), text).tags(parsed).finalize(keys)

        answer = event("hello there", ["e", note.id, "", "root", bridge.ghost], ["p", bridge.ghost])
        sent = await client.send_event(answer, ok_timeout=timedelta(seconds=60))
        assert not sent.failed
        assert [envelope.id for envelope in bridge.host.received] == [answer.id().to_hex()]
        refused = await client.send_event(event("buy my things"), ok_timeout=timedelta(seconds=60))
        assert [why.partition(":")[0] for why in refused.failed.values()] == ["restricted"]
        relay = await client.relay(url)
        assert relay is not None
        about = sdk.Filter.from_json(json.dumps({"#e": [note.id]}))
        assert await relay.count_events(about, timedelta(seconds=60)) == 1
    finally:
        await client.shutdown()
