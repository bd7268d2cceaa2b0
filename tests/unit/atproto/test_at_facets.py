"""Facets: bytes and code points, there and back; what is broken is passed over; upstream's own vectors."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.atproto.facets import MAX_BYTES, MAX_FACETS, facets_of, read_text
from adapters.atproto.syntax import is_uri
from bridged.api import Malformed, Ref, Span, Text, find_links, find_tags, graphemes
from tests.vectors import vectors

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
LETTERS = ["a", " ", "é", "e\u0301", "日", "👩‍👩‍👧‍👦", "🇩🇪", "\n", "\r\n"]
plain_texts = st.lists(st.sampled_from(LETTERS), min_size=1, max_size=40).map("".join)

# Texts whose links and tags ours finds otherwise, since tags are what all networks take for one: letters, digits,
# marks and low lines. Each with what is other there.
_LETTERS = "a name ends before the first sign that is no letter, as it does on the fediverse and on Nostr"
LINKS_OTHERWISE = {
    "👩🏽‍🚀👩🏽‍🚀 #👩🏽‍🚀 https://example.com/👩🏽‍🚀": "an address ends before a zero-width joiner",
    "https://example.com/a_(b)_c). https://example.com/).": "a bracket that was not opened is not of the address",
    "https://user:pw@example.com:8080/p?x=[1]&y={2}": "curly brackets are no letters of an address",
    "\u200b@alice.test \u200bhttps://example.com": "an address may follow what shows as nothing",
}
TAGS_OTHERWISE = {
    "body #thisisa65characterstring_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab": "up to 100 letters are a tag elsewhere",
    "its a #double#rainbow": _LETTERS,
    "##hashash": "a sign right before # makes it none",
    "some #n0n3s@n5e!": _LETTERS,
    "works #with,punctuation": _LETTERS,
    "strips #multi_trailing___...": "low lines at the end are of the name",
    "works with #🦋 emoji, and #butter🦋fly": _LETTERS,
    "this #️⃣tag should not be a tag": "marks count as letters of a name",
    "this ##️⃣tag should be a tag": "a sign right before # makes it none",
    "no match (\\u20e2tag): #⃢tag": "marks count as letters of a name",
    "no match (a\\u20e2b): #a⃢b": "marks count as letters of a name",
    "match full width number sign (tag): ＃#️⃣tag": "a sign right before # makes it none",
}


def _cases(name: str) -> list[dict[str, Any]]:
    return json.loads((vectors() / "atproto" / "richtext" / f"{name}.json").read_text())["cases"]


@st.composite
def spanned(draw: st.DrawFn) -> Text:
    plain = draw(plain_texts)
    cuts = sorted(draw(st.sets(st.integers(0, len(plain)), min_size=2, max_size=8)))
    targets = st.sampled_from([("mention", Ref("atproto", DID)), ("link", "https://example.com/%C3%A9"), ("tag", "ä")])
    spans = [Span(a, b, *draw(targets)) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    return Text(plain, tuple(spans))


@given(spanned())
def test_text_written_and_read_is_the_same(text: Text) -> None:
    assert read_text(text.plain, facets_of(text)) == text


@given(
    st.one_of(st.text(), st.none(), st.integers()),
    st.recursive(
        st.none() | st.integers(-5, 50) | st.sampled_from(["index", "x"]),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["index", "byteStart", "byteEnd", "features", "$type", "did", "uri"]), inner
            )
        ),
        max_leaves=20,
    ),
)
def test_strange_facets_raise_nothing_but_malformed(letters: Any, facets: Any) -> None:
    with suppress(Malformed):
        assert read_text(letters, facets).plain == letters.replace("\0", " ")


def test_text_of_too_many_bytes_is_malformed() -> None:
    assert read_text("é" * (MAX_BYTES // 2), None).plain
    with pytest.raises(Malformed):
        read_text("é" * (MAX_BYTES // 2 + 1), None)


def test_lone_surrogate_is_malformed() -> None:
    with pytest.raises(Malformed):
        read_text("\ud800", None)


def test_facets_past_the_limit_are_not_looked_at() -> None:
    feature = {"$type": "app.bsky.richtext.facet#tag", "tag": "x"}
    broken = [{"index": {"byteStart": 9, "byteEnd": 8}, "features": [feature]}] * MAX_FACETS
    assert read_text("ab", [*broken, {"index": {"byteStart": 0, "byteEnd": 2}, "features": [feature]}]).spans == ()


def test_link_to_no_web_address_gets_no_facet() -> None:
    assert facets_of(Text("ab", (Span(0, 2, "link", "javascript:x"),))) == []


def test_link_is_written_as_addresses_may_be() -> None:
    (facet,) = facets_of(Text("ab", (Span(0, 2, "link", "https://example.com/a b"),)))
    assert facet["features"][0]["uri"] == "https://example.com/a%20b"


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        ("https://example.com/caf%C3%A9?a=b#c", "https://example.com/caf%C3%A9?a=b#c"),
        ("https://example.com/café?q=日本#ü", "https://example.com/caf%C3%A9?q=%E6%97%A5%E6%9C%AC#%C3%BC"),
        ("HTTPS://münchen.de/Ä", "https://m%C3%BCnchen.de/%C3%84"),
        ("https://example.com/" + "日" * 2000, "https://example.com/" + "日" * 2000),
    ],
)
def test_link_of_other_letters_is_written_in_ascii_where_it_fits(url: str, uri: str) -> None:
    (facet,) = facets_of(Text("ab", (Span(0, 2, "link", url),)))
    assert facet["features"][0]["uri"] == uri
    assert is_uri(uri)


def test_mention_of_another_network_gets_no_facet() -> None:
    assert facets_of(Text("ab", (Span(0, 2, "mention", Ref("nostr", "00")),))) == []


def test_lengths_are_those_of_the_vectors() -> None:
    for case in _cases("lengths"):
        assert graphemes(case["text"]) == case["grapheme_length"], case["text"]
        assert len(case["text"].encode()) == case["utf8_length"]


@pytest.mark.parametrize("name", ["detect-links-mentions", "detect-tags-cashtags", "detect-extra"])
def test_facets_of_the_vectors_are_read_as_they_lie(name: str) -> None:
    for case in _cases(name):
        text = read_text(case["text"], case["facets"])
        read = {text.plain[s.start : s.end] for s in text.spans}
        wanted = {f["_slice"] for f in case["facets"] if f["features"][0]["$type"].endswith(("#mention", "#tag"))}
        assert wanted <= read, case["text"]


def _finders(text: str) -> list[str]:
    found = find_links(Text(text))
    return [found.plain[span.start : span.end] for span in found.spans]


def test_links_found_are_those_of_the_vectors_where_they_have_a_scheme() -> None:
    """Those without one are not looked for: on other networks `file.py` and `e.g.` stay what they are."""
    otherwise: set[str] = set()
    for case in [*_cases("detect-links-mentions"), *_cases("detect-extra")]:
        wanted = [f["_slice"] for f in case["facets"] if "uri" in f["features"][0]]
        if _finders(case["text"]) != [link for link in wanted if link.startswith(("http://", "https://"))]:
            otherwise.add(case["text"])
    assert otherwise == set(LINKS_OTHERWISE)


def test_tags_found_are_those_of_the_vectors() -> None:
    otherwise: set[str] = set()
    for case in _cases("detect-tags-cashtags"):
        wanted = [f["features"][0]["tag"] for f in case["facets"] if "tag" in f["features"][0]]
        wanted = [tag for tag in wanted if not tag.startswith("$")]  # cashtags: none elsewhere
        if [str(span.target) for span in find_tags(Text(case["text"])).spans] != wanted:
            otherwise.add(case["text"])
    assert otherwise == set(TAGS_OTHERWISE)
