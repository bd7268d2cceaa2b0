"""The peers among themselves: where these fail it is the harness; elsewhere it is the bridge."""

from collections.abc import Callable

import pytest

from .conftest import following
from .peers import (
    ANYONE_MAY_QUOTE,
    NOBODY_MAY_QUOTE,
    Fedify,
    NostrTools,
    NostrUser,
    Peer,
    Pubby,
    Relay,
    emoji,
    media,
    now,
    prop,
)  # fmt: skip
from .world import World, eventually

Pair = tuple[Peer, Peer]


@pytest.fixture(params=["fedify to pubby", "pubby to fedify"])
def pair(request: pytest.FixtureRequest, fedify: Fedify, pubby: Pubby) -> Pair:
    """Who acts, and who receives."""
    return (fedify, pubby) if request.param == "fedify to pubby" else (pubby, fedify)


def _post_of(them: Peer, us: Peer) -> str:
    """A post of theirs that we have, since we follow them."""
    following(us, them.actor)
    note = them.post("for those who follow")
    eventually(lambda: [a for a in us.notes("for those who follow") if a["object"]["id"] == note])
    return note


def test_answer_is_edited_and_deleted(pair: Pair) -> None:
    us, them = pair
    answer = us.reply("an anwser", _post_of(them, us), them.actor)
    assert them.wait_note("an anwser")["id"] == answer
    us.edit(answer, "an answer", them.actor)
    eventually(lambda: [u for u in them.received("Update", object=answer) if "an answer" in u["object"]["content"]])
    us.delete(answer, them.actor)
    eventually(lambda: them.received("Delete", object=answer))
    assert len(them.notes("an anwser")) == 1


def test_like_and_boost_are_undone(pair: Pair) -> None:
    us, them = pair
    note = _post_of(them, us)
    acts: list[tuple[str, Callable[[str, str], dict]]] = [("Like", us.like), ("Announce", us.boost)]
    for kind, act in acts:
        sent = act(note, them.actor)
        eventually(lambda kind=kind: them.received(kind, object=note))
        us.undo(sent, them.actor)
        eventually(lambda sent=sent: them.received("Undo", object=sent["id"]))


def test_unfollow_is_understood(pair: Pair) -> None:
    us, them = pair
    following(us, them.actor)
    us.unfollow(them.actor)
    eventually(lambda: us.actor not in them.followers())


def test_wire_log_tells_signature_schemes_apart(fedify: Fedify, pubby: Pubby) -> None:
    """pubby refuses RFC 9421; Fedify remembers what worked."""
    following(fedify, pubby.actor)
    knocks = [(x.scheme, x.status < 300) for x in pubby.deliveries() if f"https://{fedify.host}/" in x.key_id]
    assert knocks[:2] == [("rfc9421", False), ("cavage", True)]
    assert set(knocks[2:]) <= {("cavage", True)}


def test_relay_keeps_what_users_write(alice: NostrUser, bob: NostrUser, relay: Relay) -> None:
    post = alice.note("to be answered")
    bob.reply(post, "answered")
    assert [e["content"] for e in alice.nostr.fetch(relay.url, kinds=[1], _e=[post["id"]])] == ["answered"]
    alice.delete(post)
    assert not alice.nostr.fetch(relay.url, ids=[post["id"]])
    assert [e["id"] for e in relay.admitted()].count(post["id"]) == 1


def _heard(them: Peer, kind: str, **fields: str) -> dict:
    """The newest such activity that arrived."""
    return eventually(lambda: them.received(kind, **fields))[-1]


