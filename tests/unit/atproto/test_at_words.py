"""AT records to neutral words and back: what may not raise, what may not change, and settings no golden case has."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.atproto import cbor, ids, writes
from adapters.atproto.decode import decode
from adapters.atproto.embeds_out import card
from adapters.atproto.encode import encode
from adapters.atproto.envelopes import Change, record_envelope
from adapters.atproto.home import Home
from adapters.atproto.labels import labels_for, warning_of
from adapters.atproto.lexicon import COLLECTIONS, validate
from adapters.atproto.moments import dated, moment, spelled
from adapters.atproto.writes import read_write
from bridged.api import (
    Account,
    Activity,
    Card,
    Copy,
    Edit,
    Ghost,
    Malformed,
    Option,
    Outgoing,
    Poll,
    Post,
    PostBody,
    Profile,
    Ref,
    Rejected,
    Report,
    Text,
    There,
    View,
    graphemes,
)

GOLDEN = Path(__file__).parents[2] / "golden"
DID, GHOST = "did:plc:ewvi7nxzyoun6zhxrhs64oiz", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
CID = "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
ALICE = Ref("activitypub", "https://social.example/users/alice")
TOOT = Ref("activitypub", "https://social.example/1")
AT = 1_790_000_000.0


def view(**more: Any) -> View:
    account = Account(ALICE, "alice@social.example", name="Alice", url="https://social.example/@alice")
    return View(AT + 10, Ghost(ALICE, Ref("atproto", GHOST), "alice.bridge.example"), account, **more)


def toot(text: str, **more: Any) -> Activity:
    body = PostBody(TOOT, ALICE, Text(text), AT, url="https://social.example/@alice/1", **more)
    return Activity(TOOT, ALICE, AT, Post(body))


def records(out: Outgoing) -> list[dict[str, Any]]:
    return [cbor.decode(part.served) for part in out.parts]


def copies(out: Outgoing) -> tuple[Copy, ...]:
    return tuple(Copy(p.of, "atproto", p.number, p.ref, p.served, detail=p.detail) for p in out.parts)


_MEMBERS = [
    *("$type", "text", "embed", "record", "uri", "cid", "reply", "root", "parent", "images", "image", "external"),
    *("media", "labels", "values", "val", "langs", "tags", "facets", "subject", "createdAt", "ref", "$link"),
]
_FIELDS = [
    *("text", "embed", "reply", "subject", "labels", "langs", "facets", "tags"),
    *("title", "site", "path", "description", "textContent", "coverImage", "bskyPostRef", "publishedAt"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20) | st.sampled_from([DID, CID]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_MEMBERS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(
    st.sampled_from([ids.POST, ids.LIKE, ids.REPOST, ids.FOLLOW, ids.BLOCK, ids.PROFILE, ids.ARTICLE, "a.b.c"]),
    st.sampled_from(["create", "update", "delete"]),
    st.dictionaries(st.sampled_from(_FIELDS), JSON),
    st.booleans(),
)
def test_strange_records_raise_nothing_but_malformed(
    collection: str, operation: Any, record: dict[str, Any], whole: bool
) -> None:
    if whole:
        record = {"text": "x", "title": "x", **record}
    change = Change(DID, collection, "self", operation, CID, record=record, pds="https://pds.example")
    try:
        for activity in decode(record_envelope(change, AT)):
            assert activity.actor == Ref("atproto", DID)
            assert activity.at <= AT
    except Malformed:
        pass


def golden_records() -> list[Any]:
    found = sorted(GOLDEN.glob("*/to-atproto.json"))
    return [(path.parent.name, part) for path in found for part in json.loads(path.read_text()) if "record" in part]


def test_every_record_of_the_golden_cases_is_as_its_lexicon_has_it() -> None:
    checked = 0
    for name, part in golden_records():
        place = ids.split(part["uri"])
        assert place is not None, name
        _, collection, rkey = place
        assert collection in COLLECTIONS
        validate(collection, rkey, cbor.from_json(part["record"]))
        checked += 1
    assert checked > 250


def test_same_post_is_encoded_to_the_same_bytes() -> None:
    act = toot("Hello " * 100)
    assert encode(act, view(), Home()) == encode(act, view(), Home())


@given(st.text(max_size=2000))
def test_any_text_fits_into_posts(text: str) -> None:
    for record in records(encode(toot(text.encode("utf-8", "ignore").decode()), view(), Home())):
        assert graphemes(record["text"]) <= 300
        assert len(record["text"].encode()) <= 3000
        validate(ids.POST, "3aaaaaaaaaa22", record)


@given(st.text(max_size=2000))
def test_any_text_is_cut_to_one_post_with_a_way_to_the_rest(text: str) -> None:
    out = encode(toot(text.encode("utf-8", "ignore").decode()), view(), Home(long_posts="cut"))
    (record,) = records(out)
    validate(ids.POST, "3aaaaaaaaaa22", record)
    cut = "the text was cut" in out.losses
    assert cut == ("embed" in record)
    assert not cut or record["embed"]["external"]["uri"] == "https://social.example/@alice/1"


def test_cut_text_ends_in_a_whole_word_and_keeps_the_original() -> None:
    (record,) = records(encode(toot("word " * 100), view(), Home(long_posts="cut")))
    assert record["text"].endswith("word…")
    assert record["bridgedOriginalText"] == "word " * 100


def test_cut_poll_keeps_its_link_within_the_limit() -> None:
    poll = Poll((Option("1", "yes"), Option("2", "no")))
    (record,) = records(encode(toot("word " * 100, poll=poll), view(), Home(long_posts="cut")))
    assert graphemes(record["text"]) <= 300
    assert "https://social.example/@alice/1" in record["text"]


def test_thread_hangs_together_and_each_part_knows_its_root() -> None:
    out = encode(toot("word " * 200), view(), Home())
    assert [part.number for part in out.parts] == list(range(len(out.parts)))
    before = None
    for part, record in zip(out.parts, records(out), strict=True):
        if before is not None:
            assert record["reply"]["parent"] == {"uri": before.ref.id, "cid": before.detail["cid"]}
            assert record["reply"]["root"] == {"uri": out.parts[0].ref.id, "cid": out.parts[0].detail["cid"]}
            assert part.detail["root"] == out.parts[0].ref.id
        before = part
    assert len({part.ref for part in out.parts}) == len(out.parts) > 2


def test_edit_that_changes_nothing_says_nothing() -> None:
    act = toot("word " * 200)
    said = encode(act, view(), Home())
    assert isinstance(act.act, Post)
    edit = replace(act, ref=Ref("activitypub", "https://social.example/1#2"), at=AT + 5, act=Edit(act.act.body))
    out = encode(edit, view(previous=copies(said)), Home())
    assert out.parts == ()
    assert out.losses == ("the edit changed nothing that shows here",)


def test_edit_of_what_was_never_said_here_is_a_post() -> None:
    act = toot("Hello")
    assert isinstance(act.act, Post)
    out = encode(replace(act, act=Edit(act.act.body)), view(), Home())
    assert read_write(out.parts[0].body).action == "create"
    assert "bridgedEdited" not in records(out)[0]


def test_answer_goes_behind_the_last_live_post_of_a_thread() -> None:
    said = encode(toot("word " * 200), view(), Home())
    *live, last = copies(said)
    there = There(TOOT, live[0].ref, Ref("atproto", GHOST), parts=(*live, replace(last, gone=True)))
    answer = toot("Yes", reply_to=TOOT)
    answer = replace(answer, ref=Ref("activitypub", "https://social.example/2"))
    (record,) = records(encode(answer, view(there={TOOT: there}), Home()))
    assert live[-1].ref is not None
    assert record["reply"]["parent"]["uri"] == live[-1].ref.id


def test_report_needs_a_service_to_go_to() -> None:
    target = Ref("atproto", DID)
    act = Activity(Ref("activitypub", "https://social.example/flag"), ALICE, AT, Report(target, text="x" * 30_000))
    with pytest.raises(Rejected, match="no service"):
        encode(act, view(), Home())
    (part,) = encode(act, view(), Home(moderation="https://mod.example")).parts
    body = json.loads(part.body)
    assert body["subject"] == {"$type": "com.atproto.admin.defs#repoRef", "did": DID}
    assert len(body["reason"]) <= 2000
    assert part.endpoints == ("https://mod.example/xrpc/com.atproto.moderation.createReport",)


@given(st.text(max_size=3000), st.text(max_size=300), st.text(max_size=200))
def test_any_profile_fits_and_says_whence_it_is(bio: str, name: str, value: str) -> None:
    bio, name, value = (text.encode("utf-8", "ignore").decode() for text in (bio, name, value))
    account = replace(view().account, bio=Text(bio), name=name, fields=(("Home", value),), bot=True)
    act = Activity(Ref("activitypub", "x"), ALICE, AT, Profile(account))
    (record,) = records(encode(act, replace(view(), account=account), Home()))
    validate(ids.PROFILE, "self", record)
    assert record["description"].endswith("bridged from https://social.example/@alice")


def test_addresses_of_a_profile_and_a_card_are_ascii() -> None:
    account = replace(view().account, fields=(("Home", "https://example.com/ü"),))
    act = Activity(Ref("activitypub", "x"), ALICE, AT, Profile(account))
    (record,) = records(encode(act, replace(view(), account=account), Home()))
    assert record["website"] == "https://example.com/%C3%BC"
    assert card(Card("https://example.com/ü", "", ""), view())["external"]["uri"] == "https://example.com/%C3%BC"


def test_profile_that_is_the_same_is_not_said_again() -> None:
    act = Activity(Ref("activitypub", "x"), ALICE, AT, Profile(view().account))
    said = encode(act, view(), Home())
    own = tuple(replace(copy, origin=ALICE) for copy in copies(said))
    assert encode(act, view(own=own), Home()).parts == ()


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        (DID, DID),
        (f"at://{DID}", DID),
        (f"at://{DID}/{ids.POST}/3aaaaaaaaaa22", f"at://{DID}/{ids.POST}/3aaaaaaaaaa22"),
        (f"https://bsky.app/profile/{DID}/post/3aaaaaaaaaa22", f"at://{DID}/{ids.POST}/3aaaaaaaaaa22"),
        (f"https://bsky.app/profile/{DID}?x=1", DID),
        ("https://bsky.app/profile/alice.example/post/3aaaaaaaaaa22", None),
        ("at://alice.example/app.bsky.feed.post/3aaaaaaaaaa22", None),
        ("https://bsky.app/search", None),
        ("https://bsky.app/profile/" + "x" * 2000, None),
        ("", None),
    ],
)
def test_ref_is_read_from_what_people_paste(text: str, ref: str | None) -> None:
    assert ids.parse(text) == (Ref("atproto", ref) if ref else None)


@given(st.text(max_size=60), st.floats(0, 4e9))
def test_no_date_is_later_than_it_was_heard(text: str, heard: float) -> None:
    assert 0 <= dated(text, heard) <= heard


def test_date_is_spelled_as_it_is_read() -> None:
    assert moment(spelled(1_790_000_000.25)) == 1_790_000_000.25
    assert moment("0001-01-01T00:00:00Z") is None


def test_warnings_and_labels_stand_for_each_other() -> None:
    for label in ("porn", "sexual", "nudity", "graphic-media"):
        assert labels_for(warning_of([label])) == (label,)
    assert warning_of(["!hide", "bot"]) == ""


def test_write_that_is_none_is_malformed() -> None:
    with pytest.raises(Malformed, match="write"):
        writes.read_write(b"\xc1")
