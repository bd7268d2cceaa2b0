"""Cutting and rewriting texts so that no span breaks, and cleaning names for show."""

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final

import regex

from bridged.model import Span, Text
from bridged.text.shape import ATOMS

# An extended grapheme cluster. Within a long run of flags \X counts back to its beginning for each of them, which takes
# minutes for what one post can hold: there two letters are a flag.
_FLAG: Final = r"[\U0001F1E6-\U0001F1FF]"
_CLUSTER: Final = regex.compile(rf"{_FLAG}{{2}}(?={_FLAG}|\Z)|\X")
# A pictograph with everything that may follow it in one emoji: modifiers, selectors, joined ones, flag tags.
_EMOJI: Final = (
    r"\p{Extended_Pictographic}"
    r"(?:[\uFE0E\uFE0F\u20E3\p{Emoji_Modifier}]|\u200D\p{Extended_Pictographic}|[\U000E0020-\U000E007F]){0,16}+"
)
# Control, format and surrogate characters, line separators, and letters that show as nothing.
_UNSEEN: Final = regex.compile(
    rf"({_EMOJI})|[\p{{Cc}}\p{{Cf}}\p{{Cs}}\p{{Zl}}\p{{Zp}}\p{{Default_Ignorable_Code_Point}}\u2800]"
)
_MARK_PILE: Final = regex.compile(r"(\p{M}{4})\p{M}++")


def graphemes(letters: str) -> int:
    """How many user-perceived characters: extended grapheme clusters of UAX #29."""
    if letters.isascii():
        return len(letters) - letters.count("\r\n")
    return sum(1 for _ in _CLUSTER.finditer(letters))


def borders(letters: str) -> Sequence[int]:
    """Where its graphemes begin, and where the last one ends."""
    if letters.isascii() and "\r\n" not in letters:
        return range(len(letters) + 1)
    return [0, *accumulate(len(m.group()) for m in _CLUSTER.finditer(letters))]


def slice(text: Text, start: int, end: int) -> Text:
    """`plain[start:end]` with the spans over it, moved and clipped.

    Either position is taken back to the nearest one before it that lies inside no atom and no grapheme, so
    that `slice(t, 0, k)` and `slice(t, k, n)` always add up to the whole.
    """
    return between(text, _safe(text, start), _safe(text, end))


def trim(text: Text) -> Text:
    """The text without white space at either end."""
    start = len(text.plain) - len(text.plain.lstrip())
    return between(text, start, max(start, len(text.plain.rstrip())))


def truncate(
    text: Text,
    *,
    max_graphemes: int | None = None,
    max_bytes: int | None = None,
    ellipsis: str = "…",
) -> Text:
    """The longest beginning of the text that fits, ellipsis included; the whole text if that fits.

    Bytes are of UTF-8. Cuts as `slice` does, and drops white space before the ellipsis. Limits too small
    for the ellipsis give an empty text.
    """
    plain = text.plain
    if (max_graphemes is None or graphemes(plain) <= max_graphemes) and (
        max_bytes is None or _octets(plain) <= max_bytes
    ):
        return text
    end = len(plain)
    if max_graphemes is not None:
        room = max_graphemes - graphemes(ellipsis)
        if room < 0:
            return Text()
        clusters = accumulate(len(m.group()) for m in _CLUSTER.finditer(plain))
        end = next((at for n, at in enumerate(clusters, 1) if n == room), end) if room else 0
    if max_bytes is not None:
        room = max_bytes - _octets(ellipsis)
        if room < 0:
            return Text()
        end = min(end, len(plain.encode("utf-8", "replace")[:room].decode("utf-8", "ignore")))
    end = len(plain[: _safe(text, end)].rstrip())
    kept = between(text, 0, _safe(text, end))
    return Text(kept.plain + ellipsis, kept.spans)


def rewrite(text: Text, change: Callable[[Span, str], str | None]) -> Text:
    """The text with the letters of some spans replaced, all other spans moved along.

    `change` gets each span and its letters, in order, and returns the new letters or None to keep them. Spans
    within replaced letters vanish unless they cover them all; spans that reach into them are extended over
    them; spans left without letters vanish. Once a span is replaced, those that overlap it are not asked for.
    """
    done: list[tuple[Span, str]] = []
    for span in text.spans:
        if done and span.start < done[-1][0].end:
            continue
        letters = change(span, text.plain[span.start : span.end])
        if letters is not None:
            done.append((span, letters))
    if not done:
        return text
    out: list[str] = []
    position = 0
    for span, letters in done:
        out += (text.plain[position : span.start], letters)
        position = span.end
    out.append(text.plain[position:])
    starts, ends = [s.start for s, _ in done], [s.end for s, _ in done]
    shifts = [0, *accumulate(len(letters) - (s.end - s.start) for s, letters in done)]

    moved: list[Span] = []
    for span in text.spans:
        # The replaced stretch either end falls strictly inside of, if any.
        first, last = bisect_right(ends, span.start), bisect_left(starts, span.end) - 1
        start, end = span.start, span.end
        if first < len(done) and starts[first] <= start and end <= ends[first]:
            if (start, end) != (starts[first], ends[first]):
                continue
        elif first < len(done) and starts[first] < start:
            start = starts[first]
        if last >= 0 and starts[last] < end < ends[last]:
            end = ends[last]
        start += shifts[bisect_right(ends, start)]
        end += shifts[bisect_right(ends, end)]
        if start < end:
            moved.append(Span(start, end, span.kind, span.target))
    return Text("".join(out), tuple(moved))


def clean_name(name: str, limit: int) -> str:
    """A name or handle fit to stand in a line: one line, at most `limit` graphemes, nothing unseen.

    Drops control, bidirectional, zero-width and other invisible characters outside emoji, and combining marks
    piled more than four high; runs of white space become one space. NFC.
    """
    # A grapheme is a few dozen code points at most once cleaned; far longer input has no use.
    name = " ".join(name[: limit * 64].split())
    name = _UNSEEN.sub(lambda m: m.group(1) or "", name)
    name = _MARK_PILE.sub(r"\1", unicodedata.normalize("NFC", name))
    name = " ".join(name.split())
    return "".join(m.group() for _, m in zip(range(limit), _CLUSTER.finditer(name), strict=False)).rstrip()


def _octets(letters: str) -> int:
    return len(letters) if letters.isascii() else len(letters.encode("utf-8", "replace"))


def between(text: Text, start: int, end: int) -> Text:
    """`plain[start:end]`, wherever that is, with the spans over it, moved and clipped."""
    if start <= 0 and end >= len(text.plain):
        return text
    spans = [
        Span(max(s.start, start) - start, min(s.end, end) - start, s.kind, s.target)
        for s in text.spans
        if s.start < end and s.end > start and start < end
    ]
    # White space trimmed off an atom's edge leaves the atom whole in meaning; any other cut was made outside.
    return Text(text.plain[start:end], tuple(spans))


def _safe(text: Text, position: int) -> int:
    """The last position up to `position` that is inside no atom and no grapheme."""
    plain = text.plain
    position = max(0, min(position, len(plain)))
    atoms = [s for s in text.spans if s.kind in ATOMS]
    edges: Sequence[int] = ()
    if not plain[: position + 1].isascii() or "\r\n" in plain:
        edges = borders(plain)
    while True:
        before = position
        if edges:
            position = edges[bisect_right(edges, position) - 1]
        for span in reversed(atoms):
            if span.start < position < span.end:
                position = span.start
        if position == before:
            return position
