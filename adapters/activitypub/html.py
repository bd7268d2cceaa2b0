"""The HTML of `content` and `summary`, read into spans; `to_html`, its counterpart, is in the next room.

Read are the shapes of Mastodon, Pleroma, Misskey, GoToSocial, Pixelfed, Hollo, Friendica and snac.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from adapters.activitypub.html_out import CONTROL, SCHEME, to_html
from adapters.activitypub.markup import Tag, tokens
from bridged.api import (
    Ref,
    Span,
    SpanKind,
    Text,
    TextBuilder,
    find_emojis,
    find_links,
    known_tags,
    rewrite,
    web_url,
)

__all__ = ["MAX_DEPTH", "MAX_HTML", "MAX_SPANS", "from_html", "to_html"]

MAX_HTML: Final = 500_000
"""Characters of HTML read; the rest is left unread."""

MAX_DEPTH: Final = 64
"""Elements nested; deeper ones leave only their letters."""

MAX_SPANS: Final = 2000
"""Spans read; later ones leave only their letters."""

MAX_NAME: Final = 100

_STYLES: Final[dict[str, SpanKind]] = {
    **dict.fromkeys(("b", "strong", "h1", "h2", "h3", "h4", "h5", "h6"), "bold"),
    **dict.fromkeys(("i", "em"), "italic"),
    **dict.fromkeys(("del", "s", "strike"), "strike"),
    **dict.fromkeys(("code", "tt", "kbd", "samp"), "code"),
}
_APART: Final = frozenset(("p", "blockquote", "pre", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "hr"))
_SECTIONS: Final = ("div", "section", "article", "aside", "header", "footer", "main", "nav", "address")
_FIGURES: Final = ("figure", "figcaption", "details", "summary", "li", "dl", "dt", "dd")
_TABLES: Final = ("table", "caption", "thead", "tbody", "tfoot", "tr")
_LINES: Final = frozenset((*_SECTIONS, *_FIGURES, *_TABLES))
_CELLS: Final = frozenset(("td", "th"))
_VOID: Final = frozenset(("br", "hr", "img", "wbr", "input", "area", "base", "col", "embed", "link", "meta"))
_TEX: Final = "application/x-tex"
# Written before and after the letters within: quotation marks, and readings where the element is not known (ruby).
_AROUND: Final = {"q": ("“", "”"), "rt": ("(", ")")}
_BLANK: Final = " \t\r\n\f"
_SHORTENED: Final = ("…", "...")


def from_html(
    html: str,
    *,
    mentions: Mapping[str, Ref],
    tags: Iterable[str] = (),
    emojis: Mapping[str, str] | None = None,
) -> Text:
    """The text of untrusted HTML; never raises.

    `mentions` maps addresses of accounts, and names as Mention tags have them (`@user@host`), to accounts;
    a mention's letters become `@user@host`. `tags` are names of Hashtag tags, with or without `#`. `emojis`
    maps `:code:` to the image's address. Links are http and https only; what is linked elsewhere leaves its
    letters. The fallback text of a quote (class `quote-inline`) is left out.
    """
    reader = _Reader(with_tex=_TEX in html)
    for token in tokens(html[:MAX_HTML]):
        if isinstance(token, str):
            reader.letters(token)
        elif token.closing:
            reader.end(token.name)
        else:
            reader.start(token)
    names = frozenset(t.lstrip("#＃").casefold() for t in tags)
    text = _Anchors(reader.anchors, mentions, names).resolve(reader.builder.build())
    return known_tags(find_emojis(find_links(text), emojis or {}), names)


@dataclass(slots=True)
class _Element:
    name: str
    spans: int = 0
    unread: int = 0
    count: int = 0
    after: str = ""


class _Reader:
    """Elements opened and closed, written into a builder; each `a` as a link whose target is its number."""

    def __init__(self, *, with_tex: bool) -> None:
        self.builder = TextBuilder()
        self._with_tex = with_tex
        self.anchors: list[Tag] = []
        self._stack: list[_Element] = []
        self._spans = 0
        self._unread = 0
        self._pre = 0
        self._first = False

    def letters(self, letters: str) -> None:
        if self._unread:
            return
        letters = letters.translate(CONTROL)
        if self._pre:
            lines = letters.replace("\r", "").removeprefix("\n" if self._first else "").split("\n")
            self._first = False
            for number, line in enumerate(lines):
                if number:
                    self.builder.newline()
                self.builder.add(line)
            return
        # HTML folds these five; no-break and ideographic spaces stay.
        words = [w for w in re.split(f"[{_BLANK}]+", letters) if w]
        if letters[:1] and letters[0] in _BLANK:
            self.builder.space()
        self.builder.add(" ".join(words))
        if words and letters[-1] in _BLANK:
            self.builder.space()

    def start(self, tag: Tag) -> None:
        name = tag.name
        if name == "br":
            self.builder.newline()
        elif name == "img":
            self.letters(tag.attributes.get("alt", ""))
        self._make_room(name)
        self._apart(name)
        if name in _VOID or len(self._stack) >= MAX_DEPTH:
            return
        element = _Element(name, unread=self._unreads(tag))
        self._stack.append(element)
        self._unread += element.unread
        if name == "annotation" and element.unread:
            display = any(e.name == "math" and e.after for e in self._stack)
            self._surround(element, ("\\[", "\\]") if display else ("\\(", "\\)"))
        elif name == "math" and tag.attributes.get("display") == "block":
            element.after = " "
        elif name in _AROUND:
            self._surround(element, _AROUND[name])
        elif name == "li":
            self._item(element)
        elif name == "blockquote":
            self._open(element, "quote")
        elif name == "pre":
            self._pre += 1
            self._first = True
            self._open(element, "pre")
        elif name == "a" and self._open(element, "link", str(len(self.anchors))):
            self.anchors.append(tag)
        elif (style := _STYLES.get(name)) and not (style == "code" and self._pre):
            self._open(element, style)

    def end(self, name: str) -> None:
        if name == "br":
            self.builder.newline()
        elif any(e.name == name for e in self._stack):
            self._close(name)
        self._apart(name)

    def _unreads(self, tag: Tag) -> int:
        """By how much an element's letters become unread: those of formulas are, but for their TeX (FEP-dc88)."""
        if tag.name == "math":
            return int(self._with_tex)
        if tag.name == "annotation" and self._unread == 1 and any(e.name == "math" for e in self._stack):
            return -1 if tag.attributes.get("encoding") == _TEX else 0
        return int(tag.name == "rp" or "quote-inline" in tag.words("class"))

    def _surround(self, element: _Element, marks: tuple[str, str]) -> None:
        self.letters(marks[0])
        element.after = marks[1]

    def _make_room(self, name: str) -> None:
        """End what cannot hold the new element: a paragraph, an item of the same list, another link."""
        if name in _APART or name in _LINES:
            self._close_since("p", ("blockquote", "li", "td", "div"))
        if name == "li":
            self._close_since("li", ("ul", "ol"))
        elif name == "a":
            self._close_since("a", ())
        elif name in ("rt", "rp"):
            self._close_since("rt", ("ruby",))
            self._close_since("rp", ("ruby",))

    def _close_since(self, name: str, walls: tuple[str, ...]) -> None:
        for element in reversed(self._stack):
            if element.name in walls:
                return
            if element.name == name:
                self._close(name)
                return

    def _close(self, name: str) -> None:
        while True:
            element = self._stack.pop()
            if element.after:
                self.letters(element.after)
            for _ in range(element.spans):
                self.builder.close()
            self._unread -= element.unread
            self._pre -= element.name == "pre"
            if element.name == name:
                return

    def _open(self, element: _Element, kind: SpanKind, target: str | None = None) -> bool:
        if self._spans >= MAX_SPANS or self._unread:
            return False
        self._spans += 1
        element.spans += 1
        self.builder.open(kind, target)
        return True

    def _item(self, element: _Element) -> None:
        lists = [e for e in self._stack if e.name in ("ul", "ol")]
        if lists and lists[-1].name == "ol":
            # Numbers are letters, as no kind of span counts.
            lists[-1].count += 1
            self.letters(f"{lists[-1].count}. ")
        else:
            self._open(element, "item")

    def _apart(self, name: str) -> None:
        if name in _APART:
            self.builder.gap(1 if any(e.name == "li" for e in self._stack) else 2)
        elif name in _LINES:
            self.builder.gap(1)
        elif name in _CELLS:
            self.builder.space()


