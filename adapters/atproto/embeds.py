"""What is embedded in a post: pictures, films, cards of links, and posts that are quoted. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urlsplit

from adapters.atproto import ids
from adapters.atproto.blobs import blob_url, mime_of, sha256_of
from bridged.api import Media, Ref, web_url

MAX_FILES: Final = 20
_MAX_ALT: Final = 10_000
_SOME_PIXELS: Final = 32
"""A shape of fewer is a ratio like 16:9 and no size."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """`links` are addresses that readers see as cards."""

    media: tuple[Media, ...] = ()
    links: tuple[str, ...] = ()
    quote: Ref | None = None


def read_embed(embed: Any, did: str, pds: str) -> Embedded:
    """Whatever is understood of it, and none of the rest."""
    found = _object(embed)
    match found.get("$type"):
        case "app.bsky.embed.images":
            return Embedded(tuple(_pictures(found.get("images"), did, pds)))
        case "app.bsky.embed.gallery":
            return Embedded(tuple(_pictures(found.get("items"), did, pds)))
        case "app.bsky.embed.video":
            return Embedded(tuple(_file(found.get("video"), found, "video/mp4", did, pds)))
        case "app.bsky.embed.external":
            return _external(_object(found.get("external")))
        case "app.bsky.embed.record":
            return _record(_object(found.get("record")))
        case "app.bsky.embed.recordWithMedia":
            inner = _object(found.get("media"))
            media = Embedded() if "record" in str(inner.get("$type")) else read_embed(inner, did, pds)
            record = _record(_object(_object(found.get("record")).get("record")))
            return Embedded(media.media, (*media.links, *record.links), record.quote)
        case _:
            return Embedded()


def _pictures(items: Any, did: str, pds: str) -> Iterator[Media]:
    for item in cast(list[Any], items)[:MAX_FILES] if isinstance(items, list) else ():
        found = _object(item)
        yield from _file(found.get("image"), found, "image/jpeg", did, pds)


def _file(blob: Any, beside: Mapping[str, Any], kind: str, did: str, pds: str) -> Iterator[Media]:
    """The file, with the text for who cannot see it; nothing where it has no address."""
    url = blob_url(blob, did, pds)
    if url:
        alt = beside.get("alt")
        yield Media(
            url,
            type=mime_of(blob) or kind,
            alt=alt[:_MAX_ALT].replace("\0", "").strip() if isinstance(alt, str) else "",
            size=_size(beside.get("aspectRatio")),
            sha256=sha256_of(blob),
        )


def _size(shape: Any) -> tuple[int, int] | None:
    width, height = _object(shape).get("width"), _object(shape).get("height")
    if type(width) is not int or type(height) is not int:
        return None
    fits = 0 < width <= 1 << 16 and 0 < height <= 1 << 16 and max(width, height) >= _SOME_PIXELS
    return (width, height) if fits else None


def _external(card: Mapping[str, Any]) -> Embedded:
    """A GIF is said as a card of its address, and is meant to move."""
    uri, description = card.get("uri"), card.get("description")
    url = web_url(uri) if isinstance(uri, str) else None
    if url is None:
        return Embedded()
    if urlsplit(url).path.lower().endswith(".gif"):
        alt = description.removeprefix("Alt: ").strip() if isinstance(description, str) else ""
        return Embedded((Media(url, type="image/gif", alt=alt[:_MAX_ALT].replace("\0", "")),))
    return Embedded(links=(url,))


def _record(strong: Mapping[str, Any]) -> Embedded:
    """A post is quoted; lists, feeds and the like are links to where they are shown."""
    uri = strong.get("uri")
    if not isinstance(uri, str) or ids.split(uri) is None:
        return Embedded()
    if ids.is_post(uri):
        return Embedded(quote=Ref(ids.NETWORK, uri))
    return Embedded(links=(ids.page(uri),))


def _object(value: Any) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}
