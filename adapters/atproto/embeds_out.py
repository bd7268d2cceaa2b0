"""What a post of ours embeds: pictures, a film, a card, a post it quotes. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.atproto.cid import RAW, Cid
from adapters.atproto.syntax import uri_of
from bridged.api import Blob, Card, Media, Text, View, truncate, web_url

MAX_IMAGES: Final = 4
MAX_GALLERY: Final = 20
MAX_CARD: Final = 300
"""Graphemes of a card's description."""
_MAX_ALT: Final = 2000

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Files:
    """`embed` shows some of a post's files, None shows none; `rest` are to be links."""

    embed: Record | None = None
    rest: tuple[Media, ...] = ()


def files(media: Sequence[Media], view: View) -> Files:
    """The pictures, else the first film: a post shows one kind. What is not ours to show is left."""
    distinct = list({item.url: item for item in media}.values())
    pictures = [(item, blob) for item in distinct if (blob := view.blobs.get(item.url)) and _is("image", blob)]
    if pictures:
        shown = pictures[:MAX_GALLERY]
        sized = all(blob.width and blob.height for _, blob in shown)
        if len(shown) > MAX_IMAGES and sized:
            items = [{"$type": "app.bsky.embed.gallery#image", **_picture(*each)} for each in shown]
            embed: Record = {"$type": "app.bsky.embed.gallery", "items": items}
        else:
            shown = shown[:MAX_IMAGES]
            embed = {"$type": "app.bsky.embed.images", "images": [_picture(*each) for each in shown]}
        used = {item.url for item, _ in shown}
        return Files(embed, tuple(item for item in distinct if item.url not in used))
    for item in distinct:
        blob = view.blobs.get(item.url)
        if blob and blob.mime == "video/mp4":
            embed = {"$type": "app.bsky.embed.video", "video": blob_of(blob), **_shape(item, blob)}
            if item.alt:
                embed["alt"] = _alt(item.alt)
            return Files(embed, tuple(other for other in distinct if other is not item))
    return Files(None, tuple(distinct))


def card(shown: Card, view: View) -> Record:
    """app.bsky.embed.external of a page."""
    external: Record = {
        "uri": uri_of(shown.url),
        "title": truncate(Text(shown.title), max_graphemes=MAX_CARD).plain,
        "description": truncate(Text(shown.description), max_graphemes=MAX_CARD).plain,
    }
    blob = view.blobs.get(shown.thumb) if shown.thumb else None
    if blob is not None and _is("image", blob):
        external["thumb"] = blob_of(blob)
    return {"$type": "app.bsky.embed.external", "external": external}


def with_quote(media: Record | None, quoted: Record | None) -> Record | None:
    """One embed of both; `quoted` is a strongRef."""
    if quoted is None:
        return media
    record = {"$type": "app.bsky.embed.record", "record": quoted}
    return record if media is None else {"$type": "app.bsky.embed.recordWithMedia", "record": record, "media": media}


def blob_of(blob: Blob) -> Record:
    cid = Cid.read(bytes((1, RAW, 0x12, 32)) + blob.sha256)
    return {"$type": "blob", "ref": cid, "mimeType": blob.mime, "size": blob.size}


def addresses(media: Iterable[Media]) -> tuple[str, ...]:
    """Those of files that are on the web."""
    return tuple(url for item in media if (url := web_url(item.url)))


def _picture(item: Media, blob: Blob) -> Record:
    return {"image": blob_of(blob), "alt": _alt(item.alt), **_shape(item, blob)}


def _shape(item: Media, blob: Blob) -> Record:
    width, height = (blob.width, blob.height) if blob.width and blob.height else item.size or (0, 0)
    return {"aspectRatio": {"width": width, "height": height}} if width > 0 and height > 0 else {}


def _alt(text: str) -> str:
    return truncate(Text(text), max_graphemes=_MAX_ALT).plain


def _is(kind: str, blob: Blob) -> bool:
    return blob.mime.startswith(f"{kind}/")
