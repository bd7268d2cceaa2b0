"""Reports, moves, pins, messages, zaps, and what groups pass on, both ways."""

import json
from dataclasses import replace
from typing import Any

import pytest

from adapters.activitypub.ids import native
from bridged.api import (
    Block,
    Copy,
    Malformed,
    Message,
    Move,
    Pin,
    React,
    Ref,
    Reject,
    Rejected,
    Report,
    Repost,
    Span,
    Text,
    There,
    Zap,
)
from tests.unit.activitypub.fake import GHOST, NOW, PUBLIC
from tests.unit.activitypub.hearing import ALICE, act, ap, heard, note, one
from tests.unit.activitypub.telling import (
    ACT,
    ACTOR,
    BOB,
    FOLLOWERS,
    NOBODY,
    OTHER,
    OTHERS_GHOST,
    PARENT,
    POST,
    URLS,
    first,
    said,
    view,
)

FEATURED = f"{ALICE}/collections/featured"
NOTE = "https://peer.test/notes/1"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            act("Flag", ["https://b.test/u", "https://b.test/n/1"], content="<p>spam &amp; lies</p>"),
            Report(ap("https://b.test/u"), (ap("https://b.test/n/1"),), text="spam & lies"),
        ),
        (act("Flag", {"id": "https://b.test/u", "type": "Person"}), Report(ap("https://b.test/u"))),
        (act("Move", ALICE, target="https://new.test/alice"), Move(ap("https://new.test/alice"))),
        (act("Move", ALICE), None),
        (act("Move", ALICE, target=ALICE), None),
        (act("Add", NOTE, target=FEATURED), Pin(ap(NOTE))),
        (act("Remove", {"id": NOTE, "type": "Note"}, target=FEATURED), Pin(ap(NOTE), pinned=False)),
        (act("Add", {"id": "https://peer.test/tags/x", "type": "Hashtag"}, target=FEATURED), None),
        (act("Add", NOTE, target=f"{ALICE}/collections/tags"), None),
        (act("Add", NOTE, target="https://b.test/featured"), None),
        (act("Add", "https://b.test/n/1", target=FEATURED), None),
        (act("Add", NOTE), None),
        (act("Block", "https://b.test/u", target="https://peer.test/c/cats"), None),
        (act("Block", "https://b.test/u"), Block(ap("https://b.test/u"))),
        (
            act("Undo", {"id": "https://peer.test/a/9", "type": "Accept", "object": "https://b.test/f"}),
            Reject(ap("https://b.test/f")),
        ),
        (act("Undo", {"id": "https://peer.test/a/9", "type": "Accept", "object": {}}), None),
        (
            act("Like", NOTE, content=":blob@b.test:", tag={"type": "Emoji", "name": "blob", "icon": {"url": "https://b.test/b"}}),
            React(ap(NOTE), ":blob:", "https://b.test/b"),
        ),
        (act("EmojiReact", NOTE, content="🔥"), React(ap(NOTE), "🔥")),
        (act("Like", NOTE, _misskey_reaction="👍"), React(ap(NOTE), "👍")),
    ],
)  # fmt: skip
def test_activity_says(document: dict[str, Any], expected: object):
    assert [activity.act for activity in heard(document)] == ([] if expected is None else [expected])


def test_move_of_somebody_else_is_malformed():
    with pytest.raises(Malformed):
        heard(act("Move", "https://peer.test/users/eve", target="https://new.test/eve"))


def test_words_for_some_alone_are_a_message():
    direct = note(
        to=["https://b.test/bot"], cc="https://b.test/u", inReplyTo="https://b.test/n", content="<p>start</p>"
    )
    activity = one(act("Create", direct))
    assert activity.act == Message(
        (ap("https://b.test/bot"), ap("https://b.test/u")), Text("start"), ap("https://b.test/n")
    )
    assert activity.ref == ap(direct["id"])


def group(kind: str, inner: object) -> dict[str, Any]:
    passed = {"id": "https://b.test/a/5", "type": kind, "actor": "https://b.test/u", "object": inner}
    return act("Announce", passed, to=PUBLIC)


def test_group_shows_what_its_members_say_once():
    made, changed = one(group("Create", {"id": NOTE, "type": "Page"})), one(group("Update", NOTE))
    assert made.act == changed.act == Repost(ap(NOTE))
    assert made.ref == changed.ref
    assert made.ref != one(group("Create", "https://b.test/n/2")).ref


