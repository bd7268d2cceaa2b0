"""Long texts in pieces: within the limits, nothing lost, nothing cut that means something only as a whole."""

import time

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from bridged.model import Span, Text
from bridged.text import ATOMS, graphemes, split

FAMILY, FLAG, ASTRONAUT = "👨‍👩‍👧‍👦", "🇫🇷", "👩🏽‍🚀"
WORDS = ["a", "word", "e\u0301", "日本語", "한국어", "हिन्दी", "ไทย", FAMILY, FLAG, ASTRONAUT, ".", "。", "x" * 30]
letters = st.lists(st.sampled_from([*WORDS, " ", " ", "\n", "\n\n", "\r\n"]), max_size=60).map("".join)


@st.composite
def texts(draw: st.DrawFn) -> Text:
    plain = draw(letters)
    spans: list[Span] = []
    for _ in range(draw(st.integers(0, 5)) if plain else 0):
        start = draw(st.integers(0, len(plain) - 1))
        end = draw(st.integers(start + 1, min(len(plain), start + 15)))
        spans.append(Span(start, end, draw(st.sampled_from(("link", "tag", "bold", "code"))), "https://a.example/"))
    return Text(plain, tuple(spans))


@given(texts(), st.integers(5, 60), st.integers(64, 200))
def test_pieces_fit_and_lose_nothing_but_white_space(text: Text, most: int, octets: int) -> None:
    pieces = split(text, max_graphemes=most, max_bytes=octets)
    for piece in pieces:
        assert 0 < graphemes(piece.plain) <= most
        assert len(piece.plain.encode()) <= octets
        assert piece.plain == piece.plain.strip()
    assert "".join("".join(p.plain for p in pieces).split()) == "".join(text.plain.split())


@given(texts(), st.integers(35, 60))
def test_no_grapheme_and_no_short_atom_is_cut(text: Text, most: int) -> None:
    pieces = split(text, max_graphemes=most, max_bytes=2000)
    whole = regex.findall(r"\X", text.plain)
    assert [g for g in whole if g.strip()] == [g for p in pieces for g in regex.findall(r"\X", p.plain) if g.strip()]
    apart = [s for s in text.spans if s.kind in ATOMS]
    alone = [s for s in apart if not any(o is not s and o.start < s.end and s.start < o.end for o in text.spans)]
    got = [p.plain[s.start : s.end] for p in pieces for s in p.spans if s.kind in ATOMS]
    for span in alone:
        inner = text.plain[span.start : span.end].strip()
        # an atom whose edge lies inside a grapheme, or on white space, has no edge of its own
        if inner and regex.fullmatch(r"[a-z]+", inner) and graphemes(inner) <= most:
            assert any(inner in piece for piece in got)


def test_words_stay_whole() -> None:
    text = " ".join(f"word{n}" for n in range(200))
    pieces = split(Text(text), max_graphemes=100, max_bytes=1000)
    assert [w for p in pieces for w in p.plain.split()] == text.split()


def test_text_that_fits_is_one_piece_and_nothing_is_none() -> None:
    assert split(Text("  hello \n"), max_graphemes=5, max_bytes=64) == (Text("hello"),)
    assert split(Text(" \n "), max_graphemes=5, max_bytes=64) == ()


@pytest.mark.parametrize("sign", [FAMILY, FLAG, ASTRONAUT, "e\u0301\u0302", "각", "กำ", "नि"])
def test_sign_at_the_border_goes_to_the_next_piece_whole(sign: str) -> None:
    for before in range(8, 12):
        first, *rest = split(Text("x" * before + sign + "y" * 5), max_graphemes=10, max_bytes=400)
        assert sign in first.plain or any(sign in piece.plain for piece in rest)


def test_link_longer_than_a_piece_goes_on_in_the_next() -> None:
    text = Text("see " + "long words " * 5, (Span(4, 58, "link", "https://a.example/"),))
    pieces = split(text, max_graphemes=20, max_bytes=400)
    assert len(pieces) > 2
    assert all(p.targets("link") == ("https://a.example/",) for p in pieces[1:])


def test_closing_sign_of_a_script_without_spaces_begins_no_piece() -> None:
    pieces = split(Text("「日本語、ゃ」" * 30), max_graphemes=10, max_bytes=400)
    assert not [p.plain for p in pieces if p.plain[0] in "、ゃ」"]


def test_limits_that_hold_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="so small"):
        split(Text("x"), max_graphemes=0, max_bytes=64)


def test_a_megabyte_is_split_in_a_second() -> None:
    begun = time.process_time()
    split(Text("word " * 200_000), max_graphemes=300, max_bytes=3000)
    split(Text("é" * 200_000), max_graphemes=300, max_bytes=3000)
    assert time.process_time() - begun < 15  # what is not linear takes minutes


@pytest.mark.parametrize(
    "letters", ["🇩", "e\u0301", "\u0301", "日\u0301\u0302", "👩\u200d", "ᄀ", ". ", "。", "\u00a0 "]
)
def test_hostile_letters_are_split_in_a_second(letters: str) -> None:
    begun = time.process_time()
    split(Text(letters * (60_000 // len(letters))), max_graphemes=300, max_bytes=3000)
    assert time.process_time() - begun < 15  # what is not linear takes minutes


@given(st.lists(st.sampled_from(["🇩", "🇪", "\u0301", "\u200d", "a", "\u0600", "👩"]), max_size=12).map("".join))
def test_flags_are_counted_as_unicode_has_it(letters: str) -> None:
    assert graphemes(letters) == len(regex.findall(r"\X", letters))
