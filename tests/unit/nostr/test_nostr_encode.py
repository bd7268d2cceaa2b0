"""Neutral words to unsigned events, as tables."""

import json
from dataclasses import replace
from typing import Any

import pytest

from adapters.nostr import ids, nip19
from adapters.nostr.encode import Draft, Drafts, encode
from adapters.nostr.event import sign, to_json
from adapters.nostr.home import Home
from bridged.api import (
    HOME,
    Accept,
    Account,
    Activity,
    Copy,
    Delete,
    Edit,
    Follow,
    Ghost,
    Media,
    Part,
    Post,
    PostBody,
    Profile,
    React,
    Ref,
    Rejected,
    Repost,
    Span,
    Text,
    There,
    View,
)

SECRET = b"\x07" * 32
KEY = sign(SECRET, 1, 1, [], "").pubkey
BOB, CAROL = "b0" * 32, "ca" * 32
HOME_RELAY, RELAY = "wss://bridge.test/relay", "wss://relay.test"
PLACE = Home("bridge.test", HOME_RELAY, (RELAY,))
NOW = 1_700_000_000.5

ALICE = Ref("activitypub", "https://social.test/alice")
ACCOUNT = Account(ALICE, "alice@social.test", name="Alice", url="https://social.test/@alice")
GHOST = Ghost(ALICE, ids.account_ref(KEY), "alice_at_social.test")
NOTE = Ref("activitypub", "https://social.test/notes/1")
BODY = PostBody(NOTE, ALICE, Text("Hello"), NOW, url="https://social.test/@alice/1")
ORIGIN = (("proxy", NOTE.id, "activitypub"), ("r", "https://social.test/@alice/1"))
ROOT, PARENT = "11" * 32, "22" * 32


def view(**more: Any) -> View:
    return View(**{"at": NOW + 5, "actor": GHOST, "account": ACCOUNT, **more})


def act(what: Any, ref: str = "https://social.test/acts/1", at: float = NOW) -> Activity:
    return Activity(what.body.ref if isinstance(what, Post) else Ref("activitypub", ref), ALICE, at, what)


def drafts(what: Any, at: float = NOW, **more: Any) -> list[Draft]:
    found = encode(act(what, at=at), view(**more), PLACE)
    assert found == encode(act(what, at=at), view(**more), PLACE)
    return [part for part in found.parts if isinstance(part, Draft)]


def one(what: Any, **more: Any) -> Draft:
    (draft,) = drafts(what, **more)
    return draft


def native(event_id: str = PARENT, author: str = BOB, **detail: str) -> There:
    return There(Ref("nostr", event_id), Ref("nostr", event_id), Ref("nostr", author), detail=detail)


def copy(
    kind: int = 1, tags: Any = (), content: str = "Hello", number: int = 0, of: Ref = NOTE, at: int = 1000
) -> Copy:
    event = sign(SECRET, kind, at, tags, content)
    detail = {"kind": str(kind), "created_at": str(at)}
    ref = ids.post_ref(event)
    if ":" in ref.id:
        detail["event"] = event.id
    return Copy(of, "nostr", number, ref, to_json(event), detail=detail)


def test_a_post_is_a_note_that_says_where_it_is_from() -> None:
    draft = one(Post(BODY))
    assert (draft.of, draft.kind, draft.at, draft.content) == (NOTE, 1, 1_700_000_000, "Hello")
    assert draft.tags == ORIGIN
    assert draft.detail == {"kind": "1", "created_at": "1700000000"}


def test_a_note_is_never_dated_later_than_it_was_heard() -> None:
    assert one(Post(BODY), at=NOW + 10**6).at == 1_700_000_005


def test_an_answer_to_a_thread_root_names_it_once() -> None:
    there = native(relay="wss://their.test")
    draft = one(Post(replace(BODY, reply_to=there.origin)), there={there.origin: there})
    assert draft.tags == (("e", PARENT, "wss://their.test", "root", BOB), ("p", BOB), *ORIGIN)
    assert draft.detail["root"] == PARENT
    assert draft.detail["p"] == BOB


