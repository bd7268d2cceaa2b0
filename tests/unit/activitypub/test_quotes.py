"""Quotes, and consent to them (FEP-044f), both ways."""

import json
from dataclasses import replace
from typing import Any

import pytest

from adapters.activitypub.ids import native
from bridged.api import (
    Accept,
    Activity,
    Approve,
    Copy,
    Delete,
    Edit,
    Gate,
    Post,
    QuoteRequest,
    Ref,
    Reject,
    Rejected,
    There,
)
from tests.unit.activitypub.fake import GHOST, NOW, PUBLIC
from tests.unit.activitypub.hearing import ALICE, act, ap, heard, note, one
from tests.unit.activitypub.telling import (
    ACT,
    ACTOR,
    BOB,
    OTHERS_GHOST,
    PARENT,
    POST,
    URLS,
    body,
    said,
    view,
)

QUOTED = "https://b.test/n/1"
LD = 'application/ld+json; profile="https://www.w3.org/ns/activitystreams"'


@pytest.mark.parametrize(
    "form",
    [
        {"quote": QUOTED},
        {"quote": {"id": QUOTED, "type": "Note"}},
        {"quoteUrl": QUOTED},
        {"quoteUri": QUOTED},
        {"quoteURL": QUOTED},
        {"_misskey_quote": QUOTED},
        {"tag": {"type": "Link", "rel": "https://misskey-hub.net/ns#_misskey_quote", "href": QUOTED}},
        {"tag": [{"type": "Link", "rel": "https://w3id.org/fep/044f#quote", "href": QUOTED}]},
        {"tag": [{"type": "Link", "mediaType": LD, "name": f"RE: {QUOTED}", "href": QUOTED}]},
    ],
)
def test_every_form_of_a_quote_is_read(form: dict[str, Any]):
    content = f'<p>look</p><p>RE: <a href="{QUOTED}">{QUOTED}</a></p>'
    found = one(note(content=content, **form)).act.body
    assert (found.quote, found.text.plain) == (ap(QUOTED), "look")


def test_link_to_an_object_is_no_quote():
    tag = {"type": "Link", "mediaType": LD, "href": QUOTED, "name": "see this"}
    assert one(note(tag=[tag])).act.body.quote is None


def test_request_to_quote_is_read():
    request = act("QuoteRequest", QUOTED, instrument={"id": "https://peer.test/notes/2", "type": "Note"})
    assert one(request).act == QuoteRequest(ap(QUOTED), ap("https://peer.test/notes/2"))
    assert heard(act("QuoteRequest", QUOTED)) == []


@pytest.mark.parametrize(
    ("kind", "more", "expected"),
    [
        ("Accept", {"result": "https://peer.test/stamps/1"}, Approve(ap("https://b.test/q"), "https://peer.test/stamps/1")),
        ("Accept", {"result": {"id": "https://peer.test/s"}}, Approve(ap("https://b.test/q"), "https://peer.test/s")),
        ("Accept", {"result": "https://elsewhere.test/stamps/1"}, None),
        ("Accept", {}, None),
        ("Reject", {}, Reject(ap("https://b.test/q"))),
    ],
)  # fmt: skip
def test_answer_to_a_request_is_read(kind: str, more: dict[str, Any], expected: object):
    request = {"type": "QuoteRequest", "id": "https://b.test/q", "object": "https://peer.test/notes/1"}
    found = [activity.act for activity in heard(act(kind, request, **more))]
    assert found == ([] if expected is None else [expected])


def test_bare_request_accepted_with_a_stamp_is_an_approval():
    found = one(act("Accept", "https://b.test/q", result="https://peer.test/stamps/1")).act
    assert isinstance(found, Approve)


def test_everybody_may_quote_what_we_say():
    served = json.loads(said(Post(body()), POST).parts[0].served)
    assert served["interactionPolicy"] == {"canQuote": {"automaticApproval": [PUBLIC]}}
    assert served["replies"]["id"] == f"{served['id']}/replies"


