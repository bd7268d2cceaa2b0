"""Posts of less common kinds, and what tags say of any post."""

import hashlib
from dataclasses import replace

import pytest

from adapters.nostr import ids, plan
from adapters.nostr.decode import decode
from adapters.nostr.encode import Draft, encode
from adapters.nostr.event import Event, sign
from adapters.nostr.home import Home
from bridged.api import (
    Account,
    Activity,
    Copy,
    Edit,
    Ghost,
    Heard,
    Media,
    Post,
    PostBody,
    React,
    Ref,
    Span,
    Text,
    There,
    View,
)

NOW = 1_700_000_000
SECRET = hashlib.sha256(b"kinds").digest()
KEY = sign(SECRET, 1, 1, [], "").pubkey
EVENT, BOB = "11" * 32, "b0" * 32


def made(kind: int, *tags: tuple[str, ...], content: str = "") -> Event:
    return sign(SECRET, kind, NOW, tags, content)


def body(kind: int, *tags: tuple[str, ...], content: str = "") -> PostBody:
    (activity,) = decode(made(kind, *tags, content=content), channel="wss://relay.test", received_at=NOW)
    assert isinstance(activity.act, Post)
    return activity.act.body


def test_a_video_is_its_best_version_with_preview_and_length() -> None:
    found = body(
        21,
        ("title", "Holiday"),
        ("alt", "Waves"),
        ("imeta", "url https://v.example/a.m3u8", "m application/x-mpegURL"),
        ("imeta", "url https://v.example/a.mp3", "m audio/mpeg"),
        ("imeta", "url https://v.example/a.mp4", "m video/mp4", "dim 1920x1080", "image https://v.example/a.jpg",
         "duration 29.5"),
        ("imeta", "url https://v.example/b.mp4", "m video/mp4", "dim 1280x720"),
        content="At the sea",
    )  # fmt: skip
    assert found.text.plain == "Holiday\n\nAt the sea"
    assert found.text.spans == (Span(0, 7, "bold"),)
    assert found.media == (
        Media(
            "https://v.example/a.mp4",
            "video/mp4",
            "Waves",
            (1920, 1080),
            preview="https://v.example/a.jpg",
            seconds=29.5,
        ),
    )


def test_an_old_video_describes_its_file_in_tags() -> None:
    found = body(
        34235, ("d", "x"), ("url", "https://v.example/a.mp4"), ("duration", "12"), ("published_at", "1600000000")
    )
    assert (found.media[0].url, found.media[0].seconds, found.at) == ("https://v.example/a.mp4", 12, 1_600_000_000)
    assert found.ref.id == f"34235:{KEY}:x"


def test_a_video_without_a_file_is_its_text() -> None:
    assert body(22, content="x").media == ()


def test_previews_and_lengths_are_written() -> None:
    media = Media("https://v.example/a.mp4", "video/mp4", preview="https://v.example/a.jpg", seconds=29.5)
    draft = written(Post(replace(BODY, media=(media,))))
    assert draft.kind == 1
    tag = next(tag for tag in draft.tags if tag[0] == "imeta")
    assert tag[1:] == (f"url {media.url}", "m video/mp4", f"image {media.preview}", "duration 29.5")


@pytest.mark.parametrize(
    ("event", "plain"),
    [
        (
            made(31923, ("d", "x"), ("title", "Meet"), ("start", "1700000000"), ("end", "1700003600"),
                 ("location", "Town hall"), content="All welcome"),
            "Meet\n\n2023-11-14 22:13 UTC – 2023-11-14 23:13 UTC\nTown hall\n\nAll welcome",
        ),
        (made(31922, ("d", "x"), ("title", "Fair"), ("start", "2026-05-01")), "Fair\n\n2026-05-01"),
        (
            made(30311, ("d", "x"), ("title", "Live"), ("status", "live"), ("streaming", "https://s.example/x.m3u8")),
            "Live\n\nhttps://s.example/x.m3u8",
        ),
        (made(30818, ("d", "x"), ("title", "Wiki"), content="A *page*"), "Wiki\n\nA page"),
        (
            made(9802, ("r", "https://p.example/x"), ("comment", "True"), content="They said"),
            "True\nhttps://p.example/x\n\nThey said",
        ),
        (made(9802, ("e", EVENT), content="x"), f"https://njump.me/{ids.post_word(Ref('nostr', EVENT))}\n\nx"),
        (made(1063, ("url", "https://f.example/a.zip"), ("m", "application/zip"), content="A file"), "A file"),
        (
            made(30402, ("d", "x"), ("title", "Bike"), ("price", "10", "EUR"), content="A **fine** one"),
            "Bike\n\n10 EUR\n\nA fine one",
        ),
        (made(6969, ("poll_option", "0", "Yes"), ("poll_option", "1", "No"), content="?"), "0. Yes\n1. No\n\n?"),
        (made(31922, ("d", "x"), ("alt", "A day"), ("start", "y" * 900)), f"{'y' * 50}\n\nA day"),
        (made(31923, ("d", "x"), ("title", "T"), ("start", "9" * 12)), "T"),
    ],
)  # fmt: skip
def test_other_kinds_are_readable_and_end_in_their_link(event: Event, plain: str) -> None:
    (activity,) = decode(event, channel="wss://relay.test", received_at=NOW)
    assert isinstance(activity.act, Post)
    found = activity.act.body
    assert found.text.plain == f"{plain}\n\n{found.url}"
    assert found.text.targets("link")[-1] == found.url
    assert found.title == ""


