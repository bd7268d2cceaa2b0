"""An article's Markdown (NIP-23), read into spans; `markdown_out` writes it. Pure.

Headings are bold lines, tables lines of cells. Pictures are taken out of the text as files. Of HTML only the letters
and line breaks are left.
"""

import html
import re
from collections.abc import Sequence
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from adapters.nostr.media import MAX_MEDIA, type_of
from adapters.nostr.nip19 import URI_SCHEME, BadIdentifier, decode
from adapters.nostr.text import Reader, from_note
from bridged.api import Media, SpanKind, Text, web_url

MAX_SPANS: Final = 2000
"""Spans read; later ones leave only their letters."""
MAX_NESTING: Final = 20
MAX_BRACKETS: Final = 2000
MAX_MARKS: Final = 5000
MAX_LINES: Final = 5000
"""More of these are no article but an attempt to keep the parser busy."""

_STYLES: Final[dict[str, SpanKind]] = {"strong": "bold", "em": "italic", "s": "strike", "heading": "bold"}
_APART: Final = frozenset(("paragraph", "heading", "blockquote", "bullet_list", "ordered_list", "table"))
_BREAK: Final = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG: Final = re.compile(r"<[^<>]*>")
_BLANK: Final = re.compile(r"\s+")


class _Parser(MarkdownIt):
    """Leaves the spelling of addresses alone: they are checked where they are used."""

    def normalizeLink(self, url: str) -> str:
        return url

    def normalizeLinkText(self, link: str) -> str:
        return link


_parser: Final = _Parser("commonmark", {"maxNesting": MAX_NESTING}).enable(["table", "strikethrough"])


def from_markdown(
    content: str, tags: Sequence[Sequence[str]], *, quoted: Sequence[str] = ()
) -> tuple[Text, tuple[Media, ...]]:
    """The text and the pictures of an article's content and tags; never raises.

    Mentions, pointers and emoji as `text.from_note` has them.
    """
    marks = sum(map(content.count, "*_~`"))
    if content.count("[") > MAX_BRACKETS or marks > MAX_MARKS or content.count("\n") > MAX_LINES:
        return from_note(content, tags, quoted=quoted), ()
    walk = _Walk(Reader(tags, quoted))
    for token in _parser.parse(content):
        walk.block(token)
    return walk.reader.text(), tuple(walk.media.values())


class _Walk:
    """The tokens of the parser, one after another, written by a reader."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.media: dict[str, Media] = {}
        self._spans = 0
        # What is open: whether a span was opened for it.
        self._open: list[bool] = []
        self._lists = 0
        self._numbered = False
        self._cells = 0
        self._links: list[tuple[str, int]] = []
        self._written = 0

    def block(self, token: Token) -> None:
        builder = self.reader.builder
        name = token.type.removesuffix("_open").removesuffix("_close")
        if self._numbered and token.type == "paragraph_open":
            self._numbered = False  # it goes on where its number is
        elif name in _APART and not token.hidden:
            builder.gap(1 if self._lists else 2)
        elif name in ("tr", "list_item") or token.hidden:
            builder.gap(1)
        match token.type:
            case "inline":
                for child in token.children or ():
                    self._inline(child)
            case "fence" | "code_block":
                builder.gap(2)
                self._begin("pre")
                for line in token.content.rstrip("\n").split("\n"):
                    self._letters(line)
                    builder.newline()
                self._end()
                builder.gap(2)
            case "html_block":
                builder.gap(2)
                self._html(token.content)
                builder.gap(2)
            case "hr":
                builder.gap(2)
            case "bullet_list_open" | "ordered_list_open":
                self._lists += 1
            case "bullet_list_close" | "ordered_list_close":
                self._lists -= 1
                builder.gap(1 if self._lists else 2)
            case "list_item_open" if token.info:
                # Numbers are letters, as no kind of span counts.
                self._open.append(False)
                self._letters(f"{token.info}{token.markup}")
                builder.space()
                self._numbered = True
            case "list_item_open":
                self._begin("item")
            case "blockquote_open":
                self._begin("quote")
            case "heading_open":
                self._begin("bold")
            case "list_item_close" | "blockquote_close" | "heading_close":
                self._end()
            case "tr_open":
                self._cells = 0
            case "th_open" | "td_open":
                if self._cells:
                    builder.space()
                    self._letters("|")
                    builder.space()
                self._cells += 1
            case _:
                pass

    def _inline(self, token: Token) -> None:
        builder = self.reader.builder
        match token.type:
            case "text":
                self._text(token.content)
            case "softbreak":
                builder.space()
            case "hardbreak":
                builder.newline()
            case "code_inline":
                self._begin("code")
                self._letters(token.content)
                self._end()
            case "strong_open" | "em_open" | "s_open":
                self._begin(_STYLES[token.type.removesuffix("_open")])
            case "strong_close" | "em_close" | "s_close":
                self._end()
            case "link_open":
                self._link(str(token.attrs.get("href", "")))
            case "link_close":
                self._unlink()
            case "image":
                self._picture(str(token.attrs.get("src", "")), _letters_of(token))
            case "html_inline":
                if _BREAK.fullmatch(token.content):
                    builder.newline()
            case _:
                self._text(token.content)

    def _text(self, letters: str) -> None:
        self._written += len(letters)
        lead, rest = letters[: len(letters) - len(letters.lstrip(" "))], letters.lstrip(" ")
        if lead:
            self.reader.builder.space()
        words = rest.rstrip(" ")
        if self._links:
            self.reader.builder.add(words)
        else:
            self.reader.words(words, code=False)
        if len(words) < len(rest):
            self.reader.builder.space()

    def _letters(self, letters: str) -> None:
        self._written += len(letters)
        self.reader.builder.add(letters)

    def _link(self, href: str) -> None:
        """A web address is a link; a pointer is what it would be without a label; all others leave their letters."""
        url = web_url(href)
        self._links.append((url or href, self._written))
        self._open.append(False)
        if url is not None and self._spans < MAX_SPANS:
            self._open.pop()
            self._begin("link", url)

    def _unlink(self) -> None:
        href, written = self._links.pop()
        if self._written == written and web_url(href):
            self._letters(href)  # its label was a picture
        self._end()
        if href[: len(URI_SCHEME)].lower() == URI_SCHEME:
            word = href[len(URI_SCHEME) :]
            try:
                pointer = decode(word)
            except BadIdentifier:
                return
            self.reader.builder.space()
            self.reader.pointer(pointer, word)

    def _picture(self, src: str, alt: str) -> None:
        url = web_url(src)
        if url is None:
            self._letters(alt)
        elif url in self.media or len(self.media) < MAX_MEDIA:
            self.media.setdefault(url, Media(url, type_of(url) or "image/jpeg", alt[:5000]))
        else:
            self._link(url)
            self._letters(alt or url)
            self._unlink()

    def _html(self, source: str) -> None:
        for line in _BREAK.sub("\n", source).split("\n"):
            words = _BLANK.sub(" ", html.unescape(_TAG.sub("", line))).strip()
            if words:
                self._letters(words)
                self.reader.builder.newline()

    def _begin(self, kind: SpanKind, target: str | None = None) -> None:
        self._open.append(self._spans < MAX_SPANS)
        if self._open[-1]:
            self._spans += 1
            self.reader.builder.open(kind, target)

    def _end(self) -> None:
        if self._open.pop():
            self.reader.builder.close()


def _letters_of(token: Token) -> str:
    """The label of a picture, without its markup."""
    return " ".join("".join(child.content for child in token.children or ()).split())
