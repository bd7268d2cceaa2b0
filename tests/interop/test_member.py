"""A fediverse user is bridged by following the bot, lives on Nostr, and leaves: one life, told in order."""

import json

import pytest

from .bridge import Bridge
from .conftest import following
from .peers import Fedify, Nostr, NostrUser, Relay, ident
from .world import eventually

NAME = "mia_at_member.test"


def test_name_of_someone_not_bridged_is_unknown(key_before: str | None) -> None:
    assert key_before is None


def test_bot_accepts_and_follows_back(member: Fedify, bridge: Bridge) -> None:
    accept = member.received("Accept", actor=bridge.bot)
    assert [ident(a["object"]) for a in accept] == [member.follows[bridge.bot]["id"]]
    assert member.followers().count(bridge.bot) == 1


def test_new_post_is_on_nostr_from_a_named_ghost(member: Fedify, bridge: Bridge, relay: Relay, nostr: Nostr) -> None:
    note = member.post(
        "mia's first post",
        tag=[{"type": "Hashtag", "name": "#Hello", "href": "https://member.test/tags/hello"}],
    )
    event = relay.wait_post("mia's first post")
    ghost = bridge.key_of(NAME)
    assert event["pubkey"] == ghost
    assert ["proxy", note, "activitypub"] in event["tags"]
    assert ["t", "hello"] in event["tags"]
    profile = eventually(lambda: nostr.fetch(relay.url, kinds=[0], authors=[ghost]))[0]
    fields = json.loads(profile["content"])
    assert fields["nip05"] == f"{NAME}@{bridge.host}"
    assert fields["picture"].startswith("https://")
    assert bridge.world.get(fields["picture"])[1]["content-type"] == "image/png"
    assert eventually(lambda: nostr.fetch(relay.url, kinds=[10002], authors=[ghost]))


def test_edit_and_delete_of_own_posts_cross(member: Fedify, bridge: Bridge, relay: Relay, nostr: Nostr) -> None:
    note = member.post("mia says frist")
    old = relay.wait_post("mia says frist")
    member.edit(note, "mia says first", bridge.bot)
    new = relay.wait_post("mia says first")
    assert eventually(lambda: nostr.fetch(relay.url, ids=[old["id"]]) == [])
    member.delete(note, bridge.bot)
    gone = eventually(lambda: nostr.fetch(relay.url, kinds=[5], _e=[new["id"]]))
    assert gone[0]["pubkey"] == new["pubkey"]
    assert nostr.fetch(relay.url, ids=[new["id"]]) == []


def test_post_to_followers_only_does_not_cross(member: Fedify, relay: Relay) -> None:
    only = [f"{member.actor}/followers"]
    member.post("for mia's followers only", to=only, cc=[])
    member.post("for everybody again")
    relay.wait_post("for everybody again")
    assert relay.posts("for mia's followers only") == []


def test_nostr_user_finds_and_follows_the_member(
    member: Fedify, alice: NostrUser, alice_ap: str, bob: NostrUser, bridge: Bridge, relay: Relay
) -> None:
    """NIP-05 names the ghost; a kind 3 list with it is a Follow, the next list without it an Undo."""
    ghost = bridge.key_of(NAME)
    others = [bob.public, *(alice.nostr.ask("id", key=f"seed:{n}")["public"] for n in range(3))]
    first = alice.follow(*others, ghost)
    follow = eventually(lambda: member.received("Follow", actor=alice_ap))
    assert ident(follow[0]["object"]) == member.actor
    eventually(lambda: alice_ap in member.followers())
    alice.publish(3, "", [["p", p] for p in others], at=first["created_at"] + 1)
    undo = eventually(lambda: member.received("Undo", actor=alice_ap))
    assert ident(undo[0]["object"]) == follow[0]["id"]
    eventually(lambda: alice_ap not in member.followers())
    assert len(member.received("Follow", actor=alice_ap)) == 1


def test_like_of_a_members_post_arrives(member: Fedify, alice: NostrUser, alice_ap: str, relay: Relay) -> None:
    note = member.post("likeable")
    alice.like(relay.wait_post("likeable"))
    eventually(lambda: member.received("Like", actor=alice_ap, object=note))


def _gone(nostr: Nostr, relay: Relay, ids: set[str], ghost: str) -> None:
    def look() -> None:
        deleted = {t[1] for e in nostr.fetch(relay.url, kinds=[5], authors=[ghost]) for t in e["tags"] if t[0] == "e"}
        assert ids <= deleted, ids - deleted
        assert nostr.fetch(relay.url, ids=list(ids)) == []

    eventually(lambda: look() is None)


@pytest.mark.parametrize("end", ["unfollow", "block"])
def test_leaving_deletes_what_was_made(
    end: str,
    member: Fedify,
    fedify: Fedify,
    alice: NostrUser,
    alice_ap: str,
    bridge: Bridge,
    relay: Relay,
    nostr: Nostr,
) -> None:
    """After unfollowing she comes back by a second follow, and then leaves by a block."""
    bot = bridge.bot
    following(member, bot)
    eventually(lambda: bot in member.followers())  # her posts are heard once the bot follows back
    ghost = bridge.key_of(NAME)
    member.post(f"before the {end}")
    event = relay.wait_post(f"before the {end}")
    made = {e["id"] for e in nostr.fetch(relay.url, kinds=[1], authors=[ghost])}
    assert event["id"] in made
    if end == "unfollow":
        member.unfollow(bot)
    else:
        member.send(member.activity("Block", bot, bot) | {"to": [bot], "cc": []}, bot)
    _gone(nostr, relay, made, ghost)
    member.post_to(f"after the {end}", bot)
    eventually(lambda: [x for x in bridge.received() if f"after the {end}" in x.text])
    # What crosses elsewhere afterwards shows that the daemon went on past that post.
    following(fedify, alice_ap)
    alice.note(f"sign of life after the {end}")
    fedify.wait_note(f"sign of life after the {end}")
    assert [e for e in relay.posts(f"after the {end}") if e["pubkey"] == ghost] == []


def test_open_consent_makes_the_ghost_at_lookup(open_bridge: Bridge, mia: Fedify) -> None:
    key = open_bridge.key_of(NAME)
    assert key == open_bridge.nip05(NAME)
    assert open_bridge.nip05("nobody_at_member.test") is None
