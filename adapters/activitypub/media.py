"""Files shown with a post, both ways. Pure."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from adapters.activitypub.documents import Document
from adapters.activitypub.reading import Object
from adapters.activitypub.shapes import (
    MAX_ID,
    image_url,
    integer,
    many,
    natural,
    objects,
    origin,
    point,
    seconds,
    text,
    types,
)
from adapters.activitypub.texts import plain_of
from adapters.activitypub.times import duration
from bridged.api import Media

MAX_MEDIA = 32
MAX_ALT = 10_000
MAX_HEIGHT = 1080
"""Of several sizes of a video, the largest up to this many lines is shown."""

_TYPES = frozenset({"Image", "Video", "Audio", "Document", "Track", "PodcastEpisode"})
_KINDS = {"Image": "image/", "Video": "video/", "Audio": "audio/", "Track": "audio/", "PodcastEpisode": "audio/"}
_ANY = ("image/", "video/", "audio/")
_PLAYLISTS = frozenset({"application/x-mpegurl", "application/vnd.apple.mpegurl"})
_BY_ENDING = {
    ".avif": "image/avif", ".gif": "image/gif", ".jpeg": "image/jpeg", ".jpg": "image/jpeg",
    ".m4a": "audio/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".mp3": "audio/mpeg", ".mp4": "video/mp4",
    ".ogg": "audio/ogg", ".png": "image/png", ".wav": "audio/wav", ".webm": "video/webm",
    ".webp": "image/webp",
}  # fmt: skip


class _Offer(NamedTuple):
    """One of the addresses where a file is to be had."""

    href: str
    kind: str
    size: tuple[int, int]


def media_of(source: Object) -> Iterator[Media]:
    """What an object shows: itself, where it is a picture, film or sound, and what is attached."""
    listed = [source] if types(source) & _TYPES else []
    listed += [item for item in objects(source.get("attachment")) if types(item) & _TYPES]
    for item in listed[:MAX_MEDIA]:
        offer = _best(item)
        # an object's own address may as well be that of a page
        if offer is not None and (offer.kind or item is not source or "Image" in types(item)):
            yield _media(item, offer, itself=item is source)


def attachment(media: Media) -> Document:
    """A file as Mastodon attaches it: always a Document, told apart by its MIME type."""
    kind = media.type or _BY_ENDING.get(PurePosixPath(urlsplit(media.url).path).suffix.lower(), "")
    found: dict[str, Any] = {"type": "Document", "mediaType": kind, "url": media.url, "name": media.alt or None}
    if media.size is not None:
        found |= {"width": media.size[0], "height": media.size[1]}
    if media.blurhash:
        found["blurhash"] = media.blurhash
    if media.focus is not None:
        found["focalPoint"] = [*media.focus]
    if origin(media.preview):
        found["icon"] = {"type": "Image", "url": media.preview}
    if media.seconds:
        found["duration"] = duration(media.seconds)
    return {name: value for name, value in found.items() if value or name == "name"}


def _media(item: Object, offer: _Offer, *, itself: bool) -> Media:
    size = integer(item.get("width")) or offer.size[0], integer(item.get("height")) or offer.size[1]
    picture = offer.kind.startswith("image/") or "Image" in types(item)
    alt = natural(item, "summary")[0]
    if not itself:
        alt = natural(item, "name")[0] or alt
    elif not picture:
        # a film's summary is about its story
        alt = ""
    return Media(
        url=offer.href,
        type=offer.kind,
        alt=(plain_of(alt) if "<" in alt and itself else alt)[:MAX_ALT],
        size=size if all(size) else None,
        blurhash=text(item.get("blurhash"))[:200],
        focus=point(item.get("focalPoint")),
        preview="" if picture else _still(item),
        seconds=0 if picture else seconds(item.get("duration")),
    )


def _best(item: Object) -> _Offer | None:
    """The address to show: of the kind the object names, an MP4 before others, as large as is sensible."""
    declared = text(item.get("mediaType"))
    found = [
        offer if offer.kind else offer._replace(kind=declared if declared.startswith(_ANY) else "")
        for value in (item.get("url"), item.get("href"))
        for offer in _offers(value)
    ]
    wanted = tuple(_KINDS[kind] for kind in types(item) if kind in _KINDS) or _ANY
    fitting = [offer for offer in found if offer.kind.startswith(wanted)]
    if fitting:
        return max(fitting, key=_rank)
    streams = [offer for offer in found if offer.kind.lower() in _PLAYLISTS]
    if streams:
        return streams[0]
    unknown = [offer for offer in found if not offer.kind]
    return unknown[0] if len(unknown) == len(found) == 1 else None


def _offers(value: Any, depth: int = 1) -> Iterator[_Offer]:
    """The addresses of a `url`, and those that a playlist lists in its `tag` (PeerTube)."""
    for item in many(value):
        if isinstance(item, str):
            href, kind, size = item, "", (0, 0)
        elif isinstance(item, dict):
            fields = cast(Object, item)
            href = text(fields.get("href")) or text(fields.get("url"))
            kind = text(fields.get("mediaType"))[:100]
            size = integer(fields.get("width")), integer(fields.get("height"))
            if depth:
                yield from _offers(fields.get("tag"), depth - 1)
        else:
            continue
        if origin(href) and len(href) <= MAX_ID:
            yield _Offer(href, kind, size)


def _rank(offer: _Offer) -> tuple[bool, int]:
    height = offer.size[1]
    return offer.kind == "video/mp4", height if height <= MAX_HEIGHT else -height


def _still(item: Object) -> str:
    """The largest still picture of a film or sound; a sheet of many (`rel` storyboard) is none."""
    for name in ("icon", "preview", "image"):
        pictures = [each for each in objects(item.get(name)) if not each.get("rel")]
        found = [(integer(each.get("width")), image_url([each])) for each in pictures]
        found = [(width, address) for width, address in found if address]
        if found:
            return max(found, key=lambda each: each[0])[1]
        if isinstance(item.get(name), str) and (address := image_url(item.get(name))):
            return address
    return ""
