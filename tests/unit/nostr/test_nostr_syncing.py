"""Catching up by reconciliation (NIP-77), and page by page wherever that fails."""

import asyncio
from typing import Any

import pytest

from adapters.nostr import listening, syncing
from adapters.nostr.event import Event
from adapters.nostr.listening import Seen
from adapters.nostr.negentropy import Negentropy
from bridged.api import Heard, Response
from tests.unit.nostr.fake_host import FakeHost
from tests.unit.nostr.scripted_relay import Client, scripted
from tests.unit.nostr.test_nostr_pool import ALICE, NOW, ids_of, listen, post

BEGIN = NOW - 50_000
OLD = [post(str(number), at=BEGIN + 100 + 3 * number) for number in range(400)]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HOLD_FOR", 0.0)
    monkeypatch.setattr(syncing, "SECONDS", 0.1)


def lists_77(host: FakeHost, url: str) -> None:
    page = "http" + url.removeprefix("ws")
    host.http.pages[page] = Response(200, page, {}, b'{"supported_nips":[1,77]}')
    host.cursors[f"relay {url}"] = str(BEGIN)


def meets(event: Event, filter_: dict[str, Any]) -> bool:
    return (
        "#P" not in filter_
        and event.id in filter_.get("ids", [event.id])
        and event.pubkey in filter_.get("authors", [event.pubkey])
        and filter_.get("since", 0) <= event.created_at <= filter_.get("until", NOW)
    )


async def serve(client: Client, frame: list[Any]) -> None:
    """Answer a REQ, 100 events at a time, newest first."""
    found = [event for event in reversed(OLD) if any(meets(event, filter_) for filter_ in frame[2:])]
    for event in found[:100]:
        await client.event(frame[1], event)
    await client.say("EOSE", frame[1])


async def test_what_was_missed_is_fetched_by_id_and_not_twice() -> None:
    asked: list[list[Any]] = []

    async def script(client: Client) -> None:
        side = Negentropy(())
        while True:
            frame = await client.expect("REQ", "NEG-OPEN", "NEG-MSG")
            asked.append(frame)
            if frame[0] == "REQ":
                await serve(client, frame)
                continue
            if frame[0] == "NEG-OPEN":
                side = Negentropy([(e.created_at, e.id) for e in OLD if meets(e, frame[2])], 4096)
            await client.say("NEG-MSG", frame[1], side.answer(bytes.fromhex(frame[-1])).hex())

    host = FakeHost(Heard(full=frozenset({ALICE})))
    seen = Seen()
    for event in OLD[:50]:
        seen.add(event.id)
    async with scripted(script) as relay:
        lists_77(host, relay.url)
        async with listen(relay.url, host, seen):
            await host.until(lambda: len(host.received) == 350)
    opened = [frame for frame in asked if frame[0] == "NEG-OPEN"]
    assert {(frame[2]["since"], frame[2]["until"]) for frame in opened} == {(BEGIN, NOW - listening.MARGIN)}
    by_id = [filter_ for frame in asked if frame[0] == "REQ" for filter_ in frame[2:] if "ids" in filter_]
    assert {event_id for filter_ in by_id for event_id in filter_["ids"]} == {event.id for event in OLD[50:]}
    assert set(ids_of(host)) == {event.id for event in OLD[50:]}


@pytest.mark.parametrize("failure", ["silence", "error", "garbage", "notice"])
async def test_a_relay_that_does_not_reconcile_is_paged_through(failure: str) -> None:
    async def script(client: Client) -> None:
        while True:
            frame = await client.expect("REQ", "NEG-OPEN")
            if frame[0] == "REQ":
                await serve(client, frame)
            elif failure == "error":
                await client.say("NEG-ERR", frame[1], "blocked: too many")
            elif failure == "garbage":
                await client.say("NEG-MSG", frame[1], "ff00")
            elif failure == "notice":
                await client.say("NOTICE", "what is NEG-OPEN?")

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay:
        lists_77(host, relay.url)
        async with listen(relay.url, host):
            await host.until(lambda: len(host.received) == len(OLD))
    assert any(line == "nostr_not_synced" for line, _ in host.log.lines)


async def test_a_relay_that_hangs_up_over_it_is_paged_through_the_next_time() -> None:
    async def script(client: Client) -> None:
        while True:
            frame = await client.expect("REQ", "NEG-OPEN")
            if frame[0] == "NEG-OPEN":
                await client.socket.send("x" * (1 << 20))
            await serve(client, frame) if frame[0] == "REQ" else await client.hold()

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay:
        lists_77(host, relay.url)
        async with listen(relay.url, host):
            await host.until(lambda: len(host.received) == len(OLD), 10)
        assert len(relay.clients) == 2
        assert not any(frame[0] == "NEG-OPEN" for frame in relay.clients[1].frames)


async def test_the_cursor_stays_until_what_was_missed_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncing, "SECONDS", 10.0)
    good = post("live")
    asked, proceed = asyncio.Event(), asyncio.Event()

    async def script(client: Client) -> None:
        standing = (await client.expect("REQ"))[1]
        opened = await client.expect("NEG-OPEN")
        await client.say("EOSE", standing)
        await client.event(standing, good)
        asked.set()
        await proceed.wait()
        for number in range(3):  # one for each filter
            opened = opened if number == 0 else await client.expect("NEG-OPEN")
            await client.say("NEG-MSG", opened[1], Negentropy(()).answer(bytes.fromhex(opened[3])).hex())
            await client.expect("NEG-CLOSE")
        await client.event(standing, post("later"))
        await client.hold()

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay:
        lists_77(host, relay.url)
        key = f"relay {relay.url}"
        async with listen(relay.url, host):
            await host.until(lambda: len(host.received) == 1)
            assert host.cursors[key] == str(BEGIN)
            proceed.set()
            await host.until(lambda: host.cursors[key] == str(NOW - listening.MARGIN))
