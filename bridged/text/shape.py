"""How spans lie over a text: which may be cut, which may meet, and how they nest when written as markup."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Final

import regex

from bridged.model import Span, SpanKind, Text

ATOMS: Final[frozenset[SpanKind]] = frozenset(("mention", "link", "tag", "emoji"))
"""Kinds that mean something only as a whole: never cut, never overlapping one another in what is written."""

STYLES: Final[tuple[SpanKind, ...]] = ("bold", "italic", "strike", "code")
"""Kinds that dress letters, in the order they are written, outermost first."""

BLOCKS: Final[frozenset[SpanKind]] = frozenset(("quote", "item", "pre"))
"""Kinds that cover whole lines and may hold one another."""

MAX_BLOCKS: Final = 8
"""How deep blocks nest; deeper ones are written as plain lines."""

_LITERAL: Final = ATOMS | {"code", "pre"}
_BLANK_LINE: Final = regex.compile(r"\n(?:[ \t]*\n)++")
_SPACE: Final = " \t\n"


@dataclass(frozen=True, slots=True)
class Section:
    """Lines of a text: `kind` is None for those under no block span; `inner` divides the rest completely."""

    kind: SpanKind | None
    start: int
    end: int
    inner: tuple["Section", ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """Letters dressed alike; `atom` when they are one mention, link, tag or emoji."""

    start: int
    end: int
    styles: tuple[SpanKind, ...] = ()
    atom: Span | None = None


def overlay(text: Text, spans: Iterable[Span]) -> Text:
    """The text with those of the new spans that touch no atom, code or pre, nor a new one before."""
    taken = [(s.start, s.end) for s in text.spans if s.kind in _LITERAL]
    merged: list[tuple[int, int]] = []
    for start, end in sorted(taken):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    ends = [end for _, end in merged]
    added: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start, -s.end)):
        place = bisect_left(ends, span.start + 1)
        free = place == len(merged) or merged[place][0] >= span.end
        if free and (not added or added[-1].end <= span.start):
            added.append(span)
    return Text(text.plain, (*text.spans, *added)) if added else text


def blocks(text: Text) -> tuple[Section, ...]:
    """The text divided into sections from first to last letter.

    A block span that crosses the edge of another is clipped to it; newlines between blocks belong to the
    stretch without a kind.
    """
    spans = [s for s in text.spans if s.kind in BLOCKS]
    return _divide(spans, 0, len(text.plain), MAX_BLOCKS)


def _divide(spans: list[Span], start: int, end: int, depth: int) -> tuple[Section, ...]:
    found: list[Section] = []
    position, index = start, 0
    while index < len(spans):
        outer = spans[index]
        index += 1
        first, last = max(outer.start, position), min(outer.end, end)
        if first >= last or depth == 0:
            continue
        inner: list[Span] = []
        while index < len(spans) and spans[index].start < last:
            inner.append(spans[index])
            index += 1
        # What crosses the edge goes on behind it as a block of its own.
        beyond = [replace(s, start=last) for s in inner if s.end > last]
        spans[index:index] = beyond
        if position < first:
            found.append(Section(None, position, first))
        rest = () if outer.kind == "pre" else _divide(inner, first, last, depth - 1)
        found.append(Section(outer.kind, first, last, rest))
        position = last
    if position < end:
        found.append(Section(None, position, end))
    return tuple(found)


def paragraphs(text: Text, section: Section) -> Iterator[tuple[Piece, ...]]:
    """What lies between the blank lines of a section, left to right in pieces, outer white space trimmed.

    Atoms come whole, dressed as their first letter is, and may hold blank lines. An atom that reaches out of
    the section or over an earlier atom is plain letters.
    """
    atoms, styles = _local(text, section)
    active: list[Span] = []
    for start, end in _stretches(text.plain, section, atoms):
        active = [s for s in active if s.end > start]
        while styles and styles[0].start < end:
            active.append(styles.pop(0))
        first = bisect_left(atoms, start, key=lambda s: s.start)
        last = bisect_left(atoms, end, key=lambda s: s.start)
        yield tuple(_pieces(start, end, active, atoms[first:last]))


def pieces(text: Text, section: Section) -> tuple[Piece, ...]:
    """All of a section as one run of pieces, blank lines and outer white space included."""
    atoms, styles = _local(text, section)
    return tuple(_pieces(section.start, section.end, styles, atoms))


def _local(text: Text, section: Section) -> tuple[list[Span], list[Span]]:
    """The atoms that count in a section, and the styles that reach into it."""
    atoms: list[Span] = []
    styles: list[Span] = []
    for span in _Index.of(text).before(section.start, section.end):
        if span.end <= section.start:
            continue
        if span.kind in STYLES:
            styles.append(span)
        elif span.kind in ATOMS:
            free = max(section.start, atoms[-1].end if atoms else 0)
            if span.start >= free and span.end <= section.end:
                atoms.append(span)
    return atoms, styles


class _Index:
    """Finds the spans of a text that reach into a section without a look at all of them, for each section anew."""

    EVERY: ClassVar = 64
    latest: ClassVar["_Index | None"] = None

    def __init__(self, text: Text) -> None:
        self._text = text
        self._spans = [s for s in text.spans if s.kind not in BLOCKS]
        self._starts = [s.start for s in self._spans]
        # For every so many spans those before that are still open there.
        self._open: list[list[Span]] = []
        open_: list[Span] = []
        for first in range(0, len(self._spans) + 1, self.EVERY):
            start = self._starts[first] if first < len(self._starts) else len(text.plain)
            open_ = [s for s in open_ if s.end > start]
            self._open.append(open_)
            open_ = [*open_, *self._spans[first : first + self.EVERY]]

    @classmethod
    def of(cls, text: Text) -> "_Index":
        """Kept for the text at hand: whoever writes it asks once for each of its sections."""
        index = cls.latest
        if index is None or index._text is not text:
            index = cls.latest = cls(text)
        return index

    def before(self, start: int, end: int) -> Iterator[Span]:
        """In order, all spans that reach into `start:end`, and a few that end before it."""
        place = bisect_left(self._starts, start) // self.EVERY
        yield from self._open[place]
        yield from self._spans[place * self.EVERY : bisect_left(self._starts, end)]


def _stretches(plain: str, section: Section, atoms: list[Span]) -> Iterator[tuple[int, int]]:
    """Where the paragraphs lie; no gap counts that touches an atom."""
    start, place = section.start, 0
    for gap in _BLANK_LINE.finditer(plain, section.start, section.end):
        while place < len(atoms) and atoms[place].end <= gap.start():
            place += 1
        if place == len(atoms) or atoms[place].start >= gap.end():
            yield from _trimmed(plain, start, gap.start())
            start = gap.end()
    yield from _trimmed(plain, start, section.end)


def _trimmed(plain: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    letters = plain[start:end]
    start += len(letters) - len(letters.lstrip(_SPACE))
    end = start + len(letters.strip(_SPACE))
    if start < end:
        yield start, end


def _pieces(start: int, end: int, styles: list[Span], atoms: list[Span]) -> Iterator[Piece]:
    changes: dict[int, list[tuple[SpanKind, int]]] = {}
    for span in styles:
        for at, change in ((max(span.start, start), 1), (min(span.end, end), -1)):
            changes.setdefault(at, []).append((span.kind, change))
    whole = {max(s.start, start): s for s in atoms}
    cuts = sorted({start, end, *changes, *whole, *(min(s.end, end) for s in atoms)})
    depth: dict[SpanKind, int] = {}
    done = start
    for at, until in pairwise(cuts):
        for kind, change in changes.get(at, ()):
            depth[kind] = depth.get(kind, 0) + change
        if at < done:
            continue
        atom = whole.get(at)
        done = min(atom.end, end) if atom else until
        yield Piece(at, done, tuple(kind for kind in STYLES if depth.get(kind, 0) > 0), atom)