def test_post_arrives_word_for_word(pair: Pair) -> None:
    """Words that Fedify's own sending would drop: focal point, blurhash, languages."""
    us, them = pair
    attachment = [
        media("image/png", "https://site.test/pixel.png", "a pixel", width=1, blurhash="U0", focalPoint=[0.5, -1]),
        media("video/mp4", "https://site.test/film.mp4", duration="PT3S"),
        media("audio/ogg", "https://site.test/song.ogg"),
    ]  # fmt: skip
    words = {"content": "<p>hallo</p>", "contentMap": {"de": "<p>hallo</p>", "en": "<p>hello</p>"}, "sensitive": True,
             "summary": "careful", "attachment": attachment}  # fmt: skip
    note = us.publish(them.actor, followers=False, **words)
    got = _heard(them, "Create", object=note)["object"]
    assert {k: got[k] for k in words} == words
    assert {k: them.fetch(note)[k] for k in words} == words
    us.update(note, them.actor, followers=False, content="<p>servus</p>")
    assert _heard(them, "Update", object=note)["object"]["content"] == "<p>servus</p>"
    us.delete(note, them.actor)
    _heard(them, "Delete", object=note)
    assert us.world.get(note)[0] == 404


def test_emoji_reactions_arrive_and_are_retracted(pair: Pair) -> None:
    us, them = pair
    note = _post_of(them, us)
    us.react(note, them.actor, "\N{FIRE}")
    assert _heard(them, "EmojiReact", object=note)["content"] == "\N{FIRE}"
    sent = us.react(note, them.actor, ":blob:", emoji("blob", "https://site.test/pixel.png"), kind="Like")
    got = _heard(them, "Like", object=note)
    assert (got["id"], got["tag"][0]["icon"]["url"]) == (sent["id"], "https://site.test/pixel.png")
    us.retract(sent)
    _heard(them, "Undo", object=sent["id"])


def test_poll_counts_votes_and_tells(pair: Pair) -> None:
    us, them = pair
    question = us.poll("tea?", ["yes", "no", "both"], them.actor, followers=False, multiple=True)
    assert [o["name"] for o in _heard(them, "Create", object=question)["object"]["anyOf"]] == ["yes", "no", "both"]
    them.vote(question, us.actor, "yes", "both")
    eventually(lambda: them.counts(question) == {"yes": 1, "no": 0, "both": 1})
    us.update(question, them.actor, followers=False, closed=now())
    told = _heard(them, "Update", object=question)["object"]
    assert (told["votersCount"], told["anyOf"][0]["replies"]["totalItems"]) == (1, 1)


def test_quote_is_asked_for_and_answered(pair: Pair) -> None:
    us, them = pair
    note = them.publish(content="<p>quote me</p>", interactionPolicy=ANYONE_MAY_QUOTE)
    quoting = us.quote("as they say", note, them.actor, followers=False)
    assert _heard(them, "Create", object=quoting)["object"]["quoteUrl"] == note
    request = us.request_quote(quoting, note, them.actor)
    answer = eventually(lambda: us.quote_answer(request))
    assert answer["type"] == "Accept"
    permission = us.fetch(answer["result"])
    assert (permission["interactingObject"], permission["interactionTarget"]) == (quoting, note)
    us.update(quoting, them.actor, followers=False, quoteAuthorization=answer["result"])
    assert _heard(them, "Update", object=quoting)["object"]["quoteAuthorization"] == answer["result"]


def test_quote_is_refused_as_the_policy_says(fedify: Fedify, pubby: Pubby) -> None:
    note = fedify.publish(content="<p>do not quote me</p>", interactionPolicy=NOBODY_MAY_QUOTE)
    request = pubby.request_quote(pubby.quote("as they say", note), note, fedify.actor)
    assert eventually(lambda: pubby.quote_answer(request))["type"] == "Reject"


def test_direct_message_is_for_its_reader_alone(pair: Pair) -> None:
    us, them = pair
    us.post("not a letter")
    us.dm("a letter", them.actor)
    letter = eventually(lambda: them.dms("a letter"))[0]
    assert (letter["to"], letter["cc"]) in ([[them.actor], []], (them.actor, []), ([them.actor], []))
    assert not them.dms("not a letter")


