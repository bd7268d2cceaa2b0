"""A text written as Markdown, for articles (NIP-23). `markdown` is its counterpart, which reads it. Pure."""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Final

import regex

from adapters.nostr.nip19 import URI_SCHEME
from adapters.nostr.text import AFTER_WORD, VIEWER, is_event, same_address
from bridged.api import ATOMS, Piece, Ref, Section, SpanKind, Text, blocks, paragraphs, pieces, web_url

_TICKS: Final = re.compile("`+")
# Signs that mean something to Markdown wherever they stand; `_` does not between the letters of a word.
_SPECIAL: Final = re.compile(r"[\\`*\[\]<|~]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w)")
# And those that do at the start of a line only.
_LEADING: Final = re.compile(r"(?m)^([ \t]*)(?:([-+=>]|#(?=#{0,5}(?:[ \t]|$)))|(\d{1,9})([.)]))")
_EDGES: Final = re.compile(r"(\s*)(.*?)(\s*)", re.DOTALL)
_STYLES: Final[tuple[tuple[SpanKind, str], ...]] = (("bold", "**"), ("italic", "_"), ("strike", "~~"), ("code", "`"))
_PUNCTUATION: Final = regex.compile(r"[\p{P}\p{S}]")
_BEFORE_WORD: Final = re.compile(r"(?:^|.*[\s(\[{\"'“‘«])\Z", re.DOTALL)


def to_markdown(text: Text, account: Callable[[Ref], str | None]) -> str:
    """CommonMark, and strikes as GFM has them.

    `account` gives the `nostr:nprofile1…` URI of an account mentioned, or the address of their page; None leaves
    the letters. What is plain letters in the text is so in Markdown. A style that Markdown could not tell from
    its signs, as within some words, is left out.
    """
    return _Writer(text, account).sections(blocks(text)).strip("\n")