def test_a_deeper_answer_names_root_and_parent_and_all_who_take_part() -> None:
    there = native(root=ROOT, root_author=CAROL, p=f"{CAROL},{KEY}")
    draft = one(Post(replace(BODY, reply_to=there.origin)), there={there.origin: there})
    assert draft.tags[:4] == (
        ("e", ROOT, RELAY, "root", CAROL),
        ("e", PARENT, RELAY, "reply", BOB),
        ("p", BOB),
        ("p", CAROL),
    )
    assert draft.detail["root"] == ROOT


def test_an_answer_to_a_copy_points_to_our_relay_and_finds_the_root_by_its_origin() -> None:
    root_origin = Ref("activitypub", "https://other.test/0")
    parent_origin = Ref("activitypub", "https://other.test/1")
    root = There(root_origin, Ref("nostr", ROOT), Ref("nostr", CAROL), parts=(copy(),))
    parent = There(parent_origin, Ref("nostr", PARENT), Ref("nostr", BOB), root=root_origin, parts=(copy(),))
    draft = one(Post(replace(BODY, reply_to=parent_origin)), there={parent_origin: parent, root_origin: root})
    assert draft.tags[:2] == (
        ("e", ROOT, HOME_RELAY, "root", CAROL),
        ("e", PARENT, HOME_RELAY, "reply", BOB),
    )


def test_an_answer_to_what_is_not_here_says_where_to_read_it() -> None:
    parent = Ref("activitypub", "https://other.test/1")
    found = encode(act(Post(replace(BODY, reply_to=parent))), view(there={parent: None}), PLACE)
    (draft,) = found.parts
    assert isinstance(draft, Draft)
    assert draft.content == "Hello\n\nhttps://social.test/@alice/1"
    assert draft.tags == ORIGIN
    assert found.losses == ("what it answers is not here",)


def test_an_answer_to_an_article_is_a_comment() -> None:
    address = f"30023:{BOB}:essay"
    there = native(address, kind="30023", event=PARENT)
    draft = one(Post(replace(BODY, reply_to=there.origin)), there={there.origin: there})
    assert draft.kind == 1111
    assert draft.tags[:-2] == (
        ("A", address, RELAY, BOB),
        ("K", "30023"),
        ("P", BOB),
        ("e", PARENT, RELAY, BOB),
        ("a", address, RELAY, BOB),
        ("k", "30023"),
        ("p", BOB),
    )


def test_an_answer_to_a_comment_keeps_its_root() -> None:
    facts = {"kind": "1111", "root_tag": "A", "root_id": f"30023:{CAROL}:x", "root_kind": "30023", "root_author": CAROL}
    there = native(**facts)
    draft = one(Post(replace(BODY, reply_to=there.origin)), there={there.origin: there})
    assert draft.tags[:6] == (
        ("A", f"30023:{CAROL}:x", RELAY, CAROL),
        ("K", "30023"),
        ("P", CAROL),
        ("e", PARENT, RELAY, BOB),
        ("k", "1111"),
        ("p", BOB),
    )
    assert draft.detail.items() >= facts.items()


def test_mentions_become_pointers_and_tags() -> None:
    known, unknown = Ref("activitypub", "https://x.test/known"), Ref("activitypub", "https://x.test/unknown")
    text = Text(
        "@bob @known @unknown",
        (Span(0, 4, "mention", ids.account_ref(BOB)), Span(5, 11, "mention", known), Span(12, 20, "mention", unknown)),
    )
    draft = one(
        Post(replace(BODY, text=text)),
        ghosts={known: Ghost(known, ids.account_ref(CAROL), "known_at_x.test"), unknown: None},
        accounts={unknown: Account(unknown, "unknown@x.test", url="https://x.test/@unknown")},
    )
    bob, carol, link = draft.content.split(" ")
    assert nip19.decode_uri(bob) == nip19.Nprofile(BOB)
    assert nip19.decode_uri(carol) == nip19.Nprofile(CAROL, (HOME_RELAY,))
    assert link == "https://x.test/@unknown"
    assert draft.tags[:2] == (("p", BOB), ("p", CAROL))


