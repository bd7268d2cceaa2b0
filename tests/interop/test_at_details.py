"""What else there is to a post, and our repos as the reference libraries read them."""

import json
import subprocess
from typing import Any

import pytest

from .acts import CONTEXT
from .atproto import Stack
from .bridge import Bridge
from .conftest import PICTURE, Ghosts, Reader, Readers, picture
from .peers import PUBLIC, Fedify, Nostr, NostrUser, Peer, Pubby, Relay, many, media, mention, now
from .world import PEERS, World, control, eventually

pytestmark = pytest.mark.usefixtures("stella")


def read_repo(world: World, stack: Stack, did: str, name: str) -> dict[str, Any]:
    """What kit/atproto/read_repo.mjs makes of it."""
    node = [PEERS / "bin/node", "read_repo.mjs", stack.plc, did]
    run = world.run(name, node, cwd=PEERS / "atproto", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said, _ = run.popen.communicate(timeout=60)
    assert run.popen.returncode == 0, said.decode()
    return json.loads(said)


@pytest.mark.parametrize("who", ["nora", "fred"])
def test_repo_is_verified_by_the_reference_library(
    who: str, world: World, stack: Stack, nora: NostrUser, fred: Fedify, ghosts: Ghosts
) -> None:
    did, texts = getattr(ghosts, who), [f"{who} in the archive, {n}" for n in range(3)]
    for text in texts:
        nora.note(text) if who == "nora" else fred.post(text)
        stack.said(did, text)
    read = read_repo(world, stack, did, f"read-{who}")
    assert read["handle"] == stack.profile(did)["handle"]
    assert read["pds"] == "https://sky.test"
    assert "app.bsky.actor.profile/self" in read["records"]
    assert set(texts) <= {record["text"] for record in read["records"].values()}


def test_link_has_a_card_with_its_picture(stack: Stack, nora: NostrUser, ghosts: Ghosts, world: World) -> None:
    page = f'<title>x</title><meta property="og:title" content="A page"><meta property="og:image" content="{PICTURE}">'
    world.site.pages["site.test", "/card"] = ("text/html; charset=utf-8", f"<html><head>{page}".encode())
    nora.note("nora recommends https://site.test/card")
    post = stack.said(ghosts.nora, "nora recommends")
    shown = post["embed"]["external"]
    assert (shown["uri"], shown["title"]) == ("https://site.test/card", "A page")
    assert stack.image(shown["thumb"])[0].startswith("image/")


def test_many_pictures_are_a_gallery(stack: Stack, fred: Fedify, ghosts: Ghosts, world: World) -> None:
    for n in range(6):
        world.site.pages["site.test", f"/picture{n}.jpg"] = ("image/jpeg", picture(n))
    files = [media("image/jpeg", f"https://site.test/picture{n}.jpg", f"picture {n}") for n in range(6)]
    fred.publish(content="<p>fred's album</p>", attachment=files)
    post = stack.said(ghosts.fred, "fred's album")
    assert [image["alt"] for image in post["embed"]["items"]] == [f"picture {n}" for n in range(6)]
    assert stack.image(post["embed"]["items"][5]["fullsize"])[0].startswith("image/")


def test_film_is_shown_and_kept_by_us(stack: Stack, fred: Fedify, ghosts: Ghosts, world: World) -> None:
    film = b"\0\0\0\x20ftypisom" + bytes(100)
    world.site.pages["site.test", "/film.mp4"] = ("video/mp4", film)
    fred.publish(
        content="<p>fred's film</p>", attachment=[media("video/mp4", "https://site.test/film.mp4", "bees at work")]
    )
    shown = stack.said(ghosts.fred, "fred's film")["embed"]
    assert (shown["$type"], shown["alt"]) == ("app.bsky.embed.video#view", "bees at work")
    blob = f"https://sky.test/xrpc/com.atproto.sync.getBlob?did={ghosts.fred}&cid={shown['cid']}"
    assert world.get(blob)[2] == film


def test_poll_is_its_answers_and_the_way_to_it(stack: Stack, fred: Fedify, ghosts: Ghosts) -> None:
    options = [{"type": "Note", "name": name, "replies": {"type": "Collection", "totalItems": 0}} for name in "yx"]
    asked = fred.publish(type="Question", content="<p>fred asks: which one?</p>", oneOf=options, votersCount=0)
    text = stack.said(ghosts.fred, "which one?")["record"]["text"]
    assert "○ y\n○ x" in text
    assert asked.removeprefix("https://") in text


def test_mention_and_quote_are_told(
    stack: Stack, nora: NostrUser, fred: Fedify, ghosts: Ghosts, stella: Reader, sky_relay: Relay
) -> None:
    name = f"@{stella.user.handle}@sky.test"
    fred.publish(
        stella.ap,
        content=f'<p>fred calls <a class="mention" href="{stella.ap}">{name}</a></p>',
        tag=[mention(stella.ap, name)],
    )
    told = stella.user.wait_notice("mention", ghosts.fred)
    assert told["record"]["text"] == f"fred calls @{stella.user.handle}"
    nora.note("nora asks for opinions")
    answer = stella.user.reply("stella has one", stack.said(ghosts.nora, "nora asks"))
    event = sky_relay.wait_post("stella has one")
    nora.note("nora shows it", [["q", event["id"], nora.relay, event["pubkey"]], ["p", event["pubkey"]]])
    assert stella.user.wait_notice("quote", ghosts.nora)["reasonSubject"] == answer["uri"]


def test_warning_is_a_label(stack: Stack, fred: Fedify, ghosts: Ghosts) -> None:
    fred.publish(content="<p>fred in the nude</p>", summary="nudity", sensitive=True)
    post = stack.said(ghosts.fred, "fred in the nude")
    assert [label["val"] for label in post["labels"]] == ["nudity"]


def test_who_may_answer_and_quote_is_kept(stack: Stack, fred: Fedify, ghosts: Ghosts, stella: Reader) -> None:
    nobody: dict[str, Any] = {"automaticApproval": []}
    context = [*CONTEXT, {"canReply": {"@id": "gts:canReply", "@type": "@id"}}]
    policy = {"canReply": nobody, "canQuote": nobody}
    fred.publish(content="<p>fred has the last word</p>", interactionPolicy=policy, **{"@context": context})
    post = stack.said(ghosts.fred, "fred has the last word")

    def look() -> bool:
        viewer = stella.user.ask("app.bsky.feed.getPosts", uris=[post["uri"]])["posts"][0]["viewer"]
        assert viewer.get("replyDisabled"), viewer
        assert viewer.get("embeddingDisabled"), viewer
        return True

    assert eventually(look)


def join(user: Reader, stack: Stack, *peers: Peer) -> dict[str, Any]:
    """Has somebody follow the bot, and then be followed from the fediverse; the follow of the bot."""
    made = user.user.follow(stack.profile("bridge.sky.test")["did"])

    def joined() -> bool:
        for peer in peers:
            if user.ap not in peer.following():
                peer.follow(user.ap)
        return all(user.ap in peer.following() for peer in peers)

    assert eventually(joined, every=1)
    return made


@pytest.fixture(scope="module")
def walt(readers: Readers, stack: Stack, fred: Fedify, pia: Pubby) -> Reader:
    """Somebody who is bridged, and followed from the fediverse."""
    walt = readers("walt")
    join(walt, stack, fred, pia)
    return walt


def test_who_may_answer_and_quote_is_kept_of_theirs(walt: Reader, fred: Fedify) -> None:
    """A post with its gates, in one commit, as their app writes it."""
    rkey, uri = "3lzzzzzzzzz2a", f"at://{walt.user.did}/app.bsky.feed.post/3lzzzzzzzzz2a"
    shut = {"$type": "app.bsky.feed.postgate#disableRule"}
    records = {
        "app.bsky.feed.post": {"text": "walt has the last word"},
        "app.bsky.feed.threadgate": {"post": uri, "allow": []},
        "app.bsky.feed.postgate": {"post": uri, "embeddingRules": [shut]},
    }
    writes = [
        {
            "$type": "com.atproto.repo.applyWrites#create",
            "collection": collection,
            "rkey": rkey,
            "value": {"$type": collection, "createdAt": now(), **record},
        }
        for collection, record in records.items()
    ]
    walt.user.tell("com.atproto.repo.applyWrites", {"repo": walt.user.did, "writes": writes})
    note = fred.wait_note("walt has the last word")

    def look() -> bool:
        told = [note, *(a["object"] for a in fred.received("Update", object=note["id"]))][-1]
        assert PUBLIC not in many(told["interactionPolicy"]["canReply"]["automaticApproval"]), told
        assert PUBLIC not in many(told["interactionPolicy"]["canQuote"]["automaticApproval"]), told
        return True

    assert eventually(look)


def test_many_posts_of_one_commit_arrive(walt: Reader, fred: Fedify, pia: Pubby, sky_relay: Relay) -> None:
    texts = [f"walt says {n:02d}" for n in range(20)]
    writes = [
        {
            "$type": "com.atproto.repo.applyWrites#create",
            "collection": "app.bsky.feed.post",
            "value": {"$type": "app.bsky.feed.post", "text": text, "createdAt": now()},
        }
        for text in texts
    ]
    walt.user.tell("com.atproto.repo.applyWrites", {"repo": walt.user.did, "writes": writes})
    for text in texts:
        sky_relay.wait_post(text)
        for peer in (fred, pia):
            peer.wait_note(text)
    assert len(fred.notes("walt says")) == len(texts)


def test_account_that_pauses_is_gone_and_comes_back_when_it_asks(
    readers: Readers, stack: Stack, fred: Fedify, nostr: Nostr, sky: Bridge, sky_relay: Relay
) -> None:
    xena = readers("xena")
    bot = join(xena, stack, fred)
    xena.user.post("xena before the pause")
    fred.wait_note("xena before the pause")
    event = sky_relay.wait_post("xena before the pause")
    xena.user.tell("com.atproto.server.deactivateAccount", {})
    eventually(lambda: fred.received("Delete", object=xena.ap))
    eventually(lambda: nostr.fetch(sky_relay.url, ids=[event["id"]]) == [])
    xena.user.tell("com.atproto.server.activateAccount")
    xena.user.delete(bot)
    control(fred.port, "forget", {"actor": xena.ap})  # as a server does with an actor that is gone
    join(xena, stack, fred)
    xena.user.post("xena after the pause")
    fred.wait_note("xena after the pause")
    assert sky_relay.wait_post("xena after the pause")["pubkey"] == event["pubkey"]
    assert sky.actor_of(xena.user.handle) == xena.ap


def test_account_deleted_on_its_pds_is_gone_everywhere(
    walt: Reader, stack: Stack, fred: Fedify, pia: Pubby, nostr: Nostr, sky_relay: Relay, sky: Bridge
) -> None:
    walt.user.post("walt's last words")
    event = sky_relay.wait_post("walt's last words")
    fred.wait_note("walt's last words")
    stack.administer("com.atproto.admin.deleteAccount", {"did": walt.user.did})
    for peer in (fred, pia):
        eventually(lambda p=peer: p.received("Delete", object=walt.ap))
    eventually(lambda: nostr.fetch(sky_relay.url, ids=[event["id"]]) == [])
    assert stack.refusals() == []
