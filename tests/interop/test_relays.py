"""A daemon with three relays that differ as much as relays do: strict, AUTH before anything else, and sloppy."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from .bridge import Bridge
from .conftest import following
from .peers import AuthFirst, Fedify, Nostr, NostrTools, NostrUser, Peer, Pubby, Relay, Sloppy, ident
from .world import World, eventually

Three = dict[str, Relay]


@pytest.fixture(scope="module")
def relays(world: World) -> Three:
    return {"strict": Relay(world, "relay-strict"), "auth": AuthFirst(world), "sloppy": Sloppy(world)}


@pytest.fixture(scope="module")
def three(world: World, relays: Three) -> Iterator[Bridge]:
    bridge = Bridge(world, "relays.test", list(relays.values()))
    bridge.start()
    yield bridge
    assert bridge.stop() == 0, f"not a clean end on SIGTERM:\n{bridge.tail()}"


@pytest.fixture(scope="module")
def nora(nostr: Nostr, relays: Three) -> NostrUser:
    nora = NostrUser(nostr, "interop-nora", relays["strict"].url)
    nora.publish(0, '{"name": "Nora"}', at=int(time.time()) - 100)
    return nora


@pytest.fixture(scope="module")
def actor(nora: NostrUser, three: Bridge) -> str:
    return three.actor_of(nora.npub)


@pytest.fixture(scope="module")
def readers(world: World, pubby: Pubby, three: Bridge, actor: str) -> tuple[Peer, ...]:
    """Two who follow nora; the first is a member of the bridge."""
    remy = Fedify(world, "remy.test", "remy")
    following(remy, three.bot)
    eventually(lambda: three.bot in remy.followers())
    return following(remy, actor), following(pubby, actor)


@pytest.fixture(scope="module")
def remy(readers: tuple[Peer, ...]) -> Peer:
    return readers[0]


def at_each(nostr: Nostr, relays: Three, **flt: Any) -> list[dict[str, Any]]:
    """The one event that each relay has."""

    def look() -> list[dict[str, Any]]:
        found = {name: nostr.fetch(relay.url, **flt) for name, relay in relays.items()}
        assert all(len(events) == 1 for events in found.values()), found
        return [events[0] for events in found.values()]

    return eventually(look, every=0.3)


def mark(nora: NostrUser, relay: Relay, readers: tuple[Peer, ...], text: str) -> None:
    """A post by way of that relay, which shows that what went before it was dealt with."""
    nora.publish(1, text, relay=relay.url)
    for reader in readers:
        reader.wait_note(text)


def refused_ids(bridge: Bridge) -> float:
    lines = dict(line.rsplit(" ", 1) for line in bridge.metrics().splitlines())
    return float(lines.get('bridged_refused_total{network="nostr",reason="id"}', 0))


def test_members_post_is_at_all_three(remy: Peer, three: Bridge, relays: Three, nostr: Nostr) -> None:
    note = remy.post("remy to all relays")
    ghost = three.key_of("remy_at_remy.test")
    events = at_each(nostr, relays, authors=[ghost], kinds=[1])
    assert events[0] == events[1] == events[2]
    assert ["proxy", note, "activitypub"] in events[0]["tags"]
    at_each(nostr, relays, authors=[ghost], kinds=[0])


def test_trace_tells_what_each_relay_said(remy: Peer, three: Bridge, relays: Three) -> None:
    note = remy.post("remy asks what became of it")

    def look() -> bool:
        deliveries = [
            d for there in three.cli("trace", note)["there"] if there["network"] == "nostr" for d in there["deliveries"]
        ]
        states = {d["endpoint"]: d["state"] for d in deliveries}
        assert {url for url in states if url.startswith("ws://")} == {r.url for r in relays.values()}
        assert set(states.values()) == {"sent"}, states
        return True

    eventually(look, every=1)


def test_bridge_authenticates_before_anything_else_counts(remy: Peer, relays: Three) -> None:
    """By the relay's own log of the connections that events of the bridge came over."""
    relay = relays["auth"]
    assert isinstance(relay, AuthFirst)
    remy.post("remy behind the gate")
    event = eventually(lambda: relay.posts("remy behind the gate"))[0]
    used = {client for client, frame in relay.frames() if frame[0] == "EVENT" and frame[1]["id"] == event["id"]}
    assert len(used) == 1
    asked = [frame for client, frame in relay.frames("in") if client in used]
    said = [frame for client, frame in relay.frames("out") if client in used]
    assert said[0][0] == "AUTH"
    auth = next(frame[1] for frame in asked if frame[0] == "AUTH")
    assert auth["kind"] == 22242
    assert ["challenge", said[0][1]] in auth["tags"]
    # what was sent before the challenge was read is refused, and sent again
    counted = [frame for frame in said if frame[0] in ("EOSE", "EVENT") or (frame[0] == "OK" and frame[2])]
    assert counted[0][:2] == ["OK", auth["id"]]
    assert ["OK", event["id"]] in [frame[:2] for frame in counted]
    assert "REQ" in {frame[0] for frame in asked}