def test_files_tags_warning_language_and_emoji_have_their_tags() -> None:
    body = replace(
        BODY,
        text=Text("#Cats :cat:", (Span(0, 5, "tag", "Cats"), Span(6, 11, "emoji", "https://x.test/cat.png"))),
        media=(Media("https://x.test/1.png", "image/png", "a\ncat", (3, 4), "LKO2", "ab" * 32), Media("file:///x")),
        warning="pets",
        lang="de-AT",
    )
    draft = one(Post(body))
    assert draft.content == "#Cats :cat:\n\nhttps://x.test/1.png"
    assert draft.tags[:-2] == (
        ("t", "cats"),
        ("emoji", "cat", "https://x.test/cat.png"),
        ("imeta", "url https://x.test/1.png", "m image/png", "dim 3x4", "blurhash LKO2", f"x {'ab' * 32}", "alt a cat"),
        ("content-warning", "pets"),
        ("L", "ISO-639-1"),
        ("l", "de", "ISO-639-1"),
    )


def test_a_quote_is_a_tag_and_a_pointer() -> None:
    there = native(kind="1")
    draft = one(Post(replace(BODY, quote=there.origin)), there={there.origin: there})
    text, _, uri = draft.content.partition("\n\n")
    assert text == "Hello"
    assert nip19.decode_uri(uri) == nip19.Nevent(PARENT, (RELAY,), BOB, 1)
    assert draft.tags[:2] == (("p", BOB), ("q", PARENT, RELAY, BOB))


def test_a_quote_of_what_is_not_here_is_a_link() -> None:
    assert one(Post(replace(BODY, quote=NOTE)), there={NOTE: None}).content == f"Hello\n\n{NOTE.id}"


def test_a_titled_post_is_an_article_with_a_lasting_identifier() -> None:
    body = replace(BODY, title="Essay")
    first, later = one(Post(body)), one(Edit(replace(body, text=Text("New"))), at=NOW + 1)
    assert first.kind == 30023
    assert first.tags[1:3] == (("title", "Essay"), ("published_at", "1700000000"))
    assert first.tags[0][0] == "d"
    assert first.tags[0] == later.tags[0]


def test_a_titled_answer_stays_a_note() -> None:
    there = native()
    draft = one(Post(replace(BODY, title="Re", reply_to=there.origin)), there={there.origin: there})
    assert (draft.kind, draft.content) == (1, "Re\n\nHello")


def test_an_edited_note_is_deleted_and_said_again() -> None:
    old = copy()
    deletion, draft = drafts(Edit(replace(BODY, text=Text("Hello!"))), at=NOW + 2, previous=(old,))
    assert old.ref is not None
    assert (deletion.of, deletion.kind) == (Ref("activitypub", "https://social.test/acts/1"), 5)
    assert deletion.tags[:2] == (("e", old.ref.id), ("k", "1"))
    assert (draft.of, draft.kind, draft.content, draft.at) == (NOTE, 1, "Hello!", 1_700_000_002)


def test_an_edit_that_changes_nothing_is_not_said() -> None:
    found = encode(act(Edit(BODY)), view(previous=(copy(tags=ORIGIN),)), PLACE)
    assert found.parts == ()
    assert found.losses


def test_an_edited_article_takes_the_place_of_the_old() -> None:
    old = copy(30023, [("d", "x")], at=1_800_000_000)
    draft = one(Edit(replace(BODY, title="Essay")), previous=(old,))
    assert (draft.of, draft.kind, draft.at) == (NOTE, 30023, 1_800_000_001)


def test_a_deletion_names_the_event_and_withdraws_the_copy() -> None:
    old = copy()
    assert old.ref is not None
    found = encode(act(Delete(NOTE)), view(previous=(old,)), PLACE)
    deletion, withdrawn = found.parts
    assert isinstance(deletion, Draft)
    assert isinstance(withdrawn, Part)
    assert (deletion.kind, deletion.tags[:2]) == (5, (("e", old.ref.id), ("k", "1")))
    assert (withdrawn.of, withdrawn.ref, withdrawn.gone) == (NOTE, old.ref, True)
    assert (withdrawn.body, withdrawn.served, withdrawn.endpoints) == (b"", b"", ())


