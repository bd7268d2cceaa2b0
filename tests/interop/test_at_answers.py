"""What somebody with an account on a real PDS does with people of other networks arrives there, and what these do in
turn is shown by the AppView and told to that account. She never asked to be bridged: `answers: bridge`."""

from dataclasses import dataclass
from typing import Any

import pytest

from .atproto import Stack, authors
from .conftest import Ghosts, Reader, Readers
from .peers import Fedify, Nostr, NostrUser, Peer, Pubby, Relay, ident, many, one, tags
from .world import AS2, World, eventually


@pytest.fixture(scope="module")
def tess(readers: Readers) -> Reader:
    """She follows all three; that makes her ghosts."""
    return readers("tess")


@dataclass(frozen=True)
class Talk:
    """A post of a peer's, as that peer and the AppView have it, and her answer to it, as both have it."""

    peer: Peer
    did: str
    note: str
    post: dict[str, Any]
    answer: dict[str, Any]
    heard: str


@pytest.fixture(scope="module", params=["fred", "pia"])
def talk(request: pytest.FixtureRequest, stack: Stack, tess: Reader, ghosts: Ghosts) -> Talk:
    peer: Peer = request.getfixturevalue(request.param)
    did = getattr(ghosts, request.param)
    note = peer.post(f"{peer.user} says something")
    post = stack.said(did, f"{peer.user} says something")
    answer = tess.user.reply(f"tess answers {peer.user}", post)
    return Talk(peer, did, note, post, answer, peer.wait_note(f"tess answers {peer.user}")["id"])


@dataclass(frozen=True)
class NostrTalk:
    event: dict[str, Any]
    post: dict[str, Any]
    answer: dict[str, Any]
    heard: dict[str, Any]


@pytest.fixture(scope="module")
def nostr_talk(stack: Stack, nora: NostrUser, tess: Reader, ghosts: Ghosts, sky_relay: Relay) -> NostrTalk:
    event = nora.note("nora says something")
    post = stack.said(ghosts.nora, "nora says something")
    answer = tess.user.reply("tess answers nora", post)
    return NostrTalk(event, post, answer, sky_relay.wait_post("tess answers nora"))


def test_follow_arrives(
    tess: Reader, fred: Fedify, pia: Pubby, nora: NostrUser, nostr: Nostr, sky_relay: Relay
) -> None:
    for peer in (fred, pia):
        eventually(lambda p=peer: p.received("Follow", actor=tess.ap, object=p.actor))
        eventually(lambda p=peer: tess.ap in p.followers())
    followed = eventually(lambda: nostr.fetch(sky_relay.url, kinds=[3], authors=[tess.key]))[-1]
    assert [nora.public] in [tag[:1] for tag in tags(followed, "p")]


def test_reply_arrives_at_the_fediverse(talk: Talk, tess: Reader) -> None:
    note = talk.peer.wait_note(f"tess answers {talk.peer.user}")
    assert note["inReplyTo"] == talk.note
    assert ident(note["attributedTo"]) == tess.ap
    assert talk.peer.actor in [t["href"] for t in many(note["tag"]) if t["type"] == "Mention"]
    origins = [link["href"] for link in many(note["url"]) if isinstance(link, dict) and link.get("rel") == "canonical"]
    assert origins == [talk.answer["uri"]]


def test_reply_arrives_on_nostr(nostr_talk: NostrTalk, tess: Reader, nora: NostrUser) -> None:
    event = nostr_talk.heard
    assert event["pubkey"] == tess.key
    assert tags(event, "e")[0][0] == nostr_talk.event["id"]
    assert [nora.public] in [tag[:1] for tag in tags(event, "p")]
    assert tags(event, "proxy") == [[nostr_talk.answer["uri"], "atproto"]]


def test_like_repost_and_their_ends_arrive_at_the_fediverse(talk: Talk, tess: Reader) -> None:
    like, repost = tess.user.like(talk.post), tess.user.repost(talk.post)
    liked = eventually(lambda: talk.peer.received("Like", actor=tess.ap, object=talk.note))[0]
    shared = eventually(lambda: talk.peer.received("Announce", actor=tess.ap, object=talk.note))[0]
    tess.user.delete(like)
    tess.user.delete(repost)
    for said in (liked, shared):
        eventually(lambda s=said: talk.peer.received("Undo", actor=tess.ap, object=s["id"]))


