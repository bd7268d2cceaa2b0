"""What the embedded relay takes, from whom, and what it does with it."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from adapters.nostr.event import Event, parse_event, verify
from bridged.api import Busy, Ref
from tests.unit.nostr.relay_kit import Client, World, as_object, key, said, world


@pytest.fixture
async def bridge(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, getattr(request, "param", "sqlite")) as it:
        yield it


@pytest.fixture
async def client(bridge: World) -> AsyncIterator[Client]:
    async with bridge.client() as it:
        yield it


on_both = pytest.mark.parametrize("bridge", ["sqlite", "postgresql"], indirect=True)


def handed_in(bridge: World) -> list[str]:
    return [envelope.id for envelope in bridge.host.received]


@on_both
async def test_post_of_a_bridged_account_is_handed_in_and_kept(bridge: World, client: Client) -> None:
    event = said("full", 1, "hello")
    assert await client.publish(event) == (True, "")
    (envelope,) = bridge.host.received
    assert (envelope.network, envelope.id) == ("nostr", event.id)
    assert envelope.signer == Ref("nostr", event.pubkey)
    assert parse_event(envelope.body) == event
    assert await client.stored({"ids": [event.id]}) == [as_object(event)]


@pytest.mark.parametrize("kind", [0, 1, 3, 5, 6, 7, 16, 20, 1111, 10002, 30023])
async def test_kinds_of_a_bridged_account_are_taken(bridge: World, client: Client, kind: int) -> None:
    event = said("full", kind, "{}", ("d", "x"))
    assert await client.publish(event) == (True, "")
    assert handed_in(bridge) == [event.id]


@pytest.mark.parametrize(
    ("name", "kind"), [("full", 4), ("full", 30078), ("known", 1), ("known", 7), ("bot of nobody", 0)]
)
async def test_other_kinds_are_restricted(bridge: World, client: Client, name: str, kind: int) -> None:
    event = said(name, kind, "x", ("d", "x"))
    accepted, message = await client.publish(event)
    assert not accepted
    assert message == "restricted: this relay takes posts of bridged accounts and answers to them"
    assert handed_in(bridge) == []
    assert bridge.host.drops == ["relay_restricted"]
    assert await client.stored({"ids": [event.id]}) == []


@pytest.mark.parametrize("kind", [0, 3, 5, 10002])
async def test_account_known_elsewhere_may_tell_of_itself(bridge: World, client: Client, kind: int) -> None:
    event = said("known", kind, "{}")
    assert await client.publish(event) == (True, "")
    assert handed_in(bridge) == [event.id]


@on_both
async def test_stranger_may_answer_a_ghost(bridge: World, client: Client) -> None:
    note, article = bridge.ghost_says(1, "note"), bridge.ghost_says(30023, "long", ("d", "a"))
    await bridge.deliver(note, article)
    place = f"30023:{bridge.ghost}:a"
    answers = [
        said("eve", 1, "by p", ("p", bridge.ghost)),
        said("eve", 1, "by e", ("e", note.id)),
        said("eve", 1, "by q", ("q", note.id)),
        said("eve", 1, "by q of an address", ("q", place)),
        said("eve", 6, "", ("e", note.id)),
        said("eve", 7, "+", ("e", note.id)),
        said("eve", 16, "", ("a", place)),
        said("eve", 1111, "by E", ("E", note.id)),
        said("eve", 1111, "by A", ("A", place)),
        said("eve", 1111, "by P", ("P", bridge.ghost)),
        said("eve", 3, "", ("p", key("somebody")), ("p", bridge.ghost)),
    ]
    for event in answers:
        assert await client.publish(event) == (True, ""), event.content
    assert handed_in(bridge) == [event.id for event in answers]


@pytest.mark.parametrize("kind", [1, 3, 6, 7, 1111])
async def test_stranger_answering_something_else_is_restricted(bridge: World, client: Client, kind: int) -> None:
    theirs = said("full", 1, "not a ghost's")
    assert await client.publish(theirs) == (True, "")
    unknown = bridge.ghost_says(1, "never delivered")
    tags = (("e", theirs.id), ("e", unknown.id), ("a", f"30023:{bridge.ghost}:nothing"), ("p", key("full")))
    accepted, message = await client.publish(said("eve", kind, "", *tags))
    assert not accepted
    assert message.startswith("restricted:")
    assert handed_in(bridge) == [theirs.id]


@on_both
async def test_answerer_may_tell_of_himself_and_unfollow(bridge: World, client: Client) -> None:
    now = int(time.time())
    for event in (said("eve", 0, "{}"), said("eve", 10002)):
        assert not (await client.publish(event))[0]
    assert await client.publish(said("eve", 3, "", ("p", bridge.ghost), at=now - 1)) == (True, "")
    for event in (said("eve", 0, "{}"), said("eve", 10002), said("eve", 3, at=now)):
        assert await client.publish(event) == (True, "")
    assert not (await client.publish(said("mallory", 3)))[0]


@on_both
async def test_stranger_may_delete_only_what_is_his_and_here(bridge: World, client: Client) -> None:
    like = said("eve", 7, "+", ("p", bridge.ghost))
    assert await client.publish(like) == (True, "")
    for forged in (said("mallory", 5, "", ("e", like.id)), said("eve", 5, "", ("e", "ab" * 32)), said("eve", 5)):
        assert not (await client.publish(forged))[0]
    assert await client.ids({"kinds": [7]}) == [like.id]
    deletion = said("eve", 5, "", ("e", like.id))
    assert await client.publish(deletion) == (True, "")
    assert await client.ids({"kinds": [5, 7]}) == [deletion.id]
    assert handed_in(bridge) == [like.id, deletion.id]
    accepted, message = await client.publish(like)
    assert not accepted
    assert message.startswith("blocked:")
    assert handed_in(bridge) == [like.id, deletion.id]


async def test_duplicate_is_accepted_and_not_handed_in_again(bridge: World, client: Client) -> None:
    event = said("full", 1)
    await client.publish(event)
    accepted, message = await client.publish(event)
    assert accepted
    assert message.startswith("duplicate:")
    assert handed_in(bridge) == [event.id]


async def test_older_version_is_not_handed_in(bridge: World, client: Client) -> None:
    now = int(time.time())
    new, old = said("full", 0, '{"name":"new"}', at=now), said("full", 0, '{"name":"old"}', at=now - 1)
    await client.publish(new)
    accepted, message = await client.publish(old)
    assert accepted
    assert message.startswith("duplicate:")
    assert handed_in(bridge) == [new.id]
    assert await client.ids({"kinds": [0]}) == [new.id]


async def test_ghosts_key_is_blocked_from_outside_unless_identical(bridge: World, client: Client) -> None:
    note = bridge.ghost_says(1, "said by us")
    await bridge.deliver(note)
    accepted, message = await client.publish(note)
    assert accepted
    assert message.startswith("duplicate:")
    accepted, message = await client.publish(bridge.ghost_says(1, "with a stolen key"))
    assert not accepted
    assert message.startswith("blocked:")
    assert handed_in(bridge) == []


async def test_forged_events_are_invalid(bridge: World, client: Client) -> None:
    event = said("full", 1, "mine")
    wrong_text = msgspec.structs.replace(event, content="not mine")
    wrong_key = msgspec.structs.replace(said("eve", 1, "x"), sig=event.sig)
    for forged, word in ((wrong_text, "id"), (wrong_key, "signature")):
        assert await client.publish(forged) == (False, f"invalid: wrong {word}")
    assert bridge.host.refusals == ["id", "signature"]
    assert handed_in(bridge) == []
    assert await client.publish(event) == (True, "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": 1.5}, "kind"),
        ({"tags": [[1]]}, "tags"),
        ({"sig": "AB" * 64}, "sig"),
        ({"tags": [["t"]] * 2001}, "too_many_tags"),
        ({"content": "x" * 65_536}, "too_large"),
    ],
)
async def test_malformed_event_is_answered_by_its_id(client: Client, change: dict[str, object], reason: str) -> None:
    event = as_object(said("full", 1)) | change
    assert await client.ask("EVENT", event) == ["OK", event["id"], False, f"invalid: {reason}"]


@pytest.mark.parametrize(
    ("at", "tags", "word"),
    [
        (901, (), "invalid"),
        (0, (("expiration", "1700000000"),), "invalid"),
        (0, (("-",),), "restricted"),
        (0, (("d", "x" * 1000),), "invalid"),
    ],
)
async def test_untimely_protected_and_endless_are_refused(
    bridge: World, client: Client, at: int, tags: tuple[tuple[str, ...], ...], word: str
) -> None:
    event = said("full", 30023, "x", *tags, at=int(time.time()) + at)
    accepted, message = await client.publish(event)
    assert not accepted
    assert message.startswith(f"{word}:")
    assert handed_in(bridge) == []


async def test_busy_store_keeps_nothing_and_says_later(bridge: World, client: Client) -> None:
    event = said("full", 1)
    bridge.host.fail.append(Busy("full"))
    assert await client.publish(event) == (False, "error: try again later")
    assert await client.count({"ids": [event.id]}) == {"count": 0}
    assert await client.publish(event) == (True, "")
    assert handed_in(bridge) == [event.id]


async def test_ephemeral_is_passed_on_and_not_kept(bridge: World, client: Client) -> None:
    assert await client.stored({"kinds": [20001]}) == []
    event = said("full", 20001, "now")
    async with bridge.client() as writer:
        assert await writer.publish(event) == (True, "")
        assert not (await writer.publish(said("eve", 20001, "", ("p", bridge.ghost))))[0]
    assert await client.hear() == ["EVENT", "q", as_object(event)]
    assert await client.stored({"kinds": [20001]}) == []
    assert handed_in(bridge) == []


def auth(bridge: World, challenge: str, name: str = "eve", at: int = 0, kind: int = 22242, relay: str = "") -> Event:
    tags = (("relay", relay or bridge.url), ("challenge", challenge))
    return said(name, kind, "", *tags, at=int(time.time()) + at)


async def test_auth_is_checked_and_grants_nothing(bridge: World, client: Client) -> None:
    wrong = [
        auth(bridge, "another challenge"),
        auth(bridge, client.challenge, at=-700),
        auth(bridge, client.challenge, at=700),
        auth(bridge, client.challenge, kind=1),
        auth(bridge, client.challenge, relay="wss://elsewhere.test/relay"),
        auth(bridge, client.challenge, relay="wss://[bad"),
    ]
    for event in wrong:
        answer = await client.ask("AUTH", as_object(event))
        assert answer[:3] == ["OK", event.id, False]
        assert answer[3].startswith("invalid:")
    right = auth(bridge, client.challenge)
    assert await client.ask("AUTH", as_object(right)) == ["OK", right.id, True, ""]
    accepted, message = await client.publish(said("eve", 1, "buy my things"))
    assert not accepted
    assert message.startswith("restricted:")
    assert (await client.publish(right))[0] is False


async def test_forged_auth_is_invalid(bridge: World, client: Client) -> None:
    event = msgspec.structs.replace(auth(bridge, client.challenge), sig="00" * 64)
    assert await client.ask("AUTH", as_object(event)) == ["OK", event.id, False, "invalid: wrong signature"]


@on_both
async def test_what_is_sent_verifies(bridge: World, client: Client) -> None:
    text = 'quotes " \\ controls \x00\x08\x1f\x7f emoji 🙂 \u2028'
    note = bridge.ghost_says(1, text, ("t", text), ("r", ""))
    await bridge.deliver(note)
    for filter_ in ({"#t": [text]}, {"#r": [""]}, {"ids": [note.id]}):
        (found,) = await client.stored(filter_)
        event = parse_event(json.dumps(found, ensure_ascii=False))
        verify(event)
        assert event == note
