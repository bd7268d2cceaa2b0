import time
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.nostr.nip19 import Naddr, Nevent, Note, Nprofile, Npub, encode
from adapters.nostr.text import VIEWER, from_note, to_note
from bridged.api import Ref, Span, Text, TextBuilder

KEY = "3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d"
ID = "b9f5441e45ca39179320e0031cfb18e34078673dcc3d3e3a3b3a981760aa5696"
ALICE = Ref("nostr", KEY)
NPUB, NOTE = encode(Npub(KEY)), encode(Note(ID))
NPROFILE = encode(Nprofile(KEY, ("wss://r.example",)))
NEVENT = encode(Nevent(ID, ("wss://r.example",), KEY, 1))
SHOWN = f"@{NPUB[:12]}…"


def account(ref: Ref) -> str | None:
    return f"nostr:{NPROFILE}" if ref == ALICE else None


def marks(text: Text) -> list[tuple[str, str]]:
    return [(s.kind, text.plain[s.start : s.end]) for s in text.spans]


@pytest.mark.parametrize(
    ("content", "tags", "plain", "spans"),
    [
        (f"hi nostr:{NPUB}, you", [], f"hi {SHOWN}, you", [("mention", SHOWN)]),
        (f"@{NPUB} nostr:{NPROFILE}", [], f"{SHOWN} {SHOWN}", [("mention", SHOWN)] * 2),
        (f"nostr:{NPUB}'s", [], f"{SHOWN}'s", [("mention", SHOWN)]),
        (f"see nostr:{NOTE}", [], f"see {VIEWER}{NOTE}", [("link", VIEWER + NOTE)]),
        (
            "#[0] #[1] #[2] #[9]",
            [["p", KEY], ["e", ID], ["p", "zz"]],
            f"{SHOWN} {VIEWER}{NOTE} #[2] #[9]",
            [("mention", SHOWN), ("link", VIEWER + NOTE)],
        ),
        (
            f"https://x.example/nostr:{NPUB} {NPUB}",
            [],
            f"https://x.example/nostr:{NPUB} {NPUB}",
            [("link", f"https://x.example/nostr:{NPUB}")],
        ),
        (f"nostr:{NPUB[:-1]}q nostr:nsec1{'q' * 58}", [], f"nostr:{NPUB[:-1]}q nostr:nsec1{'q' * 58}", []),
        ("#go #2024 #日本", [["t", "2024"]], "#go #2024 #日本", [("tag", "#go"), ("tag", "#2024"), ("tag", "#日本")]),
        (
            ":a::b: :c:",
            [["emoji", "a", "https://e.example/a"], ["emoji", "b", "data:x"], ["emoji", "c"]],
            ":a::b: :c:",
            [("emoji", ":a:")],
        ),
        ("> q\n> #r\n>\n> s\nt", [], "q\n#r\n\ns\nt", [("quote", "q\n#r\n\ns"), ("tag", "#r")]),
        (
            "a `b #c` d\n```py\nx = 1\n\n  y #z\n```\ne",
            [],
            "a b #c d\nx = 1\n\n  y #z\ne",
            [("code", "b #c"), ("pre", "x = 1\n\n  y #z")],
        ),
        ("**bold** *it* ~~s~~ - i 2 > 1 `", [], "**bold** *it* ~~s~~ - i 2 > 1 `", []),
        ("```\nnever closed", [], "```\nnever closed", []),
    ],
)
def test_notes_are_read(content: str, tags: list[list[str]], plain: str, spans: list[tuple[str, str]]):
    text = from_note(content, tags)
    assert text.plain == plain
    assert marks(text) == spans


def test_pointers_to_what_is_quoted_are_left_out():
    assert from_note(f"mine\n\nnostr:{NEVENT}", [["q", ID]], quoted=[ID]).plain == "mine"


def test_pointers_lose_their_hints_when_too_long():
    long = encode(Naddr("d", KEY, 30023, tuple(f"wss://{n}.example/{'x' * 200}" for n in range(5))))
    assert len(long) > 1000
    assert from_note(f"nostr:{long}", []).plain == VIEWER + encode(Naddr("d", KEY, 30023))
    many = encode(Nevent(ID, tuple(f"wss://{n}.example/{'x' * 200}" for n in range(5)), KEY, 1))
    assert from_note(f"nostr:{many}", []).plain == VIEWER + encode(Nevent(ID, (), KEY, 1))


