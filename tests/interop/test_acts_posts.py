"""What posts can carry: files, warnings, languages, ends; who they are for; groups; what is no post of ours."""

import time
from typing import Any

import pytest

from .bridge import Bridge
from .conftest import following
from .peers import PUBLIC, Fedify, Nostr, NostrUser, Pubby, Relay, ident, many, media, one, tags
from .world import AS2, World, eventually

IMAGE = "https://site.test/pixel.png"
VIDEO = "https://site.test/film.mp4"
HASH = "LEHV6nWB2yk8pyo0adR*.7kCMdnj"


@pytest.fixture(scope="module")
def expiring(ana: Fedify, fay: Fedify, alice: NostrUser, relay: Relay) -> dict[str, Any]:
    """A post of ana's and one of alice's that end after some seconds."""
    until = int(time.time()) + 30
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))
    ana.publish(content="<p>ana's milk</p>", endTime=end)
    alice.note("alice's milk", [["expiration", str(until)]])
    return {"until": until, "end": end, "event": relay.wait_post("ana's milk"), "note": fay.wait_note("alice's milk")}


def test_end_of_a_post_is_known_everywhere(expiring: dict[str, Any]) -> None:
    assert tags(expiring["event"], "expiration") == [[str(expiring["until"])]]
    assert expiring["note"]["endTime"].startswith(expiring["end"].rstrip("Z"))


def test_files_of_the_fediverse_are_described(ana: Fedify, relay: Relay) -> None:
    picture = media("image/png", IMAGE, "a single pixel", width=40, height=30, blurhash=HASH, focalPoint=[0.5, 0])
    film = media("video/mp4", VIDEO, "a film", width=640, height=360)
    ana.publish(content="<p>ana's files</p>", attachment=[picture, film])
    event = relay.wait_post("ana's files")
    found = [dict(pair.split(" ", 1) for pair in tag) for tag in tags(event, "imeta")]
    assert found[0] | {"x": ""} == {
        "url": IMAGE,
        "m": "image/png",
        "alt": "a single pixel",
        "dim": "40x30",
        "blurhash": HASH,
        "x": "",
    }
    assert (found[1]["url"], found[1]["m"], found[1]["alt"]) == (VIDEO, "video/mp4", "a film")
    assert IMAGE in event["content"]
    assert VIDEO in event["content"]


def test_files_of_nostr_are_described(fay: Fedify, alice: NostrUser) -> None:
    picture = ["imeta", f"url {IMAGE}", "m image/png", "alt a pixel", "dim 40x30", f"blurhash {HASH}"]
    alice.note(f"alice's picture {IMAGE}", [picture])
    alice.publish(21, "alice's film", [["title", "A film"], ["imeta", f"url {VIDEO}", "m video/mp4", "dim 640x360"]])
    [found] = many(fay.wait_note("alice's picture")["attachment"])
    assert (found["mediaType"], found["name"], found["width"], found["height"], found["blurhash"]) == (
        "image/png", "a pixel", 40, 30, HASH,
    )  # fmt: skip
    note = fay.wait_note("alice's film")
    assert "A film" in note["content"]
    assert [many(note["attachment"])[0][name] for name in ("mediaType", "width", "height")] == ["video/mp4", 640, 360]


def test_warning_and_language_of_the_fediverse(ana: Fedify, relay: Relay) -> None:
    text = "<p>Katzen sind langweilig</p>"
    ana.publish(content=text, contentMap={"de": text}, summary="Meinung", sensitive=True)
    event = relay.wait_post("Katzen sind langweilig")
    assert tags(event, "content-warning") == [["Meinung"]]
    assert ["de", "ISO-639-1"] in tags(event, "l")


def test_warning_and_language_of_nostr(fay: Fedify, alice: NostrUser) -> None:
    language = [["L", "ISO-639-1"], ["l", "de", "ISO-639-1"]]
    alice.note("Hunde sind laut", [["content-warning", "Meinung"], *language])
    note = fay.wait_note("Hunde sind laut")
    assert (note["summary"], note["sensitive"]) == ("Meinung", True)
    assert list(note["contentMap"]) == ["de"]


def test_only_what_is_public_leaves(ana: Fedify, alice_ap: str, relay: Relay, nostr: Nostr, ana_key: str) -> None:
    """Unlisted is public; followers and people addressed are not, not even when they are ours."""
    followers = ana.followers_url
    ana.publish(alice_ap, content="<p>for followers</p>", to=[followers], cc=[])
    ana.publish(alice_ap, content="<p>for alice alone</p>", to=[alice_ap], cc=[])
    ana.dm("a letter to alice", alice_ap)
    open_note = ana.publish(content="<p>unlisted by ana</p>", to=[followers], cc=[PUBLIC])
    event = relay.wait_post("unlisted by ana")
    assert tags(event, "proxy") == [[open_note, "activitypub"]]
    said = str(nostr.fetch(relay.url, authors=[ana_key]))
    for secret in ("for followers", "for alice alone", "a letter to alice"):
        assert relay.posts(secret) == []
        assert secret not in said


