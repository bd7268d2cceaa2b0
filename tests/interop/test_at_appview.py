"""What people of Nostr and the fediverse say, as the reference AppView shows it after it has verified our stream."""

from typing import Any

import pytest

from adapters.nostr import ids
from bridged.model import Ref

from .atproto import Stack, features
from .bridge import Bridge
from .conftest import PICTURE, Ghosts, Reader, picture
from .peers import Fedify, NostrUser, Pubby, Relay, media, mention
from .world import eventually

pytestmark = pytest.mark.usefixtures("stella")


def quoting(user: NostrUser, text: str, event: Any) -> Any:
    where = ids.post_uri(Ref("nostr", event["id"]), author=event["pubkey"], kind=1, relay=user.relay)
    return user.note(f"{text} {where}", [["q", event["id"], user.relay, event["pubkey"]], ["p", event["pubkey"]]])


def thread(stack: Stack, uri: str) -> dict[str, Any]:
    return stack.appview("app.bsky.feed.getPostThread", uri=uri, depth=20)["thread"]


@pytest.mark.parametrize(("who", "handle", "name", "origin"), [
    ("nora", "npub1", "Nora of Nostr", "nostr"),
    ("fred", "fred-at-fred-test.sky.test", "Fedify peer", "activitypub"),
    ("pia", "pia-at-piazza-test.sky.test", "Pubby peer", "activitypub"),
])  # fmt: skip
def test_profile_is_found_by_a_handle_that_is_valid(
    who: str, handle: str, name: str, origin: str, stack: Stack, ghosts: Ghosts, stella: Reader
) -> None:
    did = getattr(ghosts, who)
    shown = stack.profile(did, lambda p: p["handle"] != "handle.invalid" and p["followersCount"])
    assert shown["handle"].startswith(handle)
    assert shown["displayName"] == name
    assert "bridged from https://" in shown["description"]
    assert [label["val"] for label in shown["labels"]] == [f"bridged-from-{origin}"]
    assert stack.profile(shown["handle"])["did"] == did
    assert stella.user.did in [f["did"] for f in stack.appview("app.bsky.graph.getFollowers", actor=did)["followers"]]


@pytest.mark.parametrize("who", ["nora", "fred"])
def test_picture_of_a_profile_comes_from_our_blobs(who: str, stack: Stack, ghosts: Ghosts) -> None:
    shown = stack.profile(getattr(ghosts, who), lambda p: p.get("avatar"))
    kind, body = stack.image(shown["avatar"])
    assert kind.startswith("image/")
    assert body


def test_words_of_the_fediverse_have_their_facets(
    stack: Stack, fred: Fedify, nora: NostrUser, nora_ap: str, ghosts: Ghosts, stella: Reader
) -> None:
    link, tag = '<a href="https://site.test/page">the page</a>', '<a href="https://fred.test/tags/ducks">#ducks</a>'
    name = f"@{nora.npub}@sky.test"
    fred.publish(
        nora_ap,
        content=f'<p>fred 🦆 greets <a class="mention" href="{nora_ap}">{name}</a>, see {link} {tag}</p>',
        contentMap={"de": "fred grüßt"},
        tag=[mention(nora_ap, name), {"type": "Hashtag", "name": "#ducks", "href": "https://fred.test/tags/ducks"}],
    )
    post = stack.said(ghosts.fred, "greets")
    handle = f"@{stack.profile(ghosts.nora)['handle']}"
    assert post["record"]["text"] == f"fred 🦆 greets {handle}, see the page #ducks"
    found = features(post)
    assert found[handle]["did"] == ghosts.nora
    assert found["the page"]["uri"] == "https://site.test/page"
    assert found["#ducks"]["tag"] == "ducks"
    timeline = stella.user.ask("app.bsky.feed.getTimeline", limit=50)["feed"]
    assert post["uri"] in [entry["post"]["uri"] for entry in timeline]


