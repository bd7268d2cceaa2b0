"""The Jetstream client against servers of both dialects that behave in all the ways servers do."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.atproto import jetstream
from adapters.atproto.envelopes import Person, read_change, read_person, read_standing
from adapters.atproto.intake import Intake
from adapters.atproto.stream import BATCH, MAX_STRIKES, Stream
from adapters.atproto.wanted import COLLECTIONS
from bridged.api import Busy, Heard
from tests.unit.atproto.scripted_streams import (
    NSID,
    REV,
    Client,
    account1,
    account2,
    commit1,
    commit2,
    error2,
    identity1,
    message2,
    scripted,
)
from tests.unit.atproto.stream_host import FakePeople, Pauses, StreamHost, running

NOW = 1_790_000_000
US = NOW * 1_000_000
ALICE = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
KNOWN = "did:plc:kkkkkkkkkkkkkkkkkkkkkkkk"
GHOST = "did:plc:gggggggggggggggggggggggg"
WEB = "did:web:carol.test"
STRANGER = "did:plc:ssssssssssssssssssssssss"
HEARD = Heard(full=frozenset({ALICE, WEB}), known=frozenset({KNOWN}), ghosts=frozenset({GHOST}))
POST = {"$type": "app.bsky.feed.post", "text": "hello", "createdAt": "2026-11-26T02:00:00Z"}
V2 = f"/xrpc/{NSID}"


def strong(did: str) -> dict[str, str]:
    return {
        "uri": f"at://{did}/app.bsky.feed.post/{REV}",
        "cid": "bafyreiclp443lavogvhj3d2ob2cxbfuscni2k5jk7bebjzg7khl3esabwq",
    }


@asynccontextmanager
async def listen(
    url: str, host: StreamHost, people: FakePeople | None = None, *, narrow: bool = False, save_every: float = 0.05
) -> AsyncIterator[Pauses]:
    pauses = Pauses()
    intake = Intake(host, people or FakePeople())
    dialect = jetstream.dialect(url, host, narrow=narrow)
    stream = Stream(host, dialect, intake.store, pauses, save_every=save_every)
    async with running(stream.run):
        yield pauses


def uris(host: StreamHost) -> list[str]:
    return [envelope.id.partition("#")[0] for envelope in host.received]


def rkeys(host: StreamHost) -> list[str]:
    return [uri.rpartition("/")[2] for uri in uris(host)]


async def test_v1_asks_for_the_collections_we_read_and_hands_in_what_is_for_us() -> None:
    async def script(client: Client) -> None:
        assert client.path == "/subscribe"
        assert client.query["wantedCollections"] == list(COLLECTIONS)
        assert "cursor" not in client.query
        assert "wantedDids" not in client.query
        await client.say(commit1(STRANGER, US, POST), commit1(ALICE, US + 1, POST), commit1(WEB, US + 2, POST))
        await client.hold()

    host = StreamHost(HEARD, at=NOW + 10)
    async with scripted(script) as server, listen(server.url, host):
        await host.until(lambda: len(host.received) == 2)
    change = read_change(host.received[0])
    assert (change.did, change.operation, change.rev, change.record) == (ALICE, "create", REV, POST)
    assert host.received[0].signer.id == ALICE
    assert host.cursors[f"jetstream {server.url}"] == str(US + 2)


@pytest.mark.parametrize(
    ("who", "record", "wanted"),
    [
        (STRANGER, POST, False),
        (STRANGER, {**POST, "reply": {"root": strong(STRANGER), "parent": strong(GHOST)}}, True),
        (STRANGER, {**POST, "reply": {"root": strong(GHOST), "parent": strong(STRANGER)}}, True),
        (STRANGER, {**POST, "embed": {"$type": "app.bsky.embed.record", "record": strong(GHOST)}}, True),
        (STRANGER, {**POST, "embed": {"$type": "x", "record": {"record": strong(GHOST)}, "media": {}}}, True),
        (STRANGER, {**POST, "facets": [{"features": [{"$type": "m", "did": GHOST}]}]}, True),
        (STRANGER, {**POST, "text": f"who is {GHOST}?"}, False),
        (STRANGER, {**POST, "reply": {"root": strong(ALICE), "parent": strong(ALICE)}}, False),
        (STRANGER, {**POST, "facets": GHOST, "reply": GHOST, "embed": [GHOST]}, False),
        (STRANGER, {"$type": "app.bsky.feed.like", "subject": strong(GHOST)}, True),
        (STRANGER, {"$type": "app.bsky.feed.repost", "subject": strong(GHOST)}, True),
        (STRANGER, {"$type": "app.bsky.graph.follow", "subject": GHOST}, True),
        (STRANGER, {"$type": "app.bsky.graph.block", "subject": GHOST}, True),
        (STRANGER, {"$type": "app.bsky.graph.follow", "subject": ALICE}, False),
        (STRANGER, {"$type": "app.bsky.graph.listitem", "subject": GHOST}, False),
        (KNOWN, POST, False),
        (KNOWN, {"$type": "app.bsky.actor.profile"}, True),
        (GHOST, POST, False),
        (GHOST, {"$type": "app.bsky.feed.like", "subject": strong(GHOST)}, False),
        (ALICE, {"$type": "app.bsky.graph.follow", "subject": STRANGER}, True),
    ],
)
async def test_only_what_concerns_us_is_handed_in(who: str, record: dict[str, Any], wanted: bool) -> None:
    async def script(client: Client) -> None:
        await client.say(commit1(who, US, record, "looked-at"), commit1(ALICE, US + 1, POST, "last"))
        await client.hold()

    host = StreamHost(HEARD)
    async with scripted(script) as server, listen(server.url, host):
        await host.until(lambda: "last" in rkeys(host))
    assert rkeys(host) == (["looked-at", "last"] if wanted else ["last"])


async def test_deletes_and_edits_of_known_accounts_are_handed_in() -> None:
    async def script(client: Client) -> None:
        await client.say(
            commit1(STRANGER, US, "app.bsky.feed.post", "a", "delete"),
            commit1(KNOWN, US, "app.bsky.feed.like", "b", "delete"),
            commit1(KNOWN, US, POST, "c", "update"),
        )
        await client.hold()

    host = StreamHost(HEARD)
    async with scripted(script) as server, listen(server.url, host):
        await host.until(lambda: "c" in rkeys(host))
    assert rkeys(host) == ["b", "c"]
    assert read_change(host.received[0]).record is None


async def test_accounts_and_identities_are_handed_in_for_those_we_know_and_once() -> None:
    async def script(client: Client) -> None:
        await client.say(
            account1(STRANGER, US, False, "deleted"),
            account1(GHOST, US, False, "deleted"),
            account1(ALICE, US + 1, False, "takendown"),
            identity1(KNOWN, US + 2),
            commit1(ALICE, US + 3, POST),
        )
        await client.socket.close()

    people = FakePeople()
    people.persons[KNOWN] = Person(KNOWN, "new.test", "https://pds.test", {"displayName": "New"})
    host = StreamHost(HEARD)
    async with scripted(script) as server, listen(server.url, host, people):
        await host.until(lambda: len(server.clients) > 2)
    assert [envelope.channel for envelope in host.received] == ["account", "identity", "record"]
    standing = read_standing(host.received[0])
    assert (standing.did, standing.active, standing.status) == (ALICE, False, "takendown")
    assert read_person(host.received[1]).handle == "new.test"


async def test_posts_come_with_their_authors_handle_and_host_where_they_are_to_be_had() -> None:
    like = {"$type": "app.bsky.feed.like", "subject": strong(KNOWN), "createdAt": POST["createdAt"]}

    async def script(client: Client) -> None:
        await client.say(
            commit1(ALICE, US, POST, "a"),
            commit1(WEB, US, POST, "b"),
            commit1(ALICE, US, like, "c"),
            commit1(ALICE, US, POST, "d", "delete"),
        )
        await client.hold()

    people, host = FakePeople({ALICE: ("alice.test", "https://pds.test")}), StreamHost(HEARD)
    async with scripted(script) as server, listen(server.url, host, people):
        await host.until(lambda: len(host.received) == 4)
    told = [read_change(envelope) for envelope in host.received]
    assert [(change.handle, change.pds) for change in told] == [("alice.test", "https://pds.test"), *[("", "")] * 3]
    assert people.asked == [ALICE, WEB]


async def test_v1_goes_on_a_little_before_where_it_was() -> None:
    async def first(client: Client) -> None:
        await client.say(commit1(ALICE, US - 60_000_000, POST, "a"))
        await host.until(lambda: rkeys(host) == ["a"])

    async def second(client: Client) -> None:
        assert client.cursor == str(US - 65_000_000)
        await client.say(commit1(ALICE, US - 60_000_000, POST, "a"), commit1(ALICE, US, POST, "b"))
        await client.hold()

    host = StreamHost(HEARD)
    async with scripted(first, second) as server, listen(server.url, host) as pauses:
        await host.until(lambda: "b" in rkeys(host))
    assert rkeys(host) == ["a", "b"]
    assert len(pauses.seconds) == 1


async def test_a_cursor_from_the_future_is_not_believed() -> None:
    async def script(client: Client) -> None:
        await client.say(commit1(ALICE, US * 2, POST))
        await client.hold()

    host = StreamHost(HEARD)
    async with scripted(script) as server, listen(server.url, host):
        await host.until(lambda: len(host.received) == 1)
    assert host.cursors[f"jetstream {server.url}"] == str(US)


async def test_a_busy_store_is_waited_for_and_nothing_is_lost() -> None:
    async def script(client: Client) -> None:
        await client.say(*(commit1(ALICE, US + n, POST, f"r{n}") for n in range(BATCH * 3)))
        await client.hold()

    host = StreamHost(HEARD)
    host.busy = [Busy("full", 3.0), Busy("full", 4.0)]
    async with scripted(script) as server, listen(server.url, host) as pauses:
        await host.until(lambda: len(host.received) == BATCH * 3)
    assert rkeys(host) == [f"r{n}" for n in range(BATCH * 3)]
    assert pauses.seconds == [3.0, 4.0]


async def test_garbled_frames_are_counted_and_who_sends_many_is_hung_up_on() -> None:
    async def script(client: Client) -> None:
        bad = [b"\xff" + ALICE.encode(), json.dumps({"did": ALICE}).encode(), b"[" * 100_000 + ALICE.encode()]
        await client.say(*bad)
        for frame in (
            commit1(ALICE, US, {**POST, "x": 1.5}),
            commit1(ALICE, US, POST, "no/rkey"),
            commit1(ALICE, US, POST, operation="replace"),
            commit1(f"did:web:{'a.' * 600}test", US, {"$type": "app.bsky.graph.follow", "subject": GHOST}),
        ):
            await client.say(frame)
        await client.say(commit1(ALICE, US, POST, "good"))
        await host.until(lambda: rkeys(host) == ["good"])
        await client.say(*(bad * MAX_STRIKES))
        await client.hold()

    host = StreamHost(HEARD)
    async with scripted(script, Client.hold) as server, listen(server.url, host) as pauses:
        await pauses.paused.wait()
    assert host.refusals[:7] == ["frame", "frame", "frame", "float", "commit", "commit", "did"]
    assert len(host.refusals) == MAX_STRIKES + 1
    assert host.log.lines[-1][2]["why"] == "misbehaves"


async def test_who_is_heard_since_a_moment_is_heard_on_the_open_stream() -> None:
    async def script(client: Client) -> None:
        await client.say(commit1(STRANGER, US, POST, "before"), commit1(ALICE, US, POST, "a"))
        await host.until(lambda: rkeys(host) == ["a"])
        await host.hear(Heard(full=frozenset({STRANGER})))
        await asyncio.sleep(0)  # the listener's turn
        while "after" not in rkeys(host):
            await client.say(commit1(STRANGER, US, POST, "after"))
            await asyncio.sleep(0.01)
        await client.hold()

    host = StreamHost(HEARD)
    async with scripted(script) as server, listen(server.url, host):
        await host.until(lambda: "after" in rkeys(host))
    assert set(rkeys(host)) == {"a", "after"}
    assert len(server.clients) == 1


async def test_a_narrow_v1_stream_is_told_of_others_by_options_update() -> None:
    told: list[Any] = []

    async def script(client: Client) -> None:
        assert client.query["wantedDids"] == sorted([ALICE, WEB, KNOWN])
        await host.hear(Heard(full=frozenset({STRANGER})))
        told.append(json.loads(await client.socket.recv()))
        await client.say(commit1(STRANGER, US, POST))
        await client.hold()

    host = StreamHost(HEARD)
    async with scripted(script) as server, listen(server.url, host, narrow=True):
        await host.until(lambda: len(host.received) == 1)
    assert told == [
        {
            "type": "options_update",
            "payload": {
                "wantedCollections": list(COLLECTIONS),
                "wantedDids": [STRANGER],
                "maxMessageSizeBytes": jetstream.MAX_FRAME,
            },
        }
    ]


async def test_v2_asks_in_its_own_words_and_goes_on_where_it_was() -> None:
    async def first(client: Client) -> None:
        assert client.path == V2
        assert client.query["collections"] == list(COLLECTIONS)
        assert client.query["kinds"] == ["commit", "identity", "account"]
        assert not {"wantedCollections", "wantedDids", "cursor", "zstdDictionary"} & client.query.keys()
        await client.say(commit2(STRANGER, 41, US, POST), commit2(ALICE, 42, US + 1, POST, "a"))
        await host.until(lambda: rkeys(host) == ["a"])
        await client.say(error2("ConsumerTooSlow"))
        await client.hold()

    async def second(client: Client) -> None:
        assert client.cursor == "42"
        changed = commit2(ALICE, 42, US + 1, POST, "not again")
        await client.say(changed, account2(ALICE, 43, US + 2, False, "deleted"), commit2(ALICE, 44, US, POST, "b"))
        await client.hold()

    host = StreamHost(HEARD, at=NOW + 10)
    async with scripted(first, second, path=V2) as server, listen(server.url, host):
        await host.until(lambda: len(host.received) == 3)
    assert [envelope.channel for envelope in host.received] == ["record", "account", "record"]
    assert host.received[1].received_at == pytest.approx(NOW, abs=0.001)
    assert host.cursors[f"jetstream {server.url}"] == f"44 {US}"
    assert any(line[2].get("why") == "ConsumerTooSlow" for line in host.log.lines)


async def test_v2_goes_on_by_time_when_its_number_is_too_old() -> None:
    async def script(client: Client) -> None:
        assert client.cursor == str(US)
        await client.say(
            message2("info", name="OutdatedCursor", message="from 900"), commit2(ALICE, 900, US, POST, "a")
        )
        await client.hold()

    host = StreamHost(HEARD)
    async with scripted(script, path=V2) as server:
        server.refusals = [400]
        host.cursors[f"jetstream {server.url}"] = f"42 {US}"
        async with listen(server.url, host):
            await host.until(lambda: len(host.received) == 1)
    assert host.cursors[f"jetstream {server.url}"] == f"900 {US}"
    assert ("warning", "atproto_missed") in [line[:2] for line in host.log.lines]


async def test_v2_goes_on_by_time_when_the_numbers_began_anew() -> None:
    async def first(client: Client) -> None:
        assert client.cursor == "4200"
        await client.say(commit2(ALICE, 7, US, POST, "live"))
        await client.hold()

    async def second(client: Client) -> None:
        assert client.cursor == str(US - 5)
        await client.say(commit2(ALICE, 6, US - 1, POST, "missed"), commit2(ALICE, 7, US, POST, "live"))
        await client.hold()

    host = StreamHost(HEARD)
    async with scripted(first, second, path=V2) as server:
        host.cursors[f"jetstream {server.url}"] = f"4200 {US - 5}"
        async with listen(server.url, host):
            await host.until(lambda: rkeys(host) == ["missed", "live"])
    assert host.cursors[f"jetstream {server.url}"] == f"7 {US}"


async def test_a_narrow_v2_stream_connects_anew_for_others() -> None:
    async def first(client: Client) -> None:
        assert client.query["dids"] == sorted([ALICE, WEB, KNOWN])
        await host.hear(Heard(full=frozenset({STRANGER})))
        await client.hold()

    async def second(client: Client) -> None:
        assert client.query["dids"] == [STRANGER]
        await client.say(commit2(STRANGER, 1, US, POST))
        await client.hold()

    host = StreamHost(HEARD)
    async with scripted(first, second, path=V2) as server, listen(server.url, host, narrow=True):
        await host.until(lambda: len(host.received) == 1)


async def test_an_address_the_guard_refuses_is_not_connected_to() -> None:
    host = StreamHost(HEARD)
    async with listen("ws://169.254.1.1/subscribe", host) as pauses:
        await pauses.paused.wait()
    assert host.http.counted