def test_a_deleted_article_is_named_by_address_and_no_earlier_than_it_was_said() -> None:
    old = copy(30023, [("d", "x")], at=1_800_000_000)
    deletion = drafts(Delete(NOTE), previous=(old,))[0]
    assert deletion.tags[:3] == (("a", f"30023:{KEY}:x"), ("e", old.detail["event"]), ("k", "30023"))
    assert deletion.at == 1_800_000_000


def test_a_deletion_of_what_was_not_said_says_nothing() -> None:
    assert encode(act(Delete(NOTE)), view(previous=(replace(copy(), gone=True),)), PLACE) == Drafts()


def test_a_like_taken_back_deletes_the_reaction() -> None:
    liked = Ref("activitypub", "https://social.test/likes/1")
    old = copy(7, content="+", of=liked)
    subject = Activity(liked, ALICE, NOW, React(NOTE))
    assert drafts(Delete(liked), previous=(old,), subject=subject)[0].tags[1] == ("k", "7")


@pytest.mark.parametrize(
    ("react", "content", "emoji"),
    [
        (React(NOTE), "+", ()),
        (React(NOTE, "🤙"), "🤙", ()),
        (React(NOTE, ":cat:", "https://x.test/cat.png"), ":cat:", (("emoji", "cat", "https://x.test/cat.png"),)),
        (React(NOTE, ":cat:"), "+", ()),
        (React(NOTE, ":c a t:", "https://x.test/cat.png"), "+", ()),
        (React(NOTE, "-"), "+", ()),
        (React(NOTE, "x" * 100), "+", ()),
    ],
)
def test_reactions(react: React, content: str, emoji: Any) -> None:
    draft = one(react, there={NOTE: native()})
    assert (draft.kind, draft.content) == (7, content)
    assert draft.tags == (
        ("e", PARENT, RELAY, BOB),
        *emoji,
        ("p", BOB),
        ("k", "1"),
        ("proxy", "https://social.test/acts/1", "activitypub"),
    )


def test_a_reaction_to_what_is_not_here_is_rejected() -> None:
    with pytest.raises(Rejected):
        encode(act(React(NOTE)), view(there={NOTE: None}), PLACE)


def test_a_repost_of_a_native_note_leaves_it_to_be_fetched() -> None:
    draft = one(Repost(NOTE), there={NOTE: native()})
    assert (draft.kind, draft.content) == (6, "")
    assert draft.tags[:2] == (("e", PARENT, RELAY, BOB), ("p", BOB))


def test_a_repost_of_a_copy_shows_it() -> None:
    shown = copy()
    there = There(NOTE, shown.ref, ids.account_ref(KEY), detail=shown.detail, parts=(shown,))
    draft = one(Repost(NOTE), there={NOTE: there})
    assert (draft.kind, json.loads(draft.content)["content"]) == (6, "Hello")
    assert draft.tags[0][2] == HOME_RELAY


def test_a_repost_of_anything_else_is_generic() -> None:
    draft = one(Repost(NOTE), there={NOTE: native(f"30023:{BOB}:x", kind="30023")})
    assert draft.kind == 16
    assert draft.tags[:3] == (("a", f"30023:{BOB}:x", RELAY, BOB), ("p", BOB), ("k", "30023"))


def test_follows_are_said_as_the_whole_list_after_the_last() -> None:
    own = (copy(3, number=2, of=ALICE, at=1_800_000_000),)
    follows = (ids.account_ref(BOB), ids.account_ref(CAROL))
    draft = one(Follow(follows[1]), follows=follows, own=own)
    assert (draft.of, draft.number, draft.kind, draft.at) == (ALICE, 2, 3, 1_800_000_001)
    assert draft.tags == (("p", BOB), ("p", CAROL), ("proxy", ALICE.id, "activitypub"))


def test_an_unfollow_is_the_list_without() -> None:
    followed = Ref("activitypub", "https://social.test/follows/1")
    subject = Activity(followed, ALICE, NOW, Follow(ids.account_ref(CAROL)))
    draft = one(Delete(followed), subject=subject, follows=(ids.account_ref(BOB),))
    assert (draft.kind, draft.number, draft.tags[0]) == (3, 2, ("p", BOB))


