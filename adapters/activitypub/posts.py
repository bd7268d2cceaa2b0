"""ActivityPub objects and actor documents as neutral posts and accounts. Pure."""

import re
from collections.abc import Iterator

from adapters.activitypub.html import from_html
from adapters.activitypub.ids import native
from adapters.activitypub.reading import Object
from adapters.activitypub.shapes import (
    embedded,
    ident,
    idents,
    image_url,
    integer,
    is_public,
    links,
    natural,
    objects,
    origin,
    text,
    types,
    web_url,
    when,
)
from bridged.api import Account, Audience, Malformed, Media, PostBody, Ref, Span, Text

MAX_MEDIA = 32
MAX_TAGS = 50
"""Hashtags read beside those in the text."""
MAX_MENTIONS = 100
MAX_NAME = 500
MAX_FIELDS = 16
MAX_FIELD = 2048
MAX_ALT = 10_000

_MEDIA_TYPES = frozenset({"Image", "Video", "Audio", "Document"})
_QUOTES = ("quote", "quoteUrl", "quoteUri", "quoteURL", "_misskey_quote")
_QUOTE_RELS = frozenset({"https://misskey-hub.net/ns#_misskey_quote", "https://w3id.org/fep/044f#quote"})
_QUOTE_LINE = re.compile(r"\s*(?:RE|QT):?\s+\[?\S{1,2048}\s*\Z")
_MEDIA_KINDS = {"Image": "image/*", "Video": "video/*", "Audio": "audio/*"}


def post_of(source: Object, author: Ref, received_at: float) -> PostBody | None:
    """The post an object is, as said by `author`; None when it is nobody's post, such as a vote.

    Raises Malformed: no_id, foreign_object.
    """
    said = ident(source)
    if not origin(said):
        raise Malformed("no_id")
    if author.id not in idents(source.get("attributedTo")):
        raise Malformed("foreign_object")
    content, lang = natural(source, "content")
    kinds = types(source)
    name = natural(source, "name")[0][:MAX_NAME]
    titled = "Note" not in kinds and "Question" not in kinds
    summary, _ = natural(source, "summary")
    sensitive = source.get("sensitive") is True
    body = _text(content, source)
    if "Note" in kinds and name and source.get("inReplyTo") and not body.plain and not source.get("attachment"):
        # A vote; snac gives it a lone line break.
        return None
    if options := _options(source):
        body = _appended(body, options)
    quote = _quote(source)
    if quote:
        body = _without_quote_line(body)
    parent = ident(source.get("inReplyTo"))
    spoken = body.mentions()
    return PostBody(
        ref=native(said),
        author=author,
        text=body,
        at=when(source.get("published")) or received_at,
        media=tuple(_media(source, kinds)),
        reply_to=native(parent) if origin(parent) else None,
        quote=native(quote) if quote else None,
        title=name if titled else "",
        # An Article's summary is an abstract, unless it says otherwise.
        warning=_plain(summary) if summary and (sensitive or not titled) else "",
        sensitive=sensitive,
        lang=lang,
        audience=audience_of(source),
        url=web_url(source.get("url")),
        uri=said,
        mentions=tuple(ref for ref in dict.fromkeys(_mentioned(source).values()) if ref not in spoken),
        tags=_beside(body, _hashtags(source)),
        mark=mark_of(source),
    )


def account_of(source: Object) -> Account:
    """The account an actor document shows; its handle is not verified here, and names the host of the id.

    Raises Malformed: no_id, no_name, no_inbox.
    """
    said = ident(source)
    host = origin(said)
    if not host:
        raise Malformed("no_id")
    username = text(source.get("preferredUsername"))
    if not username or len(username) > MAX_NAME or any(c.isspace() or c in "@/" for c in username):
        raise Malformed("no_name")
    inbox = ident(source.get("inbox"))
    if not origin(inbox):
        raise Malformed("no_inbox")
    shared = ident((embedded(source.get("endpoints")) or {}).get("sharedInbox"))
    return Account(
        ref=native(said),
        handle=f"{username}@{host}",
        name=_plain(natural(source, "name")[0])[:MAX_NAME],
        bio=_text(natural(source, "summary")[0], source),
        avatar=image_url(source.get("icon")),
        banner=image_url(source.get("image")),
        url=web_url(source.get("url")),
        uri=said,
        fields=tuple(_fields(source)),
        bot=bool(types(source) & {"Service", "Application"}),
        endpoint=shared if origin(shared) else inbox,
        mark=mark_of(source),
    )


def audience_of(source: Object) -> Audience:
    """Who an object or activity is addressed to. Followers are told by the end of their collection's name."""
    if is_public(source.get("to")):
        return "public"
    if is_public(source.get("cc")):
        return "unlisted"
    addressed = [*idents(source.get("to")), *idents(source.get("cc"))]
    return "followers" if any(who.rstrip("/").endswith("/followers") for who in addressed) else "direct"


