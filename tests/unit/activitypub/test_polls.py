"""Polls, votes and results, both ways."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bridged.api import (
    Activity,
    Copy,
    Edit,
    Malformed,
    Option,
    Poll,
    Post,
    Ref,
    Rejected,
    Tally,
    Vote,
)
from tests.unit.activitypub.fake import NOW
from tests.unit.activitypub.hearing import ALICE, act, ap, heard, note, one
from tests.unit.activitypub.telling import ACT, ACTOR, BOB, PARENT, POST, URLS, body, first, said, view

YES_NO = [
    {"type": "Note", "name": "yes", "replies": {"type": "Collection", "totalItems": 2}},
    {"type": "Note", "name": "no", "replies": {"type": "Collection", "totalItems": 1}},
]


def question(**more: Any) -> dict[str, Any]:
    return note(type="Question", oneOf=YES_NO, **more)


def ballot(name: str, **more: Any) -> dict[str, Any]:
    base = {"id": f"https://peer.test/v/{name}", "type": "Note", "name": name, "attributedTo": ALICE}
    return {
        **base,
        "inReplyTo": "https://bridge.test/objects/nostr/1",
        "to": "https://bridge.test/users/nostr/x",
        **more,
    }


@pytest.mark.parametrize(
    ("more", "poll"),
    [
        ({}, Poll((Option("yes", "yes", 2), Option("no", "no", 1)), voters=3)),
        ({"votersCount": 9}, Poll((Option("yes", "yes", 2), Option("no", "no", 1)), voters=9)),
        (
            {"oneOf": None, "anyOf": YES_NO, "votersCount": 2, "endTime": "2026-09-22T10:00:00Z"},
            Poll((Option("yes", "yes", 2), Option("no", "no", 1)), multiple=True, ends=1_790_071_200.0, voters=2),
        ),
        (
            {"oneOf": YES_NO[:1] * 2, "closed": "2026-09-20T10:00:00Z"},
            Poll((Option("yes", "yes", 2),), ends=1_789_898_400.0, closed=True, voters=2),
        ),
        ({"oneOf": [{"name": "a"}, {"name": ""}, "x"], "closed": True}, Poll((Option("a", "a"),), closed=True)),
        ({"oneOf": [{"name": "a", "replies": {"totalItems": -4}}]}, Poll((Option("a", "a"),))),
        ({"oneOf": []}, None),
    ],
)
def test_question_is_a_poll(more: dict[str, Any], poll: Poll | None):
    found = one(note(**{"type": "Question", "oneOf": YES_NO, **more})).act.body
    assert (found.poll, found.text.plain, found.title) == (poll, "hi", "")


def test_new_counts_are_a_tally_and_no_edit():
    (activity,) = heard(act("Update", question()))
    assert isinstance(activity.act, Tally)
    assert activity.act.target == ap("https://peer.test/notes/1")
    assert [option.votes for option in activity.act.poll.options] == [2, 1]


def test_new_words_of_a_poll_are_an_edit_and_a_tally():
    edit, tally = heard(act("Update", question(updated="2026-09-21T11:00:00Z")))
    assert isinstance(edit.act, Edit)
    assert isinstance(tally.act, Tally)
    assert edit.ref != tally.ref


@pytest.mark.parametrize("content", [None, "", "<br>"])
def test_vote_names_its_choice(content: object):
    activity = one(act("Create", ballot("yes", content=content)))
    assert activity.act == Vote(ap("https://bridge.test/objects/nostr/1"), ("yes",), named=True)
    assert activity.ref == ap("https://peer.test/a/1")


def test_vote_for_several_is_one():
    assert one(act("Create", [ballot("yes"), ballot("no")])).act.choices == ("yes", "no")


def test_ballots_of_two_polls_are_no_vote():
    assert heard(act("Create", [ballot("yes"), ballot("no", inReplyTo="https://b.test/1")])) == []


def test_vote_in_the_name_of_another_is_refused():
    with pytest.raises(Malformed):
        heard(act("Create", [ballot("yes"), ballot("no", attributedTo="https://peer.test/users/eve")]))


def test_note_with_words_or_pictures_is_no_vote():
    assert isinstance(one(act("Create", ballot("yes", content="<p>and</p>", to="as:Public"))).act, Post)


POLL = Poll((Option("0", "yes", 2), Option("1", "no", 1)), ends=NOW + 60, voters=3)


def test_poll_is_a_question():
    asked = first(Post(body(poll=POLL)), POST)["object"]
    assert (asked["type"], asked["oneOf"], asked["votersCount"]) == ("Question", YES_NO, 3)
    assert asked["endTime"] == "2026-09-21T14:14:20Z"
    assert "closed" not in asked
    over = first(Post(body(poll=replace(POLL, multiple=True, closed=True, ends=NOW - 5))), POST)["object"]
    assert over["anyOf"] == YES_NO
    assert over["closed"] == over["endTime"] == "2026-09-21T14:13:15Z"


def test_poll_comes_back_as_it_was_said():
    (part,) = said(Post(body(poll=POLL)), POST).parts
    back = one(json.loads(part.body), ACTOR).act.body.poll
    assert back == replace(POLL, options=(Option("yes", "yes", 2), Option("no", "no", 1)))


def test_tally_changes_the_counts_alone():
    served = said(Post(body("words", poll=POLL)), POST).parts[0].served
    seen = view(previous=(Copy(POST, "activitypub", 0, ap(URLS.object(POST)), served),))
    poll = replace(POLL, options=(Option("1", "no", 7), Option("0", "yes", 4), Option("2", "new", 1)), voters=11)
    changed, kept = said(Tally(POST, replace(poll, closed=True)), seen=seen).parts
    update, now = json.loads(changed.body), json.loads(changed.served)
    assert update["type"] == "Update"
    assert [option["replies"]["totalItems"] for option in now["oneOf"]] == [4, 7]
    assert now["votersCount"] == 11
    assert now["closed"]
    assert "updated" not in now
    before = json.loads(served)
    assert {**now, "oneOf": before["oneOf"], "votersCount": 3} | {"closed": 0} == {**before, "closed": 0}
    assert (changed.of, kept.of, kept.endpoints) == (POST, ACT, ())


def test_tally_of_what_is_no_poll_here_is_rejected():
    served = said(Post(body()), POST).parts[0].served
    for copies in ((), (Copy(POST, "activitypub", 0, ap(URLS.object(POST)), served),)):
        with pytest.raises(Rejected):
            said(Tally(POST, POLL), seen=view(previous=copies))


def voting(poll: Poll) -> Any:
    asked = Post(replace(body(poll=poll), ref=PARENT, author=BOB.ref))
    return view(subject=Activity(PARENT, BOB.ref, NOW, asked))


@pytest.mark.parametrize("choices", [("0", "1"), ("yes", "no")])
def test_vote_is_a_note_for_each_choice_to_the_author_alone(choices: tuple[str, ...]):
    parts = said(Vote(PARENT, choices), seen=voting(replace(POLL, multiple=True))).parts
    assert [part.number for part in parts] == [0, 1]
    for part, name in zip(parts, ("yes", "no"), strict=True):
        create = json.loads(part.body)
        ballot = create["object"]
        assert (create["type"], create["to"], create["cc"]) == ("Create", [BOB.ref.id], [])
        assert (ballot["name"], ballot["inReplyTo"], ballot["to"]) == (name, PARENT.id, [BOB.ref.id])
        assert "content" not in ballot
        assert part.endpoints == (BOB.endpoint,)
        assert part.served == b""
        assert one(create, ACTOR).act == Vote(PARENT, (name,), named=True)
    assert parts[0].ref != parts[1].ref


def test_vote_in_a_poll_of_one_choice_names_one():
    out = said(Vote(PARENT, ("0", "1")), seen=voting(POLL))
    assert len(out.parts) == len(out.losses) == 1


@pytest.mark.parametrize("choices", [(), ("perhaps",)])
def test_vote_for_nothing_is_rejected(choices: tuple[str, ...]):
    with pytest.raises(Rejected):
        said(Vote(PARENT, choices), seen=voting(POLL))
    with pytest.raises(Rejected):
        said(Vote(Ref("nostr", "99" * 32), ("0",)))
