"""The HTML of `content`, written from spans as Mastodon writes it and its sanitiser lets it through."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import nh3

from bridged.api import Piece, Ref, Section, Span, SpanKind, Text, blocks, paragraphs, pieces, web_url

CONTROL: Final = dict.fromkeys(n for n in (*range(32), *range(127, 160)) if chr(n) not in "\t\n\f\r")
"""For str.translate: drops the control characters that are not white space."""

SCHEME: Final = re.compile(r"https?://(?:www\.)?", re.IGNORECASE)

_ELEMENTS: Final[dict[SpanKind, str]] = {"bold": "strong", "italic": "em", "strike": "del", "code": "code"}
_ALLOWED: Final = {"p", "br", "span", "a", "del", "pre", "blockquote", "code", "strong", "em", "ul", "li"}
_ALLOWED_ATTRIBUTES: Final = {"a": {"href", "rel", "class", "target"}, "span": {"class", "translate"}}
_SHOWN: Final = 30


def to_html(
    text: Text,
    account: Callable[[Ref], tuple[str, str] | None],
    tag: Callable[[str], str | None],
) -> str:
    """HTML as Mastodon writes it, everything escaped.

    `account` gives the profile address and handle (`@user@host`) of an account mentioned, `tag` the page of a
    hashtag; None leaves the letters. A link whose letters are its address is shown shortened.
    """
    out: list[str] = []
    _Writer(text, account, tag, out).sections(blocks(text))
    # Nothing unsafe is written above; this is the second lock.
    return nh3.clean(
        "".join(out),
        tags=_ALLOWED,
        attributes=_ALLOWED_ATTRIBUTES,
        url_schemes={"http", "https"},
        link_rel=None,
    )


@dataclass(frozen=True, slots=True)
class _Writer:
    text: Text
    account: Callable[[Ref], tuple[str, str] | None]
    tag: Callable[[str], str | None]
    out: list[str]

    def sections(self, sections: Iterable[Section], tight: bool = False) -> None:
        """Write sections; `tight`, the first paragraph goes without tags, as within an item."""
        listing = False
        for section in sections:
            if section.kind is None:
                for paragraph in paragraphs(self.text, section):
                    if listing:
                        self.out.append("</ul>")
                        listing = False
                    written = self._inline(paragraph, "<br>")
                    self.out.append(written if tight else f"<p>{written}</p>")
                    tight = False
                continue
            if listing != (section.kind == "item"):
                listing = not listing
                self.out.append("<ul>" if listing else "</ul>")
            inner = section.inner or (Section(None, section.start, section.end),)
            if section.kind == "pre":
                written = self._inline(pieces(self.text, section), "\n")
                self.out.append(f"<pre><code>{written}</code></pre>")
            elif section.kind == "item":
                self.out.append("<li>")
                self.sections(inner, tight=True)
                self.out.append("</li>")
            else:
                self.out.append("<blockquote>")
                self.sections(inner)
                self.out.append("</blockquote>")
        if listing:
            self.out.append("</ul>")

    def _inline(self, run: Iterable[Piece], newline: str) -> str:
        out: list[str] = []
        open_: list[SpanKind] = []
        for piece in run:
            # Within pre, a newline stays one and code is said already.
            styles: list[SpanKind] = [s for s in piece.styles if newline != "\n" or s != "code"]
            while open_ != styles[: len(open_)]:
                out.append(f"</{_ELEMENTS[open_.pop()]}>")
            for style in styles[len(open_) :]:
                out.append(f"<{_ELEMENTS[style]}>")
                open_.append(style)
            letters = self.text.plain[piece.start : piece.end]
            atom = self._atom(piece.atom, letters) if piece.atom else None
            out.append(_escape(letters).replace("\n", newline) if atom is None else atom)
        out += (f"</{_ELEMENTS[style]}>" for style in reversed(open_))
        return "".join(out)

    def _atom(self, span: Span, letters: str) -> str | None:
        target = span.target
        if isinstance(target, Ref):
            found = self.account(target) if span.kind == "mention" else None
            href = web_url(found[0]) if found else None
            if found is None or href is None:
                return None
            user = _escape(found[1].lstrip("@").split("@")[0])
            anchor = f'<a href="{_escape(href)}" class="u-url mention">@<span>{user}</span></a>'
            return f'<span class="h-card" translate="no">{anchor}</span>'
        if span.kind == "tag" and target:
            href = web_url(self.tag(target) or "")
            name = _escape(letters.lstrip("#＃"))
            return href and f'<a href="{_escape(href)}" class="mention hashtag" rel="tag">#<span>{name}</span></a>'
        if span.kind == "link" and target and (href := web_url(target)):
            shown = _shortened(href) if letters == target else _escape(letters).replace("\n", "<br>")
            return f'<a href="{_escape(href)}" target="_blank" rel="nofollow noopener noreferrer">{shown}</a>'
        return None


def _shortened(url: str) -> str:
    """The address with its scheme and all beyond 30 characters hidden from sight, as Mastodon marks them."""
    scheme = SCHEME.match(url)
    first = scheme.end() if scheme else 0
    last = first + _SHOWN
    if len(url) > last:
        shown = f'<span class="ellipsis">{_escape(url[first:last])}</span>'
    else:
        shown = f"<span>{_escape(url[first:last])}</span>"
    hidden = f'<span class="invisible">{_escape(url[last:])}</span>' if len(url) > last else ""
    return f'<span class="invisible">{_escape(url[:first])}</span>{shown}{hidden}'


def _escape(letters: str) -> str:
    letters = letters.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    letters = letters.translate(CONTROL).replace("\r", "").replace("\xa0", "&nbsp;")
    return letters.encode("utf-8", "replace").decode()