def test_words_of_nostr_have_their_facets(
    stack: Stack, nora: NostrUser, fred: Fedify, sky: Bridge, ghosts: Ghosts, stella: Reader
) -> None:
    key = sky.key_of("fred_at_fred.test")
    nora.note(f"nora ☂ greets nostr:{ids.npub(key)} at https://site.test/page #rain", [["p", key], ["t", "rain"]])
    post = stack.said(ghosts.nora, "greets")
    found = features(post)
    assert found["@fred-at-fred-test.sky.test"]["did"] == ghosts.fred
    assert found["https://site.test/page"]["uri"] == "https://site.test/page"
    assert found["#rain"]["tag"] == "rain"
    timeline = stella.user.ask("app.bsky.feed.getTimeline", limit=50)["feed"]
    assert post["uri"] in [entry["post"]["uri"] for entry in timeline]


def test_pictures_have_their_alt_text_and_shape(stack: Stack, nora: NostrUser, fred: Fedify, ghosts: Ghosts) -> None:
    fred.publish(content="<p>fred's picture</p>", attachment=[media("image/jpeg", PICTURE, "a gradient")])
    nora.note(f"nora's picture {PICTURE}", [["imeta", f"url {PICTURE}", "m image/jpeg", "alt a gradient"]])
    for did, text in ((ghosts.fred, "fred's picture"), (ghosts.nora, "nora's picture")):
        post = stack.said(did, text)
        assert post["record"]["text"] == text
        [image] = post["embed"]["images"]
        assert (image["alt"], image["aspectRatio"]) == ("a gradient", {"width": 64, "height": 48})
        kind, body = stack.image(image["fullsize"])
        assert kind.startswith("image/")
        assert len(body) > len(picture()) // 4


def test_quotes_between_the_two_networks_are_quotes(
    stack: Stack, nora: NostrUser, nora_ap: str, fred: Fedify, ghosts: Ghosts, sky_relay: Relay
) -> None:
    fred.publish(content="<p>fred is worth a quote</p>")
    quoting(nora, "nora quotes fred", sky_relay.wait_post("fred is worth a quote"))
    nora.note("nora is worth a quote")
    fred.quote("fred quotes nora", fred.wait_note("nora is worth a quote")["id"], nora_ap)
    for did, text, quoted, of in (
        (ghosts.nora, "nora quotes fred", "fred is worth a quote", ghosts.fred),
        (ghosts.fred, "fred quotes nora", "nora is worth a quote", ghosts.nora),
    ):
        post = stack.said(did, text)
        assert post["record"]["text"] == text
        assert post["embed"]["$type"] == "app.bsky.embed.record#view"
        assert post["embed"]["record"]["value"]["text"] == quoted
        assert post["embed"]["record"]["author"]["did"] == of


def test_long_post_is_a_thread_in_order(stack: Stack, fred: Fedify, ghosts: Ghosts) -> None:
    words = " ".join(f"word{n:03d}" for n in range(100))
    fred.publish(content=f"<p>{words}</p>")
    first = stack.said(ghosts.fred, "word000")
    texts: list[str] = []

    def look() -> str:
        at = thread(stack, first["uri"])
        texts[:] = [at["post"]["record"]["text"]]
        while at["replies"]:
            assert len(at["replies"]) == 1
            at = at["replies"][0]
            assert at["post"]["author"]["did"] == ghosts.fred
            texts.append(at["post"]["record"]["text"])
        assert "word099" in texts[-1]
        return texts[-1]

    assert eventually(look)
    assert len(texts) > 2
    assert all(len(text) <= 300 for text in texts)
    assert " ".join(texts) == words


def test_conversation_of_all_networks_is_one_thread(
    stack: Stack, nora: NostrUser, nora_ap: str, fred: Fedify, pia: Pubby, ghosts: Ghosts, sky_relay: Relay
) -> None:
    """Nora goes on in her own thread, Fred answers her, she him; each answer is sent once what it answers is shown."""
    event = nora.note("nora opens a thread")
    root = stack.said(ghosts.nora, "nora opens a thread")
    nora.reply(event, "nora goes on")
    own = stack.said(ghosts.nora, "nora goes on")
    note = fred.wait_note("nora opens a thread")["id"]
    fred.reply("fred answers nora", note, nora_ap)
    answer = stack.said(ghosts.fred, "fred answers nora")
    nora.reply(sky_relay.wait_post("fred answers nora"), "nora answers fred")
    back = stack.said(ghosts.nora, "nora answers fred")
    pia.reply("pia answers nora", pia.wait_note("nora opens a thread")["id"], nora_ap)
    third = stack.said(ghosts.pia, "pia answers nora")
    for post, parent in ((own, root), (answer, root), (third, root), (back, answer)):
        assert post["record"]["reply"]["root"]["uri"] == root["uri"]
        assert post["record"]["reply"]["parent"]["uri"] == parent["uri"]
    shown = thread(stack, root["uri"])
    below = {reply["post"]["uri"]: reply for reply in shown["replies"]}
    assert below.keys() == {own["uri"], answer["uri"], third["uri"]}
    assert [r["post"]["uri"] for r in below[answer["uri"]]["replies"]] == [back["uri"]]
    assert shown["post"]["replyCount"] == 3