def test_block_and_report_arrive(pair: Pair) -> None:
    us, them = pair
    note = _post_of(them, us)
    us.flag(them.actor, note, comment="spam")
    report = _heard(them, "Flag")
    assert (report["object"], report["content"]) == ([them.actor, note], "spam")
    block = us.block(them.actor)
    _heard(them, "Block", object=them.actor)
    us.retract(block)
    _heard(them, "Undo", object=block["id"])


def test_profile_changes_and_moves(pair: Pair, cavage: Fedify) -> None:
    us, them = pair
    following(them, us.actor)
    table = [prop("Web", '<a href="https://site.test/">site.test</a>'), prop("Pronouns", "they")]
    us.profile(attachment=table)
    got = _heard(them, "Update", object=us.actor)["object"]["attachment"]
    assert [(row["type"], row["name"], row["value"]) for row in got] == [tuple(row.values()) for row in table]
    cavage.profile(alsoKnownAs=[us.actor])
    try:
        us.move(cavage.actor)
        assert _heard(them, "Move", object=us.actor)["target"] == cavage.actor
        assert them.fetch(us.actor)["movedTo"] == cavage.actor
        assert us.actor in them.fetch(cavage.actor)["alsoKnownAs"]
    finally:
        us.profile(movedTo=None, attachment=[])
        cavage.profile(alsoKnownAs=[])
    assert not them.fetch(us.actor).get("movedTo")


def test_pins_are_told_and_read(pair: Pair) -> None:
    us, them = pair
    following(them, us.actor)
    note = us.publish(content="<p>on top</p>")
    us.pin(note)
    assert _heard(them, "Add", object=note)["target"] == us.fetch(us.actor)["featured"]
    assert them.featured(us.actor) == [note]
    us.unpin(note)
    _heard(them, "Remove", object=note)
    assert them.featured(us.actor) == []


def test_group_tells_on_whole_activities(group: Fedify, fedify: Fedify, pubby: Pubby) -> None:
    following(fedify, group.actor)
    note = pubby.publish(group.actor, content="<p>a bird</p>", audience=group.actor)
    create = _heard(group, "Create", object=note)
    group.announce(create)
    told = eventually(lambda: fedify.received("Announce", object=create["id"], actor=group.actor))[0]
    assert told["object"]["object"]["content"] == "<p>a bird</p>"
    assert fedify.fetch(group.actor)["type"] == "Group"


def test_collections_are_read_and_pages_lead_to_posts(pair: Pair, world: World) -> None:
    us, them = pair
    following(them, us.actor)
    assert them.actor in us.collection(us.followers_url)["items"]
    note = them.publish(content="<p>found by its page</p>")
    page = f'<html><head><link rel="alternate" type="application/activity+json" href="{note}"></head></html>'
    world.site.pages["site.test", "/page"] = ("text/html", page.encode())
    assert us.fetch("https://site.test/page")["id"] == note


def test_nostr_tools_user_writes_letters_and_listens(tools: NostrTools, relay: Relay, alice: NostrUser) -> None:
    tess = NostrUser(tools, "interop-tess", relay.url)
    watch = tools.watch(relay.url, authors=[alice.public], kinds=[1], limit=0)
    eventually(lambda: watch.seen()["eose"])
    post = alice.note("tess hears this")
    assert eventually(lambda: watch.events("tess hears this")) == [post]
    watch.close()
    answer = tess.reply(post, "and tess answers")
    assert tools.fetch(relay.url, _e=[post["id"]]) == [answer]
    assert tools.count(relay.url, _e=[post["id"]]) == 1
    assert tools.dm(tess.key, alice.public, "for alice", relay.url)["ok"] == [relay.url]
    letters = tools.dms(alice.key, relay.url)
    assert [(x["from"], x["kind"], x["content"]) for x in letters] == [(tess.public, 14, "for alice")]
    assert tools.dms(tess.key, relay.url) == []
    assert tools.nip05("alice@site.test")["pubkey"] == alice.public
    forged = {**answer, "content": "forged"}
    assert relay.url in tools.send(forged, relay.url)["failed"]
    assert relay.url in alice.nostr.send(forged, relay.url)["failed"]
