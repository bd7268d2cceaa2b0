"""Quotes: what a post quotes, and asking and granting it (FEP-044f), both ways. Pure."""

import html
import re
from collections.abc import Iterable

import orjson

from adapters.activitypub.documents import Document
from adapters.activitypub.ids import Urls
from adapters.activitypub.reading import Object
from adapters.activitypub.shapes import LD_TYPE, ident, objects, origin, text, types
from bridged.api import Copy, Ref, Span, Text

_MISSKEY = "https://misskey-hub.net/ns#_misskey_quote"
_NAMES = ("quote", "quoteUrl", "quoteUri", "quoteURL", "_misskey_quote")
_RELS = frozenset({_MISSKEY, "https://misskey-hub.net/ns/#_misskey_quote", "https://w3id.org/fep/044f#quote"})
_LINE = re.compile(r"\s*(?:RE|QT):?\s+\[?\S{1,2048}\s*\Z")


def quote_of(source: Object) -> str:
    """The id of the post that an object quotes, in any of the forms in use, or ""."""
    for name in _NAMES:
        found = ident(source.get(name))
        if origin(found):
            return found
    for tag in objects(source.get("tag")):
        href = ident(tag.get("href"))
        # FEP-e232 links to objects for other reasons, too; a quote is named so.
        named = text(tag.get("rel")) in _RELS or text(tag.get("name")).startswith("RE:")
        if "Link" in types(tag) and named and origin(href):
            return href
    return ""


def without_line(body: Text) -> Text:
    """The text without the link to the quoted post that is there for readers who know no quotes."""
    match = _LINE.search(body.plain)
    if match is None:
        return body
    end = match.start()
    kept = (Span(span.start, min(span.end, end), span.kind, span.target) for span in body.spans if span.start < end)
    return Text(body.plain[:end], tuple(kept))


def quoting(quoted: str) -> Document:
    """The properties of a note that quotes `quoted`, for every kind of reader."""
    return dict.fromkeys(("quote", "quoteUrl", "quoteUri", "_misskey_quote"), quoted)


def line(page: str) -> str:
    """The HTML that shows the quoted post's page to readers who know no quotes."""
    shown = html.escape(page)
    return f'<p class="quote-inline">RE: <a href="{shown}">{shown}</a></p>'


def tag(quoted: str) -> Document:
    """The Link tag of FEP-e232."""
    return {"type": "Link", "mediaType": LD_TYPE, "rel": _MISSKEY, "href": quoted, "name": f"RE: {quoted}"}


def request(note: Document, post: Ref, quoted: Ref, author: Ref, urls: Urls) -> Document:
    """Asks the author of `quoted` whether the note may quote it."""
    return {
        "id": urls.caused("quote", quoted, post),
        "type": "QuoteRequest",
        "actor": note["attributedTo"],
        "published": note["published"],
        "to": [author.id],
        "object": quoted.id,
        "instrument": note,
    }


def stamp_in(copies: Iterable[Copy]) -> Document | None:
    """The stamp among what is taken back: whoever checks it knows it by its own id."""
    said: list[Document] = [orjson.loads(copy.served) for copy in copies if copy.served and not copy.gone]
    return next((each for each in said if each.get("type") == "QuoteAuthorization"), None)


def authorization(url: str, actor: str, quoting_note: str, quoted_note: str) -> Document:
    """The stamp at `url` by which `actor` lets one post quote another."""
    return {
        "id": url,
        "type": "QuoteAuthorization",
        "attributedTo": actor,
        "interactingObject": quoting_note,
        "interactionTarget": quoted_note,
    }
