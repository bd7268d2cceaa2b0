"""HTML to spans and back: nothing that means something is lost, nothing hostile gets through, time is bounded."""

import time

import nh3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.activitypub.html import MAX_HTML, MAX_SPANS, to_html
from bridged.api import Text, TextBuilder
from tests.unit.activitypub.test_html import ATTRIBUTES, GARY, TAGS, account, read, tag

WORDS = [
    *("a", "é", "e\u0301", "日本語", "हिन्दी", "👨\u200d👩\u200d👧\u200d👦", "🇫🇷", "<b>", "&amp;", '"', "\xa0", "x.y"),
    *("العربية", "עברית", "ไทย", "한국어", "தமிழ்", "አማርኛ", "Ελληνικά", "ქართული", "မြန်မာ", "עִבְרִית"),
    *("\u200fabc", "𐍈𐌿", "☝🏽", "1\ufe0f\u20e3"),
]
TAGS_IN_USE = ["go", "日本語", "ไทย", "a_b", "தமிழ்", "עברית", "Ελλάδα", "中文2026", "কলকাতা"]
ATOM = st.one_of(
    st.just(("mention", GARY, "@gary@gts.test")),
    st.sampled_from(TAGS_IN_USE).map(lambda t: ("tag", t, f"#{t}")),
    st.sampled_from(
        ["https://x.example/", "https://x.example/a?b=c&d=%22#e", "http://例え.jp/(x)/" + "y" * 60]
    ).flatmap(lambda u: st.sampled_from([("link", u, u), ("link", u, "words here"), ("link", u, "<&>")])),
    st.just(("emoji", "https://e.test/b.png", ":blob:")),
)
CONTAINERS = ("bold", "italic", "strike", "code", "quote", "item", "pre")


@st.composite
def texts(draw: st.DrawFn) -> Text:
    builder = TextBuilder()
    for _ in range(draw(st.integers(0, 8))):
        around = draw(st.lists(st.sampled_from(CONTAINERS), max_size=3))
        for kind in around:
            builder.open(kind)
        builder.add(draw(st.sampled_from(WORDS)) + " ")
        kind, target, letters = draw(ATOM)
        # Emoji codes in code are code.
        if kind != "emoji" or not {"code", "pre"} & set(around):
            with builder.span(kind, target):
                builder.add(letters)
        for _ in around:
            builder.close()
        builder.add(draw(st.sampled_from([" ", "\n", "\n\n"])))
    return builder.build()


def atoms(text: Text) -> list[tuple[str, object, str]]:
    kinds = ("mention", "link", "tag", "emoji")
    return [(s.kind, s.target, text.plain[s.start : s.end]) for s in text.spans if s.kind in kinds]


@given(texts())
def test_every_atom_survives_html(text: Text):
    html = to_html(text, account, tag)
    back = read(html)
    assert atoms(back) == atoms(text)
    again = to_html(back, account, tag)
    assert atoms(read(again)) == atoms(text)


