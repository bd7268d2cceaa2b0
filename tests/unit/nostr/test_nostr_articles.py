"""Articles (NIP-23): Markdown read into spans and written from them, and the tags around it."""

import hashlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.nostr.decode import decode
from adapters.nostr.encode import Draft, encode
from adapters.nostr.event import Event, sign
from adapters.nostr.home import Home
from adapters.nostr.markdown import MAX_BRACKETS, from_markdown
from adapters.nostr.markdown_out import to_markdown
from adapters.nostr.media import MAX_MEDIA
from bridged.api import Account, Activity, Ghost, Media, Post, PostBody, Ref, Span, Text, View
from tests.unit.nostr.test_nostr_text import ALICE, NEVENT, NPROFILE, NPUB, SHOWN, VIEWER, account, atoms, texts

NOW = 1_700_000_000
SECRET = hashlib.sha256(b"articles").digest()


def read(content: str, *tags: list[str]) -> Text:
    return from_markdown(content, tags)[0]


def marks(text: Text) -> list[tuple[str, str]]:
    return [(s.kind, text.plain[s.start : s.end]) for s in text.spans]


@pytest.mark.parametrize(
    ("content", "plain", "spans"),
    [
        ("# A *b*\n\ntext", "A b\n\ntext", [("bold", "A b"), ("italic", "b")]),
        ("A\n===\nx\ny", "A\n\nx y", [("bold", "A")]),
        ("a\\\nb  \nc<br>d", "a\nb\nc\nd", []),
        ("**a** _b_ ~~c~~ `d`", "a b c d", [("bold", "a"), ("italic", "b"), ("strike", "c"), ("code", "d")]),
        ("- a\n- b\n  - c", "a\nb\nc", [("item", "a"), ("item", "b\nc"), ("item", "c")]),
        ("- a\n\n- b", "a\nb", [("item", "a"), ("item", "b")]),
        ("3. a\n4. b", "3. a\n4. b", []),
        ("> a\n> b\n>\n> c", "a b\n\nc", [("quote", "a b\n\nc")]),
        ("```py\nx\n\n  y\n```", "x\n\n  y", [("pre", "x\n\n  y")]),
        ("    x = 1", "x = 1", [("pre", "x = 1")]),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a | b\n1 | 2", []),
        ("a\n\n---\n\nb", "a\n\nb", []),
        ("[words](https://a.example/x) <https://b.example/>", "words https://b.example/", [("link", "words")] * 0),
        ("[x](javascript:y) [z](mailto:a@b.c)", "[x](javascript:y) z", []),
        ("<div>\nletters &amp; signs\n</div>", "letters & signs", []),
        ("a <b>c</b> &lt; d", "a c < d", []),
        (f"hi nostr:{NPUB}!", f"hi {SHOWN}!", [("mention", SHOWN)]),
        (f"[al](nostr:{NPUB})", f"al {SHOWN}", [("mention", SHOWN)]),
        (f"nostr:{NEVENT}", VIEWER + NEVENT, [("link", VIEWER + NEVENT)]),
        ("#tag a_b_c 2*3*4", "#tag a_b_c 234", [("tag", "#tag"), ("italic", "3")]),
        ("`nostr:x` \\`nostr:y\\`", "nostr:x `nostr:y`", [("code", "nostr:x")]),
    ],
)
def test_markdown_is_read(content: str, plain: str, spans: list[tuple[str, str]]) -> None:
    text = read(content)
    assert text.plain == plain
    assert marks(text) == (spans or marks(text))


def test_pictures_become_files_with_their_descriptions() -> None:
    text, media = from_markdown(
        "a ![A cat](https://a.example/c.png) b [![](https://a.example/d.jpg)](https://l.example)", []
    )
    assert text.plain == "a b https://l.example"
    assert media == (
        Media("https://a.example/c.png", "image/png", "A cat"),
        Media("https://a.example/d.jpg", "image/jpeg"),
    )


