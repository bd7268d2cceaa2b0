"""Decoding: real servers' shapes, our own, and anything at all."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.activitypub.reading import read_object
from adapters.activitypub.shapes import ident
from bridged.api import (
    Accept,
    Activity,
    Approve,
    Block,
    Delete,
    Edit,
    Follow,
    Malformed,
    Media,
    Message,
    Move,
    Option,
    Poll,
    Post,
    Profile,
    QuoteRequest,
    React,
    Reject,
    Repost,
    Tally,
    Vote,
)
from tests.unit.activitypub.fake import PUBLIC
from tests.unit.activitypub.hearing import ALICE, act, ap, heard, note, one
from tests.vectors import vectors

# What each shape of the captures says, by the words of its name; followers-only posts are decoded too (the inbox
# drops them before).
CAPTURED = {
    "Accept_Follow": Accept,
    "Announce_uri": Repost,
    "Create_Note_inReplyTo_name_direct": Vote,
    "Create_Note_inReplyTo_tag_name_direct": Vote,
    "Create_Note_tag_direct": Message,
    "Create_Note": Post,
    "Create_Question": Post,
    "Delete_": Delete,
    "Follow_uri": Follow,
    "GET_doc_Application": Profile,
    "GET_doc_Note": Post,
    "GET_doc_Person": Profile,
    "Like_uri": React,
    "Undo_": Delete,
    "Update_Note": Edit,
    "Update_Question": Tally,
}


def test_captures_mean_what_their_names_say():
    folder = vectors() / "activitypub" / "captures"
    files = sorted(folder.glob("*.json"))
    assert len(files) > 100
    wrong: list[str] = []
    for file in files:
        capture = json.loads(file.read_text())
        document = capture.get("body") or capture.get("response")
        shape = file.stem.partition("__")[2]
        expected = next((kind for name, kind in CAPTURED.items() if shape.startswith(name)), None)
        if shape == "GET_doc_Person_key":
            expected = None
        try:
            found = [type(activity.act) for activity in heard(document)]
        except Malformed as malformed:
            found = [malformed.reason]
        if shape == "GET_doc_Person_key":
            good = found == ["no_inbox"]
        elif expected is None:
            good = found in ([], ["no_type"], ["no_id"])
        else:
            good = found == [expected]
        if not good:
            wrong.append(f"{file.name}: {found}")
    assert wrong == []


def test_captured_reply_is_read_whole():
    folder = vectors() / "activitypub" / "captures"
    capture = json.loads((folder / "gotosocial-0.20__Create_Note_inReplyTo_tag_public.json").read_text())
    body = one(capture["body"]).act.body
    assert body.reply_to == ap("https://snac.test/sam/p/1795455168.109708")
    assert body.text.mentions() == (ap("https://snac.test/sam"),)
    assert body.mentions == ()
    assert body.lang == "en"
    assert body.audience == "public"
    assert "reply 84968290" in body.text.plain
    assert body.url == "https://gts.test/@gary/statuses/01M84QFEF2T477XGZG1R7JF2AX"


def test_captured_quote_is_read_without_its_link():
    folder = vectors() / "activitypub" / "captures"
    for file in sorted(folder.glob("hollo*Create_Note_tag_quoteUrl*.json")):
        body = one(json.loads(file.read_text())["body"]).act.body
        assert body.quote == ap("https://gts.test/users/gary/statuses/01M84SV06E47R1C39G14S0NF3N")
        assert body.text.plain == "my quote of gary"


def test_shapes_of_2026():
    folder = vectors() / "activitypub" / "shapes-2026"
    said = {file.stem: one(json.loads(file.read_text())) for file in sorted(folder.glob("*.json"))}
    assert said["gotosocial_actor"].act.account.handle == "erin@gts.superseriousbusiness.org"
    assert isinstance(said["gotosocial_follow"].act, Follow)
    assert isinstance(said["threads_like"].act, React)
    threads = said["threads_create_note"].act.body
    assert threads.url == "https://www.threads.net/@frank/post/C8abcdEFgh"
    assert threads.at == 1_791_212_400.0
    assert threads.mentions == (ap("https://bridge.example/users/hello"),)
    pixelfed = said["pixelfed_create_note"].act.body
    assert [media.alt for media in pixelfed.media] == ["A beach at sunset", ""]
    assert pixelfed.media[0].size == (1080, 1350)
    assert pixelfed.text.targets("tag") == ("filmphotography",)
    assert said["threads_actor"].act.account.endpoint == "https://threads.net/ap/inbox/"


OWN = {
    "accept_follow_embedded": Accept(ap("https://mastodon.example/users/bob#follows/1")),
    "accept_follow_id_only": Accept(ap("https://mastodon.example/users/bob#follows/1")),
    "delete_actor": Delete(ap("https://bridge.example/users/alice")),
    "delete_tombstone": Delete(ap("https://bridge.example/objects/q1")),
    "emoji_react_pleroma": React(
        ap("https://bridge.example/objects/q1"), ":blobcat:", "https://mastodon.example/e.png"
    ),
    "like_misskey_reaction": React(ap("https://bridge.example/objects/q1"), "👍"),
    "move": Move(ap("https://mastodon.example/users/bob")),
    "quote_1_request": QuoteRequest(
        ap("https://mastodon.example/users/bob/statuses/1"), ap("https://bridge.example/objects/q1")
    ),
    "quote_2_accept": Approve(
        ap("https://bridge.example/objects/q1/quote-request"),
        "https://mastodon.example/users/bob/quote_authorizations/1",
    ),
    "quote_3_authorization": None,
    "quote_5_revoke": Delete(ap("https://mastodon.example/users/bob/quote_authorizations/1")),
    "undo_like": Delete(ap("https://mastodon.example/users/bob#likes/1")),
    "vote": Vote(ap("https://bridge.example/objects/poll"), ("yes",), named=True),
}


@pytest.mark.parametrize("name", OWN)
def test_own_shape_says(name: str):
    document = json.loads((vectors() / "activitypub" / "own-shapes" / f"{name}.json").read_text())
    assert [activity.act for activity in heard(document)] == ([] if OWN[name] is None else [OWN[name]])


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("fffd_nostr_note", "nostr:note1x_BARE_NIP19"),
        ("fffd_atproto_actor", "did:plc:ewvi7nxzyoun6zhxrhs64oiz"),
        ("fffd_atproto_note", "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3l3qo2vuowo2b"),
    ],
)
def test_copies_by_other_bridges_are_marked(name: str, mark: str):
    document = json.loads((vectors() / "activitypub" / "own-shapes" / f"{name}.json").read_text())
    activity = one(document)
    assert activity.mark == mark


def test_quote_chain_and_poll():
    folder = vectors() / "activitypub" / "own-shapes"
    quote = one(json.loads((folder / "quote_4_create.json").read_text())).act.body
    assert quote.quote == ap("https://mastodon.example/users/bob/statuses/1")
    assert quote.text.plain == "Look"
    body = one(json.loads((folder / "question.json").read_text())).act.body
    assert body.text.plain == "Poll?"
    assert body.poll == Poll((Option("yes", "yes", 1), Option("no", "no")), ends=1_769_904_000.0, voters=1)


def test_spellings_of_public():
    spellings = json.loads((vectors() / "activitypub" / "own-shapes" / "public_as_string_variants.json").read_text())
    for spelling in spellings:
        assert one(note(to=spelling)).act.body.audience == "public"
        assert one(note(to=[], cc=spelling)).act.body.audience == "unlisted"
    assert one(note(to=f"{ALICE}/followers")).act.body.audience == "followers"
    assert one(note(to="https://a.test/b")).act.body.audience == "direct"


def test_everything_else_in_the_vectors_never_raises_anything_but_malformed():
    root = vectors() / "activitypub"
    bodies = [file.read_bytes() for file in sorted(root.rglob("*.json"))]
    for lines in sorted(root.rglob("*.jsonl")):
        for line in lines.read_text().splitlines():
            value = json.loads(line)
            bodies += [json.dumps(part).encode() for part in (value, value.get("value"), value.get("object"))]
    assert len(bodies) > 500
    read = 0
    for body in bodies:
        for signer in (ALICE, _signer(body)):
            try:
                read += len(heard(body, signer))
            except Malformed:
                continue
    assert read > 50


def _signer(body: bytes) -> str:
    try:
        document = read_object(body)
    except Malformed:
        return ALICE
    return ident(document.get("actor")) or ident(document.get("attributedTo")) or ident(document) or ALICE


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (act("Follow", "https://b.test/u"), Follow(ap("https://b.test/u"))),
        (act("Follow", {"id": "https://b.test/u"}), Follow(ap("https://b.test/u"))),
        (act(["Block"], ["https://b.test/u"]), Block(ap("https://b.test/u"))),
        (act("Reject", {"id": "https://b.test/f", "type": "Follow"}), Reject(ap("https://b.test/f"))),
        (act("Undo", "https://peer.test/likes/1"), Delete(ap("https://peer.test/likes/1"))),
        (act("Announce", {"id": "https://b.test/n", "type": "Note"}), Repost(ap("https://b.test/n"))),
        (act("Announce", {"id": "https://b.test/n", "type": "Create"}), None),
        (act("Announce", {"id": "https://b.test/n", "type": "Like", "object": "https://b.test/1"}), None),
        (act("Like", "https://b.test/n"), React(ap("https://b.test/n"))),
        (act("Like", "https://b.test/n", content="x" * 500), React(ap("https://b.test/n"))),
        (act("Accept", {"id": "https://b.test/o", "type": "Offer"}), None),
        (act("Undo", {"type": "Follow", "actor": ALICE, "object": "https://b.test/u"}), None),
        (act("Dislike", "https://b.test/n"), None),
        (act("Listen", "https://b.test/n"), None),
        (act("Create", "https://peer.test/notes/1"), None),
        (act("Update", note(type="Question")), None),
    ],
)
def test_activity_says(document: dict[str, Any], expected: object):
    assert [activity.act for activity in heard(document)] == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"type": "Like"}, "no_id"),
        ({"id": "https://a.test/1"}, "no_type"),
        (act("Like", None), "no_object"),
        (act("Like", "not a url"), "no_object"),
        ({**act("Like", "https://a.test/1"), "actor": "https://other.test/u"}, "actor_mismatch"),
        (act("Create", note(attributedTo="https://other.test/u")), "foreign_object"),
        (
            act("Update", {"id": "https://other.test/u", "type": "Person", "preferredUsername": "u"}),
            "foreign_object",
        ),
        ({"id": ALICE, "type": "Person", "inbox": f"{ALICE}/inbox"}, "no_name"),
        ({"id": ALICE, "type": "Person", "preferredUsername": "a b", "inbox": f"{ALICE}/inbox"}, "no_name"),
    ],
)
def test_nonsense_is_malformed(document: dict[str, Any], reason: str):
    with pytest.raises(Malformed) as refused:
        heard(document, ALICE)
    assert refused.value.reason == reason


def test_post_carries_everything():
    document = note(
        content=None,
        contentMap={"de": "<p>Hallo <a href='https://b.test/@bob'>@<span>bob</span></a> :cat:</p>"},
        summary="Achtung",
        sensitive=True,
        inReplyTo={"id": "https://b.test/n/1", "type": "Note"},
        tag=[
            {"type": "Mention", "href": "https://b.test/u/bob", "name": "@bob@b.test"},
            {"type": "Mention", "href": "https://b.test/u/eve", "name": "@eve@b.test"},
            {"type": "Emoji", "name": ":cat:", "icon": {"type": "Image", "url": "https://peer.test/cat.png"}},
        ],
        attachment={
            "type": "Document",
            "mediaType": "image/png",
            "url": [{"type": "Link", "href": "https://peer.test/1.png"}],
            "name": "a cat",
            "width": 3,
            "height": 4,
            "blurhash": "U9",
        },
    )
    activity = one(act("Create", document))
    body = activity.act.body
    assert activity.ref == body.ref == ap("https://peer.test/notes/1")
    assert body.at == activity.at == 1_789_984_800.0
    assert (body.lang, body.warning, body.sensitive) == ("de", "Achtung", True)
    assert body.reply_to == ap("https://b.test/n/1")
    assert set(body.text.mentions()) | set(body.mentions) == {ap("https://b.test/u/bob"), ap("https://b.test/u/eve")}
    assert body.text.targets("emoji") == ("https://peer.test/cat.png",)
    assert body.media == (Media("https://peer.test/1.png", type="image/png", alt="a cat", size=(3, 4), blurhash="U9"),)


def test_article_has_a_title_and_its_abstract_is_no_warning():
    body = one(note(type="Article", name="On cats", summary="all of it")).act.body
    assert (body.title, body.warning) == ("On cats", "")


def test_video_is_its_own_medium():
    document = note(
        type="Video",
        name="Cats",
        url=[
            {"type": "Link", "mediaType": "text/html", "href": "https://peer.test/w/1"},
            {"type": "Link", "mediaType": "video/mp4", "href": "https://peer.test/1.mp4"},
        ],
        attributedTo=[{"type": "Person", "id": ALICE}, {"type": "Group", "id": "https://peer.test/c"}],
    )
    body = one(document, ALICE).act.body
    assert body.media == (Media("https://peer.test/1.mp4", type="video/mp4"),)
    assert (body.url, body.title) == ("https://peer.test/w/1", "Cats")


def test_edit_has_a_ref_and_a_time_of_its_own():
    activity = one(act("Update", note(updated="2026-09-21T11:00:00Z")))
    assert isinstance(activity.act, Edit)
    assert activity.ref == ap("https://peer.test/a/1")
    assert activity.at == activity.act.body.at + 3600


def test_profile_is_read_from_an_update():
    actor = {
        "id": ALICE,
        "type": "Service",
        "preferredUsername": "alice",
        "name": "Alice <b>A</b>",
        "summary": "<p>bio</p>",
        "inbox": f"{ALICE}/inbox",
        "icon": [{"type": "Image", "url": "https://peer.test/a.png"}],
        "image": {"type": "Image", "url": {"type": "Link", "href": "https://peer.test/b.png"}},
        "url": "https://peer.test/@alice",
        "attachment": [
            {"type": "PropertyValue", "name": "web", "value": '<a href="https://a.test">https://a.test</a>'}
        ],
    }
    account = one(act("Update", actor)).act.account
    assert account.handle == "alice@peer.test"
    assert (account.name, account.bio.plain) == ("Alice A", "bio")
    assert (account.avatar, account.banner) == ("https://peer.test/a.png", "https://peer.test/b.png")
    assert account.fields == (("web", "https://a.test"),)
    assert (account.bot, account.endpoint, account.url) == (True, f"{ALICE}/inbox", "https://peer.test/@alice")
    assert one(actor).act.account == account


WORDS = st.sampled_from(
    [
        "Create", "Update", "Delete", "Undo", "Like", "Announce", "Note", "Article", "Question", "Person", "Mention",
        "Emoji", "Hashtag", "Link", "Image", "PropertyValue", ALICE, "https://b.test/1", PUBLIC, ":x:", "@a@b.test",
        "2026-09-21T10:00:00Z", "http://[", "https://a:b@c", "did:plc:x", "<p>RE: https://b.test</p>",
    ]
)  # fmt: skip
NAMES = st.sampled_from(
    [
        "id", "type", "actor", "object", "attributedTo", "content", "contentMap", "name", "summary", "tag", "to", "cc",
        "url", "href", "icon", "attachment", "inReplyTo", "oneOf", "published", "updated", "preferredUsername",
        "inbox", "endpoints", "value", "mediaType", "rel", "proxyOf", "width", "quoteUrl", "sensitive",
    ]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=8),
    max_leaves=30,
)


@given(st.dictionaries(NAMES, VALUES, max_size=12), st.booleans())
def test_any_json_is_decoded_or_malformed(document: dict[str, Any], whole: bool):
    if whole:
        document = {"id": "https://peer.test/a/1", "type": "Create", **document, "actor": ALICE}
        inner = document.get("object")
        if isinstance(inner, dict):
            document["object"] = {"type": "Note", "id": "https://peer.test/n/1", **inner, "attributedTo": ALICE}
    body = json.dumps(document).encode("utf-8", "replace")
    try:
        first = heard(body, ALICE)
    except Malformed:
        return
    assert heard(body, ALICE) == first
    assert all(isinstance(activity, Activity) for activity in first)
