"""Rich text as posts here can show it: letters, with mentions, links and tags over them and nothing else. Pure."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from typing import Final

from bridged.api import Piece, Section, Span, Text, blocks, pieces, trim

_ATOMS: Final = frozenset(("mention", "link", "tag", "emoji"))


def flat(text: Text) -> Text:
    """Quotes become `> ` lines, items `- ` lines, and code is back-quoted; bold, italic and struck letters are plain.

    The spans left are atoms, and code, which tells where not to cut.
    """
    if _is_flat(text):
        return trim(text)
    return trim(_sections(text, blocks(text)))


def _is_flat(text: Text) -> bool:
    end = 0
    for span in text.spans:
        if span.kind not in _ATOMS or span.start < end:
            return False
        end = span.end
    return True


def joined(texts: Iterable[Text], between: str) -> Text:
    """Those that have letters, one after another."""
    some = [text for text in texts if text.plain]
    if len(some) < 2:
        return some[0] if some else Text()
    spans: list[Span] = []
    start = 0
    for text in some:
        spans += (Span(s.start + start, s.end + start, s.kind, s.target) for s in text.spans)
        start += len(text.plain) + len(between)
    return Text(between.join([text.plain for text in some]), tuple(spans))


def _sections(text: Text, sections: Iterable[Section]) -> Text:
    out: list[Text] = []
    own_line = False
    for section in sections:
        block = section.kind is not None
        written = _block(text, section) if block else _inline(text, pieces(text, section))
        last = out[-1].plain[-1:] if out else "\n"
        if (block or own_line) and last != "\n" and not written.plain.startswith("\n"):
            out.append(Text("\n"))
        if written.plain:
            out.append(written)
        own_line = block
    return joined(out, "")


def _block(text: Text, section: Section) -> Text:
    run = pieces(text, section)
    if section.kind == "pre":
        inner = _inline(text, run)
        return Text(inner.plain, (*inner.spans, Span(0, len(inner.plain), "pre"))) if inner.plain else inner
    inner = trim(_sections(text, section.inner) if section.inner else _inline(text, run))
    return _indented(inner, "- ", "  ") if section.kind == "item" else _indented(inner, "> ", "> ")


def _inline(text: Text, run: Iterable[Piece]) -> Text:
    out: list[Text] = []
    for is_code, group in groupby(run, key=lambda piece: "code" in piece.styles):
        alike = [_piece(text, piece) for piece in group]
        written = joined(alike, "")
        letters = written.plain
        if is_code and letters.strip() and "`" not in letters and "\n" not in letters:
            written = joined((Text("`"), written, Text("`")), "")
            written = Text(written.plain, (*written.spans, Span(0, len(written.plain), "code")))
        out.append(written)
    return joined(out, "")


def _piece(text: Text, piece: Piece) -> Text:
    letters = text.plain[piece.start : piece.end]
    atom = piece.atom
    return Text(letters, (Span(0, len(letters), atom.kind, atom.target),)) if atom and letters else Text(letters)


def _indented(text: Text, first: str, rest: str) -> Text:
    """With `first` before the first line and `rest` before the others; a span over several lines covers that, too."""
    out: list[str] = []
    starts: list[int] = []
    at = 0
    for number, line in enumerate(text.plain.split("\n")):
        out.append((rest if number else first) + line)
        starts.append(at)
        at += len(line) + 1

    def moved(position: int) -> int:
        line = bisect_right(starts, position) - 1
        return position + len(first) + line * len(rest)

    spans = (replace(s, start=moved(s.start), end=moved(s.end - 1) + 1) for s in text.spans)
    return Text("\n".join(out), tuple(spans))
