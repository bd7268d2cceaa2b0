"""The firehose client: commits that are right come through, gaps are made up for, numbers are minded."""

import pytest

from adapters.atproto import ids, known
from adapters.atproto.cid import Cid
from adapters.atproto.envelopes import Person, read_change, read_standing
from adapters.atproto.known import Known
from bridged.api import EgressFailed, Heard
from tests.unit.atproto.firehose_kit import (
    ALICE,
    BOB,
    GHOST,
    HEARD,
    NOW,
    PDS,
    POSTS,
    STRANGER,
    Directory,
    key_at,
    listen,
    new_host,
    post,
    rkeys,
    row,
)
from tests.unit.atproto.scripted_repo import ScriptedRepo, account, error, frame, identity, info
from tests.unit.atproto.scripted_streams import Client, scripted
from tests.unit.atproto.stream_host import FakePeople, StreamHost

PATH = ""


def cursor(host: StreamHost) -> str:
    return next(iter(host.cursors.values()), "")


async def test_commits_of_those_heard_come_through_verified_and_their_repo_is_known() -> None:
    alice, host = ScriptedRepo(ALICE, NOW), new_host()

    async def script(client: Client) -> None:
        assert client.path == "/xrpc/com.atproto.sync.subscribeRepos"
        assert client.cursor == ""
        await client.say(alice.say(7, {f"{POSTS}/a": post(), "com.example.thing/x": {"$type": "x"}}))
        await client.say(alice.say(9, {f"{POSTS}/a": post("edited"), f"{POSTS}/b": post()}))
        await client.say(alice.say(10, {f"{POSTS}/b": None}))
        await client.hold()

    async with scripted(script, path=PATH) as server, listen(server.url, host, Directory(alice)):
        await host.until(lambda: cursor(host) == "10")
        assert await row(host, ALICE) == Known(alice.rev, alice.data)
    changes = [read_change(envelope) for envelope in host.received]
    assert [(c.operation, c.rkey) for c in changes] == [
        ("create", "a"),
        ("update", "a"),
        ("create", "b"),
        ("delete", "b"),
    ]
    assert changes[1].record == post("edited")
    assert changes[1].cid == str(Cid.of(alice.records[f"{POSTS}/a"]))
    assert host.refusals == []


async def test_a_stranger_is_heard_where_it_concerns_us_and_kept_no_row_of() -> None:
    stranger, host = ScriptedRepo(STRANGER, NOW), new_host()
    follow = {"$type": "app.bsky.graph.follow", "subject": GHOST, "createdAt": "2026-11-26T02:00:00Z"}

    async def script(client: Client) -> None:
        await client.say(stranger.say(1, {f"{POSTS}/a": post()}))
        await client.say(stranger.say(2, {f"{POSTS}/b": post(f"{GHOST}"), "app.bsky.graph.follow/f": follow}))
        await client.hold()

    async with scripted(script, path=PATH) as server, listen(server.url, host, Directory(stranger)):
        await host.until(lambda: cursor(host) == "2")
        assert await row(host, STRANGER) is None
    assert rkeys(host) == ["f"]


async def test_accounts_and_identities_are_handed_in() -> None:
    people = FakePeople()
    people.persons[BOB] = Person(BOB, "new.test", PDS)
    host = new_host()

    async def script(client: Client) -> None:
        await client.say(account(STRANGER, 1, False, "deleted"), account(ALICE, 2, False, "deleted"), identity(BOB, 3))
        await client.hold()

    async with scripted(script, path=PATH) as server, listen(server.url, host, Directory(), people):
        await host.until(lambda: cursor(host) == "3")
    assert [envelope.channel for envelope in host.received] == ["account", "identity"]
    standing = read_standing(host.received[0])
    assert (standing.did, standing.active, standing.status) == (ALICE, False, "deleted")
    assert host.received[0].received_at == NOW


