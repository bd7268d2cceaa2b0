import time
from itertools import pairwise

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from bridged.model import Ref, Span, Text
from bridged.text import (
    ATOMS,
    Section,
    TextBuilder,
    bare_url,
    blocks,
    clean_name,
    find_emojis,
    find_links,
    find_tags,
    graphemes,
    known_tags,
    paragraphs,
    pieces,
    rewrite,
    slice,
    truncate,
    web_url,
)

FAMILY = "👨‍👩‍👧‍👦"
SCRIPTS = ["a", "é", "e\u0301", "ß", "日本", "한국", "हिन्दी", "العربية", "ไทย", FAMILY, "🇫🇷", "🏳️‍🌈", "👍🏽", "1️⃣"]
letters = st.lists(st.sampled_from([*SCRIPTS, " ", "\n", "\n\n", "\r\n", "."]), max_size=20).map("".join)
KINDS = ("mention", "link", "tag", "emoji", "bold", "italic", "strike", "code", "pre", "quote", "item")


@st.composite
def texts(draw: st.DrawFn) -> Text:
    plain = draw(letters)
    if not plain:
        return Text()
    spans = []
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(plain) - 1))
        end = draw(st.integers(start + 1, len(plain)))
        spans.append(Span(start, end, draw(st.sampled_from(KINDS)), draw(st.sampled_from([None, "https://a.b/"]))))
    return Text(plain, tuple(spans))


def borders(plain: str) -> set[int]:
    return {0, *(m.end() for m in regex.finditer(r"\X", plain))}


def test_graphemes_count_what_people_see():
    assert [graphemes(s) for s in (FAMILY, "🇫🇷🇩🇪", "e\u0301", "a\r\nb", "", "नमस्ते"[:2])] == [1, 2, 1, 3, 0, 2]


@given(texts(), st.integers(0, 30))
def test_slices_add_up_to_the_whole(text: Text, at: int):
    first, second = slice(text, 0, at), slice(text, at, len(text.plain))
    assert first.plain + second.plain == text.plain
    assert len(first.plain) in borders(text.plain)
    assert not any(s.start < len(first.plain) < s.end for s in text.spans if s.kind in ATOMS)


@given(texts(), st.integers(0, 12), st.integers(0, 40))
def test_truncated_texts_fit_and_cut_nothing_in_two(text: Text, few: int, octets: int):
    for short in (
        truncate(text, max_graphemes=few),
        truncate(text, max_bytes=octets),
        truncate(text, max_graphemes=few, max_bytes=octets, ellipsis=""),
    ):
        if short == text:
            continue
        body = short.plain.removesuffix("…")
        assert text.plain.startswith(body)
        assert len(body) in borders(text.plain)
        assert {(s.start, s.end) for s in short.spans if s.kind in ATOMS} == {
            (s.start, s.end) for s in text.spans if s.kind in ATOMS and s.end <= len(body)
        }
    assert graphemes(truncate(text, max_graphemes=few).plain) <= few
    assert len(truncate(text, max_bytes=octets).plain.encode()) <= octets


def test_truncate_leaves_out_a_link_it_would_cut():
    text = find_links(Text("see https://example.com/page now"))
    assert truncate(text, max_graphemes=20) == Text("see…")
    assert truncate(text, max_graphemes=30).plain == "see https://example.com/page…"
    assert truncate(text, max_graphemes=32) is text


@given(texts(), st.text(max_size=5))
def test_rewrite_keeps_spans_in_range_and_changes_only_what_it_is_told(text: Text, new: str):
    done = rewrite(text, lambda span, _: new if span.kind == "mention" else None)
    if not any(s.kind == "mention" for s in text.spans):
        assert done == text
    for span in done.spans:
        if span.kind == "mention" and len([s for s in text.spans if s.kind == "mention"]) == 1:
            assert done.plain[span.start : span.end] == new
    assert rewrite(text, lambda _, old: old).plain == text.plain


