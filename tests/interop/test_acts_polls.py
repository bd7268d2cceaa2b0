"""Polls, votes and results: Question and kind 1068, a direct Note and kind 1018."""

import time
from typing import Any

import pytest

from .bridge import Bridge
from .conftest import Cast
from .peers import PUBLIC, Fedify, Nostr, NostrTools, NostrUser, Relay, is_public, many, now, one, tags
from .world import eventually


def test_poll_of_nostr_arrives_as_a_question(cast: Cast, alice_ap: str, fay: Fedify) -> None:
    question = cast.question
    assert (question["type"], question["attributedTo"]) == ("Question", alice_ap)
    assert [(o["type"], o["name"]) for o in question["oneOf"]] == [("Note", "Cats"), ("Note", "Dogs")]
    assert is_public(question)
    assert question["endTime"].startswith(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(cast.until)))
    assert fay.counts(question["id"])["Cats"] == 0


def test_votes_of_the_fediverse_are_secret_on_nostr(
    cast: Cast, fay: Fedify, ana_key: str, relay: Relay, nostr: Nostr
) -> None:
    """Each is signed by a key of its own that has no profile and says nothing of who voted."""

    def look() -> list[dict[str, Any]]:
        votes = nostr.fetch(relay.url, kinds=[1018], _e=[cast.event["id"]])
        assert len(votes) == 3, votes
        return votes

    votes = eventually(look)
    assert sorted(tags(v, "response")[0][0] for v in votes) == ["c1", "d2", "d2"]
    assert len({v["pubkey"] for v in votes} - {ana_key}) == 3
    assert nostr.fetch(relay.url, authors=[v["pubkey"] for v in votes], kinds=[0]) == []
    for vote in votes:
        assert not tags(vote, "proxy")
        assert "acts.test" not in str(vote)
        assert "fedify.test" not in str(vote)


@pytest.fixture(scope="module")
def asked(ana: Fedify, bob: NostrUser, relay: Relay, tools: NostrTools, bridge: Bridge) -> dict[str, Any]:
    """A poll of ana's, in which two vote whom nobody follows: bob, and another at the bridge's own relay."""
    question = ana.poll("tea or coffee?", ["Tea", "Coffee"])
    event = eventually(lambda: relay.posts("tea or coffee?"))[0]
    bob.publish(1018, "", [["e", event["id"]], ["response", "1"]])
    tina = NostrUser(tools, "acts-tina", f"wss://{bridge.host}/relay")
    tina.publish(1018, "", [["e", event["id"]], ["p", event["pubkey"]], ["response", "0"]])
    return {"question": question, "event": event}


def test_question_is_a_poll_on_nostr(asked: dict[str, Any], ana_key: str) -> None:
    event = asked["event"]
    assert (event["kind"], event["pubkey"]) == (1068, ana_key)
    assert tags(event, "option") == [["0", "Tea"], ["1", "Coffee"]]
    assert tags(event, "polltype") == [["singlechoice"]]
    assert int(tags(event, "endsAt")[0][0]) > time.time() + 23 * 3600
    assert tags(event, "proxy") == [[asked["question"], "activitypub"]]


def test_vote_of_nostr_is_counted_by_the_questions_server(asked: dict[str, Any], ana: Fedify, bob: NostrUser) -> None:
    """It arrives as servers send votes: a Note with a name, for the author alone."""
    eventually(lambda: ana.counts(asked["question"]) == {"Tea": 1, "Coffee": 1})
    votes = [a["object"] for a in ana.received("Create") if a["object"].get("inReplyTo") == asked["question"]]
    assert sorted(vote["name"] for vote in votes) == ["Coffee", "Tea"]
    for vote in votes:
        assert many(vote["to"]) == [ana.actor]
        assert not many(vote.get("cc"))
    coffee = next(vote for vote in votes if vote["name"] == "Coffee")
    assert bob.npub in ana.fetch(coffee["attributedTo"])["preferredUsername"]


def test_result_of_a_question_is_told_on_nostr(asked: dict[str, Any], ana: Fedify, relay: Relay, ana_key: str) -> None:
    """Once edited, a poll says so with every count; that is no new edit."""
    note = asked["question"]
    eventually(lambda: sum(ana.counts(note).values()) == 2)
    edited = now()
    ana.update(note, updated=edited, content="<p>tea or coffee or not?</p>")
    ana.update(note, updated=edited)
    ana.update(note, updated=edited, closed=now())
    told = eventually(lambda: relay.posts("The poll has ended"))
    assert len(told) == 1
    assert (told[0]["kind"], told[0]["pubkey"]) == (1111, ana_key)
    assert "Coffee: 1 (50 %)" in told[0]["content"]
    assert tags(told[0], "E")[0][0] == tags(told[0], "e")[0][0] == asked["event"]["id"]
    assert len(relay.posts("tea or coffee or not?")) == 1


def test_poll_of_several_choices(fay: Fedify, alice: NostrUser, alice_ap: str, relay: Relay, nostr: Nostr) -> None:
    """Each choice is a Note of its own there, one vote here."""
    options = [["option", str(n), f"pet {n}"] for n in range(3)]
    event = alice.publish(1068, "which pets?", [*options, ["polltype", "multiplechoice"]])
    question = fay.wait_note("which pets?")
    assert [o["name"] for o in question["anyOf"]] == ["pet 0", "pet 1", "pet 2"]
    fay.vote(question["id"], alice_ap, "pet 2")
    vote = one(nostr, relay, kinds=[1018], _e=[event["id"]])
    assert tags(vote, "response") == [["2"]]
    assert PUBLIC in question["to"]
