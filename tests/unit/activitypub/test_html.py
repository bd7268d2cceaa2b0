import json

import pytest

from adapters.activitypub.html import from_html, to_html
from bridged.api import Ref, Span, Text, TextBuilder
from tests.vectors import vectors

GARY = Ref("activitypub", "https://gts.test/users/gary")
MENTIONS = {GARY.id: GARY, "@gary@gts.test": GARY}
# What Mastodon's sanitiser lets through, and what it sets on links itself.
TAGS = {
    "p",
    "br",
    "span",
    "a",
    "del",
    "s",
    "pre",
    "blockquote",
    "code",
    "b",
    "strong",
    "u",
    "i",
    "em",
    "ul",
    "ol",
    "li",
}
ATTRIBUTES = {"a": {"href", "rel", "class", "translate", "target"}, "span": {"class", "translate"}}


def account(ref: Ref) -> tuple[str, str] | None:
    return (ref.id, "@gary@gts.test") if ref == GARY else None


def tag(name: str) -> str | None:
    return "https://b.test/tags/x"


def read(html: str) -> Text:
    return from_html(html, mentions=MENTIONS, tags=["filmphotography"], emojis={":blob:": "https://e.test/b.png"})


def marks(text: Text) -> list[tuple[str, str]]:
    return [(s.kind, text.plain[s.start : s.end]) for s in text.spans]


GARYS = [("mention", "@gary@gts.test")]


