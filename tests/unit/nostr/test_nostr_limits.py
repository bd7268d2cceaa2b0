"""Relays within their limits, and hostile ones within ours."""

import asyncio
import hashlib

import pytest

from adapters.nostr import connection, listening, plan, relays, wire
from adapters.nostr.event import Event, sign, to_json
from adapters.nostr.pool import Pool
from bridged.api import Heard, Rejected, Response, Sent
from tests.unit.nostr.fake_host import FakeHost
from tests.unit.nostr.scripted_relay import Client, scripted
from tests.unit.nostr.test_nostr_pool import ALICE, NOW, authenticate, ids_of, listen, post


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HOLD_FOR", 0.0)


def says(host: FakeHost, url: str, limitation: str) -> None:
    page = "http" + url.removeprefix("ws")
    host.http.pages[page] = Response(200, page, {}, b'{"limitation":{' + limitation.encode() + b"}}")


async def test_questions_about_many_new_accounts_wait_for_their_turn() -> None:
    people = frozenset(hashlib.sha256(b"%d" % number).hexdigest() for number in range(150))
    asked: set[str] = set()
    most = 0
    all_asked = asyncio.Event()

    async def script(client: Client) -> None:
        nonlocal most
        open_: list[str] = []
        room = 1 + plan.SIDE
        while True:
            try:
                # fewer than it may ask are no reason to answer: the others are on their way
                frame = await asyncio.wait_for(client.expect("REQ"), None if len(open_) < room else 0.02)
            except TimeoutError:
                await client.say("EOSE", open_.pop(0))
                room = plan.SIDE  # the first, which stays open, was answered
                continue
            open_.append(frame[1])
            most = max(most, len(open_))
            asked.update(author for filter_ in frame[2:] if "limit" in filter_ for author in filter_["authors"])
            if asked == people:
                all_asked.set()

    host = FakeHost(Heard(full=people))
    async with scripted(script) as relay, listen(relay.url, host):
        await asyncio.wait_for(all_asked.wait(), 60)
    assert most == 1 + plan.SIDE


async def test_a_relay_of_few_subscriptions_is_asked_one_thing_at_a_time() -> None:
    people = frozenset(hashlib.sha256(b"%d" % number).hexdigest() for number in range(20))
    names: list[list[str]] = []
    done = asyncio.Event()

    async def script(client: Client) -> None:
        while len(names) < 4:
            frame = await client.expect("REQ", "CLOSE")
            names.append(frame[:2])
            if len(names) > 1 and frame[0] == "REQ":
                await client.say("EOSE", frame[1])
        done.set()
        await client.hold()

    host = FakeHost(Heard(full=people))
    async with scripted(script) as relay:
        says(host, relay.url, '"max_subscriptions":3')
        async with listen(relay.url, host):
            await asyncio.wait_for(done.wait(), 60)
    assert [name for name, _ in names] == ["REQ", "REQ", "CLOSE", "REQ"]
    assert names[1][1] == names[2][1]


async def test_what_was_said_lately_may_be_refused_and_listening_goes_on() -> None:
    good = post()

    async def script(client: Client) -> None:
        standing = (await client.expect("REQ"))[1]
        await client.say("CLOSED", (await client.expect("REQ"))[1], "error: too many subscriptions")
        await client.event(standing, good)
        await client.say("EOSE", standing)
        await client.hold()

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay, listen(relay.url, host) as pauses:
        await host.until(lambda: bool(host.received))
        assert not pauses
    assert ids_of(host) == [good.id]


@pytest.mark.parametrize(
    ("limitation", "why"),
    [
        ('"min_pow_difficulty":20', "pow: relay asks for 20 bits, set adapters.nostr.pow"),
        ('"created_at_lower_limit":5', "too-old"),
        ('"max_content_length":2', "invalid"),
    ],
)
async def test_what_a_relay_says_it_will_not_take_is_not_sent(limitation: str, why: str) -> None:
    host = FakeHost()
    async with scripted(Client.hold) as relay:
        says(host, relay.url, limitation)
        with pytest.raises(Rejected, match=why):
            await Pool([relay.url], host, authenticate).publish(relay.url, to_json(post()), 2)
        assert not relay.clients


async def test_a_paid_relay_is_tried_only_where_it_is_configured() -> None:
    async def script(client: Client) -> None:
        await client.say("OK", (await client.expect("EVENT"))[1]["id"], True, "")
        await client.hold()

    host = FakeHost()
    async with scripted(script) as relay:
        says(host, relay.url, '"payment_required":true')
        assert await Pool([relay.url], host, authenticate).publish(relay.url, to_json(post()), 2) == Sent()
        with pytest.raises(Rejected, match="paid"):
            await Pool([], host, authenticate).publish(relay.url, to_json(post()), 2)


