"""Hostile clients of the embedded relay: each is bounded, and others are not harmed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from adapters.nostr.config import RelayConfig
from adapters.nostr.relay import limits, outbox
from tests.unit.nostr.relay_kit import Client, World, as_object, said, world


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as it:
        yield it


@pytest.fixture
async def client(bridge: World) -> AsyncIterator[Client]:
    async with bridge.client() as it:
        yield it


async def still_serves(bridge: World) -> None:
    note = bridge.ghost_says(1, f"after {time.time()}")
    await bridge.deliver(note)
    async with bridge.client() as other:
        assert await other.ids({"ids": [note.id]}) == [note.id]


NONSENSE = [
    "",
    "null",
    "{}",
    "[]",
    "[1]",
    '["EVENT"]',
    '["EVENT",1]',
    '["EVENT",{"id":"x"}]',
    '["NEG-OPEN","a"]',
    '["REQ"]',
    '["REQ","",{}]',
    '["REQ","' + "x" * 65 + '",{}]',
    '["REQ",1,{}]',
    '["REQ","\\ud800",{}]',
    '["CLOSE"]',
    "[" * 100_000,
    '["REQ","a",' + "9" * 100_000,
    "\ufeff[]",
]


@pytest.mark.parametrize("text", NONSENSE, ids=range(len(NONSENSE)))
async def test_nonsense_gets_a_notice(bridge: World, client: Client, text: str) -> None:
    await client.socket.send(text)
    word, why = await client.hear()
    assert word == "NOTICE"
    assert why.startswith("invalid:")
    assert bridge.host.refusals == ["relay_frame"]
    assert await client.stored({"kinds": [1]}) == []


BAD_FILTERS = {
    "[]": "not_an_object",
    '"x"': "not_an_object",
    '{"ids":["AB"]}': "ids",
    '{"ids":"x"}': "ids",
    '{"kinds":[1.5]}': "kinds",
    '{"kinds":[true]}': "kinds",
    '{"since":-1}': "since",
    '{"until":1e300}': "until",
    '{"limit":"9"}': "limit",
    '{"limit":' + "9" * 5000 + "}": "limit",
    '{"since":' + "9" * 5000 + "}": "since",
    '{"#e":["\\u0000"]}': "#e",
    '{"#ee":["x"]}': "unknown_member",
    '{"since":NaN}': "not_json",
    '{"#t":' + "[" * 50_000 + "]" * 50_000 + "}": "not_json",
    '{"kinds":[' + ",".join(["1"] * 1001) + "]}": "too_many_values",
}


@pytest.mark.parametrize("text", BAD_FILTERS, ids=range(len(BAD_FILTERS)))
@pytest.mark.parametrize("word", ["REQ", "COUNT"])
async def test_bad_filter_closes_the_question(client: Client, word: str, text: str) -> None:
    await client.socket.send(f'["{word}","a",{text}]')
    answer = await client.hear()
    assert answer[0] in ("CLOSED", "NOTICE")
    if answer[0] == "CLOSED":
        assert answer[1] == "a"
        assert answer[2] in (f"invalid: {BAD_FILTERS[text]}", "invalid: not_json")
    assert await client.stored({"kinds": [1]}) == []


async def test_too_many_filters_close_the_question(client: Client) -> None:
    assert await client.ask("REQ", "a", *[{}] * 1000) == ["CLOSED", "a", "invalid: too_many_filters"]
    assert await client.ask("REQ", "a") == ["CLOSED", "a", "invalid: no_filter"]
    assert await client.stored(*[{"kinds": [1]}] * 10) == []


async def test_too_many_subscriptions_are_closed(client: Client) -> None:
    for number in range(20):
        assert await client.stored({"kinds": [1]}, name=str(number)) == []
    word, name, why = await client.ask("REQ", "20", {"kinds": [1]})
    assert (word, name) == ("CLOSED", "20")
    assert why.startswith("restricted:")
    assert await client.stored({"kinds": [7]}, name="3") == []
    await client.say("CLOSE", "0")
    assert await client.stored({"kinds": [1]}, name="20") == []


async def test_too_many_values_are_closed(client: Client) -> None:
    filter_ = {"kinds": list(range(1000))}
    for number in range(4):
        assert await client.stored(filter_, name=str(number)) == []
    assert (await client.ask("REQ", "more", {"kinds": [1]}))[0] == "CLOSED"
    assert await client.stored({"kinds": [1]}, name="0") == []
    assert await client.stored({"kinds": [1]}, name="more") == []


async def test_values_of_all_clients_are_limited(
    bridge: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_ALL_VALUES", 10)
    async with bridge.client() as other:
        assert await other.stored({"kinds": list(range(8))}) == []
        word, _, why = await client.ask("REQ", "q", {"kinds": [1, 2, 3]})
        assert (word, why.partition(":")[0]) == ("CLOSED", "error")
        await other.say("CLOSE", "q")
        assert await other.count({}) == {"count": 0}
        assert await client.stored({"kinds": [1, 2, 3]}) == []


async def test_ten_thousand_questions_are_limited(bridge: World, client: Client) -> None:
    async def ask() -> None:
        for number in range(10_000):
            await client.say("REQ", str(number), {"kinds": [1]})

    asking = asyncio.create_task(ask())
    answers = [await client.hear() for _ in range(10_000)]
    await asking
    assert {frame[0] for frame in answers} == {"EOSE", "CLOSED"}
    assert {frame[2].partition(":")[0] for frame in answers if frame[0] == "CLOSED"} == {
        "restricted",
        "rate-limited",
    }
    assert sum(frame[0] == "EOSE" for frame in answers) == 20
    await still_serves(bridge)


async def test_events_are_rate_limited(bridge: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EVENTS", (0.0, limits.EVENTS[1]))  # on a slow machine it would fill again meanwhile
    events = [said("full", 1, str(number)) for number in range(200)]
    async with bridge.client() as client:
        for event in events:
            await client.say("EVENT", as_object(event))
        answers = [await client.hear() for _ in events]
    assert [frame[1] for frame in answers] == [event.id for event in events]
    taken = [frame[1] for frame in answers if frame[2]]
    assert len(taken) == 100
    assert {frame[3] for frame in answers if not frame[2]} == {"rate-limited: slow down"}
    assert [envelope.id for envelope in bridge.host.received] == taken


def test_bucket_fills_again() -> None:
    bucket = limits.Bucket(2.0, 3.0, 0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(1.0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]


async def test_much_nonsense_ends_the_connection(bridge: World, client: Client) -> None:
    for _ in range(20):
        await client.socket.send("nonsense")
    for _ in range(20):
        assert (await client.hear())[0] == "NOTICE"
    assert await client.closed() == 1008
    await still_serves(bridge)


async def test_binary_messages_are_nonsense(client: Client) -> None:
    await client.socket.send(b'["REQ","a",{}]')
    assert (await client.hear())[0] == "NOTICE"


async def test_endless_frame_ends_the_connection(bridge: World, client: Client) -> None:
    await client.socket.send('["REQ","a",{"#t":["' + "x" * 200_000 + '"]}]')
    assert await client.closed() == 1009
    await still_serves(bridge)


async def test_frames_are_not_compressed(bridge: World) -> None:
    async with connect(bridge.url, proxy=None, compression="deflate") as socket:
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers


async def test_slow_reader_is_dropped_and_others_are_not(bridge: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MAX_WAITING", 256 * 1024)
    async with bridge.client() as quick, connect(bridge.url, proxy=None, max_queue=1, close_timeout=0.1) as slow:
        await slow.send(json.dumps(["REQ", "a", {"kinds": [1]}]))
        assert [json.loads(await slow.recv())[0] for _ in range(2)] == ["AUTH", "EOSE"]
        assert await quick.stored({"kinds": [1]}) == []
        for number in range(400):
            note = bridge.ghost_says(1, f"{number:05}" + "x" * 60_000)
            await bridge.deliver(note)
            assert (await quick.hear())[2]["id"] == note.id
        await bridge.host.log.until("relay_client_dropped", reason="slow_reader")
        assert len(bridge.host.log.lines) == 1


async def test_client_that_asks_and_never_reads_is_dropped(bridge: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEND_TIMEOUT", 0.2)
    await bridge.deliver(*(bridge.ghost_says(1, f"{number:05}" + "x" * 60_000) for number in range(100)))
    async with connect(bridge.url, proxy=None, max_queue=1, close_timeout=0.1) as greedy:
        for number in range(20):
            await greedy.send(json.dumps(["REQ", str(number), {"kinds": [1]}]))
        await bridge.host.log.until("relay_client_dropped", reason="slow_reader")
    await still_serves(bridge)


async def test_silent_client_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PING", 0.2)
    async with world(tmp_path) as bridge:
        port = int(bridge.http.split(":")[2].split("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"GET /relay HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        async with asyncio.timeout(60):
            assert b"101" in await reader.readline()
            await reader.read()  # to the end, which only the relay can make
        writer.close()
        monkeypatch.undo()
        await still_serves(bridge)


async def test_closing_sends_everybody_away(bridge: World) -> None:
    relay = bridge.adapter._relay
    assert relay is not None
    sockets = [await connect(bridge.url, proxy=None) for _ in range(3)]
    started = time.monotonic()
    await relay.close()
    assert time.monotonic() - started < 4.5, "who does not answer is given 5 s"
    for socket in sockets:
        await socket.wait_closed()
        assert socket.close_code == 1001
    with pytest.raises(InvalidStatus):
        await connect(bridge.url, proxy=None)


async def test_connections_from_one_address_are_limited(tmp_path: Path) -> None:
    async with world(tmp_path, remote="9.9.9.9") as bridge:
        sockets = [await connect(bridge.url, proxy=None) for _ in range(20)]
        with pytest.raises(InvalidStatus) as refused:
            await connect(bridge.url, proxy=None)
        assert refused.value.response.status_code == 503
        await sockets.pop().close()
        async with asyncio.timeout(60):
            while True:
                try:
                    sockets.append(await connect(bridge.url, proxy=None))
                    break
                except InvalidStatus:
                    await asyncio.sleep(0.01)
        for socket in sockets:
            await socket.close()


async def test_all_connections_are_limited(bridge: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 2)
    async with bridge.client(), bridge.client():
        with pytest.raises(InvalidStatus):
            await connect(bridge.url, proxy=None)


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("9.9.9.9", "::ffff:9.9.9.9", True),
        ("2620:fe::9", "2620:fe::ffff", True),
        ("2620:fe::9", "2620:fe:0:1::9", False),
        ("9.9.9.9", "9.9.9.10", False),
        ("127.0.0.1", "9.9.9.9", False),
        ("127.0.0.1", "172.18.0.2", True),
    ],
)
def test_addresses_are_counted_together(one: str, other: str, together: bool) -> None:
    door = limits.Door()
    places = door.enter(one), door.enter(other)
    assert (places[0] == places[1]) is together


async def information(bridge: World) -> dict[str, Any]:
    accept = {"Accept": "application/nostr+json"}
    async with aiohttp.ClientSession() as http, http.get(bridge.http, headers=accept) as answer:
        return json.loads(await answer.text())


async def advertised(bridge: World) -> dict[str, int]:
    return (await information(bridge))["limitation"]


async def test_messages_up_to_the_advertised_length_are_read(bridge: World) -> None:
    most = (await advertised(bridge))["max_message_length"]
    start, end = '["COUNT","c",{"#t":["', '"]}]'
    async with bridge.client() as client:
        values = '","'.join(["x" * 1000] * 200)[: most - len(start) - len(end)]
        await client.socket.send(start + values + end)
        assert await client.hear() == ["COUNT", "c", {"count": 0}]
        await client.socket.send(start + values + "x" + end)
        assert await client.closed() == 1009


async def test_subscriptions_and_filters_up_to_the_advertised_number_are_served(bridge: World) -> None:
    told = await advertised(bridge)
    async with bridge.client() as client:
        for number in range(told["max_subscriptions"]):
            assert await client.stored(*[{"kinds": [1]}] * told["max_filters"], name=str(number)) == []
        assert (await client.ask("REQ", "one more", {"kinds": [1]}))[0] == "CLOSED"
        assert (await client.ask("REQ", "0", *[{"kinds": [1]}] * (told["max_filters"] + 1)))[0] == "CLOSED"


async def test_subscription_ids_up_to_the_advertised_length_are_taken(bridge: World, client: Client) -> None:
    most = (await advertised(bridge))["max_subid_length"]
    assert await client.stored({"kinds": [1]}, name="é" * most) == []
    assert (await client.ask("REQ", "x" * (most + 1), {"kinds": [1]}))[0] == "NOTICE"


async def test_limits_are_the_advertised_ones(bridge: World, client: Client) -> None:
    told = await advertised(bridge)
    now = int(time.time())
    await bridge.deliver(*(bridge.ghost_says(1, str(n), at=now - n) for n in range(told["max_limit"] + 1)))
    assert len(await client.ids({"limit": told["max_limit"] + 1})) == told["max_limit"]
    assert len(await client.ids({})) == told["default_limit"]


async def test_events_within_the_advertised_limits_are_taken(bridge: World, client: Client) -> None:
    told, now = await advertised(bridge), time.time()
    bridge.host.clock = lambda: now
    most, tags, ahead = (told[name] for name in ("max_content_length", "max_event_tags", "created_at_upper_limit"))
    taken = [
        said("full", 1, "x" * most),
        said("full", 1, "", *[("t", "x")] * tags),
        said("full", 1, "early", at=int(now) + ahead),
    ]
    refused = [
        said("full", 1, "x" * (most + 1)),
        said("full", 1, "too early", at=int(now) + ahead + 1),
    ]
    for event in taken:
        assert await client.publish(event) == (True, "")
    for event in refused:
        accepted, why = await client.publish(event)
        assert (accepted, why.partition(":")[0]) == (False, "invalid")
    too_many = as_object(taken[1]) | {"tags": [["t", "x"]] * (tags + 1)}
    assert (await client.ask("EVENT", too_many))[2:] == [False, "invalid: too_many_tags"]


@pytest.mark.parametrize("bits", [0, 3])
async def test_work_asked_for_is_the_advertised(tmp_path: Path, bits: int) -> None:
    async with world(tmp_path, config=RelayConfig(min_pow=bits)) as bridge, bridge.client() as client:
        assert (await advertised(bridge))["min_pow_difficulty"] == bits
        answers = [said("eve", 1, str(n), ("p", bridge.ghost), ("nonce", "0", str(bits))) for n in range(30)]
        taken = {event.id for event in answers if (await client.publish(event))[0]}
        assert taken == {event.id for event in answers if int(event.id, 16).bit_length() <= 256 - bits}


async def test_contact_and_policy_are_told_where_known(tmp_path: Path) -> None:
    told = {"contact": "mailto:op@bridge.test", "posting_policy": "https://bridge.test/rules"}
    async with world(tmp_path, config=RelayConfig(**told)) as bridge:
        assert (await information(bridge)).items() >= told.items()
