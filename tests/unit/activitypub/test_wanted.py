"""What real servers send must pass the checks that forgeries fail."""

import json

import pytest

from adapters.activitypub import wanted
from adapters.activitypub.ids import Urls
from bridged.api import Heard
from tests.unit.activitypub.fake import BASE, PUBLIC
from tests.vectors import vectors

URLS = Urls(BASE)
ALICE = "https://p.test/users/alice"
OURS = f"{BASE}/users/nostr/x"


def test_captured_activities_pass_and_private_ones_are_dropped():
    files = sorted((vectors() / "activitypub" / "captures").glob("*.json"))
    passed = dropped = 0
    for file in files:
        capture = json.loads(file.read_text())
        if not capture["request"].startswith("POST"):
            continue
        source = capture["body"]
        actor = wanted.actor_of(source, URLS)
        assert wanted.is_wanted(source, actor, Heard(full=frozenset({actor})), URLS)
        assert not wanted.is_wanted(source, actor, Heard(), URLS)
        assert not wanted.needs_object(source)
        wanted.check(source, actor)
        whole = json.dumps(source).encode()
        if any(word in file.name for word in ("_followers", "_direct")):
            with pytest.raises(wanted.Dropped, match="not_public"):
                wanted.kept(source, actor, whole, URLS)
            dropped += 1
        else:
            assert wanted.kept(source, actor, whole, URLS) == (source["id"], whole)
            passed += 1
    assert passed > 60
    assert dropped > 8


def test_naming_one_of_ours_anywhere_is_enough():
    ours = f"{BASE}/users/nostr/x"
    note = {"id": "https://p.test/1", "type": "Note"}
    for inner in (
        {"inReplyTo": ours},
        {"to": ours},
        {"cc": [PUBLIC, ours]},
        {"tag": {"type": "Mention", "href": ours}},
        {"quoteUrl": ours},
        {"_misskey_quote": ours},
    ):
        source = {"type": "Create", "object": {**note, **inner}}
        assert wanted.is_wanted(source, "https://p.test/a", Heard(), URLS)
    undo = {"type": "Undo", "object": {"type": "Follow", "object": ours}}
    assert wanted.is_wanted(undo, "https://p.test/a", Heard(), URLS)
    lookalike = {"type": "Like", "object": f"{BASE}.evil.test/objects/1"}
    assert not wanted.is_wanted(lookalike, "https://p.test/a", Heard(), URLS)


def kept(kind: str, what: object, **more: object) -> dict[str, object]:
    source = {"id": f"{ALICE}/a/1", "type": kind, "actor": ALICE, "object": what, **more}
    wanted.check(source, ALICE)
    return json.loads(wanted.kept(source, ALICE, json.dumps(source).encode(), URLS)[1])


def test_vote_in_our_poll_passes_and_no_other():
    ballot = {"id": f"{ALICE}/v/1", "type": "Note", "name": "yes", "attributedTo": ALICE, "to": [OURS]}
    mine = {**ballot, "inReplyTo": f"{BASE}/objects/nostr/p"}
    other = {**ballot, "inReplyTo": "https://b.test/p"}
    assert kept("Create", mine)["object"] == mine
    assert kept("Create", [mine, {**mine, "name": "no"}])["object"]
    for refused in (other, [mine, other], [mine, {**mine, "content": "secret"}], {**mine, "content": "secret"}):
        with pytest.raises(wanted.Dropped, match="not_public"):
            kept("Create", refused)


def test_ballot_of_another_is_refused():
    ballot = {"id": f"{ALICE}/v/1", "type": "Note", "name": "yes", "attributedTo": ALICE, "to": [OURS]}
    with pytest.raises(wanted.Refused, match="foreign_object"):
        kept("Create", [ballot, {**ballot, "attributedTo": "https://p.test/users/eve"}])


def test_report_is_kept_with_what_is_ours_account_first():
    found = kept("Flag", ["https://b.test/n/1", f"{BASE}/objects/nostr/x", {"id": OURS, "type": "Person"}], content="x")
    assert found["object"] == [OURS, f"{BASE}/objects/nostr/x"]
    with pytest.raises(wanted.Dropped, match="not_public"):
        kept("Flag", ["https://b.test/n/1"])
    assert wanted.is_wanted({"type": "Flag", "object": ["https://b.test/n/1", OURS]}, ALICE, Heard(), URLS)


def test_request_to_quote_is_kept_without_the_words():
    note = {"id": f"{ALICE}/n/1", "type": "Note", "attributedTo": ALICE, "content": "for friends"}
    assert kept("QuoteRequest", f"{BASE}/objects/nostr/x", instrument=note)["instrument"] == note["id"]
    for foreign in ({**note, "id": "https://b.test/1"}, {**note, "attributedTo": "https://p.test/users/eve"}, None):
        with pytest.raises(wanted.Refused, match="foreign_object"):
            kept("QuoteRequest", f"{BASE}/objects/nostr/x", instrument=foreign)


def test_nobody_moves_another():
    assert kept("Move", ALICE, target="https://b.test/u")["target"] == "https://b.test/u"
    with pytest.raises(wanted.Refused, match="foreign_object"):
        kept("Move", "https://p.test/users/eve", target="https://b.test/u")
    for kind in ("Move", "Add", "Remove"):
        assert wanted.is_wanted({"type": kind, "object": ALICE}, ALICE, Heard(known=frozenset({ALICE})), URLS)


def test_pin_is_kept_by_its_id():
    note = {"id": f"{ALICE}/n/1", "type": "Note", "content": "words"}
    assert kept("Add", note, target=f"{ALICE}/featured")["object"] == note["id"]


def test_group_activity_is_kept_by_the_id_of_what_it_shows():
    page = {"id": "https://b.test/post/1", "type": "Page", "name": "forged"}
    inner = {"id": "https://b.test/a/1", "type": "Create", "actor": "https://b.test/u", "object": page}
    assert kept("Announce", inner, to=[PUBLIC])["object"] == {
        "id": "https://b.test/a/1", "type": ["Create"], "object": page["id"],
    }  # fmt: skip
    with pytest.raises(wanted.Dropped, match="group_activity"):
        kept("Announce", {**inner, "type": "Like"}, to=[PUBLIC])