def test_nostr_tools_user_passes_the_gate(relays: Three, tools: NostrTools) -> None:
    """The harness: a user of nostr-tools writes and reads where AUTH is demanded for both."""
    relay = relays["auth"]
    tom = NostrUser(tools, "interop-tom", relay.url)
    event = tom.note("tom at the gate")
    assert tools.ask("fetch", key=tom.key, relays=[relay.url], filter={"ids": [event["id"]]}) == [event]
    assert tools.fetch(relay.url, authors=[tom.public]) == [event]
    watch = tools.watch(relay.url, key=tom.key, kinds=[1], authors=[tom.public])
    later = tom.note("tom again")
    assert eventually(lambda: watch.events("tom again")) == [later]
    watch.close()


@pytest.mark.parametrize("where", ["strict", "auth", "sloppy"])
def test_post_at_any_one_arrives_once(
    where: str, relays: Three, readers: tuple[Peer, ...], nora: NostrUser, actor: str
) -> None:
    nora.publish(1, f"nora at the {where} one", relay=relays[where].url)
    mark(nora, relays[where], readers, f"after the {where} one")
    for reader in readers:
        notes = reader.notes(f"nora at the {where} one")
        assert [ident(n["actor"]) for n in notes] == [actor]


def test_post_at_all_of_them_arrives_once(relays: Three, readers: tuple[Peer, ...], nora: NostrUser) -> None:
    event = nora.publish(1, "nora everywhere", relay=relays["sloppy"].url)
    assert nora.nostr.send(event, relays["strict"].url)["ok"]
    again = nora.nostr.send(event, relays["sloppy"].url)
    assert again["failed"], "this relay says false to what it has"
    for relay in relays.values():
        mark(nora, relay, readers, f"nora everywhere, then {relay.url}")
    for reader in readers:
        assert len([n for n in reader.notes("nora everywhere") if "then" not in n["object"]["content"]]) == 1


def test_event_under_a_wrong_id_is_never_bridged(
    relays: Three, readers: tuple[Peer, ...], nora: NostrUser, three: Bridge
) -> None:
    good = nora.publish(1, "nora under her own id", relay=relays["strict"].url)
    wrong, before = good | {"id": good["id"][::-1]}, refused_ids(three)
    assert nora.nostr.send(wrong, relays["sloppy"].url)["ok"], "the relay takes it, that is what it is here for"
    mark(nora, relays["sloppy"], readers, "after the wrong id")
    for reader in readers:
        assert len(reader.notes("nora under her own id")) == 1
    assert refused_ids(three) > before


def test_older_profile_from_the_sloppy_one_is_ignored(
    relays: Three, readers: tuple[Peer, ...], nora: NostrUser, actor: str, world: World
) -> None:
    now = int(time.time())
    nora.publish(0, '{"name": "Nora now"}', at=now)
    remy = readers[0]
    eventually(lambda: [u for u in remy.received("Update", object=actor) if u["object"]["name"] == "Nora now"])
    nora.publish(0, '{"name": "Nora then"}', relay=relays["sloppy"].url, at=now - 50)
    stored = nora.nostr.fetch(relays["sloppy"].url, authors=[nora.public], kinds=[0])
    assert ["Nora then" in e["content"] for e in stored] == [True]
    mark(nora, relays["sloppy"], readers, "after the old profile")
    assert world.get_json(actor)["name"] == "Nora now"
    for reader in readers:
        assert not [u for u in reader.received("Update", object=actor) if u["object"]["name"] == "Nora then"]