async def test_it_goes_on_after_the_last_number_read() -> None:
    alice, host = ScriptedRepo(ALICE, NOW), new_host()

    async def first(client: Client) -> None:
        await client.say(alice.say(7, {f"{POSTS}/a": post()}), ScriptedRepo(STRANGER, NOW).say(8, {}))
        await host.until(lambda: cursor(host) == "8")
        await client.say(error("ConsumerTooSlow"))
        await client.hold()

    async def second(client: Client) -> None:
        assert client.cursor == "8"
        await client.say(alice.say(9, {f"{POSTS}/b": post()}))
        await client.hold()

    async with scripted(first, second, path=PATH) as server, listen(server.url, host, Directory(alice)):
        await host.until(lambda: rkeys(host) == ["a", "b"])
    assert cursor(host) == "9"
    assert [line[2]["why"] for line in host.log.lines if line[1] == "atproto_stream_lost"] == ["ConsumerTooSlow"]


async def test_a_gap_is_made_up_for_by_getrepo_and_then_it_goes_on() -> None:
    alice, host = ScriptedRepo(ALICE, NOW), new_host()

    async def script(client: Client) -> None:
        await client.say(alice.say(1, {f"{POSTS}/{key_at(0)}": post("known")}))
        await host.until(lambda: len(host.received) == 1)
        before = alice.rev
        alice.say(2, {f"{POSTS}/{key_at(50)}": post("missed")})
        gapped = alice.say(3, {f"{POSTS}/{key_at(60)}": post("after the gap")})
        host.http.serve(
            f"{PDS}/xrpc/com.atproto.sync.getRepo?did={ALICE.replace(':', '%3A')}&since={before}", alice.whole()
        )
        await client.say(gapped)
        await host.until(lambda: len(host.received) == 3)
        await client.say(alice.say(4, {f"{POSTS}/z": post("as before")}))
        await client.hold()

    async with scripted(script, path=PATH) as server, listen(server.url, host, Directory(alice)):
        await host.until(lambda: len(host.received) == 4)
        assert await row(host, ALICE) == Known(alice.rev, alice.data)
    said = [read_change(envelope).record for envelope in host.received]
    assert [record["text"] for record in said if record] == ["known", "missed", "after the gap", "as before"]
    assert host.refusals == []


@pytest.mark.parametrize("partial", [False, True])
async def test_what_was_deleted_in_a_gap_is_deleted_elsewhere(partial: bool) -> None:
    alice, host = ScriptedRepo(ALICE, NOW), new_host()
    kept, gone, like = f"{POSTS}/{key_at(0)}", f"{POSTS}/{key_at(1)}", "app.bsky.feed.like/x"
    host.stand = {ids.record_ref(ALICE, *path.split("/")) for path in (kept, gone, like)}
    host.stand.add(ids.record_ref(BOB, POSTS, "x"))

    async def script(client: Client) -> None:
        await client.say(alice.say(1, {kept: post("kept"), gone: post("gone")}))
        await host.until(lambda: len(host.received) == 2)
        all_of_it = f"{PDS}/xrpc/com.atproto.sync.getRepo?did={ALICE.replace(':', '%3A')}"
        since = f"{all_of_it}&since={alice.rev}"
        alice.say(2, {gone: None})
        gapped = alice.say(3, {f"{POSTS}/{key_at(60)}": post("new")})
        host.http.serve(since, alice.head() if partial else alice.whole())
        if partial:
            host.http.serve(all_of_it, alice.whole())
        await client.say(gapped)
        await client.hold()

    async with scripted(script, path=PATH) as server, listen(server.url, host, Directory(alice)):
        await host.until(lambda: len(host.received) >= 4 + (not partial))
        assert await row(host, ALICE) == Known(alice.rev, alice.data)
    deleted = [c.collection + "/" + c.rkey for c in map(read_change, host.received) if c.operation == "delete"]
    assert deleted == [gone, like]