@pytest.mark.parametrize(
    ("html", "plain", "spans"),
    [
        # Mastodon
        (
            '<p><span class="h-card" translate="no"><a href="https://gts.test/@gary" class="u-url mention">@<span>gary'
            "</span></a></span> hi</p><p>b<br />c &amp; &lt;x&gt;</p>",
            "@gary@gts.test hi\n\nb\nc & <x>",
            GARYS,
        ),
        (
            '<a href="https://example.com/a/very/long/path" rel="nofollow"><span class="invisible">https://</span>'
            '<span class="ellipsis">example.com/a/very</span><span class="invisible">/long/path</span></a>',
            "https://example.com/a/very/long/path",
            [("link", "https://example.com/a/very/long/path")],
        ),
        (
            '<p>Look</p><p class="quote-inline">RE: <a href="https://m.example/1">https://m.example/1</a></p>',
            "Look",
            [],
        ),
        # Misskey
        (
            '<p><a href="https://gts.test/@gary" class="u-url mention">@gary@gts.test</a><span> x<br>y </span>'
            '<a href="https://mk.example/tags/cats" rel="tag">#cats</a><span class="quote-inline"><br><br>RE: '
            '<a href="https://mk.example/notes/1">https://mk.example/notes/1</a></span></p>',
            "@gary@gts.test x\ny #cats",
            [*GARYS, ("tag", "#cats")],
        ),
        # Pleroma, Akkoma
        (
            '<span class="h-card"><a class="u-url mention" href="https://gts.test/users/gary" rel="ugc">@<span>'
            'gary</span></a></span> <a class="hashtag" data-tag="x" href="https://p.example/tag/x" rel="tag ugc">'
            "#x</a> :blob:",
            "@gary@gts.test #x :blob:",
            [*GARYS, ("tag", "#x"), ("emoji", ":blob:")],
        ),
        # GoToSocial, which leaves `>` unescaped
        (
            '<p>a &lt;angle> <a href="https://gts.test/tags/t" class="mention hashtag" rel="tag nofollow">#<span>t'
            "</span></a></p>",
            "a <angle> #t",
            [("tag", "#t")],
        ),
        # Pixelfed
        (
            'Golden <a href="https://p.example/discover/tags/filmphotography?src=hash" title="#filmphotography" '
            'class="u-url hashtag" rel="external nofollow noopener">#filmphotography</a>',
            "Golden #filmphotography",
            [("tag", "#filmphotography")],
        ),
        # Threads
        (
            '<p>hi <a href="https://gts.test/@gary" target="_blank"><span>&#064;gary</span></a></p>',
            "hi @gary@gts.test",
            GARYS,
        ),
        # Friendica, Hubzilla
        (
            '@<a class="u-url mention" href="https://gts.test/users/gary"><span class="mention">gary</span></a>',
            "@gary@gts.test",
            GARYS,
        ),
        # a person not named by the post is a link
        (
            '<a class="u-url mention" href="https://else.test/@bob">@<span>bob</span></a>',
            "@bob",
            [("link", "@bob")],
        ),
        # A link with letters of its own to somebody mentioned stays one.
        ('<a href="https://gts.test/users/gary">this page</a>', "this page", [("link", "this page")]),
        (
            '<a href="https://x.example/abcdef">x.example/abc…</a>',
            "https://x.example/abcdef",
            [("link", "https://x.example/abcdef")],
        ),
        ('<a href="javascript:alert(1)">x</a><a href="/rel">y</a><a>z</a>', "xyz", []),
        (
            "plain https://a.example/ :blob: #filmphotography #other",
            "plain https://a.example/ :blob: #filmphotography #other",
            [("link", "https://a.example/"), ("emoji", ":blob:"), ("tag", "#filmphotography")],
        ),
        (
            "<ul><li>a<ul><li>b</li></ul></li><li>c</ul><ol><li>x<li>y</ol>",
            "a\nb\nc\n\n1. x\n2. y",
            [("item", "a\nb"), ("item", "b"), ("item", "c")],
        ),
        (
            "<blockquote><p>q</p><p>r</p></blockquote>z<pre><code>if x:\n\n  y\n</code></pre>",
            "q\n\nr\n\nz\n\nif x:\n\n  y",
            [("quote", "q\n\nr"), ("pre", "if x:\n\n  y")],
        ),
        (
            "<h1>T</h1><b>b<i>i</b>n</i> <del>d</del> <code>c  d</code>",
            "T\n\nbin d c d",
            [("bold", "T"), ("bold", "bi"), ("italic", "i"), ("strike", "d"), ("code", "c d")],
        ),
        ("a<script>alert(1)</script><style>p{}</style><!-- c --><!doctype x>b", "ab", []),
        ("1 < 2 <3 &lt;b&gt; &nbsp;x &#0; &#xD800;", "1 < 2 <3 <b> \xa0x \ufffd \ufffd", []),
        ("a<b x='>'>c</b><img alt=':blob:' src=x onerror=y>", "ac:blob:", [("bold", "c"), ("emoji", ":blob:")]),
        ("a <!-- never ends", "a", []),
        # Misskey's dressed text, readings of letters, formulas (FEP-dc88)
        (
            '<span class="mfm-spin">round</span> <small>and</small> <i>round</i>',
            "round and round",
            [("italic", "round")],
        ),
        ("<ruby>漢字<rp>（</rp><rt>かんじ</rt><rp>）</rp></ruby>です", "漢字(かんじ)です", []),
        ("<ruby>漢<rt>かん<rb>字<rt>じ</ruby>", "漢(かん字)(じ)", []),
        (
            '<math><semantics><mi>E</mi><mo>=</mo><mi>m</mi><annotation encoding="application/x-tex">E=m'
            "</annotation></semantics></math>!",
            "\\(E=m\\)!",
            [],
        ),
        (
            '<math display="block"><mi>x</mi><annotation encoding="application/x-tex">x</annotation></math>',
            "\\[x\\]",
            [],
        ),
        ("<math><mi>x</mi><mo>+</mo><mn>1</mn></math>", "x+1", []),
        ("<p>She said <q>no</q>.</p>", "She said “no”.", []),
        # WordPress
        (
            '<figure class="wp-block-image"><img src="https://w.test/1.jpg" alt=""/><figcaption>A cat</figcaption>'
            '</figure><blockquote cite="https://w.test"><p>words</p><cite>Ada</cite></blockquote>'
            '<pre class="wp-block-code"><code class="language-py">x = 1\ny</code></pre>',
            "A cat\n\nwords\n\nAda\n\nx = 1\ny",
            [("quote", "words\n\nAda"), ("pre", "x = 1\ny")],
        ),
        (
            "<table><caption>T</caption><thead><tr><th>a</th><th>b</th></tr></thead><tr><td>1</td><td>2</td></tr>"
            "</table>after",
            "T\na b\n1 2\nafter",
            [],
        ),
        ("<details><summary>More</summary><p>hidden</p></details>", "More\n\nhidden", []),
        ("<dl><dt>a</dt><dd>b</dd></dl>", "a\nb", []),
        ("<h3>Head</h3><p>x</p><hr><p>y</p>", "Head\n\nx\n\ny", [("bold", "Head")]),
        ("", "", []),
    ],
)
def test_html_is_read_as_each_server_writes_it(html: str, plain: str, spans: list[tuple[str, str]]):
    text = read(html)
    assert text.plain == plain
    assert marks(text) == spans


