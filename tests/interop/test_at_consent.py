"""Somebody on a PDS is bridged by following the bot, and leaves by blocking it; one of Nostr leaves and comes back."""

import time
from typing import Any

import pytest

from .atproto import AtUser, Stack, facet
from .bridge import Bridge
from .conftest import Ghosts, Reader, following, picture
from .peers import Fedify, Nostr, NostrUser, Pubby, Relay, many, tags
from .world import AS2, World, eventually


@pytest.fixture(scope="module")
def bot(stack: Stack, ghosts: Ghosts) -> str:
    """Its DID, found by its handle at the AppView."""
    return stack.profile("bridge.sky.test")["did"]


@pytest.fixture(scope="module")
def stranger(stack: Stack) -> AtUser:
    """Remo before he asks for anything."""
    remo = AtUser(stack, "remo")
    remo.profile(displayName="Remo of the PDS", description="lives on Bluesky")
    remo.post("remo's older post")
    return remo


@pytest.fixture(scope="module")
def unknown(stranger: AtUser, sky: Bridge) -> tuple[int, str | None]:
    """What the bridge says of him until then."""
    return sky.webfinger(stranger.handle)[0], sky.nip05(stranger.handle)


@pytest.fixture(scope="module")
def remo(stranger: AtUser, unknown: Any, bot: str, sky: Bridge) -> AtUser:
    """He has followed the bot."""
    stranger.follow(bot)
    sky.actor_of(stranger.handle)
    return stranger


@pytest.fixture(scope="module")
def remo_ap(remo: AtUser, sky: Bridge, fred: Fedify, pia: Pubby) -> str:
    """His actor, whom the people of the fediverse follow."""
    actor = sky.actor_of(remo.handle)
    for peer in (fred, pia):
        following(peer, actor)
    return actor


@pytest.fixture(scope="module")
def remo_key(remo: AtUser, sky: Bridge, nora: NostrUser) -> str:
    key = sky.key_of(remo.handle)
    nora.follow(key)
    return key


def test_nobody_finds_who_has_not_asked(unknown: tuple[int, str | None]) -> None:
    assert unknown == (404, None)


def test_followers_from_elsewhere_are_shown_and_told(
    remo: AtUser, remo_ap: str, remo_key: str, ghosts: Ghosts, stack: Stack
) -> None:
    for did in (ghosts.fred, ghosts.pia, ghosts.nora):
        remo.wait_notice("follow", did)
    followers = [f["did"] for f in stack.appview("app.bsky.graph.getFollowers", actor=remo.did)["followers"]]
    assert {ghosts.fred, ghosts.pia, ghosts.nora} <= set(followers)


def test_post_arrives_with_all_it_has(
    remo: AtUser,
    remo_ap: str,
    remo_key: str,
    ghosts: Ghosts,
    fred: Fedify,
    pia: Pubby,
    nora: NostrUser,
    sky: Bridge,
    sky_relay: Relay,
    world: World,
    nora_ap: str,
) -> None:
    name = f"@{nora.npub}.sky.test"
    text = f"remo 🦆 greets {name} at the page #ducks"
    blob = remo.upload(picture(), "image/jpeg")
    remo.post(
        text,
        langs=["de"],
        facets=[
            facet(text, name, did=ghosts.nora),
            facet(text, "the page", uri="https://site.test/page"),
            facet(text, "#ducks", tag="ducks"),
        ],
        embed={"$type": "app.bsky.embed.images", "images": [{"image": blob, "alt": "a gradient"}]},
    )
    for peer in (fred, pia):
        note = peer.wait_note("remo 🦆 greets")
        named = {t["type"]: t for t in many(note["tag"])}
        assert named["Mention"]["href"] == nora_ap
        assert named["Hashtag"]["name"] == "#ducks"
        assert 'href="https://site.test/page"' in note["content"]
        assert list(note["contentMap"]) == ["de"]
        [image] = many(note["attachment"])
        assert (image["mediaType"], image["name"]) == ("image/jpeg", "a gradient")
        status, headers, body = world.get(image["url"])
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        assert body
    event = sky_relay.wait_post("remo 🦆 greets")
    assert event["pubkey"] == remo_key
    assert f"nostr:{nora.npub}" in event["content"] or "nostr:nprofile1" in event["content"]
    assert [nora.public] in [tag[:1] for tag in tags(event, "p")]
    assert tags(event, "t") == [["ducks"]]
    assert ["de", "ISO-639-1"] in tags(event, "l")
    [imeta] = tags(event, "imeta")
    assert "alt a gradient" in imeta