async def test_a_gap_is_made_up_for_where_deletions_are_not_to_be_seen() -> None:
    alice, host = ScriptedRepo(ALICE, NOW), new_host()
    host.stand = {ids.record_ref(ALICE, POSTS, "x")}

    async def script(client: Client) -> None:
        await client.say(alice.say(1, {f"{POSTS}/{key_at(0)}": post()}))
        await host.until(lambda: len(host.received) == 1)
        since = f"{PDS}/xrpc/com.atproto.sync.getRepo?did={ALICE.replace(':', '%3A')}&since={alice.rev}"
        alice.say(2, {f"{POSTS}/{key_at(50)}": post()})
        gapped = alice.say(3, {})
        host.http.serve(since, alice.head())
        host.http.pages[since.partition("&")[0]] = EgressFailed("too_large")
        await client.say(gapped)
        await client.hold()

    async with scripted(script, path=PATH) as server, listen(server.url, host, Directory(alice)):
        await host.until(lambda: "atproto_deletions_not_seen" in [line[1] for line in host.log.lines])
        assert await row(host, ALICE) == Known(alice.rev, alice.data)


async def test_a_gap_stays_noted_while_the_repo_cannot_be_fetched() -> None:
    alice, host = ScriptedRepo(ALICE, NOW), new_host()
    url = ""

    async def script(client: Client) -> None:
        nonlocal url
        await client.say(alice.say(1, {f"{POSTS}/{key_at(0)}": post()}))
        await host.until(lambda: len(host.received) == 1)
        url = f"{PDS}/xrpc/com.atproto.sync.getRepo?did={ALICE.replace(':', '%3A')}&since={alice.rev}"
        host.http.pages[url] = EgressFailed("connect")
        alice.say(2, {f"{POSTS}/{key_at(50)}": post()})
        await client.say(alice.say(3, {}))
        await client.hold()

    async with scripted(script, Client.hold, path=PATH) as server:
        async with listen(server.url, host, Directory(alice)) as pauses:
            await pauses.paused.wait()
            noted = await row(host, ALICE)
            assert noted is not None
            assert noted.stale
        host.http.serve(url, alice.whole())
        async with listen(server.url, host, Directory(alice)):  # as after a restart
            await host.until(lambda: len(host.received) == 2)
        assert await row(host, ALICE) == Known(alice.rev, alice.data)


async def test_a_commit_whose_key_cannot_be_looked_at_is_made_up_for_with_the_next() -> None:
    alice, host, directory = ScriptedRepo(ALICE, NOW), new_host(), Directory()

    async def script(client: Client) -> None:
        directory.known[ALICE] = alice.key.public
        await client.say(alice.say(1, {f"{POSTS}/{key_at(0)}": post()}))
        await host.until(lambda: len(host.received) == 1)
        before = alice.rev
        del directory.known[ALICE]
        await client.say(alice.say(2, {f"{POSTS}/{key_at(50)}": post()}))
        await host.until_refused("key_unknown")
        directory.known[ALICE] = alice.key.public
        last = alice.say(3, {f"{POSTS}/{key_at(60)}": post()})
        host.http.serve(
            f"{PDS}/xrpc/com.atproto.sync.getRepo?did={ALICE.replace(':', '%3A')}&since={before}", alice.whole()
        )
        await client.say(last)
        await client.hold()

    async with scripted(script, path=PATH) as server, listen(server.url, host, directory):
        await host.until(lambda: len(host.received) == 3)
    assert rkeys(host) == [key_at(0), key_at(50), key_at(60)]


async def test_sync_with_another_tree_has_the_repo_fetched_and_with_the_same_does_not() -> None:
    alice, host = ScriptedRepo(ALICE, NOW), new_host()

    async def script(client: Client) -> None:
        await client.say(alice.say(1, {f"{POSTS}/{key_at(0)}": post()}))
        await host.until(lambda: len(host.received) == 1)
        before = alice.rev
        alice.say(2, {})
        await client.say(alice.sync(3))
        await host.until(lambda: cursor(host) == "3")
        assert await row(host, ALICE) == Known(alice.rev, alice.data)
        assert before != alice.rev
        asked = f"{PDS}/xrpc/com.atproto.sync.getRepo?did={ALICE.replace(':', '%3A')}&since={alice.rev}"
        alice.say(4, {f"{POSTS}/{key_at(70)}": post()})
        host.http.serve(asked, alice.whole())
        await client.say(alice.sync(5))
        await client.hold()

    async with scripted(script, path=PATH) as server, listen(server.url, host, Directory(alice)):
        await host.until(lambda: len(host.received) == 2)
    assert len(host.http.asked) == 1