def test_a_mention_leads_to_the_account_named():
    two = {"https://a.test/u/1": GARY, "@bob@a.test": Ref("activitypub", "https://a.test/u/2")}
    html = '<a class="mention" href="https://a.test/@bob">@bob</a> <a class="mention" href="https://a.test/u/1">@x</a>'
    assert from_html(html, mentions=two).mentions() == (Ref("activitypub", "https://a.test/u/2"), GARY)


def test_handles_under_another_domain_than_their_pages_are_known_by_name():
    html = '<a class="mention" href="https://social.a.test/@bob">@<span>bob</span></a>'
    text = from_html(html, mentions={"@bob@a.test": GARY})
    assert marks(text) == [("mention", "@bob@a.test")]


def test_every_recorded_note_keeps_its_mentions_and_tags():
    seen = 0
    for folder in ("captures", "shapes-2026", "own-shapes"):
        for path in sorted((vectors() / "activitypub" / folder).glob("*.json")):
            for note in _notes(json.loads(path.read_text())):
                tags = note.get("tag") or []
                tags = [t for t in (tags if isinstance(tags, list) else [tags]) if isinstance(t, dict)]
                named = [t for t in tags if t.get("type") == "Mention"]
                refs = {t["href"]: Ref("activitypub", t["href"]) for t in named}
                refs |= {t["name"]: refs[t["href"]] for t in named}
                hashtags = [t["name"] for t in tags if t.get("type") == "Hashtag"]
                text = from_html(note["content"], mentions=refs, tags=hashtags)
                assert "<" not in text.plain.replace("<angle>", "")
                if 'class="u-url mention"' in note["content"] or "h-card u-url mention" in note["content"]:
                    assert text.mentions()
                    seen += 1
                assert {str(t).casefold() for t in text.targets("tag")} == {h[1:].casefold() for h in hashtags}
                assert read(to_html(text, account, tag)).plain.split() == text.plain.split()
    assert seen >= 5


def _notes(value: object):
    if isinstance(value, dict):
        if isinstance(value.get("content"), str) and value.get("type") == "Note":
            yield value
        for inner in value.values():
            yield from _notes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _notes(inner)


def test_html_is_written_as_mastodon_writes_it():
    builder = TextBuilder()
    with builder.span("mention", GARY):
        builder.add("@gary")
    builder.add(" <b> & ")
    with builder.span("tag", "go"):
        builder.add("#go")
    builder.add("\nnext\n\n")
    with builder.span("link", "https://www.example.com/a/very/long/path/indeed"):
        builder.add("https://www.example.com/a/very/long/path/indeed")
    assert to_html(builder.build(), account, tag) == (
        '<p><span class="h-card" translate="no"><a href="https://gts.test/users/gary" class="u-url mention">@<span>gary'
        '</span></a></span> &lt;b&gt; &amp; <a href="https://b.test/tags/x" class="mention hashtag" rel="tag">#<span>go'
        '</span></a><br>next</p><p><a href="https://www.example.com/a/very/long/path/indeed" target="_blank" '
        'rel="nofollow noopener noreferrer"><span class="invisible">https://www.</span><span class="ellipsis">'
        'example.com/a/very/long/path/i</span><span class="invisible">ndeed</span></a></p>'
    )


def test_styles_that_cross_are_nested_and_blocks_follow_one_another():
    plain = "one two\n\nq\n\na\nb\n\nx  y"
    spans = (Span(0, 5, "bold"), Span(2, 7, "italic"), Span(9, 10, "quote"), Span(12, 13, "item"))
    spans += (Span(14, 15, "item"), Span(17, 21, "pre"))
    assert to_html(Text(plain, spans), account, tag) == (
        "<p><strong>on<em>e t</em></strong><em>wo</em></p><blockquote><p>q</p></blockquote><ul><li>a</li><li>b</li>"
        "</ul><pre><code>x  y</code></pre>"
    )


def test_what_has_no_page_is_plain_letters():
    text = Text(
        "@x #y z", (Span(0, 2, "mention", Ref("nostr", "1")), Span(3, 5, "tag", "y"), Span(6, 7, "link", "data:,"))
    )
    assert to_html(text, lambda _: None, lambda _: None) == "<p>@x #y z</p>"
    assert "javascript" not in to_html(text, lambda _: ("javascript:x", "@a@b"), lambda _: "javascript:x")