def mark_of(source: Object) -> str:
    """The original on another network that this is a copy of (FEP-fffd), or ""."""
    for href, rel, _ in links(source.get("url")):
        if rel == "canonical" and ":" in href and not href.startswith(("http:", "https:")):
            return href
    for proxied in objects(source.get("proxyOf")):
        found = ident(proxied.get("proxied"))
        if found:
            return found
    return ""


def _text(content: str, source: Object) -> Text:
    return from_html(content, mentions=_mentioned(source), tags=_hashtags(source), emojis=_emojis(source))


def _plain(content: str) -> str:
    return from_html(content, mentions={}, tags=[], emojis={}).plain if content else ""


def _mentioned(source: Object) -> dict[str, Ref]:
    """Those mentioned, by their actor id and by the name of their tag."""
    found: dict[str, Ref] = {}
    for tag in objects(source.get("tag")):
        href = ident(tag.get("href"))
        if "Mention" in types(tag) and origin(href) and len(found) < 2 * MAX_MENTIONS:
            found[href] = native(href)
            if name := text(tag.get("name")):
                found[name] = native(href)
    return found


def _hashtags(source: Object) -> list[str]:
    named = (text(tag.get("name")) for tag in objects(source.get("tag")) if "Hashtag" in types(tag))
    return [name.removeprefix("#") for name in named if name.removeprefix("#")]


def _beside(body: Text, names: list[str]) -> tuple[str, ...]:
    """Those of `names` that the text does not show."""
    shown = {name.lower() for name in body.tags()}
    return tuple({name.lower(): name for name in names[:MAX_TAGS] if name.lower() not in shown}.values())


def _emojis(source: Object) -> dict[str, str]:
    found: dict[str, str] = {}
    for tag in objects(source.get("tag")):
        name = text(tag.get("name"))
        image = image_url(tag.get("icon"))
        if "Emoji" in types(tag) and name.strip(":") and image:
            found[f":{name.strip(':')}:"] = image
    return found


def _media(source: Object, kinds: frozenset[str]) -> Iterator[Media]:
    listed = [source] if kinds & _MEDIA_TYPES else []
    listed += [item for item in objects(source.get("attachment")) if types(item) & _MEDIA_TYPES]
    for item in listed[:MAX_MEDIA]:
        url, kind = _file(item)
        if url:
            size = integer(item.get("width")), integer(item.get("height"))
            alt = text(item.get("summary")) if item is source else text(item.get("name"))
            yield Media(
                url=url,
                type=kind,
                alt=alt[:MAX_ALT],
                size=size if all(size) else None,
                blurhash=text(item.get("blurhash"))[:200],
            )


def _file(item: Object) -> tuple[str, str]:
    """(address, MIME type) of what an attachment shows."""
    wanted = [_MEDIA_KINDS[kind][:-1] for kind in types(item) if kind in _MEDIA_KINDS]
    declared = text(item.get("mediaType"))
    found = [
        (href, kind or declared)
        for value in (item.get("url"), item.get("href"))
        for href, _, kind in links(value)
        if origin(href)
    ]
    for href, kind in found:
        if any(kind.startswith(prefix) for prefix in wanted):
            return href, kind
    return found[0] if found and len(found) == 1 else ("", "")


def _quote(source: Object) -> str:
    for name in _QUOTES:
        found = ident(source.get(name))
        if origin(found):
            return found
    for tag in objects(source.get("tag")):
        href = ident(tag.get("href"))
        if "Link" in types(tag) and text(tag.get("rel")) in _QUOTE_RELS and origin(href):
            return href
    return ""


def _fields(source: Object) -> Iterator[tuple[str, str]]:
    for item in [*objects(source.get("attachment"))][:MAX_FIELDS]:
        if "PropertyValue" in types(item):
            name, value = _plain(text(item.get("name"))), _plain(text(item.get("value")))
            if name and value:
                yield name[:MAX_NAME], value[:MAX_FIELD]


def _options(source: Object) -> list[str]:
    offered = [*objects(source.get("oneOf")), *objects(source.get("anyOf"))] if "Question" in types(source) else []
    return [name for item in offered[:MAX_MEDIA] if (name := natural(item, "name")[0][:MAX_NAME])]


def _appended(body: Text, options: list[str]) -> Text:
    """The text with a poll's options as lines below it."""
    listed = "\n".join(f"○ {option}" for option in options)
    return Text(f"{body.plain}\n\n{listed}" if body.plain else listed, body.spans)


def _without_quote_line(body: Text) -> Text:
    """The text without the link to the quoted post that is there for readers who know no quotes."""
    match = _QUOTE_LINE.search(body.plain)
    if match is None:
        return body
    end = match.start()
    kept = (Span(span.start, min(span.end, end), span.kind, span.target) for span in body.spans if span.start < end)
    return Text(body.plain[:end], tuple(kept))