def test_quote_of_a_native_post_asks_its_author():
    create, request = said(Post(body(quote=PARENT)), POST).parts
    quoting, asked = json.loads(create.body)["object"], json.loads(request.body)
    assert quoting["quote"] == PARENT.id
    assert (request.of, request.number, request.endpoints) == (POST, 1, (BOB.endpoint,))
    assert request.ref == native(asked["id"])
    assert json.loads(request.served)["instrument"] == quoting["id"]
    assert (asked["type"], asked["actor"], asked["object"]) == ("QuoteRequest", ACTOR, PARENT.id)
    assert asked["instrument"] == quoting
    (back,) = heard(asked, ACTOR)
    assert back.act == QuoteRequest(PARENT, native(quoting["id"]))


OTHERS_POST = Ref("nostr", "44" * 32)
OTHERS_NOTE = native(URLS.object(OTHERS_POST))


def test_quote_among_our_own_carries_its_stamp():
    seen = replace(view(), there={OTHERS_POST: There(OTHERS_POST, OTHERS_NOTE, OTHERS_GHOST.ref)})
    create, stamp = said(Post(body(quote=OTHERS_POST)), POST, seen).parts
    given = json.loads(stamp.served)
    assert json.loads(create.served)["quoteAuthorization"] == given["id"] == (stamp.ref and stamp.ref.id)
    assert (given["type"], given["attributedTo"]) == ("QuoteAuthorization", OTHERS_GHOST.ref.id)
    assert (given["interactingObject"], given["interactionTarget"]) == (URLS.object(POST), OTHERS_NOTE.id)
    assert (stamp.number, stamp.body, stamp.endpoints) == (1, b"", ())


def test_quote_of_oneself_needs_nobodys_leave():
    seen = replace(view(), there={OTHERS_POST: There(OTHERS_POST, OTHERS_NOTE, GHOST.ref)})
    assert len(said(Post(body(quote=OTHERS_POST)), POST, seen).parts) == 1


def standing(**more: Any) -> Any:
    parts = said(Post(body("words", quote=PARENT)), POST).parts
    served = {**json.loads(parts[0].served), **more}
    copies = [Copy(POST, "activitypub", 0, native(URLS.object(POST)), json.dumps(served).encode())]
    copies += [Copy(POST, "activitypub", part.number, part.ref, part.served) for part in parts[1:]]
    return view(previous=tuple(copies))


def test_approval_is_added_to_the_post():
    changed, kept = said(Approve(POST, "https://peer.test/stamps/1"), seen=standing()).parts
    update = json.loads(changed.body)
    assert (changed.of, changed.number, kept.of) == (POST, 0, ACT)
    assert json.loads(changed.served)["quoteAuthorization"] == "https://peer.test/stamps/1"
    assert update["type"] == "Update"
    assert "updated" not in update["object"]


def test_stamp_taken_back_leaves_the_post():
    """As Mastodon says it: the stamp stands in the Delete."""
    stamp = {
        "id": "https://peer.test/stamps/1", "type": "QuoteAuthorization", "attributedTo": ALICE,
        "interactingObject": URLS.object(POST), "interactionTarget": PARENT.id,
    }  # fmt: skip
    assert one(act("Delete", stamp)).act == Approve(native(URLS.object(POST)), "")
    assert heard(act("Delete", {**stamp, "interactingObject": 5})) == []
    changed, _ = said(Approve(POST, ""), seen=standing(quoteAuthorization=stamp["id"])).parts
    served = json.loads(changed.served)
    assert "quoteAuthorization" not in served
    assert served["quote"] == PARENT.id


def test_approval_of_what_quotes_nothing_is_rejected():
    plain = Copy(POST, "activitypub", 0, native(URLS.object(POST)), said(Post(body()), POST).parts[0].served)
    for seen in (view(), view(previous=(plain,))):
        with pytest.raises(Rejected):
            said(Approve(POST, "https://peer.test/stamps/1"), seen=seen)