def test_rewrite_moves_the_spans_behind_and_around():
    builder = TextBuilder()
    builder.add("hi ")
    with builder.span("bold"):
        builder.add("x ")
        with builder.span("mention", Ref("n", "1")), builder.span("italic"):
            builder.add("@al")
        builder.add(" y")
    builder.add(" ")
    with builder.span("tag", "go"):
        builder.add("#go")
    done = rewrite(builder.build(), lambda s, _: "@alice@host" if s.kind == "mention" else None)
    assert done.plain == "hi x @alice@host y #go"
    assert [(s.kind, done.plain[s.start : s.end]) for s in done.spans] == [
        ("bold", "x @alice@host y"),
        ("italic", "@alice@host"),
        ("mention", "@alice@host"),
        ("tag", "#go"),
    ]
    gone = rewrite(done, lambda s, _: "" if s.kind == "mention" else None)
    assert [(s.kind, gone.plain[s.start : s.end]) for s in gone.spans] == [("bold", "x  y"), ("tag", "#go")]


def test_builder_begins_spans_at_letters_and_writes_gaps_only_between_them():
    builder = TextBuilder()
    builder.gap(2)
    builder.open("bold")
    builder.open("italic")
    builder.close()
    builder.space()
    builder.add("a")
    builder.close()
    builder.space()
    builder.gap(2)
    builder.newline()
    builder.open("link", "https://a.b/")
    builder.add("c")
    assert builder.build() == Text("a\n\n\nc", (Span(0, 1, "bold"), Span(4, 5, "link", "https://a.b/")))


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("al\u202eice", "alice"),
        ("\u200bbo\u200db\ufeff", "bob"),
        ("  a \n\t b\x00\x1b[31m ", "a b[31m"),
        (f"x {FAMILY} 🏳️‍🌈", f"x {FAMILY} 🏳️‍🌈"),
        ("🏴\U000e0067\U000e0062\U000e007f", "🏴\U000e0067\U000e0062\U000e007f"),
        ("x\U000e0041y\u3164\u2800\u115f", "xy"),
        ("Z" + "\u0335" * 50 + "a", "Z" + "\u0335" * 4 + "a"),
        ("a\ud800b", "ab"),
        ("日本語 العربية", "日本語 العربية"),
    ],
)
def test_clean_name_drops_what_cannot_be_seen(name: str, clean: str):
    assert clean_name(name, 30) == clean


@given(st.text(), st.integers(0, 10))
def test_clean_name_is_short_and_stable(name: str, limit: int):
    once = clean_name(name, limit)
    assert graphemes(once) <= limit
    assert not regex.search(r"[\p{Cc}\p{Bidi_Control}\u200B]", once)


@pytest.mark.parametrize(
    ("plain", "found"),
    [
        ("see https://a.example/x.", ["https://a.example/x"]),
        ("(https://a.example/x)", ["https://a.example/x"]),
        ("https://en.example/Foo_(bar)!", ["https://en.example/Foo_(bar)"]),
        ("HTTPS://A.example, http://b.example:8080/?q=1#f;", ["HTTPS://A.example", "http://b.example:8080/?q=1#f"]),
        ("見てhttps://例え.jp/道。次", ["https://例え.jp/道"]),
        ("javascript:alert(1) ftp://x.example https:// https://<b> xhttps://a.example", []),
        ("http://[::1]:80/x", ["http://[::1]:80/x"]),
    ],
)
def test_links_are_found_without_their_punctuation(plain: str, found: list[str]):
    text = find_links(Text(plain))
    assert [plain[s.start : s.end] for s in text.spans] == found


@pytest.mark.parametrize(
    ("plain", "found"),
    [
        ("#one, #Two. (#three)", ["one", "Two", "three"]),
        ("#日本語 #हिन्दी #عربى #ไทย #한국어 ＃全角", ["日本語", "हिन्दी", "عربى", "ไทย", "한국어", "全角"]),
        ("#2024 #1_2 # ## a#b &#39; /#x", []),
        ("#2024recap #snake_case #a·b·", ["2024recap", "snake_case", "a·b"]),
        ("#" + "a" * 200, []),
    ],
)
def test_tags_are_found_in_every_script_and_never_as_numbers(plain: str, found: list[str]):
    assert list(find_tags(Text(plain)).targets("tag")) == found