def test_a_profile_is_a_kind_0_and_its_relays() -> None:
    account = replace(ACCOUNT, bio=Text("I am"), avatar="https://x.test/a.png", bot=True)
    profile, relays = drafts(Profile(account), account=account)
    assert (profile.of, profile.kind, profile.number) == (ALICE, 0, 0)
    assert json.loads(profile.content) == {
        "name": "alice@social.test",
        "display_name": "Alice",
        "about": "I am\n\nbridged from https://social.test/@alice",
        "picture": "https://x.test/a.png",
        "website": "https://social.test/@alice",
        "nip05": "alice_at_social.test@bridge.test",
        "bot": True,
    }
    assert profile.tags == (("proxy", ALICE.id, "activitypub"), ("r", "https://social.test/@alice"))
    assert (relays.of, relays.kind, relays.number) == (ALICE, 10002, 1)
    assert relays.tags == (("r", HOME_RELAY), ("r", RELAY), ("proxy", ALICE.id, "activitypub"))


def test_a_profile_says_only_what_changed_and_later_than_before() -> None:
    profile, relays = drafts(Profile(ACCOUNT))
    own = tuple(
        copy(draft.kind, draft.tags, draft.content, draft.number, ALICE, 1_800_000_000) for draft in (profile, relays)
    )
    assert drafts(Profile(ACCOUNT), own=own) == []
    changed = replace(ACCOUNT, name="Alice B.")
    draft = one(Profile(changed), account=changed, own=own)
    assert (draft.kind, draft.at) == (0, 1_800_000_001)


def test_the_bot_is_nobodys_copy() -> None:
    bot = Account(Ref(HOME, "bot"), "bridge", name="The bridge", bot=True)
    ghost = Ghost(bot.ref, ids.account_ref(KEY), "bridge")
    found = encode(Activity(bot.ref, bot.ref, NOW, Profile(bot)), view(account=bot, actor=ghost), PLACE)
    profile = found.parts[0]
    assert isinstance(profile, Draft)
    assert profile.tags == ()
    assert "about" not in json.loads(profile.content)


def test_an_account_that_leaves_says_so_last() -> None:
    draft = one(Delete(ALICE), own=(copy(0, content="{}", of=ALICE, at=1_800_000_000),))
    assert (draft.of, draft.kind, draft.number, draft.gone, draft.at) == (ALICE, 0, 0, True, 1_800_000_001)
    assert "name" not in json.loads(draft.content)


def test_acts_without_a_form_here_are_nothing() -> None:
    assert encode(act(Accept(NOTE)), view(), PLACE) == Drafts()


def test_a_text_too_long_for_an_event_is_cut_and_links_to_the_whole() -> None:
    found = encode(act(Post(replace(BODY, text=Text("word " * 20_000)))), view(), PLACE)
    (draft,) = found.parts
    assert isinstance(draft, Draft)
    assert draft.content.endswith("https://social.test/@alice/1")
    assert found.losses == ("the text was cut",)
    assert sign(SECRET, draft.kind, draft.at, draft.tags, draft.content)


def test_leaving_empties_the_lists_and_says_so_in_the_profile() -> None:
    lists = (copy(3, [["p", BOB]], "", number=2, of=ALICE, at=9_000_000_000), copy(10001, [["e", ROOT]], "", 4, ALICE))
    found = drafts(Delete(ALICE), own=lists)
    assert [(d.kind, d.number, d.gone) for d in found] == [(0, 0, True), (3, 2, True), (10001, 4, True)]
    assert json.loads(found[0].content)["deleted"] is True
    assert found[1].at == 9_000_000_001
    assert not any(tag[0] in ("p", "e") for d in found for tag in d.tags)


def test_leaving_for_good_asks_all_relays_to_forget_last_of_all() -> None:
    lists = (copy(3, [["p", BOB]], "", number=2, of=ALICE, at=9_000_000_000),)
    found = drafts(Delete(ALICE, final=True), own=lists)
    assert [(d.kind, d.number, d.gone) for d in found] == [(0, 0, True), (3, 2, True), (62, 5, True)]
    assert found[-1].at == max(d.at for d in found)
    assert ("relay", "ALL_RELAYS") in found[-1].tags