def test_edit_keeps_the_approval_it_has():
    out = said(Edit(body("new", quote=PARENT)), seen=standing(quoteAuthorization="https://peer.test/stamps/1"))
    assert json.loads(out.parts[0].served)["quoteAuthorization"] == "https://peer.test/stamps/1"
    assert len(out.parts) == 2


def test_edit_that_quotes_another_post_asks_anew():
    old = standing(quote="https://b.test/old", quoteAuthorization="https://b.test/s")
    changed, request, _ = said(Edit(body("new", quote=PARENT)), seen=old).parts
    assert json.loads(request.body)["type"] == "QuoteRequest"
    assert "quoteAuthorization" not in json.loads(changed.served)


def test_deleted_quote_takes_its_request_along():
    gone, request, _ = said(Delete(POST), seen=standing()).parts
    assert (gone.number, request.number, request.gone, request.body) == (0, 1, True, b"")
    assert json.loads(request.served)["type"] == "Tombstone"


ASKED = Activity(native("https://peer.test/q/1"), BOB.ref, NOW, QuoteRequest(POST, native("https://peer.test/n/9")))


def answering() -> Any:
    return replace(view(subject=ASKED), there={POST: There(POST, native(URLS.object(POST)), GHOST.ref)})


def test_yes_comes_with_a_stamp_of_its_own():
    answer, stamp = said(Accept(ASKED.ref), seen=answering()).parts
    yes, given = json.loads(answer.body), json.loads(stamp.served)
    assert (yes["type"], yes["to"]) == ("Accept", [BOB.ref.id])
    assert yes["object"] == {
        "id": ASKED.ref.id, "type": "QuoteRequest", "actor": BOB.ref.id, "object": URLS.object(POST),
        "instrument": "https://peer.test/n/9",
    }  # fmt: skip
    assert yes["result"] == given["id"] == (stamp.ref and stamp.ref.id)
    assert (given["attributedTo"], given["interactingObject"]) == (ACTOR, "https://peer.test/n/9")
    assert given["interactionTarget"] == URLS.object(POST)
    assert (stamp.of, stamp.number, stamp.body) == (ACT, 1, b"")


def test_no_comes_without():
    (answer,) = said(Reject(ASKED.ref), seen=answering()).parts
    no = json.loads(answer.body)
    assert (no["type"], no["object"]["id"]) == ("Reject", ASKED.ref.id)
    assert "result" not in no


def test_answer_about_a_post_that_is_not_here_is_rejected():
    with pytest.raises(Rejected):
        said(Accept(ASKED.ref), seen=view(subject=ASKED))


def test_leave_that_ends_is_told_by_the_stamp_itself():
    parts = said(Accept(ASKED.ref), seen=answering()).parts
    copies = tuple(Copy(ACT, "activitypub", p.number, p.ref, p.served) for p in parts)
    gone, stamp, _ = said(Delete(ACT), seen=view(previous=copies)).parts
    told = json.loads(gone.body)
    assert (told["type"], told["object"]) == ("Delete", json.loads(parts[1].served))
    assert (stamp.gone, stamp.ref, json.loads(stamp.served)["type"]) == (True, parts[1].ref, "Tombstone")


def test_gate_shows_on_the_copy_and_is_no_edit():
    shut = Activity(POST, GHOST.owner, NOW, Post(replace(body(), answers=(), quotable=False)))
    changed, _ = said(Gate(POST, "answers", ()), seen=replace(standing(), subject=shut)).parts
    update = json.loads(changed.body)
    assert update["object"]["interactionPolicy"] == {
        "canQuote": {"automaticApproval": [ACTOR]}, "canReply": {"automaticApproval": [ACTOR]}
    }  # fmt: skip
    assert (update["type"], "updated" in update["object"]) == ("Update", False)
    assert json.loads(changed.served) == update["object"] | {"@context": json.loads(changed.served)["@context"]}


def test_gate_of_what_was_never_said_here_is_rejected():
    for seen in (view(), standing()):
        with pytest.raises(Rejected):
            said(Gate(POST, "answers", ()), seen=seen)
