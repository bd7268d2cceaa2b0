"""The relay pool against relays that behave in all the ways relays do."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from adapters.nostr import connection, listening
from adapters.nostr import pool as pool_module
from adapters.nostr.event import Event, parse_event, sign, to_json, verify
from adapters.nostr.filters import Filter
from adapters.nostr.listening import MARGIN, Seen
from adapters.nostr.pool import Pool, Relay, Shared
from bridged.api import Busy, Heard, Rejected, Retry, Sent, Unreachable
from tests.unit.nostr.fake_host import FakeHost
from tests.unit.nostr.scripted_relay import Client, Script, scripted

NOW = 1_700_000_100
SECRETS = {name: hashlib.sha256(name.encode()).digest() for name in ("alice", "bob", "bot")}


def post(text: str = "hello", *, by: str = "alice", at: int = NOW - 10, kind: int = 1, tags: object = ()) -> Event:
    return sign(SECRETS[by], kind, at, list(tags), text)  # type: ignore[arg-type, call-overload]


ALICE = post().pubkey
BOB = post(by="bob").pubkey


def authenticate(url: str, challenge: str) -> Event:
    return post("", by="bot", kind=22242, tags=[("relay", url), ("challenge", challenge)])


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Missed events are not held back; the tests of their order say otherwise."""
    monkeypatch.setattr(listening, "HOLD_FOR", 0.0)


