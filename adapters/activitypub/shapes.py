"""Tolerant reading of ActivityStreams 2.0: every property may be a scalar, a list, an object or null. Pure.

Nothing here raises: what does not fit is as if it were absent.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast
from urllib.parse import urlsplit

from adapters.activitypub.reading import Object

PUBLIC = "https://www.w3.org/ns/activitystreams#Public"
AS2_TYPE = "application/activity+json"
LD_TYPE = 'application/ld+json; profile="https://www.w3.org/ns/activitystreams"'

POST_TYPES = frozenset(
    {
        "Album", "Article", "Audio", "Comment", "Document", "Event", "Image", "Note", "Page", "PodcastEpisode",
        "Question", "Quotation", "Rating", "Review", "Track", "Video",
    }
)  # fmt: skip
ACTOR_TYPES = frozenset({"Person", "Service", "Group", "Organization", "Application"})
ACTIVITY_TYPES = frozenset(
    {
        "Accept", "Add", "Announce", "Arrive", "Bite", "Block", "Create", "Delete", "Dislike", "EmojiReact", "Flag",
        "Follow", "Ignore", "Invite", "Join", "Leave", "Like", "Listen", "Move", "Offer", "QuoteRequest", "Read",
        "Reject", "Remove", "TentativeAccept", "TentativeReject", "Travel", "Undo", "Update", "View",
    }
)  # fmt: skip

MAX_ID = 1000
"""Longest id or address read, in characters: what a Ref holds."""
MAX_ITEMS = 500
"""Most members of one property that are looked at."""

_PUBLIC_FORMS = frozenset({PUBLIC, "as:Public", "Public"})
_PORTS = {"http": 80, "https": 443}
_DURATION = re.compile(
    r"P(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?", re.IGNORECASE | re.ASCII
)
_YEAR = 366 * 86400
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8}){0,3}")
_NO_LANGUAGE = frozenset({"und", "mul", "zxx", "mis"})


def many(value: Any) -> list[Any]:
    """The members of a property: a list as it is, a scalar or object alone, null as none."""
    if value is None:
        return []
    if isinstance(value, list):
        return [item for item in cast(list[Any], value)[:MAX_ITEMS] if item is not None]
    return [value]


def objects(value: Any) -> Iterator[Object]:
    """Those members of a property that are objects."""
    for item in () if value is None else many(value):
        if isinstance(item, dict):
            yield cast(Object, item)


def embedded(value: Any) -> Object | None:
    """The first member of a property, when it is an object."""
    items = many(value)
    return cast(Object, items[0]) if items and isinstance(items[0], dict) else None


def text(value: Any) -> str:
    """The first member of a property that is a string."""
    if value is None or isinstance(value, str):  # as most are
        return value or ""
    return next((item for item in many(value) if isinstance(item, str)), "")


def natural(source: Object, name: str) -> tuple[str, str]:
    """A natural-language property (AS2 §4.7): (value, BCP 47 tag); the tag is "" where none is named.

    The plain value wins. Its language is that of the one entry of the map which says the same.
    """
    plain = text(source.get(name))
    listed = source.get(f"{name}Map")
    by_language: dict[str, str] = {}
    if isinstance(listed, dict):
        for tag, said in cast(Object, listed).items():
            if isinstance(said, str) and _LANGUAGE.fullmatch(tag) and tag not in _NO_LANGUAGE:
                by_language[tag] = said
    if plain:
        same = [tag for tag, said in by_language.items() if said == plain]
        return plain, same[0] if len(same) == 1 else ""
    for tag, said in by_language.items():
        return said, tag
    return "", ""


def language(source: Object) -> str:
    """The language an object names beside its maps: `language`, a code or an object with one, or its @context's."""
    named = embedded(source.get("language"))
    found = [text(named.get("identifier")) if named else text(source.get("language"))]
    found += [text(part.get("@language")) for part in objects(source.get("@context"))]
    return next((tag for tag in found if _LANGUAGE.fullmatch(tag) and tag not in _NO_LANGUAGE), "")


def types(source: Object) -> frozenset[str]:
    """The short names of an object's types."""
    named: Any = source.get("type")
    return _kept_types(named) if isinstance(named, str) and len(named) <= MAX_ID else _types(named)


def _types(named: Any) -> frozenset[str]:
    return frozenset(
        item.removeprefix("as:").removeprefix("https://www.w3.org/ns/activitystreams#")
        for item in many(named)
        if isinstance(item, str)
    )


_kept_types = lru_cache(maxsize=256)(_types)


def is_activity(source: Object) -> bool:
    """Whether an object is something done, also of a kind unknown here: posts of some servers have an `actor`, too."""
    kinds = types(source)
    return bool(kinds & ACTIVITY_TYPES) or ("actor" in source and not kinds & (POST_TYPES | ACTOR_TYPES))


