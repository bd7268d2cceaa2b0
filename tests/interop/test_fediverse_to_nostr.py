"""What a fediverse user who is not bridged aims at a Nostr user crosses (`answers: bridge`), and no more."""

import json

from .bridge import Bridge
from .conftest import Talk, following
from .peers import Fedify, Nostr, NostrUser, Relay, one, tags
from .world import eventually


def test_reply_is_a_threaded_event_with_its_origin(talk: Talk, alice: NostrUser) -> None:
    root = tags(talk.event, "e")[0]
    assert (root[0], root[2]) == (talk.post["id"], "root")
    assert [p[0] for p in tags(talk.event, "p")] == [alice.public]
    assert tags(talk.event, "proxy") == [[talk.answer, "activitypub"]]
    assert "<p>" not in talk.event["content"]


def test_ghost_has_a_readable_profile(talk: Talk, relay: Relay, nostr: Nostr, bridge: Bridge) -> None:
    profile = one(nostr, relay, kinds=[0], authors=[talk.event["pubkey"]])
    fields = json.loads(profile["content"])
    wanted = {"fay": "Fedify peer", "cat": "Fedify peer", "pat": "Pubby peer"}[talk.peer.user]
    assert wanted in (fields["name"], fields.get("display_name"))
    assert "test peer" in fields["about"]
    assert "<p>" not in fields["about"]
    assert tags(profile, "proxy") == [[talk.peer.actor, "activitypub"]]
    name, _, domain = fields["nip05"].partition("@")
    assert domain == bridge.host
    assert bridge.nip05(name) == talk.event["pubkey"]


def test_reply_to_a_reply_carries_root_and_reply(talk: Talk, alice: NostrUser, alice_ap: str, relay: Relay) -> None:
    text = f"deeper with {talk.peer.host}"
    middle = alice.reply(talk.event, text)
    note = talk.peer.wait_note(text)["id"]
    talk.peer.reply(f"deepest from {talk.peer.host}", note, alice_ap)
    event = relay.wait_post(f"deepest from {talk.peer.host}")
    assert [(e[0], e[2]) for e in tags(event, "e")] == [(talk.post["id"], "root"), (middle["id"], "reply")]


def test_like_and_its_undo(talk: Talk, alice_ap: str, relay: Relay, nostr: Nostr) -> None:
    ghost = talk.event["pubkey"]
    sent = talk.peer.like(talk.note, alice_ap)
    like = one(nostr, relay, kinds=[7], authors=[ghost], _e=[talk.post["id"]])
    assert like["content"] == "+"
    assert tags(like, "proxy")
    talk.peer.undo(sent, alice_ap)
    gone = one(nostr, relay, kinds=[5], authors=[ghost], _e=[like["id"]])
    assert ["7"] in tags(gone, "k")
    assert nostr.fetch(relay.url, ids=[like["id"]]) == []
    talk.peer.like(talk.note, alice_ap)
    again = one(nostr, relay, kinds=[7], authors=[ghost], _e=[talk.post["id"]])
    assert again["id"] != like["id"]


def test_boost_and_its_undo(talk: Talk, alice_ap: str, relay: Relay, nostr: Nostr) -> None:
    ghost = talk.event["pubkey"]
    sent = talk.peer.boost(talk.note, alice_ap)
    boost = one(nostr, relay, kinds=[6], authors=[ghost], _e=[talk.post["id"]])
    assert json.loads(boost["content"])["id"] == talk.post["id"]
    assert tags(boost, "e")[0][1]
    talk.peer.undo(sent, alice_ap)
    one(nostr, relay, kinds=[5], authors=[ghost], _e=[boost["id"]])


def test_edit_replaces_the_event(talk: Talk, alice_ap: str, relay: Relay, nostr: Nostr) -> None:
    host = talk.peer.host
    answer = talk.peer.reply(f"a tpyo from {host}", talk.note, alice_ap)
    old = relay.wait_post(f"a tpyo from {host}")
    talk.peer.edit(answer, f"a typo from {host}", alice_ap)
    new = relay.wait_post(f"a typo from {host}")
    assert new["pubkey"] == old["pubkey"]
    assert new["id"] != old["id"]
    assert eventually(lambda: nostr.fetch(relay.url, ids=[old["id"]]) == [])
    assert [e["id"] for e in relay.posts(f"a typo from {host}")] == [new["id"]]


def test_delete_removes_the_event(talk: Talk, alice_ap: str, relay: Relay, nostr: Nostr) -> None:
    host = talk.peer.host
    answer = talk.peer.reply(f"soon gone from {host}", talk.note, alice_ap)
    event = relay.wait_post(f"soon gone from {host}")
    talk.peer.delete(answer, alice_ap)
    gone = one(nostr, relay, kinds=[5], authors=[event["pubkey"]], _e=[event["id"]])
    assert ["1"] in tags(gone, "k")
    assert nostr.fetch(relay.url, ids=[event["id"]]) == []


def test_strangers_other_posts_do_not_cross(
    fedify: Fedify, alice: NostrUser, alice_ap: str, relay: Relay, bridge: Bridge
) -> None:
    following(fedify, alice_ap)
    fedify.post_to("a stranger's own post", alice_ap)
    eventually(lambda: [x for x in bridge.received() if "a stranger's own post" in x.text and x.status < 300])
    alice.note("ask the stranger")
    fedify.reply("the stranger answers", fedify.wait_note("ask the stranger")["id"], alice_ap)
    relay.wait_post("the stranger answers")
    assert relay.posts("a stranger's own post") == []


def test_everything_is_on_the_relay_once(talk: Talk, relay: Relay) -> None:
    """One event per (ghost, kind, origin), however often it was handed over; never an event from nobody."""
    events = {e["id"]: e for e in relay.admitted() if e["pubkey"] == talk.event["pubkey"] and e["kind"] in (1, 6, 7)}
    origins = [(e["kind"], *proxy, e["content"]) for e in events.values() for proxy in tags(e, "proxy")]
    assert len(origins) == len(events)
    assert len(set(origins)) == len(origins)