@asynccontextmanager
async def listen(url: str, host: FakeHost, seen: Seen | None = None) -> AsyncIterator[list[float]]:
    """A relay of the pool at work; yields the pauses it made, which take no time."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) > 20:
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    shared = Shared(host, authenticate)
    shared.seen = seen or shared.seen
    task = asyncio.create_task(Relay(url, shared, pause=pause).run())
    try:
        yield pauses
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def ids_of(host: FakeHost) -> list[str]:
    return [envelope.id for envelope in host.received]


async def test_listening_hands_in_events_of_accounts_heard() -> None:
    event = post()

    async def script(client: Client) -> None:
        _, name, *filters = await client.expect("REQ")
        assert filters[0]["authors"] == [ALICE]
        assert filters[0]["since"] == NOW - MARGIN
        await client.event(name, event)
        await client.hold()

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay, listen(relay.url, host):
        await host.until(lambda: bool(host.received))
    envelope = host.received[0]
    assert (envelope.network, envelope.id, envelope.channel) == ("nostr", event.id, relay.url)
    assert (envelope.signer.id, envelope.received_at) == (ALICE, NOW)
    assert parse_event(envelope.body) == event


async def test_listening_drops_what_is_forged_future_unasked_or_unwanted() -> None:
    good = post("good")
    forged = msgspec.structs.replace(good, content="forged")
    unsigned = msgspec.structs.replace(post("unsigned"), sig="0" * 128)
    future = post("future", at=NOW + 3600)
    stranger = post("stranger", by="bob")
    protected = post("protected", tags=[("-",)])
    expired = post("expired", tags=[("expiration", str(NOW - 1))])

    async def script(client: Client) -> None:
        name = (await client.expect("REQ"))[1]
        for event in (forged, unsigned, future, stranger, protected, expired):
            await client.event(name, event)
        await client.event("never-asked", post("elsewhere"))
        await client.event(name, b'{"id":1}')
        await client.socket.send("not json")
        await client.event(name, good)
        await client.hold()

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay, listen(relay.url, host):
        await host.until(lambda: bool(host.received))
    assert ids_of(host) == [good.id]
    assert host.refusals == ["id", "signature", "filter", "id", "frame"]
    assert host.drops == ["future", "protected", "expired"]


async def test_missed_events_are_handed_in_oldest_first_over_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HOLD_FOR", 20.0)
    monkeypatch.setattr(listening, "_PAGED_FROM", 2)
    posts = [post(f"post {n}", at=NOW - 100 + n) for n in range(5)]

    async def script(client: Client) -> None:
        name = (await client.expect("REQ"))[1]
        for event in (posts[4], posts[3]):
            await client.event(name, event)
        await client.say("EOSE", name)
        page = (await client.expect("REQ"))[1]
        await client.event(name, post("live", at=NOW))
        await client.event(page, posts[2])
        await client.event(page, posts[1])
        await client.event(page, posts[0])
        await client.say("EOSE", page)
        while True:
            await client.say("EOSE", (await client.expect("REQ"))[1])

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay, listen(relay.url, host):
        await host.until(lambda: len(host.received) >= 6)
    assert ids_of(host) == [event.id for event in [*posts, post("live", at=NOW)]]


async def test_missed_events_are_handed_in_when_a_relay_never_finishes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HOLD_FOR", 0.05)
    event = post()

    async def script(client: Client) -> None:
        await client.event((await client.expect("REQ"))[1], event)
        await client.hold()

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay, listen(relay.url, host):
        await host.until(lambda: bool(host.received))
    assert ids_of(host) == [event.id]


async def test_a_forged_event_does_not_hide_the_real_one() -> None:
    """Nothing is remembered of an event before it is verified."""
    real = post("real")
    forged = msgspec.structs.replace(real, sig="1" * 128)

    async def script(client: Client) -> None:
        name = (await client.expect("REQ"))[1]
        await client.event(name, forged)
        await client.event(name, real)
        await client.hold()

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay, listen(relay.url, host):
        await host.until(lambda: bool(host.received))
    assert ids_of(host) == [real.id]


async def test_a_relay_that_only_forges_is_hung_up_on_and_tried_again() -> None:
    forged = msgspec.structs.replace(post("x"), content="y")
    good = post("good")

    async def hostile(client: Client) -> None:
        name = (await client.expect("REQ"))[1]
        for _ in range(connection.MAX_STRIKES + 1):
            await client.event(name, forged)
        await client.hold()

    async def honest(client: Client) -> None:
        await client.event((await client.expect("REQ"))[1], good)
        await client.hold()

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(hostile, honest) as relay, listen(relay.url, host) as pauses:
        await host.until(lambda: bool(host.received))
        assert len(pauses) == 1
    lost = [values for line, values in host.log.lines if line == "nostr_relay_lost"]
    assert lost[0]["why"] == "misbehaves"


async def test_events_seen_at_another_relay_are_not_handed_in_again() -> None:
    first, second = post("first"), post("second")
    seen = Seen()
    seen.add(first.id)

    async def script(client: Client) -> None:
        name = (await client.expect("REQ"))[1]
        await client.event(name, first)
        await client.event(name, second)
        await client.hold()

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay, listen(relay.url, host, seen):
        await host.until(lambda: bool(host.received))
    assert ids_of(host) == [second.id]


async def test_the_cursor_moves_only_when_everything_older_is_stored() -> None:
    events = [post(str(number), at=NOW - 2000 + number) for number in range(3)]
    live = post("live")

    async def script(client: Client) -> None:
        names = [(await client.expect("REQ"))[1]]
        for event in events:
            await client.event(names[0], event)
        stored.set()
        await proceed.wait()
        await client.say("EOSE", names[0])
        await client.event(names[0], live)
        await client.hold()

    stored, proceed = asyncio.Event(), asyncio.Event()
    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay:
        key = f"relay {relay.url}"
        host.cursors[key] = str(NOW - 5000)
        async with listen(relay.url, host):
            await host.until(lambda: len(host.received) == 3)
            assert host.cursors[key] == str(NOW - 5000)
            proceed.set()
            await host.until(lambda: len(host.received) == 4)
            assert host.cursors[key] == str(NOW - MARGIN)
    assert stored.is_set()


async def test_the_cursor_waits_for_what_is_queued_when_the_answer_ends() -> None:
    """All is heard while the store hangs: the first batches then stored must not take the cursor past the rest."""

    async def script(client: Client) -> None:
        name = (await client.expect("REQ"))[1]
        for number in range(100):
            await client.event(name, post(str(number), at=NOW - 4000 + number))
        await client.say("EOSE", name)
        await client.say("EOSE", (await client.expect("REQ"))[1])
        await client.say("AUTH", "have you read all that?")
        await client.expect("AUTH")
        host.gate.set()
        await client.hold()

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay:
        host.cursors[f"relay {relay.url}"] = str(NOW - 5000)
        host.gate.clear()
        async with listen(relay.url, host):
            await host.until(lambda: len(host.received) == 100)
    moved = [cursor is not None for _, cursor in host.receipts]
    assert len(moved) >= 3
    assert moved == [False] * (len(moved) - 1) + [True]


async def test_what_was_stored_is_not_handed_in_again_after_reconnecting() -> None:
    first, second = post("first"), post("second")

    async def script(client: Client) -> None:
        name = (await client.expect("REQ"))[1]
        await client.event(name, first)
        if len(relay.clients) == 2:
            await client.event(name, second)
            await client.hold()
        await stored.wait()

    stored = asyncio.Event()
    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay, listen(relay.url, host):
        await host.until(lambda: bool(host.received))
        await asyncio.sleep(0)  # the listener notes it in the step after the store's
        stored.set()
        await host.until(lambda: len(host.received) == 2)
    assert [[envelope.id for envelope in envelopes] for envelopes, _ in host.receipts] == [[first.id], [second.id]]


async def test_reconnecting_asks_from_the_cursor_on_and_never_from_the_future() -> None:
    asked: list[int] = []

    async def script(client: Client) -> None:
        frame = await client.expect("REQ")
        asked.append(frame[2]["since"])
        await client.event(frame[1], post(str(len(asked))))
        await client.socket.close()

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay:
        host.cursors[f"relay {relay.url}"] = str(NOW + 10**8)
        async with listen(relay.url, host):
            await host.until(lambda: len(host.received) >= 2)
    assert asked[:2] == [NOW - MARGIN] * 2


async def test_long_answers_are_paged_through() -> None:
    """A relay that serves 30 events at a time, however many there are."""
    everything = sorted((post(str(n), at=NOW - 4000 + n) for n in range(100)), key=lambda e: -e.created_at)

    async def script(client: Client) -> None:
        while True:
            _, name, *filters = await client.expect("REQ")
            for filter_ in filters:
                until = filter_.get("until", NOW)
                for event in [e for e in everything if e.created_at <= until][:30]:
                    await client.event(name, event)
            await client.say("EOSE", name)

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay:
        host.cursors[f"relay {relay.url}"] = str(NOW - 5000)
        async with listen(relay.url, host):
            await host.until(lambda: len(host.received) == 100)
    assert set(ids_of(host)) == {event.id for event in everything}


async def test_newly_heard_accounts_are_asked_for_and_what_stays_is_left_alone() -> None:
    asked: list[list[object]] = []
    first, late = post("first"), post("late", by="bob")

    async def script(client: Client) -> None:
        while True:
            frame = await client.expect("REQ")
            asked.append(frame)
            authors = {author for filter_ in frame[2:] for author in filter_.get("authors", ())}
            if ALICE in authors:
                await client.event(frame[1], first)
            if BOB in authors:
                await client.event(frame[1], late)
            await client.say("EOSE", frame[1])

    host = FakeHost(Heard(known=frozenset({ALICE}), full=frozenset({ALICE})))
    async with scripted(script) as relay:
        host.cursors[f"relay {relay.url}"] = str(NOW - 5000)
        async with listen(relay.url, host):
            await host.until(lambda: bool(host.received))
            await host.hear(Heard(full=frozenset({ALICE, BOB})))
            await host.until(lambda: late.id in ids_of(host))
    recent = [filter_ for frame in asked[1:] for filter_ in frame[2:] if "limit" in filter_]  # type: ignore[index]
    assert [filter_["authors"] for filter_ in recent] == [[BOB]]


async def test_a_relay_that_demands_auth_gets_it_and_the_question_again() -> None:
    good = post()
    authed: list[Event] = []

    async def script(client: Client) -> None:
        name = (await client.expect("REQ"))[1]
        await client.say("CLOSED", name, "auth-required: who are you?")
        await client.say("AUTH", "a challenge")
        event = parse_event((await client.expect("AUTH"))[1])
        verify(event)
        authed.append(event)
        await client.say("OK", event.id, True, "")
        again = await client.expect("REQ")
        assert again[1] == name
        await client.event(name, good)
        await client.hold()

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay, listen(relay.url, host):
        await host.until(lambda: bool(host.received))
    assert authed[0].kind == 22242
    assert set(authed[0].tags) == {("relay", relay.url), ("challenge", "a challenge")}


async def test_a_relay_that_speaks_first_is_answered() -> None:
    good = post()

    async def script(client: Client) -> None:
        await client.say("NOTICE", "welcome")
        await client.say("AUTH", "first")
        names: list[str] = []
        while True:
            frame = await client.expect("REQ", "AUTH")
            if frame[0] == "REQ" and not names:
                names.append(frame[1])
                await client.say("CLOSED", frame[1], "auth-required: not yet")
            elif frame[0] == "AUTH":
                await client.say("OK", frame[1]["id"], True, "")
            else:
                await client.event(frame[1], good)

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay, listen(relay.url, host):
        await host.until(lambda: bool(host.received))
    assert ids_of(host) == [good.id]


async def test_a_full_store_holds_up_and_loses_nothing() -> None:
    events = [post(str(number)) for number in range(5)]

    async def script(client: Client) -> None:
        name = (await client.expect("REQ"))[1]
        for event in events:
            await client.event(name, event)
        await client.hold()

    host = FakeHost(Heard(full=frozenset({ALICE})))
    host.fail = [Busy("full", after=0.01), Busy("full", after=0.01)]
    async with scripted(script) as relay, listen(relay.url, host):
        await host.until(lambda: len(host.received) == 5)
    assert set(ids_of(host)) == {event.id for event in events}


async def test_a_relay_that_never_finishes_an_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening.Listener.__init__, "__kwdefaults__", {"save_every": 60.0, "eose_within": 0.05})
    good = post()

    async def silent(client: Client) -> None:
        await client.expect("REQ")
        await client.hold()

    async def honest(client: Client) -> None:
        await client.event((await client.expect("REQ"))[1], good)
        await client.hold()

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(silent, honest) as relay, listen(relay.url, host):
        await host.until(lambda: bool(host.received))
    assert next(v["why"] for line, v in host.log.lines if line == "nostr_relay_lost") == "no_eose"


async def test_the_cursor_is_saved_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening.Listener.__init__, "__kwdefaults__", {"save_every": 0.02, "eose_within": 60.0})

    async def script(client: Client) -> None:
        await client.say("EOSE", (await client.expect("REQ"))[1])
        await client.hold()

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay:
        key = f"relay {relay.url}"
        host.cursors[key] = str(NOW - 5000)
        async with listen(relay.url, host):
            await host.until(lambda: host.cursors[key] == str(NOW - MARGIN))


# Publishing


async def publish(script: Script, event: Event | None = None, timeout: float = 5.0) -> Sent:
    async with scripted(script) as relay:
        pool = Pool([relay.url], FakeHost(), authenticate)
        return await pool.publish(relay.url, to_json(event or post()), timeout)


@pytest.mark.parametrize("message", ["", "duplicate: already have it"])
async def test_publishing_what_is_taken_is_sent(message: str) -> None:
    async def script(client: Client) -> None:
        frame = await client.expect("EVENT")
        await client.say("OK", frame[1]["id"], True, message)
        await client.hold()

    assert (await publish(script)).note == message


async def test_publishing_a_duplicate_that_is_called_false_is_sent() -> None:
    async def script(client: Client) -> None:
        await client.say("OK", (await client.expect("EVENT"))[1]["id"], False, "duplicate: exists")
        await client.hold()

    assert (await publish(script)).note == "duplicate: exists"


async def test_publishing_sends_the_stored_bytes() -> None:
    body = to_json(post('é 😀 " \\ \n'))
    got: list[str | bytes] = []

    async def script(client: Client) -> None:
        got.append(await client.socket.recv())
        await client.say("OK", parse_event(body).id, True, "")
        await client.hold()

    await publish(script, parse_event(body))
    assert got == ['["EVENT",' + body.decode() + "]"]


@pytest.mark.parametrize("message", ["rate-limited: slow down", "error: disk", ""])
async def test_publishing_may_be_asked_to_wait(message: str) -> None:
    async def script(client: Client) -> None:
        await client.say("OK", (await client.expect("EVENT"))[1]["id"], False, message)
        await client.hold()

    with pytest.raises(Retry):
        await publish(script)


@pytest.mark.parametrize(
    "message", ["blocked: no", "invalid: bad", "restricted: paid only", "pow: 28 bits", "creation date is too old"]
)
async def test_publishing_may_be_refused_for_ever(message: str) -> None:
    async def script(client: Client) -> None:
        await client.say("OK", (await client.expect("EVENT"))[1]["id"], False, message)
        await client.hold()

    with pytest.raises(Rejected) as caught:
        await publish(script)
    assert caught.value.why.startswith(message)
    assert ("adapters.nostr.pow" in caught.value.why) == message.startswith("pow")


async def test_publishing_an_older_profile_ends_where_a_newer_one_is_held() -> None:
    async def script(client: Client) -> None:
        await client.say("OK", (await client.expect("EVENT"))[1]["id"], False, "error: unknown")
        await client.hold()

    with pytest.raises(Rejected):
        await publish(script, post("{}", kind=0))


async def test_publishing_authenticates_when_asked_and_tries_once_more() -> None:
    async def script(client: Client) -> None:
        first = await client.expect("EVENT")
        await client.say("OK", first[1]["id"], False, "auth-required: write")
        await client.say("AUTH", "late challenge")
        await client.say("OK", (await client.expect("AUTH"))[1]["id"], True, "")
        second = await client.expect("EVENT")
        assert second == first
        await client.say("OK", second[1]["id"], True, "")
        await client.hold()

    assert await publish(script) == Sent()


async def test_publishing_answers_the_latest_of_many_challenges() -> None:
    """Every refusal brings a new challenge, and an answer to an older one is refused."""

    async def script(client: Client) -> None:
        event = await client.expect("EVENT")
        for number in range(100):
            await client.say("AUTH", f"challenge {number}")
        await client.say("OK", event[1]["id"], False, "auth-required: write")
        while ["challenge", "challenge 99"] not in (frame := await client.expect("AUTH"))[1]["tags"]:
            await client.say("OK", frame[1]["id"], False, "invalid: old challenge")
        await client.say("OK", frame[1]["id"], True, "")
        await client.say("OK", (await client.expect("EVENT"))[1]["id"], True, "")
        await client.hold()

    assert await publish(script) == Sent()


async def test_publishing_gives_up_where_auth_does_not_help() -> None:
    async def script(client: Client) -> None:
        await client.say("AUTH", "challenge")
        while True:
            frame = await client.expect("EVENT", "AUTH")
            is_auth = frame[0] == "AUTH"
            await client.say("OK", frame[1]["id"], is_auth, "" if is_auth else "auth-required: still")

    with pytest.raises(Rejected, match="auth-required"):
        await publish(script)


async def test_publishing_finds_its_answer_among_other_frames() -> None:
    async def script(client: Client) -> None:
        await client.say("AUTH", "challenge")
        frame = await client.expect("EVENT")
        await client.say("NOTICE", "be nice")
        await client.say("OK", "0" * 64, False, "blocked: somebody else's")
        await client.say("UNKNOWN", 1)
        await client.say("OK", frame[1]["id"], True, "")
        await client.hold()

    assert await publish(script) == Sent()


async def test_publishing_takes_an_answer_without_id_for_its_own() -> None:
    async def script(client: Client) -> None:
        await client.expect("EVENT")
        await client.say("OK", "", False, "invalid: too old")
        await client.hold()

    with pytest.raises(Rejected, match="too old"):
        await publish(script)


async def test_publishing_to_a_silent_relay_is_tried_again_later() -> None:
    async def script(client: Client) -> None:
        await client.hold()

    with pytest.raises(Retry, match="did not answer"):
        await publish(script, timeout=0.1)


async def test_publishing_to_a_relay_that_hangs_up_is_tried_again_later() -> None:
    async def script(client: Client) -> None:
        await client.expect("EVENT")
        await client.socket.close()

    with pytest.raises(Retry, match="lost"):
        await publish(script)


async def test_publishing_to_an_absent_relay_is_tried_again_later() -> None:
    async with scripted(Client.hold) as relay:
        url = relay.url
    with pytest.raises(Retry):
        await Pool([url], FakeHost(), authenticate).publish(url, to_json(post()), 1)


async def test_answers_without_ids_to_several_events_are_never_taken_for_each_other() -> None:
    """The first round is ambiguous and retried; from then on this relay gets one event at a time."""
    events = [post("bad"), post("good")]

    async def script(client: Client) -> None:
        await client.say("EOSE", (await client.expect("REQ"))[1])
        connected.set()
        first, second = await client.expect("EVENT"), await client.expect("EVENT")
        assert {first[1]["id"], second[1]["id"]} == {event.id for event in events}
        await client.say("OK", "", False, "invalid: one of them")
        while True:
            frame = await client.expect("EVENT")
            bad = frame[1]["content"] == "bad"
            await client.say("OK", "" if bad else frame[1]["id"], not bad, "invalid: bad" if bad else "")

    connected = asyncio.Event()
    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as relay:
        pool = Pool([relay.url], host, authenticate)
        running = asyncio.create_task(pool.run())
        try:
            await connected.wait()
            bodies = [to_json(event) for event in events]
            results = await asyncio.gather(*(pool.publish(relay.url, body) for body in bodies), return_exceptions=True)
            assert [type(result) for result in results] == [Retry, Retry]
            results = await asyncio.gather(*(pool.publish(relay.url, body) for body in bodies), return_exceptions=True)
            assert [type(result) for result in results] == [Rejected, Sent]
        finally:
            running.cancel()


# Asking


async def test_a_query_returns_verified_matching_events_and_its_relay() -> None:
    mine, other = post("mine"), post("other", by="bob")
    forged = msgspec.structs.replace(mine, content="forged", id="0" * 64)

    async def script(client: Client) -> None:
        name = (await client.expect("REQ"))[1]
        for event in (other, forged, mine, mine):
            await client.event(name, event)
        await client.say("EOSE", name)
        await client.expect("CLOSE")
        await client.hold()

    async with scripted(script) as relay:
        pool = Pool([relay.url], FakeHost(), authenticate)
        assert await pool.query([Filter(authors=frozenset({ALICE}))]) == [(mine, relay.url)]


async def test_a_query_is_answered_by_one_relay_when_another_is_away() -> None:
    mine = post()

    async def script(client: Client) -> None:
        name = (await client.expect("REQ"))[1]
        await client.event(name, mine)
        await client.say("EOSE", name)
        await client.hold()

    async with scripted(Client.hold) as gone:
        away = gone.url
    async with scripted(script) as relay:
        pool = Pool([away, relay.url], FakeHost(), authenticate)
        assert [event for event, _ in await pool.query([Filter(ids=frozenset({mine.id}))])] == [mine]


async def test_a_query_does_not_wait_long_for_a_silent_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "GRACE_SECONDS", 0.01)
    mine = post()

    async def script(client: Client) -> None:
        name = (await client.expect("REQ"))[1]
        await client.event(name, mine)
        await client.say("EOSE", name)
        await client.hold()

    async with scripted(Client.hold) as silent, scripted(script) as relay:
        pool = Pool([silent.url, relay.url], FakeHost(), authenticate)
        async with asyncio.timeout(60):
            found = await pool.query([Filter(ids=frozenset({mine.id}))], 60)
    assert [event for event, _ in found] == [mine]


async def test_a_query_that_nobody_answers_concludes_nothing() -> None:
    async def closing(client: Client) -> None:
        await client.say("CLOSED", (await client.expect("REQ"))[1], "error: shutting down")
        await client.hold()

    async with scripted(closing) as closed, scripted(Client.hold) as silent:
        pool = Pool([closed.url, silent.url], FakeHost(), authenticate)
        with pytest.raises(Unreachable):
            await pool.query([Filter(kinds=frozenset({0}))], 0.2)