def test_edit_and_delete_are_followed(stack: Stack, fred: Fedify, nora: NostrUser, sky: Bridge, ghosts: Ghosts) -> None:
    note = fred.publish(content="<p>fred mispells</p>")
    post = stack.said(ghosts.fred, "fred mispells")
    fred.update(note, sky.bot, content="<p>fred misspells</p>")
    eventually(lambda: stack.post(post["uri"])["record"]["text"] == "fred misspells")
    event = nora.note("nora's regret")
    gone = stack.said(ghosts.nora, "nora's regret")
    nora.delete(event)
    fred.serve(note, None)
    fred.act("Delete", {"type": "Tombstone", "id": note}, sky.bot, followers=True)
    for uri in (gone["uri"], post["uri"]):
        eventually(lambda u=uri: stack.appview("app.bsky.feed.getPosts", uris=[u])["posts"] == [])


def test_likes_and_reposts_of_each_other_are_counted(
    stack: Stack, nora: NostrUser, nora_ap: str, fred: Fedify, pia: Pubby, ghosts: Ghosts, sky_relay: Relay
) -> None:
    nora.note("nora likes to be liked")
    post = stack.said(ghosts.nora, "nora likes to be liked")
    for peer in (fred, pia):
        note = peer.wait_note("nora likes to be liked")["id"]
        peer.like(note, nora_ap)
        peer.boost(note, nora_ap)

    def look() -> bool:
        shown = stack.post(post["uri"])
        assert (shown["likeCount"], shown["repostCount"]) == (2, 2), shown
        return True

    eventually(look)


@pytest.mark.parametrize(("feed", "has", "lacks"), [
    ("everyone", ("nora", "fred"), ()),
    ("nostr", ("nora",), ("fred",)),
    ("activitypub", ("fred",), ("nora",)),
])  # fmt: skip
def test_feed_of_the_bot_is_served_by_the_appview(
    feed: str, has: tuple[str, ...], lacks: tuple[str, ...], stack: Stack, nora: NostrUser, fred: Fedify, ghosts: Ghosts
) -> None:
    nora.note(f"nora for {feed}")
    fred.post(f"fred for {feed}")
    uris = {who: stack.said(getattr(ghosts, who), f"{who} for {feed}")["uri"] for who in ("nora", "fred")}
    bot = stack.profile("bridge.sky.test")["did"]
    uri = f"at://{bot}/app.bsky.feed.generator/{feed}"
    about = eventually(lambda: stack.appview("app.bsky.feed.getFeedGenerator", feed=uri))
    assert about["isOnline"]
    assert about["isValid"]
    shown = [entry["post"]["uri"] for entry in stack.appview("app.bsky.feed.getFeed", feed=uri, limit=50)["feed"]]
    assert {uris[who] for who in has} <= set(shown)
    assert not {uris[who] for who in lacks} & set(shown)
    assert len(shown) == len(set(shown))


def test_check_and_trace_know_the_network(sky: Bridge, stack: Stack, nora: NostrUser, ghosts: Ghosts) -> None:
    findings = {f["what"]: f for f in sky.cli("check")["findings"]}
    for what in ("AT Protocol handle", "PLC directory", "AppView", "stream wss://pds.test", "AT Protocol pace"):
        assert findings[what]["ok"], findings[what]
    event = nora.note("nora is traced")
    post = stack.said(ghosts.nora, "nora is traced")
    assert event["id"] in str(sky.cli("trace", post["uri"]))


def test_nothing_was_refused(stack: Stack, nora: NostrUser, ghosts: Ghosts) -> None:
    nora.note("the last of all")
    stack.said(ghosts.nora, "the last of all")
    assert stack.refusals() == []