def test_like_repost_and_their_ends_arrive_on_nostr(
    nostr_talk: NostrTalk, tess: Reader, nostr: Nostr, sky_relay: Relay
) -> None:
    like, repost = tess.user.like(nostr_talk.post), tess.user.repost(nostr_talk.post)
    about = {"authors": [tess.key], "_e": [nostr_talk.event["id"]]}
    made = [one(nostr, sky_relay, kinds=[kind], **about) for kind in (7, 6)]
    assert made[0]["content"] == "+"
    tess.user.delete(like)
    tess.user.delete(repost)
    for event in made:
        one(nostr, sky_relay, kinds=[5], authors=[tess.key], _e=[event["id"]])
        assert nostr.fetch(sky_relay.url, ids=[event["id"]]) == []


def test_quote_arrives(talk: Talk, nostr_talk: NostrTalk, tess: Reader, sky_relay: Relay) -> None:
    tess.user.quote(f"tess quotes {talk.peer.user}", talk.post)
    note = talk.peer.wait_note(f"tess quotes {talk.peer.user}")
    assert note["quoteUrl"] == talk.note
    tess.user.quote(f"tess quotes nora, {talk.peer.user}", nostr_talk.post)
    event = sky_relay.wait_post(f"tess quotes nora, {talk.peer.user}")
    assert tags(event, "q")[0][0] == nostr_talk.event["id"]


def test_edited_profile_arrives(
    tess: Reader, nostr_talk: NostrTalk, nostr: Nostr, sky_relay: Relay, world: World
) -> None:
    tess.user.profile(displayName="Tess the Second", description="tried things out")

    def look() -> bool:
        [event] = nostr.fetch(sky_relay.url, kinds=[0], authors=[tess.key])
        assert "Tess the Second" in event["content"]
        assert world.get_json(tess.ap)["name"] == "Tess the Second"
        return True

    assert eventually(look)


def test_like_and_repost_by_the_fediverse_are_shown_and_told(talk: Talk, tess: Reader, stack: Stack) -> None:
    uri = talk.answer["uri"]
    like, boost = talk.peer.like(talk.heard, tess.ap), talk.peer.boost(talk.heard, tess.ap)
    for reason in ("like", "repost"):
        assert tess.user.wait_notice(reason, talk.did)["reasonSubject"] == uri
    assert talk.did in authors(stack.appview("app.bsky.feed.getLikes", uri=uri)["likes"])
    shared = stack.appview("app.bsky.feed.getRepostedBy", uri=uri)["repostedBy"]
    assert talk.did in [who["did"] for who in shared]
    talk.peer.undo(like, tess.ap)
    talk.peer.undo(boost, tess.ap)
    eventually(lambda: (stack.post(uri)["likeCount"], stack.post(uri)["repostCount"]) == (0, 0))


def test_like_and_repost_by_nostr_are_shown_and_told(
    nostr_talk: NostrTalk, nora: NostrUser, ghosts: Ghosts, tess: Reader, stack: Stack
) -> None:
    uri = nostr_talk.answer["uri"]
    like, repost = nora.like(nostr_talk.heard), nora.repost(nostr_talk.heard)
    for reason in ("like", "repost"):
        assert tess.user.wait_notice(reason, ghosts.nora)["reasonSubject"] == uri
    assert authors(stack.appview("app.bsky.feed.getLikes", uri=uri)["likes"]) == {ghosts.nora}
    shared = stack.appview("app.bsky.feed.getRepostedBy", uri=uri)["repostedBy"]
    assert [who["did"] for who in shared] == [ghosts.nora]
    nora.delete(like)
    nora.delete(repost)
    eventually(lambda: (stack.post(uri)["likeCount"], stack.post(uri)["repostCount"]) == (0, 0))