@pytest.mark.parametrize("told", [error("FutureCursor"), info("OutdatedCursor")])
async def test_when_the_stream_lost_what_we_missed_every_repo_is_fetched_and_it_is_said(told: bytes) -> None:
    alice, host = ScriptedRepo(ALICE, NOW), new_host()

    async def first(client: Client) -> None:
        await client.say(alice.say(5000, {f"{POSTS}/{key_at(0)}": post()}))
        await host.until(lambda: len(host.received) == 1)
        before = alice.rev
        alice.say(0, {f"{POSTS}/{key_at(50)}": post("missed")})
        host.http.serve(
            f"{PDS}/xrpc/com.atproto.sync.getRepo?did={ALICE.replace(':', '%3A')}&since={before}", alice.whole()
        )

    async def second(client: Client) -> None:
        assert client.cursor == "5000"
        await client.say(told)
        if told == info("OutdatedCursor"):
            await client.say(alice.say(9000, {f"{POSTS}/{key_at(60)}": post("live")}))
        await client.hold()

    async def third(client: Client) -> None:
        assert client.cursor == ""
        await client.say(alice.say(3, {f"{POSTS}/{key_at(60)}": post("live")}))
        await client.hold()

    async with scripted(first, second, third, path=PATH) as server, listen(server.url, host, Directory(alice)):
        await host.until(lambda: len(host.received) >= 2 and cursor(host) in ("3", "9000"))
    said = [record["text"] for envelope in host.received if (record := read_change(envelope).record)]
    assert "missed" in said
    assert ("error", "atproto_missed") in [line[:2] for line in host.log.lines]


async def test_a_gap_in_the_numbers_is_nothing_and_one_that_falls_is_dropped() -> None:
    alice, host = ScriptedRepo(ALICE, NOW), new_host()

    async def script(client: Client) -> None:
        await client.say(alice.say(10, {f"{POSTS}/a": post()}), alice.say(5000, {f"{POSTS}/b": post()}))
        await client.say(alice.say(11, {f"{POSTS}/c": post()}))
        await host.until(lambda: rkeys(host) == ["a", "b"])
        await client.hold()

    async with scripted(script, path=PATH) as server, listen(server.url, host, Directory(alice)):
        await host.until(lambda: len(host.received) == 2)
        await host.until_refused("seq")
    assert cursor(host) == "5000"


async def test_repos_nobody_listens_for_any_more_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    alice, host = ScriptedRepo(ALICE, NOW), new_host()

    async def script(client: Client) -> None:
        await client.say(alice.say(1, {f"{POSTS}/a": post()}))
        await client.hold()

    async with scripted(script, path=PATH) as server:
        async with listen(server.url, host, Directory(alice)):
            await host.until(lambda: len(host.received) == 1)
        await host.hear(Heard(full=HEARD.full - {ALICE}))
        forgotten: list[object] = []
        monkeypatch.setattr(known, "drop", lambda _, dids: forgotten.extend(dids))
        async with scripted(Client.hold, path=PATH) as idle, listen(idle.url, host, Directory()):
            await host.until(lambda: forgotten == [ALICE])


async def test_kinds_there_were_none_of_yet_are_passed_over() -> None:
    host = new_host()

    async def script(client: Client) -> None:
        await client.say(frame("#novel", {"seq": 4, "did": ALICE}))
        await client.hold()

    async with scripted(script, path=PATH) as server, listen(server.url, host, Directory()):
        await host.until(lambda: cursor(host) == "4")
    assert host.refusals == []
