"""Files shown with a note: NIP-92 `imeta` tags and bare file addresses in the text, both ways. Pure."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from adapters.nostr.event import Event
from bridged.api import Media

MAX_MEDIA: Final = 20

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
_SHA256: Final = re.compile("[0-9a-f]{64}")


def media_of(event: Event) -> tuple[tuple[Media, ...], str]:
    """The files of a note, and its text without those that stand at its end."""
    found: dict[str, Media] = {}
    for tag in event.tags:
        if tag[0] == "imeta" and (media := _from_imeta(tag[1:])) is not None:
            found.setdefault(media.url, media)
    # An article's pictures are set in its Markdown and stay there.
    if event.kind != 30023:
        for match in _ADDRESS.finditer(event.content):
            url = match[0]
            if (kind := type_of(url)) and url not in found:
                found[url] = Media(url, kind)
    listed = dict(list(found.items())[:MAX_MEDIA])
    content = event.content.rstrip()
    while (word := _LAST_WORD.search(content[-2200:])) is not None and word[1] in listed:
        content = content[: -len(word[0])].rstrip()
    order = {url: event.content.find(url) for url in listed}
    ordered = sorted(listed.values(), key=lambda m: order[m.url] if order[m.url] >= 0 else len(event.content))
    return tuple(ordered), content


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
    )