def test_reply_by_the_fediverse_is_in_the_thread(talk: Talk, tess: Reader, stack: Stack) -> None:
    talk.peer.reply(f"{talk.peer.user} answers back", talk.heard, tess.ap)
    told = tess.user.wait_notice("reply", talk.did)
    assert told["record"]["text"].endswith(f"{talk.peer.user} answers back")
    assert told["record"]["reply"]["root"]["uri"] == talk.post["uri"]
    shown = stack.appview("app.bsky.feed.getPostThread", uri=talk.post["uri"])["thread"]
    [answer] = [r for r in shown["replies"] if r["post"]["uri"] == talk.answer["uri"]]
    assert [r["post"]["uri"] for r in answer["replies"]] == [told["uri"]]


def test_reply_by_nostr_is_in_the_thread(
    nostr_talk: NostrTalk, nora: NostrUser, ghosts: Ghosts, tess: Reader, stack: Stack
) -> None:
    nora.reply(nostr_talk.heard, "nora answers back")
    told = tess.user.wait_notice("reply", ghosts.nora)
    assert told["record"]["reply"]["root"]["uri"] == nostr_talk.post["uri"]
    shown = stack.appview("app.bsky.feed.getPostThread", uri=nostr_talk.post["uri"])["thread"]
    [answer] = [r for r in shown["replies"] if r["post"]["uri"] == nostr_talk.answer["uri"]]
    assert [r["post"]["uri"] for r in answer["replies"]] == [told["uri"]]


def test_follow_of_somebody_not_bridged_is_refused(talk: Talk, tess: Reader) -> None:
    talk.peer.follow(tess.ap)
    eventually(lambda: talk.peer.received("Reject", actor=tess.ap))
    assert tess.ap not in talk.peer.following()


def test_deleted_reply_is_gone(
    talk: Talk, nostr_talk: NostrTalk, tess: Reader, nostr: Nostr, sky_relay: Relay, world: World
) -> None:
    said = tess.user.reply(f"tess regrets, {talk.peer.user}", talk.post)
    note = talk.peer.wait_note(f"tess regrets, {talk.peer.user}")["id"]
    to_nora = tess.user.reply(f"tess regrets too, {talk.peer.user}", nostr_talk.post)
    event = sky_relay.wait_post(f"tess regrets too, {talk.peer.user}")
    tess.user.delete(said)
    tess.user.delete(to_nora)
    eventually(lambda: talk.peer.received("Delete", object=note))
    assert eventually(lambda: world.get(note, AS2)[0] == 410)
    one(nostr, sky_relay, kinds=[5], authors=[tess.key], _e=[event["id"]])


def test_end_of_a_follow_arrives(
    stack: Stack, ghosts: Ghosts, tess: Reader, fred: Fedify, nora: NostrUser, nostr: Nostr, sky_relay: Relay
) -> None:
    listed = tess.user.ask("com.atproto.repo.listRecords", repo=tess.user.did, collection="app.bsky.graph.follow")
    for record in listed["records"]:
        if record["value"]["subject"] in (ghosts.fred, ghosts.nora):
            tess.user.delete(record)
    eventually(lambda: tess.ap not in fred.followers())

    def look() -> bool:
        newest = nostr.fetch(sky_relay.url, kinds=[3], authors=[tess.key])[-1]
        assert [nora.public] not in [tag[:1] for tag in tags(newest, "p")]
        return True

    assert eventually(look)


def test_block_arrives(
    ghosts: Ghosts, tess: Reader, fred: Fedify, nora: NostrUser, nostr: Nostr, sky_relay: Relay
) -> None:
    """On Nostr as what that has: the public part of a mute list."""
    tess.user.block(ghosts.fred)
    eventually(lambda: fred.received("Block", actor=tess.ap, object=fred.actor))
    tess.user.block(ghosts.nora)
    muted = one(nostr, sky_relay, kinds=[10000], authors=[tess.key])
    assert [nora.public] in [tag[:1] for tag in tags(muted, "p")]


def test_nothing_was_refused(stack: Stack, pia: Pubby, ghosts: Ghosts, tess: Reader) -> None:
    pia.post("the last of all answers")  # whom tess follows still
    stack.said(ghosts.pia, "the last of all answers")
    assert stack.refusals() == []