def test_post_made_private_is_taken_back(ana: Fedify, relay: Relay, nostr: Nostr) -> None:
    note = ana.publish(content="<p>ana thinks better of it</p>")
    event = relay.wait_post("ana thinks better of it")
    ana.update(note, to=[ana.followers_url], cc=[], content="<p>the private version</p>")
    one(nostr, relay, kinds=[5], _e=[event["id"]])
    assert relay.posts("the private version") == []


def test_answer_to_a_replaced_event_finds_the_note(ana: Fedify, bob: NostrUser, relay: Relay) -> None:
    """An edit is a new event; who still sees the old one answers the same note."""
    note = ana.publish(content="<p>ana mispells</p>")
    old = relay.wait_post("ana mispells")
    ana.update(note, content="<p>ana misspells</p>")
    new = relay.wait_post("ana misspells")
    bob.reply(old, "bob saw the old one")
    bob.reply(new, "bob saw the new one")
    assert (
        ana.wait_note("bob saw the old one")["inReplyTo"] == ana.wait_note("bob saw the new one")["inReplyTo"] == note
    )


@pytest.mark.parametrize("made", ["publish", "post"])
def test_deleted_note_is_gone_from_nostr(made: str, ana: Fedify, relay: Relay, nostr: Nostr) -> None:
    text = f"ana's regret, by {made}"
    note = ana.post(text) if made == "post" else ana.publish(content=f"<p>{text}</p>")
    event = relay.wait_post(text)
    if made == "post":
        ana.delete(note, ana.received("Accept")[0]["actor"])
    else:
        ana.serve(note, None)
        ana.act("Delete", {"type": "Tombstone", "id": note}, followers=True, to=[PUBLIC])
    gone = one(nostr, relay, kinds=[5], _e=[event["id"]])
    assert gone["pubkey"] == event["pubkey"]
    eventually(lambda: nostr.fetch(relay.url, ids=[event["id"]]) == [])


def test_deleted_event_leaves_a_tombstone(
    fay: Fedify, pubby: Pubby, alice: NostrUser, alice_ap: str, world: World
) -> None:
    following(pubby, alice_ap)
    event = alice.note("alice's regret")
    note = fay.wait_note("alice's regret")["id"]
    pubby.wait_note("alice's regret")
    alice.delete(event)
    for peer in (fay, pubby):
        gone = eventually(lambda p=peer: p.received("Delete", object=note))[0]
        assert gone["object"]["type"] == "Tombstone"
    status, _, body = eventually(lambda: world.get(note, AS2))
    assert status == 410
    assert b"Tombstone" in body


def test_group_shows_what_a_member_said_in_it(
    group: Fedify, ana: Fedify, bridge: Bridge, relay: Relay, nostr: Nostr
) -> None:
    """FEP-1b12: the group's Announce holds the whole Create; on Nostr it is a repost of the event that is there."""
    following(group, bridge.bot)
    eventually(lambda: bridge.bot in group.followers())
    note = ana.publish(group.actor, content="<p>a heron by the river</p>", audience=group.actor)
    event = relay.wait_post("a heron by the river")
    create = eventually(lambda: group.received("Create", object=note))[0]
    group.announce(create)
    shown = one(nostr, relay, kinds=[6], _e=[event["id"]])
    assert shown["pubkey"] == bridge.key_of("birds_at_group.test")
    assert event["id"] in shown["content"]
    like = {"type": "Like", "id": f"{ana.actor}#like-heron", "actor": ana.actor, "object": note}
    group.announce(like)
    group.publish(content="<p>the group's own words</p>")
    relay.wait_post("the group's own words")
    assert len(nostr.fetch(relay.url, kinds=[6, 7, 16], authors=[shown["pubkey"]])) == 1


def test_copies_of_other_bridges_are_not_bridged_again(
    ana: Fedify, fay: Fedify, alice: NostrUser, relay: Relay
) -> None:
    """Told by NIP-48 and FEP-fffd."""
    origin = "https://elsewhere.test/notes/1"
    alice.note("a copy on nostr", [["proxy", origin, "activitypub"]])
    alice.note("no copy on nostr")
    fay.wait_note("no copy on nostr")
    assert not fay.notes("a copy on nostr")
    links = [
        {"type": "Link", "mediaType": "text/html", "href": "https://acts.test/page"},
        {"type": "Link", "rel": "canonical", "href": "nostr:note1" + "q" * 58},
    ]
    ana.publish(content="<p>a copy on the fediverse</p>", url=links)
    ana.publish(content="<p>not a copy on the fediverse</p>")
    relay.wait_post("not a copy on the fediverse")
    assert [e["content"] for e in relay.posts("a copy on the fediverse")] == ["not a copy on the fediverse"]


def test_posts_end_when_they_said(
    expiring: dict[str, Any], fay: Fedify, relay: Relay, nostr: Nostr, world: World
) -> None:
    note, event = expiring["note"]["id"], expiring["event"]
    gone = eventually(lambda: fay.received("Delete", object=note))[0]
    assert ident(gone["object"]) == note
    assert world.get(note, AS2)[0] == 410
    eventually(lambda: nostr.fetch(relay.url, ids=[event["id"]]) == [])