def test_likes_cross_both_ways(remy: Peer, relays: Three, nostr: Nostr, nora: NostrUser, actor: str) -> None:
    note = remy.post("remy likes likes")
    event = relays["strict"].wait_post("remy likes likes")
    for relay in (relays["sloppy"], relays["auth"]):
        nora.publish(7, "+", [["e", event["id"]], ["p", event["pubkey"]]], relay=relay.url)
    like = eventually(lambda: remy.received("Like", object=note, actor=actor))
    post = nora.publish(1, "nora likes likes", relay=relays["auth"].url)
    theirs = remy.wait_note("nora likes likes")["id"]
    remy.like(theirs, actor)
    given = at_each(nostr, relays, kinds=[7], authors=[event["pubkey"]], _e=[post["id"]])
    assert given[0] == given[1] == given[2]
    assert len(like) == len(remy.received("Like", object=note, actor=actor)) == 1


def test_deletes_cross_both_ways(
    remy: Peer, readers: tuple[Peer, ...], relays: Three, nostr: Nostr, nora: NostrUser, three: Bridge
) -> None:
    post = nora.publish(1, "nora regrets", relay=relays["auth"].url)
    notes = [reader.wait_note("nora regrets")["id"] for reader in readers]
    nora.publish(5, "", [["e", post["id"]], ["k", "1"]], relay=relays["sloppy"].url)
    for reader, note in zip(readers, notes, strict=True):
        eventually(lambda reader=reader, note=note: reader.received("Delete", object=note))
    note = remy.post("remy regrets")
    event = relays["strict"].wait_post("remy regrets")
    ids = [event["id"]]
    at_each(nostr, relays, ids=ids)
    remy.delete(note, three.bot)
    for relay in relays.values():
        eventually(lambda relay=relay: nostr.fetch(relay.url, ids=ids) == [])
    # That one obeys and forgets the deletion; the others tell it on.
    for relay in (relays["strict"], relays["sloppy"]):
        assert len(nostr.fetch(relay.url, kinds=[5], _e=ids)) == 1
    # The sloppy one takes and serves again what was deleted; it stays dead.
    assert nostr.send(post, relays["sloppy"].url)["ok"]
    mark(nora, relays["sloppy"], readers, "after the deletion")
    assert [len(reader.notes("nora regrets")) for reader in readers] == [1, 1]


def test_relay_that_was_down_is_told_later(remy: Peer, relays: Three, nostr: Nostr, nora: NostrUser) -> None:
    relay = relays["auth"]
    assert isinstance(relay, AuthFirst)
    relay.process.stop()
    remy.post("remy to those who are up")
    event = relays["strict"].wait_post("remy to those who are up")
    eventually(lambda: nostr.fetch(relays["sloppy"].url, ids=[event["id"]]) == [event])
    relay.start()
    eventually(lambda: relay.posts("remy to those who are up") == [event])
    at = int(time.time())
    # her client takes its time to connect again; the event is the same each time
    eventually(lambda: nora.publish(1, "nora is heard again", relay=relay.url, at=at), timeout=60)
    remy.wait_note("nora is heard again")


def test_poll_and_vote_cross_by_every_relay(
    remy: Peer, three: Bridge, relays: Three, nostr: Nostr, nora: NostrUser, actor: str
) -> None:
    """The poll is at all of them; a vote that only the relay with AUTH has is counted."""
    question = remy.poll("which relay?", ["strict", "sloppy"])
    events = at_each(nostr, relays, kinds=[1068], authors=[three.key_of("remy_at_remy.test")])
    vote = [["e", events[0]["id"]], ["p", events[0]["pubkey"]], ["response", "1"]]
    nora.publish(1018, "", vote, relay=relays["auth"].url)
    eventually(lambda: remy.counts(question) == {"strict": 0, "sloppy": 1})
    nora.publish(7, "🤙", vote[:2], relay=relays["sloppy"].url)
    eventually(lambda: remy.received("Like", object=question, actor=actor))
