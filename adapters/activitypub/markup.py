"""HTML as a flat run of tags and letters.

A tokenizer and no tree: the tree HTML's parsing rules demand grows with the square of the input (13 kB of
unclosed `<b>` with differing attributes make 400 MB of it). Time and memory here are linear, whatever comes
in; what the rules call a parse error is read as they recover from it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import Final

_TAG_NAME: Final = re.compile(r"[a-zA-Z][^\s/>]*+")
_ATTRIBUTE: Final = re.compile(
    r"[\s/]*+(?:(?P<end>>)|(?P<name>[^\s/>][^\s/>=]*+)(?:\s*+=\s*+(?:\"(?P<double>[^\"]*+)\"|'(?P<single>[^']*+)'"
    r"|(?P<bare>[^\s>\"'][^\s>]*+)|(?=>)))?+)"
)
_LONG_CODE: Final = re.compile(r"&#[0-9a-fA-FxX]{9,}+;?")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_KEPT: Final = frozenset(("href", "class", "rel", "alt", "display", "encoding"))
_UNREAD: Final = frozenset(
    ("script", "style", "title", "textarea", "iframe", "noembed", "noframes", "noscript", "xmp", "plaintext")
)
_UNREAD_END: Final = {name: re.compile(rf"</{name}[\s/>]", re.IGNORECASE) for name in _UNREAD}


@dataclass(frozen=True, slots=True)
class Tag:
    """A start tag or an end tag, its name in lower case; of the attributes only those in `_KEPT`."""

    name: str
    closing: bool = False
    attributes: dict[str, str] = field(default_factory=dict[str, str])

    def words(self, attribute: str) -> frozenset[str]:
        """The words of a list-valued attribute, in lower case."""
        return frozenset(self.attributes.get(attribute, "").lower().split())


def tokens(html: str) -> Iterator[Tag | str]:
    """The tags of the HTML and the letters between them, character references resolved.

    Comments, declarations and the insides of script, style and the like are left out; so is everything after
    a tag or comment that never ends. NUL and lone surrogates become U+FFFD. Never raises.
    """
    html = _SURROGATE.sub("\ufffd", html.replace("\0", "\ufffd"))
    position, size = 0, len(html)
    while position < size:
        opening = html.find("<", position)
        if opening < 0:
            opening = size
        if opening > position:
            yield _letters(html[position:opening])
        position = opening + 1
        if position >= size:
            if opening < size:
                yield "<"
            return
        closing = html.startswith("/", position)
        name = _TAG_NAME.match(html, position + closing)
        if name:
            tag, position = _tag(html, name, closing)
            if tag is None:
                return
            yield tag
            if not closing and tag.name in _UNREAD:
                end = _UNREAD_END[tag.name].search(html, position)
                position = end.start() if end else size
        elif closing or html[position] in "!?":
            long = html.startswith("!--", position)
            # `<!-->` is a whole comment.
            end = html.find("-->", position + 1) if long else html.find(">", position)
            if end < 0:
                return
            position = end + (3 if long else 1)
        else:
            yield "<"


def _tag(html: str, name: re.Match[str], closing: bool) -> tuple[Tag | None, int]:
    """The tag whose name was matched, and where it ends; None when it never does."""
    attributes: dict[str, str] = {}
    position = name.end()
    while match := _ATTRIBUTE.match(html, position):
        position = match.end()
        if match["end"]:
            return Tag(name.group().lower(), closing, attributes), position
        key = match["name"].lower()
        if key in _KEPT and key not in attributes:
            value = match["double"] or match["single"] or match["bare"] or ""
            attributes[key] = _letters(value)
    return None, len(html)


def _letters(html: str) -> str:
    if "&" not in html:
        return html
    # unescape() reads any number of digits and fails on thousands of them; nine are past all of Unicode.
    return _SURROGATE.sub("\ufffd", unescape(_LONG_CODE.sub("\ufffd", html)))