class _Writer:
    def __init__(self, text: Text, account: Callable[[Ref], str | None]) -> None:
        self._text = text
        self._account = account
        self._atoms_end = {span.end for span in text.spans if span.kind in ATOMS}

    def sections(self, sections: Iterable[Section]) -> str:
        out = ""
        before: SpanKind | None = None
        for section in sections:
            written = self._section(section)
            if written:
                out += ("\n" if section.kind == before == "item" else "\n\n" if out else "") + written
                before = section.kind
        return out

    def _section(self, section: Section) -> str:
        if section.kind == "pre" and not any(piece.atom for piece in pieces(self._text, section)):
            letters = self._text.plain[section.start : section.end].strip("\n")
            fence = "`" * max(3, _longest_ticks(letters) + 1)
            return "\n".join((fence, letters, fence)) if letters.strip() else ""
        if section.inner:
            inner = self.sections(section.inner)
        else:
            inner = "\n\n".join(self._paragraph(run) for run in paragraphs(self._text, section))
        if section.kind == "quote":
            return "\n".join(f"> {line}".rstrip() for line in inner.split("\n"))
        return "- " + inner.replace("\n", "\n  ") if section.kind == "item" else inner

    def _paragraph(self, run: Sequence[Piece]) -> str:
        written = self._styled(run, _STYLES, "", "")
        written = _LEADING.sub(lambda m: f"{m[1]}\\{m[2]}" if m[2] else f"{m[1]}{m[3]}\\{m[4]}", written)
        return written.replace("\n", "\\\n")

    def _styled(self, run: Sequence[Piece], styles: Sequence[tuple[SpanKind, str]], before: str, after: str) -> str:
        """The pieces with their styles, outermost first; `before` and `after` are what stands beside them."""
        if not styles:
            return self._pieces(run)
        (style, mark), *inner = styles
        groups = [(on, list(group)) for on, group in groupby(run, key=lambda piece: style in piece.styles)]
        out = ""
        for number, (on, group) in enumerate(groups):
            following = groups[number + 1][1][0] if number + 1 < len(groups) else None
            beyond = self._text.plain[following.start] if following else after
            if on and style == "code":
                out += self._code(group)
            else:
                written = self._styled(group, inner, (before + out)[-1:], beyond)
                out += _marked(written, mark, (before + out)[-1:], beyond) if on else written
        return out

    def _code(self, run: Sequence[Piece]) -> str:
        letters = self._text.plain[run[0].start : run[-1].end]
        if any(piece.atom for piece in run) or not letters.strip():
            return self._pieces(run)
        letters = " ".join(letters.split("\n"))
        fence = "`" * (_longest_ticks(letters) + 1)
        edge = " " if letters[0] in "` " or letters[-1] in "` " else ""
        return f"{fence}{edge}{letters}{edge}{fence}"

    def _pieces(self, run: Iterable[Piece]) -> str:
        out = ""
        for piece in run:
            written = self._piece(piece)
            out += written[1:] if written[:1] == out[-1:] == " " and piece.atom else written
        return out

    def _piece(self, piece: Piece) -> str:
        letters = self._text.plain[piece.start : piece.end]
        atom = piece.atom
        if atom is None or atom.target is None:
            return _escaped(letters, self._text.plain[piece.end : piece.end + 1])
        if isinstance(atom.target, Ref):
            uri = self._account(atom.target)
            if uri is None:
                return _escaped(letters)
            return self._word(uri, piece) if uri.startswith(URI_SCHEME) else _link(letters, uri)
        if atom.kind == "tag":
            return self._word(_escaped(letters if letters[0] in "#＃" else f"#{atom.target}"), piece)
        url = web_url(atom.target) if atom.kind == "link" else None
        if url is None:
            return _escaped(letters)
        pointer = url.removeprefix(VIEWER)
        if pointer != url and same_address(letters, url) and is_event(pointer):
            return self._word(URI_SCHEME + pointer, piece)
        return _link(letters, url)

    def _word(self, written: str, piece: Piece) -> str:
        """Something that readers find by its letters, kept apart from what would run into it."""
        plain = self._text.plain
        apart = piece.start not in self._atoms_end and _BEFORE_WORD.match(plain[max(0, piece.start - 1) : piece.start])
        return ("" if apart else " ") + written + ("" if AFTER_WORD.match(plain, piece.end) else " ")


def _marked(written: str, mark: str, before: str, after: str) -> str:
    """`written` between two marks, white space left outside; as it is where they would not be read as marks."""
    edges = _EDGES.fullmatch(written)
    if edges is None or not edges[2]:
        return written
    before, after = (edges[1] or before)[-1:], (edges[3] or after)[:1]
    letters = edges[2]
    opens = _is_letter(letters[0]) or not _is_letter(before)
    closes = _is_letter(letters[-1]) or not _is_letter(after)
    if mark == "_":
        opens, closes = opens and not _is_letter(before), closes and not _is_letter(after)
    # A mark beside its like would be one longer mark.
    beside = before == mark[0] or letters[0] == mark[0] or letters[-1] == mark[0] or after == mark[0]
    return f"{edges[1]}{mark}{letters}{mark}{edges[3]}" if opens and closes and not beside else written


def _is_letter(character: str) -> bool:
    """Neither white space nor what CommonMark takes for punctuation, which is more than Unicode does."""
    return bool(character) and (character.isalnum() or not (character.isspace() or _PUNCTUATION.match(character)))


def _link(label: str, url: str) -> str:
    label = " ".join(label.split())
    if not label or same_address(label, url):
        return f"<{url}>"
    url = url.replace("(", "%28").replace(")", "%29")
    url = re.sub("&(?=#?[0-9A-Za-z]{1,32};)", "&amp;", url)
    return f"[{_escaped(label)}]({url})"


def _escaped(letters: str, following: str = "") -> str:
    written = _SPECIAL.sub(r"\\\g<0>", letters)
    # Before a link it would make a picture of it.
    return written[:-1] + "\\!" if letters.endswith("!") and following else written


def _longest_ticks(letters: str) -> int:
    return max((len(found) for found in _TICKS.findall(letters)), default=0)