@pytest.mark.parametrize(
    ("plain", "spans", "content"),
    [
        ("hi @al, x", [(3, 6, "mention", ALICE)], f"hi nostr:{NPROFILE}, x"),
        ("hi@al x", [(2, 5, "mention", ALICE)], f"hi nostr:{NPROFILE} x"),
        ("@bob@host x", [(0, 9, "mention", Ref("activitypub", "https://b"))], "@bob@host x"),
        ("read this.", [(5, 9, "link", "https://a.example/x")], "read this (https://a.example/x)."),
        ("a.example/x", [(0, 11, "link", "https://a.example/x")], "https://a.example/x"),
        ("見る次", [(0, 2, "link", "https://a.example/")], "見る (https://a.example/) 次"),
        ("x y", [(0, 1, "link", "javascript:x")], "x y"),
        (f"{VIEWER}{NEVENT}!", [(0, len(VIEWER + NEVENT), "link", VIEWER + NEVENT)], f"nostr:{NEVENT}!"),
        ("a#go-b", [(1, 4, "tag", "go")], "a #go -b"),
        ("b i c", [(0, 1, "bold", None), (2, 3, "italic", None), (4, 5, "code", None)], "b i `c`"),
        ("q\n\nr\n\nz", [(0, 4, "quote", None)], "> q\n>\n> r\n\nz"),
        ("a\nb\nc\nz", [(0, 3, "item", None), (2, 3, "item", None), (4, 5, "item", None)], "- a\n  - b\n- c\nz"),
        ("x\n  y", [(0, 5, "pre", None)], "```\nx\n  y\n```"),
    ],
)
def test_notes_are_written(plain: str, spans: list[tuple], content: str):
    assert to_note(Text(plain, tuple(Span(*s) for s in spans)), account) == content


ATOM = st.one_of(
    st.just(("mention", ALICE, SHOWN)),
    st.sampled_from(["go", "日本語", "हिन्दी", "ไทย", "a_b", "2024"]).map(lambda t: ("tag", t, f"#{t}")),
    st.sampled_from(
        [
            "https://x.example/",
            "https://x.example/a?b=c&d=%22#e.",
            "http://例え.jp/(x)/(y",
            "https://x.example/a)b]。",
            VIEWER + NOTE,
            VIEWER + NEVENT,
            "http://[::1]/",
        ]
    ).flatmap(lambda u: st.sampled_from([("link", u, u), ("link", u, "words here")])),
    st.just(("emoji", "https://e.example/b.png", ":blob:")),
)
WORDS = [
    "",
    "a",
    "é",
    "e\u0301",
    "日本語",
    "हिन्दी",
    "👨‍👩‍👧‍👦",
    "🇫🇷",
    "(",
    ")",
    ".",
    ",",
    "-",
    "@",
    "/",
    "&",
    "«",
    "العربية",
    "1",
    ":",
]
CONTAINERS = ("bold", "italic", "strike", "code", "quote", "item", "pre")


@st.composite
def texts(draw: st.DrawFn) -> Text:
    builder = TextBuilder()
    for _ in range(draw(st.integers(0, 8))):
        around = draw(st.lists(st.sampled_from(CONTAINERS), max_size=3))
        for kind in around:
            builder.open(kind)
        builder.add(draw(st.sampled_from(WORDS)))
        kind, target, letters = draw(ATOM)
        if kind != "emoji" or not {"code", "pre"} & set(around):
            with builder.span(kind, target):
                builder.add(letters)
        for _ in around:
            builder.close()
        builder.add(draw(st.sampled_from([*WORDS, " ", "\n", "\n\n"])))
    return builder.build()


def atoms(text: Text) -> list[tuple[str, object]]:
    kinds = ("mention", "link", "tag", "emoji")
    found = [(s.kind, s.target) for s in text.spans if s.kind in kinds]
    return [(k, unquote(t) if isinstance(t, str) else t) for k, t in found]


@given(texts())
def test_every_atom_survives_a_note(text: Text):
    tags = [["emoji", "blob", "https://e.example/b.png"], *(["t", str(t)] for t in text.targets("tag"))]
    content = to_note(text, account)
    back = from_note(content, tags)
    assert atoms(back) == atoms(text)
    assert all(0 <= s.start < s.end <= len(back.plain) for s in back.spans)
    assert atoms(from_note(to_note(back, account), tags)) == atoms(text)


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["`", "```", "\n", "> ", "nostr:", NPUB, NEVENT, "#[0]", "@", ":", "#"]),
            st.text(max_size=3),
        ),
        max_size=20,
    ),
    st.lists(st.lists(st.sampled_from(["p", "e", "t", "emoji", KEY, "x", "", "https://a.b/"]), max_size=3), max_size=4),
)
def test_any_note_is_read(parts: list[str], tags: list[list[str]]):
    text = from_note("".join(parts), tags)
    assert all(0 <= s.start < s.end <= len(text.plain) for s in text.spans)
    to_note(text, account)


def test_hostile_notes_take_linear_time():
    started = time.process_time()
    for unit in (
        "`",
        "```\n",
        "> ",
        "> x\n",
        "nostr:",
        "nostr:nevent1",
        "nostr:" + NPUB[:-1],
        "#[0]",
        "#",
        "`a",
        "@npub1",
        "q",
    ):
        text = from_note(unit * (100_000 // len(unit)), [["p", KEY]])
        to_note(text, account)
    assert time.process_time() - started < 20
