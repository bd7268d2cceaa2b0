"""Cutting a long text into several, for networks whose posts are short."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

import regex

from bridged.model import Span, Text
from bridged.text.cut import between, borders
from bridged.text.shape import ATOMS

_WHOLE: Final = ATOMS | {"code", "pre"}
# White space at which a line may end: not the kinds that hold words together.
_SPACE: Final = r"[^\S\u00A0\u2007\u202F]"
_LETTER: Final = regex.compile(r"\S")
_PARAGRAPH: Final = regex.compile(rf"\n{_SPACE}*\n\s*")
_LINE: Final = regex.compile(r"\n\s*")
_SENTENCE: Final = regex.compile(rf"(?:[.!?…]+[\"'”’»)\]]*{_SPACE}+|[。！？｡]+[」』）]*\s*)")
# Scripts written without spaces may be cut between any two letters, but not before a sign that closes or goes with the
# letter before, nor behind one that opens or goes with the letter after.
_UNSPACED: Final = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}、。，．！？：；・「」『』（）【】〈〉《》]"
)
_NOT_BEHIND: Final = r"(?<![「『（【〈《เแโใไເແໂໃໄ])"
_NOT_BEFORE: Final = r"(?![、。，．！？：；・」』）】〉》ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョะาำๅๆฯະາຳໆ\p{M}])"
_WORD: Final = regex.compile(
    rf"{_SPACE}+|{_NOT_BEFORE}{_NOT_BEHIND}(?:(?={_UNSPACED})|(?<={_UNSPACED}\p{{M}}{{0,8}}+))"
)


def split(text: Text, *, max_graphemes: int, max_bytes: int) -> tuple[Text, ...]:
    """The text in pieces that fit, each without white space at its ends; () for one without letters.

    Bytes are of UTF-8. A piece ends where a paragraph, a line, a sentence or a word does, the nearer to the limit the
    less matters which, and never inside a mention, link, tag, emoji or stretch of code, nor inside a grapheme; but what
    is longer than a whole piece is cut all the same, and its span goes on in the next. ValueError for limits below 1
    grapheme or 64 bytes.
    """
    if max_graphemes < 1 or max_bytes < 64:
        raise ValueError("no text fits so small a limit")
    return tuple(_Splitter(text, max_graphemes, max_bytes).pieces())


class _Splitter:
    def __init__(self, text: Text, max_graphemes: int, max_bytes: int) -> None:
        self._text, self._plain = text, text.plain
        self._max_graphemes, self._max_bytes = max_graphemes, max_bytes
        self._borders = borders(text.plain)
        sizes = (len(c.encode("utf-8", "replace")) for c in text.plain)
        self._octets = range(len(text.plain) + 1) if text.plain.isascii() else [0, *accumulate(sizes)]
        self._kept = self._whole()
        self._starts = [s for s, _ in self._kept]

    def pieces(self) -> Iterator[Text]:
        start = self._letters(0)
        while start < len(self._plain):
            end = self._cut(start, self._reach(start))
            stop = start + len(self._plain[start:end].rstrip())
            yield between(self._text, start, stop)
            start = self._letters(end)

    def _letters(self, start: int) -> int:
        """The first position from `start` on that is no white space."""
        found = _LETTER.search(self._plain, start)
        return found.start() if found else len(self._plain)

    def _reach(self, start: int) -> int:
        """The last border that can be reached from `start`; at least one code point further."""
        first = bisect_left(self._borders, start)
        by_graphemes = min(first + self._max_graphemes, len(self._borders) - 1)
        limit = self._octets[start] + self._max_bytes
        position = bisect_right(self._octets, limit) - 1
        by_octets = bisect_right(self._borders, position) - 1
        if by_octets > first:
            return self._borders[min(by_graphemes, by_octets)]
        return max(position, start + 1)  # one grapheme of thousands of marks

    def _whole(self) -> list[tuple[int, int]]:
        """What must not be cut, overlapping stretches joined."""
        found: list[tuple[int, int]] = []
        for span in self._text.spans:
            if span.kind not in _WHOLE or not self._fits(span):
                continue
            if found and span.start < found[-1][1]:
                joined = (found[-1][0], max(found[-1][1], span.end))
                if self._fits(Span(*joined, "pre")):
                    found[-1] = joined
            else:
                found.append((span.start, span.end))
        return found

    def _fits(self, span: Span) -> bool:
        count = bisect_left(self._borders, span.end) - bisect_right(self._borders, span.start) + 1
        return count <= self._max_graphemes and self._octets[span.end] - self._octets[span.start] <= self._max_bytes

    def _cut(self, start: int, reach: int) -> int:
        """Where to cut between `start` and `reach`."""
        plain = self._plain
        if self._letters(reach) == len(plain):
            return len(plain)
        room = reach - start
        for pattern, least in ((_PARAGRAPH, 0.5), (_LINE, 0.6), (_SENTENCE, 0.6), (_WORD, 0.0)):
            found = self._last(pattern, start + int(room * least), reach)
            if found is not None and found > start:
                return found
        free = self._free(reach)
        return free if free > start else reach

    def _last(self, pattern: "regex.Pattern[str]", start: int, reach: int) -> int | None:
        """The last place within reach at which what the pattern finds ends what comes before."""
        # what ends a piece may itself lie past the limit, as white space does
        found = list(pattern.finditer(self._plain, start, min(reach + 1, len(self._plain))))
        for match in reversed(found):
            at = match.start() if pattern in (_PARAGRAPH, _LINE, _WORD) else match.end()
            if at > reach:
                at = match.start() + len(match.group().rstrip())
            if at <= reach and self._free(at) == at:
                return at
        return None

    def _free(self, position: int) -> int:
        """The last position up to `position` inside nothing that must not be cut."""
        place = bisect_right(self._starts, position) - 1
        if place >= 0 and self._kept[place][0] < position < self._kept[place][1]:
            position = self._kept[place][0]
        return self._borders[bisect_right(self._borders, position) - 1]
