"""Events to neutral words: the shared vectors by kind, and the cases that hostile or careless clients make."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.nostr import ids
from adapters.nostr.decode import account_of, decode
from adapters.nostr.event import Event, parse_event, sign
from bridged.api import (
    Activity,
    Delete,
    FollowList,
    Malformed,
    Media,
    Post,
    PostBody,
    Profile,
    React,
    Ref,
    Repost,
)
from tests.vectors import vectors

NOW = 1_700_000_000
SECRET = hashlib.sha256(b"decoding").digest()
ALICE = "fddde6aea66286670f4891d1c209713debd6a2a34e9c051aa239ca07a3dbb344"
BOB = "a7c299b11e23585c02b576160dbe620b8c33bda8986ebc6fbdeb50bfbcf9fe69"
CAROL = "849d10b40b044bfecf51669083814beb5e5b08f90d27664aa8e68590ce4f1327"
ROOT = "ffbacde5b4700e73d79321f911249dc1c30cbdccb53465dca97f18b68014a2c2"
NESTED = "d67147e0b082902e462af95ff427bd051c79b21bf8d7b58af0b8b324fd336b92"
ARTICLE = f"30023:{ALICE}:my-article"
RELAY = "wss://relay.example.com"


def vector(name: str) -> Event:
    path = vectors() / "nostr" / "own" / "events-by-kind.json"
    return parse_event(json.loads(path.read_text("utf-8"))["events"][name]["event"])


def made(content: str = "", *tags: tuple[str, ...], kind: int = 1, at: int = NOW) -> Event:
    return sign(SECRET, kind, at, tags, content)


def acts(event: Event) -> tuple[Activity, ...]:
    return decode(event, channel=RELAY, received_at=NOW + 5)


def one(event: Event) -> Any:
    (activity,) = acts(event)
    assert activity.actor == ids.account_ref(event.pubkey)
    assert activity.at == event.created_at
    return activity.act


def body(event: Event) -> PostBody:
    act = one(event)
    assert isinstance(act, Post)
    return act.body


def ref(text: str) -> Ref:
    return Ref("nostr", text)


def test_a_note_becomes_a_post() -> None:
    post = body(vector("kind1-note"))
    assert (post.ref, post.author, post.at) == (ref(ROOT), ref(ALICE), float(NOW))
    assert post.text.plain == "Hello, world! #nostr"
    assert post.text.targets("tag") == ("nostr",)
    assert post.media == (Media("https://example.com/a.jpg", "image/jpeg"),)
    assert post.url == f"https://njump.me/{post.uri.removeprefix('nostr:')}"
    assert ids.parse(post.uri) == post.ref
    assert parse_event(post.detail["json"]).id == ROOT
    assert {k: v for k, v in post.detail.items() if k != "json"} == {
        "kind": "1",
        "created_at": str(NOW),
        "relay": RELAY,
    }


def test_a_profile_becomes_an_account_whose_nip05_is_still_to_be_checked() -> None:
    act = one(vector("kind0-profile"))
    assert isinstance(act, Profile)
    account = act.account
    assert (account.ref, account.name, account.alias) == (ref(ALICE), "Alice Ünïcode", "")
    assert account.handle.startswith("npub1lhw7dt4xv2r")
    assert account.bio.plain == "bio\nline 2"
    assert (account.avatar, account.banner) == ("https://example.com/a.png", "https://example.com/b.png")
    assert account.fields == (("Website", "https://example.com"), ("Lightning", "alice@example.com"))
    assert account.detail == {"nip05": "alice@example.com", "lud16": "alice@example.com"}
    assert account.bot is False


def test_a_profile_is_cleaned() -> None:
    content = {"name": "al\u202eice\u200b", "picture": "javascript:alert(1)", "website": "ftp://x", "bot": "yes"}
    account = one(made(json.dumps(content), kind=0)).account
    assert (account.name, account.avatar, account.fields, account.bot) == ("alice", "", (), False)


@pytest.mark.parametrize("content", ["", "[]", "nothing", '{"name":' * 5000, '"text"'])
def test_a_profile_that_is_no_object_is_malformed(content: str) -> None:
    with pytest.raises(Malformed, match="profile"):
        acts(made(content, kind=0))


def test_an_account_without_profile_is_its_key() -> None:
    account = account_of(ALICE, None)
    assert (account.ref, account.handle) == (ref(ALICE), ids.npub(ALICE))


@pytest.mark.parametrize(
    ("name", "reply_to", "root"),
    [
        ("kind1-reply-to-root", ROOT, ROOT),
        ("kind1-reply-nested", NESTED, ROOT),
        ("kind1-positional", NESTED, ROOT),
    ],
)
def test_replies_name_parent_and_root(name: str, reply_to: str, root: str) -> None:
    post = body(vector(name))
    assert (post.reply_to, post.root) == (ref(reply_to), ref(root))
    assert post.detail["root"] == root
    assert ref(ALICE) in post.mentions


def test_a_mention_marker_is_no_reply() -> None:
    assert body(made("x", ("e", ROOT, "", "mention"))).reply_to is None


def test_malformed_parents_are_passed_over() -> None:
    assert body(made("x", ("e",), ("e", "zz"), ("e", ROOT.upper()), ("e", ROOT))).reply_to == ref(ROOT)


def test_a_note_may_answer_an_article() -> None:
    post = body(made("x", ("e", ROOT, "", "root"), ("a", ARTICLE, "", "root")))
    assert (post.reply_to, post.root) == (ref(ARTICLE), ref(ARTICLE))


def test_a_comment_names_its_scopes() -> None:
    post = body(vector("kind1111-comment"))
    assert (post.reply_to, post.root) == (ref(ARTICLE), ref(ARTICLE))
    assert post.detail.items() >= {
        "kind": "1111", "root_tag": "A", "root_id": ARTICLE, "root_kind": "30023", "root_author": ALICE,
    }.items()  # fmt: skip


def test_a_quote_is_named_and_its_pointer_left_out() -> None:
    post = body(vector("kind1-quote"))
    assert post.quote == ref(ROOT)
    assert post.text.plain == "look:"


def test_mentions_in_the_text_are_not_named_twice() -> None:
    post = body(vector("kind1-mention"))
    assert post.text.mentions() == (ref(BOB),)
    assert post.mentions == ()


def test_warning_tags_and_emoji_are_kept() -> None:
    post = body(vector("kind1-hashtag-emoji-cw"))
    assert (post.warning, post.sensitive) == ("spoiler", True)
    assert post.text.targets("emoji") == ("https://example.com/blobcat.png",)
    assert post.text.targets("tag") == ("Cats",)


def test_imeta_describes_a_file() -> None:
    post = body(vector("kind1-imeta"))
    assert post.text.plain == "pic"
    (media,) = post.media
    assert (media.url, media.type, media.alt) == ("https://example.com/a.jpg", "image/jpeg", "A scenic photo")
    assert media.size == (3024, 4032)
    assert (media.sha256, media.blurhash[:6]) == ("ab" * 32, "eVF$^O")


def test_files_inside_the_text_stay_there_and_come_in_order() -> None:
    first, second = "https://x.test/1.png", "https://x.test/2.mp4?x=1"
    post = body(made(f"see {first} here\n{second}\n", ("imeta", f"url {second}", "dim 0x5", "m nonsense")))
    assert post.text.plain == f"see {first} here"
    assert post.media == (Media(first, "image/png"), Media(second, "video/mp4"))


def test_a_picture_shows_its_file() -> None:
    post = body(vector("kind20-picture"))
    assert (post.text.plain, post.title) == ("pic\n\ncaption", "")
    assert post.media == (Media("https://example.com/a.jpg", "image/jpeg", "a"),)


def test_an_article_has_its_address_for_a_ref() -> None:
    event = vector("kind30023-article")
    post = body(event)
    assert (post.ref, post.title, post.at) == (ref(ARTICLE), "My article", 1_699_990_000.0)
    assert post.detail["event"] == event.id
    assert acts(event)[0].ref == ref(ARTICLE)
    assert ids.parse(post.uri) == ref(ARTICLE)


def test_a_language_label_is_read() -> None:
    assert body(made("x", ("L", "ISO-639-1"), ("l", "de", "ISO-639-1"))).lang == "de"
    assert body(made("x", ("l", "spam", "other"))).lang == ""


def test_a_follow_list_is_the_whole_list() -> None:
    assert one(vector("kind3-contacts")) == FollowList((ref(BOB), ref(CAROL)))
    assert one(made("", ("p", "zz"), ("p", BOB), ("p", BOB), kind=3)) == FollowList((ref(BOB),))


def test_deletions_are_one_for_each_target() -> None:
    event = made("", ("e", ROOT), ("e", NESTED), ("e", "zz"), ("e", ROOT), kind=5)
    assert [(activity.ref.id, activity.act) for activity in acts(event)] == [
        (event.id, Delete(ref(ROOT))),
        (f"{event.id}#1", Delete(ref(NESTED))),
    ]


def test_an_address_is_deleted_by_its_own_author_only() -> None:
    assert one(vector("kind5-delete-addr")) == Delete(ref(ARTICLE))
    with pytest.raises(Malformed, match="target"):
        acts(made("", ("a", ARTICLE), kind=5))


@pytest.mark.parametrize(
    ("name", "target"),
    [("kind6-repost", ROOT), ("kind6-repost-empty", ROOT), ("kind16-generic-repost", ARTICLE)],
)
def test_a_repost_names_its_target_and_its_json_is_not_looked_at(name: str, target: str) -> None:
    assert one(vector(name)) == Repost(ref(target))


def test_a_repost_with_a_forged_inner_event_is_a_repost_of_the_tag() -> None:
    forged = json.dumps({"id": NESTED, "pubkey": CAROL, "content": "never said", "kind": 1})
    assert one(made(forged, ("e", ROOT), ("p", BOB), kind=6)) == Repost(ref(ROOT))


@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("kind7-like", React(ref(ROOT))),
        ("kind7-empty", React(ref(ROOT))),
        ("kind7-emoji", React(ref(ROOT), "🤙")),
        ("kind7-custom-emoji", React(ref(ROOT), ":soapbox:", "https://example.com/s.png")),
    ],
)
def test_reactions(name: str, act: React) -> None:
    assert one(vector(name)) == act


def test_a_dislike_is_not_passed_on() -> None:
    assert acts(vector("kind7-dislike")) == ()


def test_an_emoji_without_image_is_a_like() -> None:
    assert one(made(":x:", ("e", ROOT), kind=7)) == React(ref(ROOT))
    assert one(made(":x:", ("e", ROOT), ("emoji", "x", "javascript:1"), kind=7)) == React(ref(ROOT))


@pytest.mark.parametrize("kind", [5, 6, 7, 16])
def test_what_is_about_nothing_is_malformed(kind: int) -> None:
    with pytest.raises(Malformed, match="target"):
        acts(made("", kind=kind))


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("kind1-bridged-ap", "https://mastodon.example/users/carol/statuses/1"),
        ("kind1-bridged-atproto", "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3l3qo2vuowo2b"),
    ],
)
def test_copies_by_other_bridges_are_marked(name: str, origin: str) -> None:
    (activity,) = acts(vector(name))
    assert activity.mark == origin
    assert isinstance(activity.act, Post)
    assert activity.act.body.mark == origin


def test_ghosts_of_other_bridges_are_marked() -> None:
    assert one(vector("kind0-bridged")).account.mark == "https://mastodon.example/users/carol"
    assert one(made('{"nip05":"a_at_b@mostr.pub"}', kind=0)).account.mark == "a_at_b@mostr.pub"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (made(at=NOW + 3600), "future"),
        (made("", ("expiration", str(NOW))), "expired"),
        (made("", ("expiration", "soon")), "expired"),
        (made("", ("-",)), "protected"),
    ],
)
def test_what_must_not_be_passed_on_is_malformed(event: Event, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        acts(event)
    assert caught.value.reason == reason


def test_what_expires_later_is_taken() -> None:
    assert body(vector("kind1-expiration")).text.plain == "expires"


@pytest.mark.parametrize("name", ["kind10002-relays", "kind30078-appdata", "kind22242-auth"])
def test_other_kinds_are_nothing(name: str) -> None:
    assert acts(vector(name)) == ()


words = st.one_of(
    st.sampled_from(["e", "p", "a", "q", "root", "reply", "imeta", "emoji", "A", "K", "-", ":x:", ROOT, ARTICLE]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)


@given(
    st.sampled_from([0, 1, 3, 5, 6, 7, 16, 20, 1111, 30023]),
    st.lists(st.lists(words, min_size=1, max_size=5).map(tuple), max_size=8),
    st.lists(words, max_size=6).map(" ".join),
)
def test_decoding_raises_malformed_or_nothing(kind: int, tags: list[tuple[str, ...]], content: str) -> None:
    event = made(content, *tags, kind=kind)
    try:
        found = acts(event)
    except Malformed:
        return
    assert found == acts(event)
