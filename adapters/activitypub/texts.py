"""The rich text of objects and actors: HTML with the tags that say who and what is meant in it. Pure."""

import html
from dataclasses import replace

from adapters.activitypub.html import from_html
from adapters.activitypub.ids import native
from adapters.activitypub.reading import Object
from adapters.activitypub.shapes import ident, image_url, objects, origin, text, types
from bridged.api import Ref, Text, find_links

MAX_TAGS = 50
"""Hashtags read beside those in the text."""
MAX_MENTIONS = 100

_PLAIN = ("text/plain", "text/markdown", "text/x.misskeymarkdown")


def text_of(content: str, source: Object) -> Text:
    """`content` of an object as text; lines stay lines where it says that it is no HTML (PeerTube's Markdown)."""
    if text(source.get("mediaType")) in _PLAIN:
        content = html.escape(content, quote=False).replace("\n", "<br>")
    return from_html(content, mentions=mentioned(source), tags=hashtags(source), emojis=emojis(source))


def plain_of(content: str) -> str:
    """The letters of HTML that holds no more than letters."""
    return from_html(content, mentions={}).plain if content else ""


def mentioned(source: Object) -> dict[str, Ref]:
    """Those mentioned, by their actor id and by the name of their tag."""
    found: dict[str, Ref] = {}
    for tag in objects(source.get("tag")):
        href = ident(tag.get("href"))
        if "Mention" in types(tag) and origin(href) and len(found) < 2 * MAX_MENTIONS:
            found[href] = native(href)
            if name := text(tag.get("name")):
                found[name] = native(href)
    return found


def hashtags(source: Object) -> list[str]:
    """The names of its Hashtag tags, without `#`."""
    named = (text(tag.get("name")) for tag in objects(source.get("tag")) if "Hashtag" in types(tag))
    return [name.lstrip("#＃").strip() for name in named if name.lstrip("#＃").strip()]


def emojis(source: Object) -> dict[str, str]:
    """The images of its custom emoji, by `:code:`."""
    found: dict[str, str] = {}
    for tag in objects(source.get("tag")):
        name = text(tag.get("name")).strip(":")
        image = image_url(tag.get("icon"))
        if "Emoji" in types(tag) and name and image:
            found[f":{name}:"] = image
    return found


def beside(body: Text, names: list[str]) -> tuple[str, ...]:
    """Those of the hashtags `names` that the text does not show."""
    shown = {name.lower() for name in body.tags()}
    return tuple({name.lower(): name for name in names[:MAX_TAGS] if name.lower() not in shown}.values())


def joined(*parts: Text, gap: str = "\n\n") -> Text:
    """The texts below one another, empty ones left out."""
    whole = Text()
    for part in parts:
        if not part.plain:
            continue
        shift = len(whole.plain) + len(gap) if whole.plain else 0
        moved = (replace(span, start=span.start + shift, end=span.end + shift) for span in part.spans)
        plain = f"{whole.plain}{gap}{part.plain}" if whole.plain else part.plain
        whole = Text(plain, (*whole.spans, *moved))
    return whole


def lines(*said: str) -> Text:
    """Lines of plain words, the addresses in them made links."""
    return find_links(Text("\n".join(line for line in said if line)))
