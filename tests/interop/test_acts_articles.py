"""Articles (kind 30023) and what is said about them: comments (kind 1111)."""

from typing import Any

import pytest

from .peers import Fedify, Nostr, NostrUser, Relay, tags
from .world import World, eventually


@pytest.fixture(scope="module")
def essay(ana: Fedify, relay: Relay) -> tuple[str, Any]:
    """An Article of ana's and its event."""
    html = "<h2>Part one</h2><p>Birds <em>sing</em>, see <a href='https://site.test/b'>here</a>.</p><ul><li>robin</li></ul>"
    note = ana.publish(type="Article", name="On birds", summary="<p>why they sing</p>", content=html)
    return note, eventually(lambda: [e for e in relay.posts("Part one") if e["kind"] == 30023])[0]


def test_article_of_the_fediverse_is_markdown(essay: tuple[str, Any], ana_key: str) -> None:
    note, event = essay
    assert event["pubkey"] == ana_key
    assert tags(event, "title") == [["On birds"]]
    assert tags(event, "summary") == [["why they sing"]]
    assert "_sing_" in event["content"]
    assert "[here](https://site.test/b)" in event["content"]
    assert tags(event, "published_at") == [[str(event["created_at"])]]
    assert tags(event, "proxy") == [[note, "activitypub"]]


def test_edited_article_is_a_replacement(essay: tuple[str, Any], ana: Fedify, relay: Relay, nostr: Nostr) -> None:
    note, event = essay
    ana.update(note, content="<p>Birds hum</p>")
    eventually(lambda: relay.posts("Birds hum"))
    stored = nostr.fetch(relay.url, kinds=[30023], authors=[event["pubkey"]])
    assert [(e["content"], tags(e, "d")) for e in stored] == [("Birds hum", tags(event, "d"))]


def test_comment_on_an_article_answers_it(essay: tuple[str, Any], ana: Fedify, ana_key: str, bob: NostrUser) -> None:
    note, event = essay
    address = f"30023:{ana_key}:{tags(event, 'd')[0][0]}"
    root = [["A", address, bob.relay, ana_key], ["K", "30023"], ["P", ana_key]]
    parent = [["a", address, bob.relay, ana_key], ["e", event["id"], bob.relay], ["k", "30023"], ["p", ana_key]]
    bob.publish(1111, "bob comments on birds", [*root, *parent])
    assert ana.wait_note("bob comments on birds")["inReplyTo"] == note


def test_article_of_nostr_and_its_comments(
    fay: Fedify, alice: NostrUser, alice_ap: str, relay: Relay, world: World
) -> None:
    about = [["d", "on-fish"], ["title", "On fish"], ["summary", "why they do not"], ["t", "fish"]]
    event = alice.publish(30023, "## Part two\n\nFish are *silent*, see [here](https://site.test/f).", about)
    article = eventually(lambda: fay.notes("Part two"))[0]["object"]
    assert (article["type"], article["name"], article["attributedTo"]) == ("Article", "On fish", alice_ap)
    assert "<em>silent</em>" in article["content"]
    assert 'href="https://site.test/f"' in article["content"]
    assert "why they do not" in article["summary"]
    fay.reply("fay comments on fish", article["id"], alice_ap)
    comment = eventually(lambda: relay.posts("fay comments on fish"))[0]
    address = f"30023:{alice.public}:on-fish"
    assert comment["kind"] == 1111
    assert (tags(comment, "A")[0][0], tags(comment, "a")[0][0]) == (address, address)
    assert (tags(comment, "K"), tags(comment, "k")) == ([["30023"]], [["30023"]])
    alice.publish(1111, "alice thanks fay", [*_root(address, alice), ["e", comment["id"], alice.relay],
                  ["k", "1111"], ["p", comment["pubkey"]]])  # fmt: skip
    assert fay.wait_note("alice thanks fay")["inReplyTo"] == tags(comment, "proxy")[0][0]
    alice.publish(30023, "Fish hum", about, at=event["created_at"] + 1)
    update = eventually(lambda: fay.received("Update", object=article["id"]))[0]
    assert "Fish hum" in update["object"]["content"]
    assert "Fish hum" in world.get_json(article["id"])["content"]


def _root(address: str, author: NostrUser) -> list[list[str]]:
    return [["A", address, author.relay, author.public], ["K", "30023"], ["P", author.public]]