class _Anchors:
    """Tells mentions, hashtags and links among the anchors read."""

    def __init__(self, anchors: list[Tag], mentions: Mapping[str, Ref], tags: frozenset[str]) -> None:
        self._anchors = anchors
        self._mentions = mentions
        self._tags = tags
        named = {k.lstrip("@"): ref for k, ref in mentions.items() if k.lstrip("@") and "://" not in k}
        self._names = {name.casefold(): ref for name, ref in named.items()}
        self._name_of = {ref: f"@{name}" for name, ref in named.items() if "@" in name}

    def resolve(self, text: Text) -> Text:
        """The text with every numbered link made what it is, or undone."""
        spans: list[Span] = []
        changed: dict[Span, str] = {}
        for span in text.spans:
            if span.kind != "link":
                spans.append(span)
                continue
            found = self._resolve(text.plain, span)
            if found is not None:
                resolved, letters = found
                spans.append(resolved)
                if letters != text.plain[resolved.start : resolved.end]:
                    changed[resolved] = letters
        return rewrite(Text(text.plain, tuple(spans)), lambda span, _: changed.get(span))

    def _resolve(self, plain: str, span: Span) -> tuple[Span, str] | None:
        anchor = self._anchors[int(str(span.target))]
        classes, href = anchor.words("class"), anchor.attributes.get("href", "").strip()
        start, letters = span.start, plain[span.start : span.end]
        # Friendica and Hubzilla leave the sign outside the link.
        if start and letters[0] not in "@#＃" and plain[start - 1] in "@#＃":
            start, letters = start - 1, plain[start - 1] + letters
        sign, name = letters[0], letters[1:]
        if sign in "#＃" and 0 < len(name) <= MAX_NAME and not re.search(r"\s", name):
            marked = "hashtag" in classes or "tag" in anchor.words("rel")
            if marked or name.casefold() in self._tags:
                return replace(span, start=start, kind="tag", target=name), letters
        if "mention" in classes or sign == "@":
            ref = self._account(href, letters)
            if ref is not None:
                handle = self._name_of.get(ref) or _handle(letters, href)
                return replace(span, start=start, kind="mention", target=ref), handle
        url = web_url(href)
        if url is None:
            return None
        letters = plain[span.start : span.end]
        return replace(span, target=url), href if _is_short_for(letters, href) else letters

    def _account(self, href: str, letters: str) -> Ref | None:
        if ref := self._mentions.get(href):
            return ref
        handle = letters.lstrip("@").casefold()
        full = handle if "@" in handle else f"{handle}@{_host(href)}"
        if ref := self._names.get(full):
            return ref
        # A host whose handles are under another domain: the only one of that name is meant.
        alike = {ref for name, ref in self._names.items() if name.split("@")[0] == handle}
        return alike.pop() if len(alike) == 1 else None


def _host(href: str) -> str:
    try:
        return urlsplit(href).hostname or ""
    except ValueError:
        return ""


def _handle(letters: str, href: str) -> str:
    name = letters.lstrip("@")
    if "@" in name or not name or re.search(r"\s", name) or not _host(href):
        return letters
    return f"@{name}@{_host(href)}"


def _is_short_for(letters: str, href: str) -> bool:
    """Whether the letters are the beginning of the address and an ellipsis."""
    for ellipsis in _SHORTENED:
        if letters.endswith(ellipsis):
            head = SCHEME.sub("", letters.removesuffix(ellipsis), count=1)
            return bool(head) and SCHEME.sub("", href, count=1).startswith(head)
    return False