async def test_a_query_goes_to_other_relays_too_when_told() -> None:
    mine = post()

    async def script(client: Client) -> None:
        name = (await client.expect("REQ"))[1]
        await client.event(name, mine)
        await client.say("EOSE", name)
        await client.hold()

    async with scripted(script) as relay:
        found = await Pool([], FakeHost(), authenticate).query([plan.recent_of([ALICE], NOW)[0][0]], also=[relay.url])
        assert found == []
        found = await Pool([], FakeHost(), authenticate).query([plan.recent_of([ALICE], NOW)[0][1]], also=[relay.url])
        assert found == [(mine, relay.url)]


def unasked(number: int) -> Event:
    return sign(hashlib.sha256(b"noise").digest(), 1, NOW, (), str(number))


@pytest.mark.parametrize("flood", ["unasked", "unwanted", "notices", "ok"])
async def test_a_relay_that_floods_is_hung_up_on(monkeypatch: pytest.MonkeyPatch, flood: str) -> None:
    monkeypatch.setattr(connection, "MAX_NOISE", 30)
    good, noise = post("good"), unasked(1)

    async def hostile(client: Client) -> None:
        name = (await client.expect("REQ"))[1]
        while True:
            await asyncio.sleep(0)  # sending does not yield while the network takes it
            match flood:
                case "unasked":
                    await client.event("never", noise)
                case "unwanted":
                    await client.event(name, noise)
                case "notices":
                    await client.say("NOTICE", "hear me")
                case _:
                    await client.say("OK", "ab" * 32, True, "")

    async def honest(client: Client) -> None:
        await client.event((await client.expect("REQ"))[1], good)
        await client.hold()

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(hostile, honest) as relay, listen(relay.url, host) as pauses:
        await host.until(lambda: bool(host.received))
        assert len(pauses) == 1
    assert next(v["why"] for line, v in host.log.lines if line == "nostr_relay_lost") == "flood"
    assert ids_of(host) == [good.id]


async def test_a_frame_beyond_all_size_ends_the_connection_unread() -> None:
    good = post("good")

    async def hostile(client: Client) -> None:
        name = (await client.expect("REQ"))[1]
        await client.socket.send('["EVENT","' + name + '","' + "x" * (wire.MAX_FRAME + 1) + '"]')
        await client.hold()

    async def honest(client: Client) -> None:
        await client.event((await client.expect("REQ"))[1], good)
        await client.hold()

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(hostile, honest) as relay, listen(relay.url, host) as pauses:
        await host.until(lambda: bool(host.received))
        assert len(pauses) == 1
        assert relay.clients[0].socket.close_code == 1009
    assert ids_of(host) == [good.id]


async def test_a_flood_of_wanted_events_is_read_no_faster_than_the_rate() -> None:
    """The loop stays free: the rest waits in the network."""
    clock = 0.0
    waits: list[float] = []
    line = f'["EVENT","q1",{to_json(post()).decode()}]'

    class Socket:
        transport: asyncio.Transport

        async def recv(self) -> str:
            return line

        async def send(self, message: str) -> None: ...
        async def close(self) -> None: ...

    async def pause(seconds: float) -> None:
        nonlocal clock
        if seconds:
            waits.append(seconds)
            clock += seconds
        if len(waits) >= 100:
            raise connection.Ended("enough")

    read = connection.Connection(
        Socket(), auth=lambda _: post(), refuse=lambda _: None, log=FakeHost().log, clock=lambda: clock
    )
    taken: list[Event] = []

    async def take(event: Event) -> None:
        taken.append(event)

    async def end(message: str | None) -> None: ...

    await read.subscribe("q1", connection.Subscription(plan.recent_of([ALICE], NOW)[0], take, end))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection.asyncio, "sleep", pause)
        with pytest.raises(connection.Ended, match="enough"):
            await read.run()
    assert len(taken) <= connection.BURST + clock * connection.RATE + 1


def test_no_filter_asks_for_more_kinds_than_relays_take() -> None:
    """@nostr-relay/core answers a REQ with more than 20 of them with a NOTICE, and nothing else."""
    heard = Heard(full=frozenset({"a" * 64}), known=frozenset({"b" * 64}), ghosts=frozenset({"c" * 64}))
    standing = [f for portion in plan.subscriptions_for(heard, "d" * 64) for f in portion]
    recent = [f for portion in plan.recent_of({"a" * 64}, 0.0) for f in portion]
    assert max(len(f.kinds or ()) for f in (*standing, *recent)) <= 20
    asked = [f.kinds or frozenset() for f in standing if f.authors == heard.full]
    assert frozenset[int]().union(*asked) == plan.FULL_KINDS | relays.LISTS