def ident(value: Any) -> str:
    """The id a property's first member names: an IRI, an object's `id`, or a Link's `href`; else ""."""
    if isinstance(value, str | dict):
        return _ident(value)
    items = many(value)
    return _ident(items[0]) if items else ""


def idents(value: Any) -> list[str]:
    """The ids that a property's members name, each once."""
    return list(dict.fromkeys(found for found in map(_ident, many(value)) if found))


def _ident(item: Any) -> str:
    if isinstance(item, dict):
        fields = cast(Object, item)
        named = fields.get("id")
        item = named if isinstance(named, str) else fields.get("href")
    if not isinstance(item, str) or not item.isprintable():
        return ""
    return item if 0 < (len(item) if item.isascii() else len(item.encode())) <= MAX_ID else ""


def links(value: Any) -> list[tuple[str, str, str]]:
    """(href, rel, mediaType) of every URL in a `url`-like property."""
    found: list[tuple[str, str, str]] = []
    for item in many(value):
        if isinstance(item, str):
            found.append((item, "", ""))
        elif isinstance(item, dict):
            fields = cast(Object, item)
            href = text(fields.get("href")) or text(fields.get("url"))
            found.append((href, text(fields.get("rel")), text(fields.get("mediaType"))))
    return [(href, rel, kind) for href, rel, kind in found if 0 < len(href) <= MAX_ID]


def web_url(value: Any) -> str:
    """The first http(s) address of a property, pages in HTML before others."""
    found = [(href, kind) for href, rel, kind in links(value) if rel != "canonical" and origin(href)]
    pages = [href for href, kind in found if kind in ("", "text/html")]
    return pages[0] if pages else found[0][0] if found else ""


def image_url(value: Any) -> str:
    """The address of an `icon` or `image`: an Image object, a Link, or an IRI."""
    for item in many(value):
        found = web_url(cast(Object, item).get("url")) if isinstance(item, dict) else ""
        found = found or web_url(item)
        if found:
            return found
    return ""


def when(value: Any) -> float | None:
    """Seconds since 1970 of an xsd:dateTime between 1970 and 2100, else None. Without an offset it is UTC."""
    written = text(value)
    if not 10 <= len(written) <= 40:
        return None
    try:
        read = datetime.fromisoformat(written)
        read = read if read.tzinfo else read.replace(tzinfo=UTC)
        seconds = read.timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < 4_102_444_800 else None


def integer(value: Any) -> int:
    """A count or a size within 1 to 100,000; 0 for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 100_000:
        return 0
    return int(value)


def count(value: Any) -> int:
    """How many of something: 0 to a thousand million."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1_000_000_000 else 0


def seconds(value: Any) -> float:
    """How long an xsd:duration without years and months is, at most a year; 0 for what is none. A number is seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 < value <= _YEAR else 0
    match = _DURATION.fullmatch(text(value)[:40])
    if match is None:
        return 0
    days, hours, minutes, rest = (float(part or 0) for part in match.groups())
    found = ((days * 24 + hours) * 60 + minutes) * 60 + rest
    return found if found <= _YEAR else 0


def point(value: Any) -> tuple[float, float] | None:
    """A pair of numbers from -1 to 1, such as a focal point."""
    pair = many(value)
    if len(pair) != 2 or any(isinstance(n, bool) or not isinstance(n, int | float) or not -1 <= n <= 1 for n in pair):
        return None
    return float(pair[0]), float(pair[1])


def is_public(value: Any) -> bool:
    """Whether a property names the public collection, in any of the spellings in use."""
    return any(_ident(item) in _PUBLIC_FORMS for item in many(value))


_USUAL = re.compile(r"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::([1-9][0-9]{0,4}))?(?:[/?#][^\\]*)?")
"""What needs no care to be told apart: by far the most URLs."""


def origin(url: str) -> str:
    """`host[:port]` of an http(s) URL, lower case, default port left out; "" for anything else."""
    return (_kept_origin if len(url) <= MAX_ID else _origin)(url)


def _origin(url: str) -> str:
    if (usual := _USUAL.fullmatch(url)) and url.isprintable():
        scheme, host, port = usual.groups()
        if port is None or int(port) == _PORTS[scheme]:
            return host
        if int(port) < 65536:
            return f"{host}:{port}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        return ""
    # urlsplit drops line breaks, which would end a header; browsers read a backslash as a slash
    if "\\" in url or not url.isprintable():
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return host if port in (None, _PORTS[parts.scheme]) else f"{host}:{port}"


_kept_origin = lru_cache(maxsize=2048)(_origin)


def same_origin(*urls: str) -> bool:
    """Whether all are http(s) URLs of one host and port."""
    found = {origin(url) for url in urls}
    return len(found) == 1 and "" not in found


def is_as2(content_type: str) -> bool:
    """Whether a Content-Type is that of ActivityStreams documents (ActivityPub §3.2)."""
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    return kind == AS2_TYPE or (kind == "application/ld+json" and "ns/activitystreams" in parameters)
