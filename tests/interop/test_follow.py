"""A fediverse user looks a Nostr user up, follows, and reads."""

import re
from datetime import datetime

import pytest

from .bridge import Bridge
from .conftest import PIXEL, following
from .peers import Fedify, NostrUser, Peer, Pubby, ident, is_public, many
from .world import AS2, World, eventually


def test_lookup_by_npub_shows_the_nostr_profile(peer: Peer, alice: NostrUser, alice_ap: str, world: World) -> None:
    def look() -> dict:
        actor = peer.lookup(f"acct:{alice.npub}@bridge.test")
        assert actor["name"] == "Alice of Nostr"
        return actor

    actor = eventually(look)
    assert actor["id"] == alice_ap
    assert "writes tests" in actor["summary"]
    assert "<by" not in actor["summary"]
    icon = many(actor["icon"])[0]["url"]
    status, headers, body = world.get(icon)
    assert (status, headers["content-type"]) == (200, "image/png")
    assert body.startswith(PIXEL[:8])


def test_lookup_by_checked_nip05_finds_the_same_actor(alice: NostrUser, alice_ap: str, bridge: Bridge) -> None:
    assert bridge.actor_of("alice_at_site.test") == alice_ap


def test_lookup_of_unknown_nip05_is_404(alice: NostrUser, bridge: Bridge) -> None:
    """site.test names alice only; another name there, and a key it does not name, are nobody."""
    assert bridge.webfinger("mallory_at_site.test")[0] == 404
    assert bridge.webfinger("npub1qqqq")[0] in (400, 404)


def test_follow_is_accepted_with_the_follow_inside(follower: Peer, alice_ap: str) -> None:
    accept = follower.received("Accept", actor=alice_ap, object=follower.follows[alice_ap]["id"])
    assert len(accept) == 1
    assert isinstance(accept[0]["object"], dict)


def test_followers_collection_counts_the_followers(follower: Peer, alice_ap: str, world: World) -> None:
    followers = world.get_json(world.get_json(alice_ap)["followers"])
    assert followers["totalItems"] >= 1


def test_new_post_arrives_as_a_note(
    follower: Peer, alice: NostrUser, bob: NostrUser, alice_ap: str, bridge: Bridge, world: World
) -> None:
    image = "https://site.test/pixel.png"
    event = alice.note(
        f"hello {follower.host} #Bridges nostr:{bob.npub} {image}",
        [["t", "bridges"], ["p", bob.public], ["imeta", f"url {image}", "m image/png", "alt a single pixel"]],
    )
    note = follower.wait_note(f"hello {follower.host}")
    create = follower.notes(f"hello {follower.host}")[0]
    assert (note["type"], ident(note["attributedTo"]), ident(create["actor"])) == ("Note", alice_ap, alice_ap)
    assert datetime.fromisoformat(note["published"].replace("Z", "+00:00")).timestamp() == event["created_at"]
    assert is_public(note)
    assert is_public(create)
    followers = world.get_json(alice_ap)["followers"]
    assert followers in map(ident, many(note["cc"]) + many(note["to"]))
    tags = {t["type"]: t for t in many(note["tag"])}
    assert tags["Hashtag"]["name"].lower() == "#bridges"
    assert tags["Mention"]["href"] == bridge.actor_of(bob.npub)
    picture = many(note["attachment"])[0]
    assert picture["mediaType"] == "image/png"
    assert picture["name"] == "a single pixel"
    assert (
        world.get(many(picture["url"])[0] if isinstance(picture["url"], (str, list)) else picture["url"]["href"])[0]
        == 200
    )


def test_note_and_activity_ids_dereference(follower: Peer, alice: NostrUser, alice_ap: str, world: World) -> None:
    text = f"dereference me, {follower.host}"
    alice.note(text)
    follower.wait_note(text)
    create = follower.notes(text)[0]
    for id_, kind in ((create["id"], "Create"), (create["object"]["id"], "Note"), (alice_ap, "Person")):
        served = world.get_json(id_, AS2)
        assert (served["id"], served["type"]) == (id_, kind)
        assert "@context" in served
    assert ident(world.get_json(create["id"])["object"]) == create["object"]["id"]
    canonical = [
        x
        for x in many(world.get_json(create["object"]["id"])["url"])
        if isinstance(x, dict) and x.get("rel") == "canonical"
    ]
    assert re.match("nostr:(note|nevent)1", canonical[0]["href"])


def test_recent_posts_are_in_the_outbox(follower: Peer, alice: NostrUser, alice_ap: str, world: World) -> None:
    """Also those from before anybody followed her."""

    def items() -> str:
        outbox = world.get_json(world.get_json(alice_ap)["outbox"])
        posts = []
        page = outbox.get("first", outbox)
        while page:
            page = world.get_json(page) if isinstance(page, str) else page
            posts += [i if isinstance(i, dict) else world.get_json(i) for i in page["orderedItems"]]
            page = page.get("next")
        notes = [
            p["object"] if isinstance(p["object"], dict) else world.get_json(p["object"])
            for p in posts
            if p["type"] == "Create"
        ]
        text = " ".join(n["content"] for n in notes)
        assert all(f"an older post {n}" in text for n in range(3)), text
        return text

    assert eventually(items)


def test_profile_change_arrives_as_update(follower: Peer, nostr, relay, bridge: Bridge) -> None:
    name = f"carol-{follower.host}"
    carol = NostrUser(nostr, name, relay.url)
    carol.publish(0, '{"name": "Carol"}', at=1_700_000_000)
    actor = bridge.actor_of(carol.npub)
    following(follower, actor)
    carol.profile(name="Carol the Second")
    updates = eventually(lambda: follower.received("Update", object=actor))
    assert updates[-1]["object"]["name"] == "Carol the Second"


def test_unfollow_ends_deliveries(cavage: Fedify, pubby: Pubby, nostr, relay, bridge: Bridge) -> None:
    dave = NostrUser(nostr, "interop-dave", relay.url)
    dave.profile(name="dave")
    actor = bridge.actor_of(dave.npub)
    following(cavage, actor)
    following(pubby, actor)
    dave.note("dave to both")
    cavage.wait_note("dave to both")
    pubby.wait_note("dave to both")
    cavage.unfollow(actor)
    # Answered once the Undo is stored; two posts that pubby gets prove that it took effect before the second.
    eventually(lambda: [x for x in bridge.received() if '"Undo"' in x.text and actor in x.text and x.status < 300])
    for n in range(2):
        dave.note(f"dave to pubby {n}")
        pubby.wait_note(f"dave to pubby {n}")
    assert not cavage.notes("dave to pubby 1")


@pytest.mark.parametrize("path", ["/.well-known/nodeinfo", "/"])
def test_public_pages_answer(path: str, bridge: Bridge, world: World) -> None:
    assert world.get(f"{bridge.base}{path}")[0] == 200
