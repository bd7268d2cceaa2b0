"""Facets (app.bsky.richtext.facet): meaning laid over a text by bytes of its UTF-8, read and written. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any, Final, cast

from adapters.atproto import ids
from adapters.atproto.syntax import is_did, uri_of
from bridged.api import Malformed, Ref, Span, Text, graphemes, web_url

MAX_GRAPHEMES: Final = 300
MAX_BYTES: Final = 3000
MAX_TAG: Final = 64
"""Graphemes of a tag, without its sign."""
MAX_TAG_BYTES: Final = 640
MAX_FACETS: Final = 1000
"""Facets of one text that are looked at."""

_KIND: Final = "app.bsky.richtext.facet"


def read_text(letters: Any, facets: Any, *, max_bytes: int = MAX_BYTES) -> Text:
    """A text and what its facets say of it. Raises Malformed("text") for a text that is none, or too long.

    A facet is passed over where it is broken, ends inside a character or past the text, or overlaps one before it:
    so do those who show posts.
    """
    if not isinstance(letters, str):
        raise Malformed("text")
    try:
        size = len(letters.encode())
    except UnicodeEncodeError:
        raise Malformed("text") from None
    if size > max_bytes:
        raise Malformed("text")
    if "\0" in letters:  # which PostgreSQL's text does not take; of the same length, so that facets stay in place
        letters = letters.replace("\0", " ")
    if not isinstance(facets, list) or not facets:
        return Text(letters)
    return Text(letters, tuple(_spans(letters, cast(list[Any], facets)[:MAX_FACETS])))


def facets_of(text: Text) -> list[dict[str, Any]]:
    """The facets of a text's mentions, links and tags, in order; those that overlap one before are left out."""
    found: list[dict[str, Any]] = []
    end = 0
    places = _places(text.plain)
    for span in text.spans:
        feature = _written(span)
        if feature is None or span.start < end:
            continue
        end = span.end
        index = {"byteStart": places[span.start], "byteEnd": places[span.end]}
        found.append({"index": index, "features": [feature]})
    return found


def is_tag(name: str) -> bool:
    """Whether a hashtag is one here."""
    return 0 < len(name.encode("utf-8", "replace")) <= MAX_TAG_BYTES and graphemes(name) <= MAX_TAG


def _places(letters: str) -> "list[int] | range":
    """For each code point, and the end, the number of bytes before it."""
    if letters.isascii():
        return range(len(letters) + 1)
    sizes = (1 if c < "\x80" else 2 if c < "\u0800" else 3 if c < "\U00010000" else 4 for c in letters)
    return [0, *accumulate(sizes)]


def _spans(letters: str, facets: Iterable[Any]) -> Iterator[Span]:
    places = _places(letters)
    end = 0
    for first, last, feature in sorted(_whole(facets), key=lambda facet: facet[0]):
        start, stop = bisect_left(places, first), bisect_left(places, last)
        if stop >= len(places) or places[start] != first or places[stop] != last or start < end:
            continue
        end = stop
        yield Span(start, stop, *feature)


def _whole(facets: Iterable[Any]) -> Iterator[tuple[int, int, tuple[Any, Ref | str]]]:
    """The facets that say something, as (first byte, last byte, kind and target)."""
    for facet in facets:
        facet = _object(facet)
        index, features = _object(facet.get("index")), facet.get("features")
        first, last = index.get("byteStart"), index.get("byteEnd")
        if type(first) is not int or type(last) is not int or not 0 <= first < last or not isinstance(features, list):
            continue
        read = (_feature(_object(each)) for each in cast(list[Any], features)[:10])
        feature = next((each for each in read if each is not None), None)
        if feature is not None:
            yield first, last, feature


def _feature(feature: dict[str, Any]) -> tuple[Any, Ref | str] | None:
    match feature:
        case {"$type": "app.bsky.richtext.facet#mention", "did": str(did)} if is_did(did) and len(did) <= ids.MAX_ID:
            return "mention", ids.account_ref(did)
        case {"$type": "app.bsky.richtext.facet#link", "uri": str(uri)} if url := web_url(uri):
            return "link", url
        case {"$type": "app.bsky.richtext.facet#tag", "tag": str(tag)} if is_tag(tag) and "\0" not in tag:
            return "tag", tag
        case _:
            return None


def _written(span: Span) -> dict[str, Any] | None:
    match span:
        case Span(kind="mention", target=Ref(network=ids.NETWORK, id=did)):
            return {"$type": f"{_KIND}#mention", "did": did}
        case Span(kind="link", target=str(uri)) if url := web_url(uri):
            return {"$type": f"{_KIND}#link", "uri": uri_of(url)}
        case Span(kind="tag", target=str(tag)) if is_tag(tag):
            return {"$type": f"{_KIND}#tag", "tag": tag}
        case _:
            return None


def _object(value: Any) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}
