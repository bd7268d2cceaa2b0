"""Profiles, pins, moves and departures."""

import json
from typing import Any

import pytest

from .bridge import Bridge
from .conftest import following
from .peers import Fedify, Nostr, NostrUser, Relay, emoji, ident, many, one, prop, tags
from .world import AS2, World, eventually

PIXEL_URL = "https://site.test/pixel.png"


@pytest.fixture(scope="module")
def una(nostr: Nostr, relay: Relay) -> NostrUser:
    una = NostrUser(nostr, "acts-una", relay.url)
    una.publish(0, json.dumps({"name": "una"}), at=1_700_000_000)
    return una


@pytest.fixture(scope="module")
def una_ap(una: NostrUser, bridge: Bridge, ana: Fedify, pubby: Any) -> str:
    """Una's actor, followed by ana and by pubby's user."""
    actor = bridge.actor_of(una.npub)
    following(pubby, actor)
    following(ana, actor)
    return actor


def profile_of(nostr: Nostr, relay: Relay, key: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The newest kind 0 and what it says."""
    event = nostr.fetch(relay.url, kinds=[0], authors=[key])[-1]
    return event, json.loads(event["content"])


def test_profile_of_the_fediverse_is_kept_whole(ana: Fedify, ana_key: str, relay: Relay, nostr: Nostr) -> None:
    link = '<a href="https://site.test/ana" rel="me">site.test/ana</a>'
    ana.profile(
        name="Ana :blob:",
        summary="<p>paints <b>birds</b></p><p>and reads</p>",
        tag=[emoji("blob", PIXEL_URL)],
        attachment=[prop("Pronouns", "she"), prop("Web", link)],
        icon={"type": "Image", "mediaType": "image/png", "url": PIXEL_URL},
    )

    def look() -> tuple[dict[str, Any], dict[str, Any]]:
        event, said = profile_of(nostr, relay, ana_key)
        assert said["display_name"] == "Ana :blob:"
        return event, said

    event, said = eventually(look)
    assert tags(event, "emoji") == [["blob", PIXEL_URL]]
    assert "paints birds\n\nand reads" in said["about"]
    assert "Pronouns: she" in said["about"]
    assert "site.test/ana" in said["about"]
    assert said["picture"] == PIXEL_URL
    assert not said.get("bot")
    assert tags(event, "proxy") == [[ana.actor, "activitypub"]]


def test_profile_of_nostr_is_kept_whole(ana: Fedify, una: NostrUser, una_ap: str) -> None:
    about = {"name": "una", "display_name": "Una :blob:", "about": "counts #birds", "bot": True, "picture": PIXEL_URL}
    una.publish(0, json.dumps(about | {"banner": PIXEL_URL}), [["emoji", "blob", PIXEL_URL]])
    updates = eventually(lambda: ana.received("Update", object=una_ap))
    for actor in (updates[-1]["object"], ana.fetch(una_ap)):
        assert (actor["type"], actor["name"]) == ("Service", "Una :blob:")
        assert "counts" in actor["summary"]
        named = {t["name"]: t for t in many(actor["tag"])}
        assert named[":blob:"]["icon"]["url"] == PIXEL_URL
        assert named["#birds"]["type"] == "Hashtag"
        assert many(actor["icon"])[0]["url"] == many(actor["image"])[0]["url"] == PIXEL_URL
        fields = {f["name"]: f["value"] for f in many(actor["attachment"])}
        assert una.npub in fields["Bridged from"]


def test_pins_of_the_fediverse_are_a_list(ana: Fedify, ana_key: str, relay: Relay, nostr: Nostr) -> None:
    notes = [ana.publish(content=f"<p>keep this on top {n}</p>") for n in range(2)]
    events = [relay.wait_post(f"keep this on top {n}")["id"] for n in range(2)]

    def pinned() -> list[str]:
        return [t[0] for t in tags(nostr.fetch(relay.url, kinds=[10001], authors=[ana_key])[-1], "e")]

    for note in notes:
        ana.pin(note)
    eventually(lambda: sorted(pinned()) == sorted(events))
    ana.unpin(notes[0])
    eventually(lambda: pinned() == events[1:])


def test_pins_of_nostr_are_featured(ana: Fedify, una: NostrUser, una_ap: str) -> None:
    event = una.note("una's best")
    note = ana.wait_note("una's best")["id"]
    una.publish(10001, "", [["e", event["id"]]])
    add = eventually(lambda: ana.received("Add", object=note, actor=una_ap))[0]
    assert ident(add["target"]) == ana.fetch(una_ap)["featured"]
    assert [ident(n) for n in eventually(lambda: ana.featured(una_ap))] == [note]
    una.publish(10001, "", [], at=event["created_at"] + 60)
    eventually(lambda: ana.received("Remove", object=note, actor=una_ap))
    eventually(lambda: ana.featured(una_ap) == [])


def test_move_out_of_the_bridge(una: NostrUser, una_ap: str, ana: Fedify, fay: Fedify, bridge: Bridge) -> None:
    """Una has an account of her own by now; her followers go there, once it says that it is hers."""
    fay.profile(alsoKnownAs=[una_ap])
    try:
        said = bridge.cli("move", f"nostr:{una.npub}", f"activitypub:{fay.acct}")
        assert said["to"].endswith(fay.actor)
        move = eventually(lambda: ana.received("Move", object=una_ap))[0]
        assert (move["actor"], ident(move["target"])) == (una_ap, fay.actor)
        assert ana.fetch(una_ap)["movedTo"] == fay.actor
    finally:
        fay.profile(alsoKnownAs=[])


@pytest.fixture(scope="module")
def new(world: World) -> Fedify:
    return Fedify(world, "new.test", "otto", kind="Service")


@pytest.fixture(scope="module")
def old(world: World, bridge: Bridge) -> Fedify:
    """A bridged account that posts by itself."""
    old = following(Fedify(world, "old.test", "otto", kind="Service"), bridge.bot)
    eventually(lambda: bridge.bot in old.followers())
    return old


def test_move_within_the_fediverse_keeps_the_key(
    old: Fedify, new: Fedify, bridge: Bridge, alice: NostrUser, alice_ap: str, relay: Relay, nostr: Nostr
) -> None:
    """Their followers on Nostr see the same person under a new name, and the new account has those."""
    old.post("otto before he moves")
    key = relay.wait_post("otto before he moves")["pubkey"]
    assert eventually(lambda: profile_of(nostr, relay, key))[1]["bot"] is True
    alice.follow(key)
    eventually(lambda: alice_ap in old.followers())
    new.profile(alsoKnownAs=[old.actor])
    old.move(new.actor)
    eventually(lambda: alice_ap in new.followers())
    eventually(lambda: bridge.bot in new.followers())
    new.post("otto has moved")
    event = relay.wait_post("otto has moved")
    assert event["pubkey"] == key

    def renamed() -> bool:
        said = profile_of(nostr, relay, key)[1]
        return said["nip05"] == f"otto_at_new.test@{bridge.host}"

    eventually(renamed, timeout=60)
    assert bridge.nip05("otto_at_new.test") == key
    alice.like(event)
    eventually(lambda: new.received("Like", actor=alice_ap))


def test_vanishing_from_nostr_deletes_the_actor(
    ana: Fedify, relay: Relay, nostr: Nostr, bridge: Bridge, world: World
) -> None:
    """NIP-62."""
    vera = NostrUser(nostr, "acts-vera", relay.url)
    vera.profile(name="vera")
    actor = bridge.actor_of(vera.npub)
    following(ana, actor)
    vera.note("vera was here")
    note = ana.wait_note("vera was here")["id"]
    vera.publish(62, "goodbye", [["relay", "ALL_RELAYS"]])
    eventually(lambda: ana.received("Delete", object=actor))
    for url in (note, actor):
        eventually(lambda u=url: world.get(u, AS2)[0] == 410)
    eventually(lambda: bridge.webfinger(vera.npub)[0] in (404, 410))


def test_nobridge_in_a_profile_counts_for_more_than_having_asked(
    new: Fedify, bridge: Bridge, relay: Relay, nostr: Nostr
) -> None:
    following(new, bridge.bot)
    new.post("otto says yes")
    event = relay.wait_post("otto says yes")
    new.profile(bridge.bot, summary="<p>leave me alone #nobridge</p>")
    one(nostr, relay, kinds=[5], _e=[event["id"]])
    assert nostr.fetch(relay.url, ids=[event["id"]]) == []
    eventually(lambda: bridge.nip05("otto_at_new.test") is None)  # the ghost goes once its posts are deleted
    new.post_to("otto after his no", bridge.bot)
    eventually(lambda: [x for x in bridge.received() if "otto after his no" in x.text])
    assert relay.posts("otto after his no") == []