def test_thread_and_quote_arrive(
    remo: AtUser, remo_ap: str, remo_key: str, fred: Fedify, pia: Pubby, sky_relay: Relay, stack: Stack
) -> None:
    first = remo.post("remo begins")
    second = remo.reply("remo goes on", stack.post(first["uri"]))
    stack.post(second["uri"])
    remo.quote("remo quotes himself", first)
    for peer in (fred, pia):
        begun = peer.wait_note("remo begins")["id"]
        assert peer.wait_note("remo goes on")["inReplyTo"] == begun
        assert peer.wait_note("remo quotes himself")["quoteUrl"] == begun
    event = sky_relay.wait_post("remo begins")
    assert tags(sky_relay.wait_post("remo goes on"), "e")[0][0] == event["id"]
    assert tags(sky_relay.wait_post("remo quotes himself"), "q")[0][0] == event["id"]


def test_profile_and_post_are_edited_everywhere(
    remo: AtUser, remo_ap: str, remo_key: str, fred: Fedify, nostr: Nostr, sky_relay: Relay
) -> None:
    said = remo.post("remo mispells")
    note = fred.wait_note("remo mispells")["id"]
    old = sky_relay.wait_post("remo mispells")
    remo.put(
        "app.bsky.feed.post", said["uri"].rpartition("/")[2], text="remo misspells", createdAt=old_date(remo, said)
    )
    updates = eventually(lambda: fred.received("Update", object=note))
    assert "remo misspells" in updates[-1]["object"]["content"]
    sky_relay.wait_post("remo misspells")
    eventually(lambda: nostr.fetch(sky_relay.url, ids=[old["id"]]) == [])
    blob = remo.upload(picture(), "image/jpeg")
    remo.profile(displayName="Remo the Second", description="still here", avatar=blob)
    updates = eventually(lambda: fred.received("Update", object=remo_ap))
    assert updates[-1]["object"]["name"] == "Remo the Second"
    assert many(updates[-1]["object"]["icon"])

    def look() -> bool:
        [event] = nostr.fetch(sky_relay.url, kinds=[0], authors=[remo_key])
        assert "Remo the Second" in event["content"]
        assert '"picture"' in event["content"]
        return True

    assert eventually(look)


def old_date(user: AtUser, said: dict[str, Any]) -> str:
    _, collection, rkey = said["uri"].removeprefix("at://").split("/")
    record = user.ask("com.atproto.repo.getRecord", repo=user.did, collection=collection, rkey=rkey)
    return record["value"]["createdAt"]


def test_block_of_the_bot_deletes_what_was_made(
    remo: AtUser,
    remo_ap: str,
    remo_key: str,
    bot: str,
    sky: Bridge,
    fred: Fedify,
    pia: Pubby,
    nostr: Nostr,
    sky_relay: Relay,
    world: World,
    stack: Stack,
) -> None:
    remo.post("remo's last words")
    note = fred.wait_note("remo's last words")["id"]
    pia.wait_note("remo's last words")
    event = sky_relay.wait_post("remo's last words")
    made = {e["id"] for e in nostr.fetch(sky_relay.url, kinds=[1], authors=[remo_key])}
    assert event["id"] in made
    remo.block(bot)
    for peer in (fred, pia):
        eventually(lambda p=peer: p.received("Delete", object=remo_ap))
    eventually(lambda: world.get(note, AS2)[0] == 410)
    eventually(lambda: nostr.fetch(sky_relay.url, ids=list(made)) == [])
    remo.post("remo after the end")
    # what somebody else says afterwards shows that the stream went on past that
    tess = AtUser(stack, "ulla")
    fred.post("fred goes on")
    [post] = eventually(lambda: stack.posts(stack.find("fred-at-fred-test.sky.test"), "fred goes on"))
    tess.reply("ulla goes on", post)
    fred.wait_note("ulla goes on")
    assert not fred.notes("remo after the end")
    assert [e for e in sky_relay.posts("remo after the end") if e["pubkey"] == remo_key] == []