@pytest.mark.parametrize("kind", ["Like", "Dislike", "Delete", "Undo", "Lock", "Add"])
def test_group_says_nothing_else(kind: str):
    assert heard(group(kind, NOTE)) == []


def test_report_goes_to_the_server_of_the_account_alone():
    (part,) = said(Report(BOB.ref, (PARENT, Ref("nostr", "77" * 32)), "spam", "go away")).parts
    flag = json.loads(part.body)
    assert (flag["type"], flag["actor"]) == ("Flag", ACTOR)
    assert flag["object"] == [BOB.ref.id, PARENT.id]
    assert flag["content"] == "spam: go away"
    assert (part.endpoints, part.served) == ((BOB.endpoint,), b"")
    assert first(Report(BOB.ref, text="x"))["content"] == "x"


def test_report_of_an_account_from_elsewhere_is_rejected():
    with pytest.raises(Rejected):
        said(Report(OTHER.ref))


def test_zap_is_a_like_and_says_what_is_lost():
    out = said(Zap(PARENT, 21_000_500, "thanks"))
    like = json.loads(out.parts[0].body)
    assert (like["type"], like["object"], like["to"]) == ("Like", PARENT.id, [BOB.ref.id])
    assert out.losses == ("a zap of 21000 sats is shown as a like",)
    with pytest.raises(Rejected):
        said(Zap(POST, 1))


@pytest.mark.parametrize(("pinned", "kind"), [(True, "Add"), (False, "Remove")])
def test_pin_is_an_add_to_the_featured(pinned: bool, kind: str):
    own = native(URLS.object(POST))
    seen = replace(view(), there={POST: There(POST, own, GHOST.ref)})
    document = first(Pin(POST, pinned), seen=seen)
    assert (document["type"], document["object"], document["target"]) == (kind, own.id, f"{ACTOR}/collections/featured")
    assert (document["to"], document["cc"]) == ([PUBLIC], [FOLLOWERS])
    assert heard(document, ACTOR)[0].act == Pin(own, pinned)
    with pytest.raises(Rejected):
        said(Pin(POST))


@pytest.mark.parametrize(("target", "there"), [(BOB.ref, BOB.ref), (OTHER.ref, OTHERS_GHOST.ref)])
def test_move_is_said_to_followers_and_on_the_actor(target: Ref, there: Ref):
    shown, told = said(Move(target)).parts
    move, actor = json.loads(told.body), json.loads(shown.served)
    assert (move["type"], move["object"], move["target"], move["to"]) == ("Move", ACTOR, there.id, [FOLLOWERS])
    assert (actor["id"], actor["movedTo"]) == (ACTOR, there.id)
    assert (shown.of, shown.ref, shown.body) == (GHOST.owner, GHOST.ref, b"")
    assert heard(move, ACTOR)[0].act == Move(there)


def test_move_keeps_the_profile_that_stands():
    own = Copy(GHOST.owner, "activitypub", 0, GHOST.ref, json.dumps({"id": ACTOR, "name": "as it was"}).encode())
    shown, _ = said(Move(BOB.ref), seen=view(own=(own,))).parts
    assert json.loads(shown.served)["name"] == "as it was"


def test_move_to_nobody_here_is_rejected():
    with pytest.raises(Rejected):
        said(Move(NOBODY.ref))


def test_message_is_a_note_for_those_addressed_alone():
    words = Text("welcome, @bob", (Span(9, 13, "mention", BOB.ref),))
    (part,) = said(Message((BOB.ref,), words, PARENT)).parts
    create = json.loads(part.body)
    for document in (create, create["object"]):
        assert (document["to"], document["cc"]) == ([BOB.ref.id], [])
        assert PUBLIC not in json.dumps({name: document[name] for name in ("to", "cc")})
    assert create["object"]["inReplyTo"] == PARENT.id
    assert create["object"]["tag"] == [{"type": "Mention", "href": BOB.ref.id, "name": "@bob@peer.test"}]
    assert (part.of, part.endpoints, part.served) == (ACT, (BOB.endpoint,), b"")
    (back,) = heard(create, ACTOR)
    assert isinstance(back.act, Message)
    assert back.act.to == (BOB.ref,)
    assert back.at == NOW - 60


def test_message_to_nobody_is_rejected():
    with pytest.raises(Rejected):
        said(Message((NOBODY.ref,), Text("hi")))
