"""What the embedded relay takes, from whom, and what it does with it."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from adapters.nostr import nip17
from adapters.nostr.config import RelayConfig
from adapters.nostr.event import Event, parse_event, sign, verify
from bridged.api import HOME, Busy, Ref
from tests.unit.nostr.relay_kit import Client, World, as_object, authenticated, key, said, world


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


@pytest.mark.parametrize("kind", [0, 1, 3, 5, 6, 7, 16, 20, 1111, 10002, 10050, 30023])
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


@pytest.mark.parametrize("kind", [0, 3, 5, 10002, 10050])
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
        (0, (("d", "x" * 1000),), "invalid"),
    ],
)
async def test_untimely_and_endless_are_refused(
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


async def test_protected_is_kept_and_served_and_not_handed_in(bridge: World, client: Client) -> None:
    """What is handed in is passed on, which its author forbids (NIP-70)."""
    event = said("full", 1, "for here only", ("-",))
    assert await client.publish(event) == (
        False,
        "auth-required: a protected event is taken from its author only",
    )
    await authenticated(bridge, client, "eve")
    assert (await client.publish(event))[1].startswith("auth-required:")
    await authenticated(bridge, client, "full", "known")
    assert await client.publish(event) == (True, "")
    known = said("known", 1, "", ("-", "and more"))
    assert await client.publish(known) == (True, "")
    for refused, word in (
        (said("eve", 1, "", ("-",), ("p", bridge.ghost)), "restricted"),
        (said("full", 30078, "", ("-",), ("d", "x")), "restricted"),
        (said("full", 5, "", ("-",), ("e", event.id)), "invalid"),
        (said("full", 62, "", ("-",), ("relay", "ALL_RELAYS")), "invalid"),
    ):
        accepted, why = await client.publish(refused)
        assert (accepted, why.partition(":")[0]) == (False, word)
    assert handed_in(bridge) == []
    assert set(await client.ids({})) == {event.id, known.id}


@pytest.mark.parametrize("to", ["ghost", "bot"])
async def test_gift_wrap_for_us_is_handed_in_from_anybody(bridge: World, client: Client, to: str) -> None:
    for_whom = bridge.ghost if to == "ghost" else bridge.bot
    if to == "ghost":
        wrap = said("one-time key", 1059, "sealed", ("p", for_whom), at=int(time.time()) - 2 * 86_400)
    else:  # what the bot cannot unwrap is refused
        wrap = nip17.wrap(b"\x09" * 32, for_whom, "help", int(time.time()), b"s" * 32)
        assert not (await client.publish(said("one-time key", 1059, "sealed", ("p", for_whom))))[0]
    assert await client.publish(wrap) == (True, "")
    assert handed_in(bridge) == [wrap.id]
    assert not (await client.publish(said("one-time key", 1059, "sealed", ("p", key("eve")))))[0]
    assert not (await client.publish(said("one-time key", 1059, "x" * 32_700, ("p", for_whom))))[0]
    assert handed_in(bridge) == [wrap.id]


async def test_gift_wraps_are_rate_limited(bridge: World, client: Client) -> None:
    answers = [await client.publish(said("k", 1059, str(n), ("p", bridge.ghost))) for n in range(30)]
    assert 20 <= sum(taken for taken, _ in answers) < 25
    assert {why for taken, why in answers if not taken} == {"rate-limited: slow down"}
    assert await client.publish(said("eve", 1, "others pass", ("p", bridge.ghost))) == (True, "")


async def test_bots_key_is_blocked_from_outside(bridge: World, client: Client) -> None:
    stolen = sign(bridge.host.keys.derive("nostr-ghost", Ref(HOME, "bot"), 0), 1, int(time.time()), (), "x")
    assert stolen.pubkey == bridge.bot
    assert await client.publish(stolen) == (False, "blocked: only the bridge speaks for this key")


@on_both
async def test_request_to_vanish_is_obeyed_and_handed_in(bridge: World, client: Client) -> None:
    now = int(time.time())
    old = said("full", 1, "old", at=now - 50)
    new = said("full", 1, "said after", at=now)
    wrap = bridge.wrapped_for("full", at=now - 40)
    later = bridge.wrapped_for("full", at=now)
    await bridge.deliver(wrap, later)
    for event in (old, new):
        assert await client.publish(event) == (True, "")
    request = said("full", 62, "bye", ("relay", f"{bridge.relay_url}/"), at=now - 10)
    assert await client.publish(request) == (True, "")
    assert handed_in(bridge) == [old.id, new.id, request.id]
    await authenticated(bridge, client, "full")
    assert set(await client.ids({})) == {new.id, request.id, later.id}
    await client.say("CLOSE", "q")
    assert await client.publish(old) == (False, "blocked: its author has deleted it")
    await client.publish(said("full", 5, "", ("e", request.id)))
    assert await client.ids({"kinds": [62]}) == [request.id]


@pytest.mark.parametrize("relay", ["wss://elsewhere.test/relay", "ws://127.0.0.1", "wss://[bad", "all_relays", ""])
async def test_request_to_vanish_elsewhere_is_invalid(bridge: World, client: Client, relay: str) -> None:
    await client.publish(said("full", 1, "stays"))
    accepted, why = await client.publish(said("full", 62, "", ("relay", relay)))
    assert not accepted
    assert why.startswith("invalid:")
    assert await client.count({"authors": [key("full")]}) == {"count": 1}


async def test_ghost_that_vanishes_is_gone(bridge: World, client: Client) -> None:
    note = bridge.ghost_says(1, "x", at=int(time.time()) - 5)
    farewell = bridge.ghost_says(62, "", ("relay", "ALL_RELAYS"))
    await bridge.deliver(note, bridge.ghost_says(62, "", ("relay", "wss://elsewhere.test")))
    assert await client.ids({}) == [note.id]
    await client.say("CLOSE", "q")
    assert await client.count({}) == {"count": 1}
    await bridge.deliver(farewell)
    assert await client.ids({}) == [farewell.id]


def mined(name: str, bits: int, committed: str | None, *tags: tuple[str, ...]) -> Event:
    """An event with exactly so many bits of work."""
    for nonce in range(1_000_000):
        work = [("nonce", str(nonce), *([] if committed is None else [committed]))]
        event = said(name, 1, "mined", *work, *tags)
        if 256 - int(event.id, 16).bit_length() == bits:
            return event
    raise AssertionError


async def test_work_is_asked_of_strangers_only(tmp_path: Path) -> None:
    async with world(tmp_path, config=RelayConfig(min_pow=6)) as bridge, bridge.client() as client:
        to = ("p", bridge.ghost)
        for event in (
            said("eve", 1, "no work", to),
            mined("eve", 5, "6", to),
            mined("eve", 6, "5", to),  # lucky, but aimed lower
            mined("eve", 6, None, to),
            mined("eve", 6, "", to),
            mined("eve", 6, "9" * 30, to),
            said("eve", 1059, "no work", to),
        ):
            accepted, why = await client.publish(event)
            assert (accepted, why.partition(":")[0]) == (False, "pow")
        event = mined("eve", 6, "6", to)
        assert await client.publish(event) == (True, "")
        assert await client.publish(said("eve", 5, "", ("e", event.id))) == (True, "")
        assert await client.publish(said("full", 1, "no work")) == (True, "")
        assert (await client.publish(said("eve", 1, "to nobody")))[1].startswith("restricted:")


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