def test_files_of_other_kinds_are_shown() -> None:
    assert body(1063, ("url", "https://f.example/a.png"), ("m", "image/png"), ("alt", "A")).media[0].alt == "A"
    assert body(30402, ("d", "x"), ("image", "https://f.example/a"), ("image", "ftp://x")).media == (
        Media("https://f.example/a", "image/jpeg"),
    )


def test_a_comment_on_a_page_ends_in_its_address() -> None:
    found = body(1111, ("I", "https://p.example/x"), ("K", "web"), ("i", "https://p.example/x"), content="Nice")
    assert found.text.plain == "Nice\n\nhttps://p.example/x"
    assert found.reply_to is None
    hinted = body(
        1111, ("I", "podcast:item:guid:1", "https://pod.example/1"), ("i", "podcast:item:guid:1"), content="x"
    )
    assert hinted.text.plain == "x\n\nhttps://pod.example/1"
    assert body(1111, ("I", "isbn:9783"), ("i", "isbn:9783"), content="x").text.plain == "x\n\nisbn:9783"


def test_an_answer_to_such_a_comment_does_not_repeat_it() -> None:
    assert body(1111, ("I", "https://p.example/x"), ("e", EVENT), ("k", "1111"), content="x").text.plain == "x"


def test_old_subjects_are_titles_of_notes_that_answer_nothing() -> None:
    assert body(1, ("subject", "News"), content="x").text == Text("News\n\nx", (Span(0, 4, "bold"),))
    assert body(1, ("subject", "Re: News"), ("e", EVENT, "", "root"), content="x").text.plain == "x"


def test_language_warning_and_expiry_are_read() -> None:
    labelled = body(1, ("L", "content-warning"), ("l", "nudity", "content-warning"), ("lang", "de-AT"), content="x")
    assert (labelled.warning, labelled.sensitive, labelled.lang) == ("nudity", True, "de")
    assert body(1, ("expiration", str(NOW + 60)), content="x").expires == NOW + 60


def test_quotes_of_old_are_marked_mentions() -> None:
    note = ids.post_word(Ref("nostr", EVENT))
    found = body(1, ("e", EVENT, "", "mention"), content=f"look nostr:{note}")
    assert (found.quote, found.text.plain, found.reply_to) == (Ref("nostr", EVENT), "look", None)


def test_a_quoted_article_is_no_link_beside() -> None:
    address = f"30023:{BOB}:x"
    found = body(1, ("q", address), content=f"look nostr:{ids.post_word(Ref('nostr', address))}")
    assert (found.quote, found.text.plain) == (Ref("nostr", address), "look")


ALICE = Ref("activitypub", "https://social.test/alice")
NOTE = Ref("activitypub", "https://social.test/notes/1")
BODY = PostBody(NOTE, ALICE, Text("Hello"), NOW)
PLACE = Home("bridge.test", "wss://bridge.test/relay", ("wss://relay.test",))


def view(**more: object) -> View:
    account = Account(ALICE, "alice@social.test")
    return View(NOW + 5.0, Ghost(ALICE, ids.account_ref(KEY), "alice"), account, **more)  # type: ignore[arg-type]


def written(act: Post | Edit | React, home: Home = PLACE, **more: object) -> Draft:
    drafts = encode(Activity(NOTE, ALICE, NOW, act), view(**more), home).parts
    draft = drafts[-1]
    assert isinstance(draft, Draft)
    return draft


def test_an_expiring_post_says_so() -> None:
    assert ("expiration", str(NOW + 60)) in written(Post(replace(BODY, expires=NOW + 60.9))).tags


def test_what_a_picture_must_show_is_a_loss() -> None:
    media = Media("https://a.example/c.png", "image/png", focus=(0.5, -0.2))
    found = encode(Activity(NOTE, ALICE, NOW, Post(replace(BODY, media=(media,)))), view(), PLACE)
    assert found.losses == ("which part of a picture must stay visible",)