def test_more_pictures_than_a_post_can_have_become_links() -> None:
    many = "\n".join(f"![p{n}](https://a.example/{n}.png)" for n in range(MAX_MEDIA + 1))
    text, media = from_markdown(many, [])
    assert len(media) == MAX_MEDIA
    assert marks(text) == [("link", f"p{MAX_MEDIA}")]


def test_emoji_and_tags_are_found_in_markdown() -> None:
    text = read("**:blob_cat:** #2024", ["emoji", "blob_cat", "https://e.example/b.png"], ["t", "2024"])
    assert marks(text) == [("bold", ":blob_cat:"), ("emoji", ":blob_cat:"), ("tag", "#2024")]


@pytest.mark.parametrize(
    ("plain", "spans", "content"),
    [
        ("a b c", [(0, 1, "bold", None), (2, 3, "italic", None), (4, 5, "strike", None)], "**a** _b_ ~~c~~"),
        ("ab", [(0, 2, "bold", None), (0, 1, "italic", None)], "**ab**"),
        ("a b", [(0, 3, "bold", None), (0, 1, "italic", None)], "**_a_ b**"),
        ("a «b»c", [(2, 5, "bold", None)], "a «b»c"),
        ("a b ", [(1, 4, "bold", None)], "a **b**"),
        ("x`y", [(0, 3, "code", None)], "``x`y``"),
        ("words", [(0, 5, "link", "https://a.example/(x)")], "[words](https://a.example/%28x%29)"),
        ("https://a.example/_x_", [(0, 21, "link", "https://a.example/_x_")], "<https://a.example/_x_>"),
        ("!words", [(1, 6, "link", "https://a.example/")], "\\![words](https://a.example/)"),
        ("hi@al x", [(2, 5, "mention", ALICE)], f"hi nostr:{NPROFILE} x"),
        ("1. a\n- b\n# c\n> d *e* <f> [g] #h", [], "1\\. a\\\n\\- b\\\n\\# c\\\n\\> d \\*e\\* \\<f> \\[g\\] #h"),
        ("a\nb\n\n\nc", [], "a\\\nb\n\nc"),
        ("q\n\nr\nz", [(0, 4, "quote", None)], "> q\n>\n> r\n\nz"),
        ("a\nb\nc\nz", [(0, 3, "item", None), (2, 3, "item", None), (4, 5, "item", None)], "- a\n  \n  - b\n- c\n\nz"),
        ("x ```\n y", [(0, 8, "pre", None)], "````\nx ```\n y\n````"),
    ],
)
def test_markdown_is_written(plain: str, spans: list[Any], content: str) -> None:
    assert to_markdown(Text(plain, tuple(Span(*s) for s in spans)), account) == content


@given(texts())
def test_every_atom_survives_an_article(text: Text) -> None:
    tags = [["emoji", "blob", "https://e.example/b.png"], *(["t", str(t)] for t in text.targets("tag"))]
    back, _ = from_markdown(to_markdown(text, account), tags)
    assert atoms(back) == atoms(text)
    again, _ = from_markdown(to_markdown(back, account), tags)
    assert atoms(again) == atoms(text)


LETTERS = st.text(st.sampled_from("ab 1.#->+=*_`[]()<>!|~&\\\n\t:é日；&amp"), max_size=40)


@given(LETTERS)
def test_plain_letters_stay_plain_letters(letters: str) -> None:
    back, media = from_markdown(to_markdown(Text(letters), account), [])
    assert "".join(back.plain.split()) == "".join(letters.split())
    assert {s.kind for s in back.spans} <= {"tag"}
    assert media == ()


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40), st.data())
def test_styles_lose_no_letters_in_any_script(letters: str, data: st.DataObject) -> None:
    spans: list[Span] = []
    for kind in ("bold", "italic", "strike", "quote", "item"):
        if letters:
            start = data.draw(st.integers(0, len(letters) - 1))
            spans.append(Span(start, data.draw(st.integers(start + 1, len(letters))), kind))  # type: ignore[arg-type]
    back, _ = from_markdown(to_markdown(Text(letters, tuple(spans)), account), [])
    assert "".join(back.plain.split()) == "".join(letters.replace("\u0085", " ").split())


