"""Files shown with a note: NIP-92 `imeta` tags and bare file addresses in the text, both ways. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from adapters.nostr.event import Event, first_tag
from bridged.api import Media, web_url

MAX_MEDIA: Final = 20

VIDEOS: Final = frozenset({21, 22, 34235, 34236})

_TYPES: Final = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "m4a": "audio/mp4",
}
_ADDRESS: Final = re.compile(r"(?<![^\s])https?://[^\s<>\"]{3,2000}(?![^\s])")
_LAST_WORD: Final = re.compile(r"(?:^|\s)(\S+)\s*$")
_SIZE: Final = re.compile("([0-9]{1,5})x([0-9]{1,5})")
_MIME: Final = re.compile("[a-z]+/[a-z0-9.+-]{1,60}")
_DURATION: Final = re.compile(r"[0-9]{1,7}(?:\.[0-9]{1,9})?")
_SHA256: Final = re.compile("[0-9a-f]{64}")


def media_of(event: Event) -> tuple[tuple[Media, ...], str]:
    """The files of a note, and its text without those that stand at its end."""
    if event.kind in VIDEOS:
        return _video(event), event.content
    found: dict[str, Media] = {}
    for tag in event.tags:
        if tag[0] == "imeta" and (media := _from_imeta(tag[1:])) is not None:
            found.setdefault(media.url, media)
    for match in _ADDRESS.finditer(event.content):
        url = match[0]
        if (kind := type_of(url)) and url not in found:
            found[url] = Media(url, kind)
    listed = dict(list(found.items())[:MAX_MEDIA])
    content = _without_last(event.content, listed)
    order = {url: event.content.find(url) for url in listed}
    ordered = sorted(listed.values(), key=lambda m: order[m.url] if order[m.url] >= 0 else len(event.content))
    return tuple(ordered), content


def attached(event: Event) -> tuple[tuple[Media, ...], str]:
    """The films and sounds an article ends in, and its text without them: Markdown shows pictures alone."""
    listed = [media for tag in event.tags if tag[0] == "imeta" and (media := _from_imeta(tag[1:])) is not None]
    named = {media.url: media for media in listed if media.type.startswith(("audio/", "video/"))}
    content = _without_last(event.content, named)
    return tuple(media for url, media in named.items() if url not in content)[:MAX_MEDIA], content


def _without_last(content: str, listed: Mapping[str, Media]) -> str:
    """The text without the addresses of files that it ends in."""
    content = content.rstrip()
    while (word := _LAST_WORD.search(content[-2200:])) is not None and word[1] in listed:
        content = content[: -len(word[0])].rstrip()
    return content


def described(media: Sequence[Media], event: Event) -> tuple[Media, ...]:
    """Files found in an article's text, with what its `imeta` tags say of them."""
    known = {m.url: m for tag in event.tags if tag[0] == "imeta" and (m := _from_imeta(tag[1:])) is not None}
    return tuple(replace(known[m.url], alt=known[m.url].alt or m.alt) if m.url in known else m for m in media)


def file_of(event: Event) -> Media | None:
    """The file that an event describes in tags of its own (NIP-94, and NIP-71 before it knew `imeta`)."""
    return _from_imeta(f"{tag[0]} {tag[1]}" for tag in event.tags if len(tag) > 1)


def _video(event: Event) -> tuple[Media, ...]:
    """NIP-71 lists one video in several qualities, and its sound in several languages: one of them is the file."""
    listed = [media for tag in event.tags if tag[0] == "imeta" and (media := _from_imeta(tag[1:])) is not None]
    if not listed and (single := file_of(event)) is not None:
        listed = [single]
    best = min(listed, key=_rank, default=None)
    if best is None:
        return ()
    alt, duration = (first_tag(event, name) or () for name in ("alt", "duration"))
    seconds = best.seconds or _seconds(duration[1] if len(duration) > 1 else "")
    return (replace(best, alt=best.alt or (alt[1][:5000] if len(alt) > 1 else ""), seconds=seconds),)


def _rank(media: Media) -> tuple[bool, bool, bool]:
    """Of several versions the first that plays everywhere."""
    return media.type.startswith("audio/"), media.type not in ("video/mp4", "video/webm"), not media.size


def type_of(url: str) -> str:
    """The MIME type an address's ending promises, "" when it promises none."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return ""
    return _TYPES.get(path.rpartition(".")[2].lower(), "") if "." in path else ""


def imeta(media: Media) -> list[str]:
    """The NIP-92 tag of a file."""
    pairs = [
        f"url {media.url}",
        f"m {media.type}" if media.type else "",
        f"dim {media.size[0]}x{media.size[1]}" if media.size else "",
        f"blurhash {media.blurhash}" if media.blurhash else "",
        f"x {media.sha256}" if media.sha256 else "",
        f"alt {' '.join(media.alt.split())}" if media.alt.strip() else "",
        f"image {media.preview}" if _ADDRESS.fullmatch(media.preview) else "",
        f"duration {media.seconds:g}" if media.seconds > 0 else "",
    ]
    return ["imeta", *(pair for pair in pairs if pair)]


def _from_imeta(pairs: Iterable[str]) -> Media | None:
    values: dict[str, str] = {}
    for pair in pairs:
        name, _, value = pair.partition(" ")
        values.setdefault(name, value.strip())
    url = values.get("url", "")
    if _ADDRESS.fullmatch(url) is None:
        return None
    size = _SIZE.fullmatch(values.get("dim", ""))
    kind, digest = values.get("m", "").lower(), values.get("x", "")
    return Media(
        url=url,
        type=kind if _MIME.fullmatch(kind) else type_of(url),
        alt=values.get("alt", "")[:5000],
        size=(int(size[1]), int(size[2])) if size and int(size[1]) and int(size[2]) else None,
        blurhash=values.get("blurhash", "")[:200],
        sha256=digest if _SHA256.fullmatch(digest) else "",
        preview=web_url(values.get("image") or values.get("thumb", "")) or "",
        seconds=_seconds(values.get("duration", "")),
    )


def _seconds(text: str) -> float:
    return float(text) if _DURATION.fullmatch(text) else 0