def test_links_to_what_is_bridged_point_to_it() -> None:
    text = Text(
        "https://social.test/@bob/2 this @bob",
        (
            Span(0, 26, "link", "https://social.test/@bob/2"),
            Span(27, 31, "link", "https://social.test/@bob/2"),
            Span(32, 36, "link", "https://social.test/@bob"),
        ),
    )
    there = There(NOTE, Ref("nostr", EVENT), ids.account_ref(BOB), detail={"kind": "1"})
    links = {"https://social.test/@bob/2": there, "https://social.test/@bob": ids.account_ref(BOB)}
    first, _, rest = written(Post(replace(BODY, text=text)), links=links).content.partition(" ")
    assert first.startswith("nostr:nevent1")
    assert rest.startswith("this (nostr:nevent1")
    assert " nostr:nprofile1" in rest
    assert all(tag[0] != "p" for tag in written(Post(replace(BODY, text=text)), links=links).tags)


def test_people_are_named_with_a_relay_they_write_to() -> None:
    bob = Account(ids.account_ref(BOB), "npub", detail={"write": "wss://bob.test wss://other.test"})
    text = Text("@bob", (Span(0, 4, "mention", bob.ref),))
    content = written(Post(replace(BODY, text=text)), accounts={bob.ref: bob}).content
    pointer = ids.nip19.decode_uri(content)
    assert pointer == ids.nip19.Nprofile(BOB, ("wss://bob.test",))


def test_an_edit_can_be_said_as_an_answer() -> None:
    event = made(1, content="Hello")
    old = Copy(NOTE, "nostr", 0, ids.post_ref(event), b"", detail={"kind": "1", "created_at": str(NOW)})
    home = replace(PLACE, edits="note")
    draft = written(Edit(replace(BODY, text=Text("Hello!", (Span(0, 5, "bold"),)))), home, previous=(old,))
    assert (draft.of, draft.number, draft.kind) == (NOTE, 1, 1)
    assert draft.content == "Edited:\n\nHello!"
    assert draft.tags[0] == ("e", event.id, "wss://bridge.test/relay", "root", KEY)
    again = written(Edit(BODY), home, previous=(old, replace(old, part=1)))
    assert again.number == 2


def test_an_answer_goes_to_the_newest_version_of_its_root() -> None:
    origin = Ref("activitypub", "https://social.test/root")
    new = There(origin, Ref("nostr", "22" * 32), ids.account_ref(KEY), parts=(Copy(origin, "nostr", 0, None, b"x"),))
    parent_ref = Ref("nostr", "33" * 32)
    parent = There(parent_ref, parent_ref, ids.account_ref(BOB), root=origin, detail={"kind": "1", "root": EVENT})
    draft = written(Post(replace(BODY, reply_to=parent_ref)), there={parent_ref: parent, origin: new})
    assert draft.tags[:2] == (
        ("e", "22" * 32, "wss://bridge.test/relay", "root", KEY),
        ("e", "33" * 32, "wss://relay.test", "reply", BOB),
    )


def test_listening_asks_for_votes_zaps_and_messages() -> None:
    heard = Heard(full=frozenset({BOB}), ghosts=frozenset({KEY}), polls=frozenset({EVENT}))
    filters = plan.filters_for(heard, "b07" + "0" * 61)
    assert any(f.kinds == frozenset({1018}) and f.tags == (("e", frozenset({EVENT})),) for f in filters)
    assert any(f.kinds == frozenset({9735}) and f.tags == (("P", frozenset({BOB})),) for f in filters)
    wraps = [f for f in filters if f.kinds == frozenset({1059})]
    assert len(wraps) == 1
    assert plan.since(wraps, 10**6)[0].since == 10**6 - 2 * 24 * 3600
    assert plan.since(filters[:1], 10**6)[0].since == 10**6


@pytest.mark.parametrize(
    ("kind", "tags", "wanted"),
    [
        (1018, (("e", EVENT),), True),
        (1018, (("e", BOB),), False),
        (9735, (("P", BOB),), True),
        (9735, (("p", KEY),), True),
        (9735, (("p", BOB),), False),
        (1059, (("p", KEY),), False),
        (1059, (("p", "cc" * 32),), True),
        (1984, (("p", KEY),), True),
        (62, (), False),
    ],
)
def test_what_is_wanted(kind: int, tags: tuple[tuple[str, ...], ...], wanted: bool) -> None:
    heard = Heard(full=frozenset({BOB}), ghosts=frozenset({KEY}), polls=frozenset({EVENT}))
    stranger = hashlib.sha256(b"stranger").digest()
    assert plan.wanted(sign(stranger, kind, NOW, tags, ""), heard, "cc" * 32) is wanted