SIGNS = ["[", "]", "(", ")", "![", "*", "_", "`", ">", "- ", "\n", "1. ", "<b>", "<br>", "|", "&lt;", "    ", "```"]
UNITS = ["[", "![[", "*a ", "*a**", "`a``", "<a ", "> ", "- a\n\n", "|", "[a]: b\n", "_a__", "[a](", "&", "\\", "a\n"]


@given(st.lists(st.sampled_from([*SIGNS, "nostr:", NPUB, "https://a.b/c", "#x"]), max_size=30))
def test_any_markdown_is_read(parts: list[str]) -> None:
    text, _ = from_markdown("".join(parts), [])
    assert all(0 <= s.start < s.end <= len(text.plain) for s in text.spans)
    to_markdown(text, account)


def test_hostile_markdown_takes_little_time() -> None:
    started = time.process_time()
    for unit in UNITS:
        to_markdown(from_markdown(unit * (60_000 // len(unit)), [])[0], account)
    assert time.process_time() - started < 20
    assert from_markdown("[" * (MAX_BRACKETS + 1), [])[0].plain


def article(content: str, *tags: tuple[str, ...]) -> PostBody:
    event: Event = sign(SECRET, 30023, NOW, [("d", "x"), *tags], content)
    (activity,) = decode(event, channel="wss://relay.test", received_at=NOW)
    assert isinstance(activity.act, Post)
    return activity.act.body


def test_an_article_has_title_summary_image_and_time() -> None:
    body = article(
        "![](https://a.example/c.png)\n\n**Hi**",
        ("title", " Long  Read "),
        ("summary", "In short"),
        ("image", "https://a.example/head.png"),
        ("published_at", str(NOW - 100)),
        ("imeta", "url https://a.example/c.png", "alt A cat", "dim 3x4"),
        ("t", "essay"),
    )
    assert (body.title, body.summary, body.image) == ("Long Read", "In short", "https://a.example/head.png")
    assert (body.at, body.text.plain, body.tags) == (NOW - 100, "Hi", ("essay",))
    assert body.media == (Media("https://a.example/c.png", "image/png", "A cat", (3, 4)),)


def test_an_article_is_written_with_all_of_it() -> None:
    actor = Ref("activitypub", "https://social.test/alice")
    note = Ref("activitypub", "https://social.test/a/1")
    body = PostBody(
        note,
        actor,
        Text("Hi all", (Span(0, 2, "bold"),)),
        NOW,
        title="Long Read",
        summary="In short",
        image="https://a.example/head.png",
        media=(Media("https://a.example/c.png", "image/png", "A [cat]"), Media("https://a.example/v.mp4", "video/mp4")),
    )
    view = View(NOW + 5.0, Ghost(actor, Ref("nostr", "ab" * 32), "alice"), Account(actor, "alice@social.test"))
    (draft,) = encode(Activity(note, actor, NOW, Post(body)), view, Home("bridge.test")).parts
    assert isinstance(draft, Draft)
    assert draft.kind == 30023
    assert draft.content == "**Hi** all\n\n![A  cat ](<https://a.example/c.png>)\nhttps://a.example/v.mp4"
    assert draft.tags[1:5] == (
        ("title", "Long Read"),
        ("summary", "In short"),
        ("image", "https://a.example/head.png"),
        ("published_at", str(NOW)),
    )


def test_drafts_are_nobodys_business() -> None:
    event = sign(SECRET, 30024, NOW, [("d", "x"), ("title", "T")], "draft")
    assert decode(event, channel="", received_at=NOW) == ()