WRAPPED = {
    "mention": (
        '<a href="https://gts.test/users/gary" class="u-url mention">@<span>gary</span></a>',
        '<span class="h-card"><a href="https://gts.test/users/gary" class="mention">@gary@gts.test</a></span>',
        '@<a class="mention" href="https://gts.test/users/gary">gary</a>',
    ),
    "tag": (
        '<a href="https://m.test/tags/x" class="mention hashtag" rel="tag">#<span>ไทย</span></a>',
        '<a href="https://m.test/tags/x" rel="tag">#中文</a>',
        "#filmphotography",
    ),
    "link": (
        '<a href="https://a.test/x?y=1&amp;z" rel="nofollow"><span class="invisible">https://</span>a.test/x</a>',
        '<a href="https://例え.jp/路">ここ</a>',
        "https://plain.test/a_(b)",
    ),
    "emoji": (":blob:", '<img alt=":blob:" src="https://e.test/b.png">'),
}
AROUND = (
    "{}", "<p>{}</p>", "<b>{}</b>", "<ul><li>{}</li></ul>", "<blockquote>{}</blockquote>", "<h2>{}</h2>",
    "<table><tr><td>{}</td></tr></table>", "<figure><figcaption>{}</figcaption></figure>", "<details>{}</details>",
    "<span class='mfm-x'>{}</span>", "<ruby>{}<rt>x</rt></ruby>", "<q>{}</q>", "<ol><li>{}<ol><li>x</ol></ol>",
)  # fmt: skip


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(WRAPPED)), st.integers(0, 5), st.lists(st.sampled_from(AROUND), max_size=3)),
        max_size=6,
    ),
    st.sampled_from(WORDS),
)
def test_nothing_that_means_something_is_lost_however_it_is_wrapped(parts: list[tuple[str, int, list[str]]], word: str):
    html = ""
    for kind, which, around in parts:
        inner = WRAPPED[kind][which % len(WRAPPED[kind])]
        for wrapper in around:
            inner = wrapper.format(inner)
        html += f" {inner} {word.replace('<', '&lt;')}"
    text = read(html)
    found = [span for span in text.spans if span.kind in WRAPPED]
    assert [span.kind for span in found] == [kind for kind, _, _ in parts]
    assert atoms(read(to_html(text, account, tag))) == atoms(text)


def check_safe(html: str) -> None:
    assert nh3.clean(html, tags=TAGS, attributes=ATTRIBUTES, link_rel=None, url_schemes={"http", "https"}) == html
    assert "<script" not in html.lower()


@given(texts())
def test_written_html_passes_the_sanitiser_unchanged(text: Text):
    check_safe(to_html(text, account, tag))


HOSTILE = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "<",
                ">",
                "</",
                '"',
                "'",
                "=",
                "<b>",
                "</b>",
                "<p>",
                "</p>",
                "<ul>",
                "<li>",
                "<blockquote>",
                "<pre>",
                "</pre>",
                "<!--",
                "-->",
                "<script>",
                "</script>",
                "<a href=",
                "javascript:x",
                '"https://a.b/" onclick="x"',
                "</a>",
                "&",
                "&#",
                "&#x110000;",
                "&lt;script&gt;",
                "\x00",
                "\ud800",
                "class=mention",
                "<svg/onload=x>",
                " ",
                "\n",
                "#",
                "@",
                "<a class=mention>",
                '<span class="quote-inline">',
                "<a href=https://a.b/>",
                ":blob:",
                "<code>",
                "<textarea>",
            ]
        ),
        st.text(max_size=4),
    ),
    max_size=40,
).map("".join)


@given(HOSTILE)
def test_any_string_is_read_and_written_safely(html: str):
    text = read(html)
    assert all(0 <= s.start < s.end <= len(text.plain) for s in text.spans)
    assert all(str(s.target).startswith(("http://", "https://")) for s in text.spans if s.kind == "link")
    check_safe(to_html(text, account, tag))


@pytest.mark.parametrize(
    "html",
    [
        "<p>" + "".join(f"<b a={i}>" for i in range(20000)) + "<p>x" * 40000,
        "<blockquote>" * 100000 + "x",
        '<a href="https://x.y/z">q</a>' * 20000,
        "<a " * 200000,
        '<a x="' * 100000,
        "<" * 600000,
        "&#" + "1" * 400000 + ";",
        "<p>x" * 150000,
        " " * 500000 + "x",
        "<ul><li>" * 60000,
    ],
    ids=["unclosed", "deep", "links", "tags", "quotes", "angles", "digits", "paragraphs", "spaces", "lists"],
)
def test_hostile_html_is_bounded(html: str):
    started = time.process_time()
    text = read(html)
    to_html(text, account, tag)
    assert time.process_time() - started < 15
    assert len(text.plain) <= MAX_HTML * 2
    assert len(text.spans) <= MAX_SPANS


def test_control_characters_never_get_in():
    assert read("a\x07b\x1b[0m&#7;c").plain == "ab[0mc"
    assert to_html(Text("a\x07b\x1b\ud800"), account, tag) == "<p>ab?</p>"
