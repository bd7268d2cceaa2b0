"""Actor documents as accounts. Pure."""

import re
from collections.abc import Iterator

from adapters.activitypub.ids import native
from adapters.activitypub.marks import mark_of
from adapters.activitypub.markup import tokens
from adapters.activitypub.reading import Object
from adapters.activitypub.shapes import (
    MAX_ID,
    embedded,
    ident,
    image_url,
    links,
    many,
    natural,
    objects,
    origin,
    text,
    types,
    web_url,
    when,
)
from adapters.activitypub.texts import emojis, hashtags, plain_of, text_of
from bridged.api import Account, Malformed, clean_name

MAX_NAME = 500
MAX_FIELDS = 16
MAX_FIELD = 2048
MAX_SAME = 32

_REFUSAL = re.compile(r"(?<![\w&/])[#＃](no_?(?:bridges?|bridging|bots?))(?!\w)", re.IGNORECASE)
_NPUB = re.compile(r"(?<![a-z0-9])npub1[02-9ac-hj-np-z]{58}(?![a-z0-9])")


def account_of(source: Object) -> Account:
    """The account an actor document shows; its handle is not verified here, and names the host of the id.

    Raises Malformed: no_id, no_name, no_inbox.
    """
    said = ident(source)
    host = origin(said)
    if not host:
        raise Malformed("no_id")
    username = text(source.get("preferredUsername"))
    # what is not to be seen could make one name look like another
    if not username or len(username) > MAX_NAME or not username.isprintable() or any(c in " @/" for c in username):
        raise Malformed("no_name")
    inbox = ident(source.get("inbox"))
    if not origin(inbox):
        raise Malformed("no_inbox")
    shared = ident((embedded(source.get("endpoints")) or {}).get("sharedInbox"))
    name = clean_name(plain_of(natural(source, "name")[0]), MAX_NAME)
    bio = text_of(natural(source, "summary")[0], source)
    fields = tuple(_fields(source))
    moved = ident(source.get("movedTo"))
    return Account(
        ref=native(said),
        handle=f"{username}@{host}",
        name=name,
        bio=bio,
        avatar=image_url(source.get("icon")),
        banner=image_url(source.get("image")),
        url=web_url(source.get("url")),
        uri=said,
        fields=fields,
        emojis=tuple((code.strip(":"), image) for code, image in emojis(source).items() if code in name),
        bot=bool(types(source) & {"Service", "Application"}),
        group="Group" in types(source),
        locked=source.get("manuallyApprovesFollowers") is True,
        refuses=_refusal(source, [name, bio.plain, *(part for field in fields for part in field)]),
        discoverable=source.get("discoverable") is not False,
        indexable=source.get("indexable") is not False,
        same_as=_same_as(source, [bio.plain, *(part for field in fields for part in field)]),
        moved=native(moved) if origin(moved) and moved != said else None,
        since=when(source.get("published")),
        endpoint=shared if origin(shared) else inbox,
        mark=mark_of(source),
    )


def _fields(source: Object) -> Iterator[tuple[str, str]]:
    for item in [*objects(source.get("attachment"))][:MAX_FIELDS]:
        if "PropertyValue" in types(item):
            name, value = plain_of(text(item.get("name"))), plain_of(text(item.get("value")))
            if name and value:
                yield name[:MAX_NAME], value[:MAX_FIELD]


def _refusal(source: Object, said: list[str]) -> str:
    """The words with which somebody asks not to be bridged, as a tag, or the property that says so; else ""."""
    for words in [*said, *(f"#{name}" for name in hashtags(source))]:
        if match := _REFUSAL.search(words):
            return f"#{match[1].lower()}"
    return "bridgeable: false" if source.get("bridgeable") is False else ""


def _same_as(source: Object, said: list[str]) -> tuple[str, ...]:
    """Who they claim to be elsewhere: `alsoKnownAs`, further pages, links with rel=me, Nostr keys in their words."""
    page = web_url(source.get("url"))
    found = [item for item in many(source.get("alsoKnownAs")) if isinstance(item, str)]
    found += [href for href, rel, kind in links(source.get("url")) if rel != "canonical" and kind in ("", "text/html")]
    for field in objects(source.get("attachment")):
        if "PropertyValue" in types(field):
            found += _me_links(text(field.get("value")))
    found += _me_links(natural(source, "summary")[0])
    found += [f"nostr:{key}" for words in said for key in _NPUB.findall(words)]
    own = {ident(source), page}
    kept = (claim for claim in found if claim not in own and claim.isprintable() and 0 < len(claim) <= MAX_ID)
    return tuple(dict.fromkeys(kept))[:MAX_SAME]


def _me_links(content: str) -> list[str]:
    return [
        token.attributes["href"].strip()
        for token in tokens(content[:10_000])
        if not isinstance(token, str)
        and token.name == "a"
        and "me" in token.words("rel")
        and "href" in token.attributes
    ]
