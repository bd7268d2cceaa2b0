"""Text over the whole way, HTML to spans to a note to spans to HTML: no mention, link, tag or emoji is lost.

The adapters know nothing of each other; only here are both looked at.
"""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adapters.activitypub.html import from_html, to_html
from adapters.nostr.nip19 import Nprofile, encode
from adapters.nostr.text import from_note, to_note
from bridged.api import Ref, Text, TextBuilder, graphemes

KEYS = ["3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d", "ab" * 32, "0f" * 32]
PAGES = {f"https://bridge.test/users/nostr/{key}": Ref("nostr", key) for key in KEYS}
HANDLES = {ref: f"@npub{number}@bridge.test" for number, ref in enumerate(PAGES.values())}
EMOJIS = {":blob:": "https://e.test/blob.png", ":wave_2:": "https://e.test/wave.png"}
LINKS = ["https://a.test/x", "https://b.test/?q=1&r=(2)", "https://c.test/p_(q)#frag", "https://xn--bcher-kva.test/ü"]
TAGS = ["art", "日本語", "مرحبا", "कला", "Straße", "ไทย", "año2026", "ŉo", "İzmir"]
WORDS = [
    *("plain", "naïve", "日本", "مرحبا بالعالم", "שלום", "👩‍👩‍👧‍👦", "🇪🇺🇯🇵", "e\u0301\u0301", "ก็", "कि"),
    *("a<b>&c", "\"q'", "1 < 2", "*x*", "_y_", "~z~", "50%"),
]

words = st.sampled_from(WORDS)
atoms = st.one_of(
    st.sampled_from([("mention", ref) for ref in PAGES.values()]),
    st.sampled_from([("link", url) for url in LINKS]),
    st.sampled_from([("tag", tag) for tag in TAGS]),
    st.sampled_from([("emoji", code) for code in EMOJIS]),
)


@st.composite
def texts(draw: Any) -> Text:
    """Words of many scripts with atoms between them, in lines."""
    builder = TextBuilder()
    for line in range(draw(st.integers(1, 4))):
        if line:
            builder.newline()
        for number in range(draw(st.integers(0, 6))):
            if number:
                builder.add(" ")
            if draw(st.booleans()):
                builder.add(draw(words))
                continue
            kind, target = draw(atoms)
            letters = {"mention": HANDLES.get(target), "link": target, "tag": f"#{target}", "emoji": target}[kind]
            with builder.span(kind, EMOJIS[target] if kind == "emoji" else target):
                builder.add(str(letters))
    return builder.build()


def atoms_of(text: Text) -> list[tuple[str, object]]:
    """What may not be lost, in order; hashtags whatever their case."""
    kept = [s for s in text.spans if s.kind in ("mention", "link", "tag", "emoji")]
    return [(s.kind, s.target.lower() if s.kind == "tag" and isinstance(s.target, str) else s.target) for s in kept]


def html_of(text: Text) -> str:
    pages = {ref: page for page, ref in PAGES.items()}
    return to_html(
        text,
        lambda ref: (pages[ref], HANDLES[ref]) if ref in pages else None,
        lambda name: f"https://bridge.test/?tag={name}",
    )


def read_html(html: str) -> Text:
    return from_html(html, mentions=PAGES, tags=TAGS, emojis=EMOJIS)


def note_of(text: Text) -> str:
    return to_note(text, lambda ref: f"nostr:{encode(Nprofile(ref.id, ('wss://r.test',)))}")


def read_note(content: str) -> Text:
    tags = [*(["t", tag] for tag in TAGS), *(["emoji", code.strip(":"), url] for code, url in EMOJIS.items())]
    return from_note(content, tags)


def in_range(text: Text) -> bool:
    return all(0 <= s.start < s.end <= len(text.plain) for s in text.spans)


@given(texts())
def test_nothing_that_means_something_is_lost_on_the_way_there_and_back(text: Text) -> None:
    from_web = read_html(html_of(text))
    from_relay = read_note(note_of(from_web))
    again = read_html(html_of(from_relay))
    for step in (from_web, from_relay, again):
        assert in_range(step)
        assert atoms_of(step) == atoms_of(text)


@given(texts())
def test_letters_stay_the_same_but_for_names(text: Text) -> None:
    """Mentions are shown as each network shows them; all else reads the same, in every script."""

    def letters(step: Text) -> str:
        out, at = "", 0
        for span in step.spans:
            if span.kind == "mention":
                out, at = out + step.plain[at : span.start] + "@", span.end
        return " ".join((out + step.plain[at:]).split())

    from_web = read_html(html_of(text))
    assert letters(from_web) == letters(text)
    assert letters(read_note(note_of(from_web))) == letters(text)
    assert graphemes(letters(from_web)) == graphemes(letters(text))