def test_somebody_of_nostr_leaves_and_comes_back_as_the_same(
    stack: Stack, stella: Reader, nostr: Nostr, sky: Bridge, sky_relay: Relay
) -> None:
    nils = NostrUser(nostr, "interop-nils", sky_relay.url)
    now = int(time.time())
    nils.publish(0, '{"name": "nils", "about": "here"}', at=now - 20)
    handle = f"{nils.npub}.sky.test"
    did = stack.find(handle)
    stack.profile(did)
    follow = stella.user.follow(did)
    stack.profile(did, lambda p: p["followersCount"] == 1)
    nils.note("nils is here")
    post = stack.said(did, "nils is here")
    nils.publish(0, '{"name": "nils", "about": "#nobridge"}', at=now - 19)

    def gone() -> bool:
        assert stack.refused("app.bsky.actor.getProfile", actor=did).startswith("400")
        assert stack.appview("app.bsky.feed.getPosts", uris=[post["uri"]])["posts"] == []
        return True

    eventually(gone)
    nils.publish(0, '{"name": "nils", "about": "here again"}', at=now - 18)
    nils.follow(sky.key_of("bridge"))
    eventually(lambda: stack.find(handle) == did)
    shown = stack.profile(did, lambda p: p["handle"] == handle)
    assert shown["description"].startswith("here again")
    stella.user.delete(follow)
    stella.user.follow(did)
    nils.note("nils is back")
    stack.said(did, "nils is back")
    assert stack.refusals() == []


def test_who_is_removed_for_good_has_ended_everywhere(
    bot: str, stack: Stack, sky: Bridge, sky_relay: Relay, nora: NostrUser, nostr: Nostr, world: World
) -> None:
    nadja = NostrUser(nostr, "interop-nadja", sky_relay.url)
    nadja.profile(name="nadja", about="wants to be forgotten")
    did = stack.find(f"{nadja.npub}.sky.test")
    stack.profile(did)
    ruth = AtUser(stack, "ruth")
    asked = ruth.follow(bot)
    key = sky.key_of(ruth.handle)
    nora.follow(key)
    ruth.post("ruth was here")
    said = sky_relay.wait_post("ruth was here")
    for account in (f"nostr:{nadja.npub}", f"atproto:{ruth.handle}"):
        sky.cli("remove", account, "--for-good")

    def ended() -> bool:
        assert world.get(f"{stack.plc}/{did}")[0] == 404  # as its version of the directory says that a DID has ended
        assert stack.refused("app.bsky.actor.getProfile", actor=did).startswith("400")
        return True

    eventually(ended)
    log = world.get_json(f"{stack.plc}/{did}/log/audit", "application/json")
    assert [entry["operation"]["type"] for entry in log] == ["plc_operation", "plc_tombstone"]
    [farewell] = eventually(lambda: nostr.fetch(sky_relay.url, kinds=[62], authors=[key]))
    assert tags(farewell, "relay") == [["ALL_RELAYS"]]
    assert nostr.fetch(sky_relay.url, ids=[said["id"]]) == []
    ruth.delete(asked)
    ruth.follow(bot)
    ruth.post("ruth is back")
    told = AtUser(stack, "rolf")
    told.follow(bot)
    nora.follow(sky.key_of(told.handle))
    told.post("rolf comes after her")
    sky_relay.wait_post("rolf comes after her")
    assert sky_relay.posts("ruth is back") == []