def test_nothing_is_found_within_links_and_code():
    plain = "https://a.example/#x:y: #x :y: #x"
    text = find_links(Text(plain, (Span(24, 30, "code"),)))
    text = find_tags(known_tags(find_emojis(text, {":y:": "https://e.example/y.png"}), ["x"]))
    assert [(s.kind, s.start, s.end) for s in text.spans] == [("link", 0, 22), ("code", 24, 30), ("tag", 31, 33)]


def test_emoji_codes_are_found_side_by_side_and_after_a_time():
    text = find_emojis(Text("12:30:a::b: :c:"), {":a:": "https://e/a", ":b:": "https://e/b"})
    assert [text.plain[s.start : s.end] for s in text.spans] == [":a:", ":b:"]


@given(st.from_regex(r"https?://[a-z]{1,5}\.[a-z]{2}/[!-~“。」é]{0,20}", fullmatch=True))
def test_bare_urls_are_found_whole(address: str):
    url = web_url(address)
    assert url is not None
    for plain in (bare_url(url), f"x ({bare_url(url)})."):
        (span,) = find_links(Text(plain)).spans
        assert plain[span.start : span.end] == bare_url(url)


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVa\nScript:alert(1)",
        "data:text/html,x",
        "//a.example",
        "/x",
        "https://",
        "https:///x",
        "",
        "https://" + "a" * 3000,
        "https://[bad]/x",
        "https://[1:2]/x.gif",
        "vbscript:x",
        "http:a.example",
    ],
)
def test_web_url_refuses_all_but_http_with_a_host(address: str):
    assert web_url(address) is None


def test_web_url_leaves_nothing_that_could_end_an_attribute():
    assert web_url(' https://a.example/"><script>\n ') == "https://a.example/%22%3E%3Cscript%3E"


@given(texts())
def test_blocks_and_pieces_divide_a_text_completely(text: Text):
    end = 0
    for section in blocks(text):
        assert section.start == end
        end = section.end
        run = pieces(text, section)
        assert "".join(text.plain[p.start : p.end] for p in run) == text.plain[section.start : section.end]
        assert all(p.atom is None or (p.atom.start, p.atom.end) == (p.start, p.end) for p in run)
        for paragraph in paragraphs(text, section):
            assert all(a.end == b.start for a, b in pairwise(paragraph))
    assert end == len(text.plain)


def test_searching_takes_linear_time():
    started = time.process_time()
    for unit in ("#", "#1", ":a", "https://", "https://x.y/)", " ", "\n \n", "é", "@", "`"):
        text = find_tags(known_tags(find_emojis(find_links(Text(unit * 50_000)), {":b:": "x"}), ["a"]))
        truncate(text, max_graphemes=300)
        clean_name(unit * 50_000, 50)
    assert time.process_time() - started < 20


def test_known_tags_of_letters_that_fold_into_more_keep_their_place() -> None:
    text = known_tags(Text("#Straße, #STRASSE #ŉo"), ["straße", "ŉo"])
    assert [text.plain[s.start : s.end] for s in text.spans] == ["#Straße", "#STRASSE", "#ŉo"]


def test_spans_of_a_section_are_found_as_if_all_were_looked_at():
    """Also those that begin hundreds of spans before it."""
    spans = [Span(0, 900, "bold"), Span(3, 500, "italic"), *(Span(n, n + 1, "code") for n in range(0, 1000, 2))]
    text = Text("x" * 1000, tuple(spans))
    for start in range(0, 1000, 7):
        section = Section(None, start, start + 20)
        said = {n: piece.styles for piece in pieces(text, section) for n in range(piece.start, piece.end)}
        for n in range(start, min(start + 20, 1000)):
            wanted = {s.kind for s in spans if s.start <= n < s.end}
            assert set(said[n]) == wanted, n
