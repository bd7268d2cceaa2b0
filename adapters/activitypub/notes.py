"""A post as an ActivityPub object. Pure."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from adapters.activitypub.documents import Document, url_links
from adapters.activitypub.html import to_html
from adapters.activitypub.ids import NETWORK, Urls, collection
from adapters.activitypub.shapes import LD_TYPE, PUBLIC, origin
from bridged.api import Audience, Media, PostBody, Ref, Rejected, Text, View

_MISSKEY_QUOTE = "https://misskey-hub.net/ns#_misskey_quote"
_MEDIA_TYPES = {
    ".avif": "image/avif", ".gif": "image/gif", ".jpeg": "image/jpeg", ".jpg": "image/jpeg",
    ".m4a": "audio/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".mp3": "audio/mpeg", ".mp4": "video/mp4",
    ".ogg": "audio/ogg", ".png": "image/png", ".wav": "audio/wav", ".webm": "video/webm",
    ".webp": "image/webp",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as ActivityPub knows them: actor id, `user@host`, and the page to link to."""

    actor: str
    handle: str
    page: str


def person(ref: Ref, view: View, domain: str) -> Person | None:
    """The native account `ref`, or the ghost of a foreign one; None where there is neither."""
    if ref.network == NETWORK:
        account = view.accounts.get(ref)
        handle = account.handle if account else f"{_last_part(ref.id)}@{origin(ref.id)}"
        return Person(ref.id, handle, account.url or ref.id if account else ref.id)
    ghost = view.actor if ref == view.account.ref else view.ghosts.get(ref)
    if ghost is None:
        return None
    handle = ghost.handle if "@" in ghost.handle else f"{ghost.handle}@{domain}"
    return Person(ghost.ref.id, handle, ghost.ref.id)


def linked(ref: Ref, view: View, domain: str) -> tuple[str, str] | None:
    """(address, name) that a mention of `ref` is shown with: a profile, else the page at home."""
    found = person(ref, view, domain)
    if found is not None:
        return found.page, f"@{found.handle}"
    account = view.accounts.get(ref)
    if account is None or not origin(account.url):
        return None
    return account.url, f"@{account.alias or account.handle}"


def audience(kind: Audience, actor: str, told: Sequence[str]) -> tuple[list[str], list[str]]:
    """(to, cc) of a post. Raises Rejected for what is not public."""
    followers = collection(actor, "followers")
    others = [who for who in dict.fromkeys(told) if who != actor]
    if kind == "public":
        return [PUBLIC], [followers, *others]
    if kind == "unlisted":
        return [followers], [PUBLIC, *others]
    raise Rejected("not_public")


def note(body: PostBody, view: View, urls: Urls, domain: str) -> tuple[Document, list[str]]:
    """The Note, or Article where there is a title, without its @context; and what was lost.

    Raises Rejected when the post is not public.
    """
    losses: list[str] = []
    url = urls.object(body.ref)
    people = list(_people(body, view, domain))
    to, cc = audience(body.audience, view.actor.ref.id, [who.actor for who in people])
    content = to_html(body.text, lambda ref: linked(ref, view, domain), urls.tag)
    document: Document = {
        "id": url,
        "type": "Article" if body.title else "Note",
        "attributedTo": view.actor.ref.id,
        "published": timestamp(min(body.at, view.at)),
        "to": to,
        "cc": cc,
        "url": url_links(body.url if origin(body.url) else url, body.uri),
    }
    if body.title:
        document["name"] = body.title
    if body.reply_to is not None:
        parent = view.there.get(body.reply_to)
        if parent is not None and parent.ref is not None:
            document["inReplyTo"] = parent.ref.id
        else:
            losses.append("the post it answers is not to be had here, so it stands alone")
    document["sensitive"] = body.sensitive or bool(body.warning)
    if body.warning:
        document["summary"] = body.warning
    tags = [_mention(who) for who in people]
    tags += [_hashtag(name, urls) for name in body.hashtags()]
    tags += list(_emojis(body.text))
    if body.quote is not None:
        quoted = view.there.get(body.quote)
        if quoted is not None and quoted.ref is not None:
            content += _quote_line(quoted.url if origin(quoted.url) else quoted.ref.id)
            document |= dict.fromkeys(("quoteUrl", "quoteUri", "_misskey_quote"), quoted.ref.id)
            tags.append(_quote_tag(quoted.ref.id))
        else:
            losses.append("the post it quotes is not to be had here")
    document["content"] = content
    if body.lang:
        document["contentMap"] = {body.lang: content}
    document["tag"] = tags
    document["attachment"] = [_attachment(media) for media in body.media if origin(media.url)]
    return document, losses


def timestamp(at: float) -> str:
    """An xsd:dateTime in UTC, whole seconds."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _people(body: PostBody, view: View, domain: str) -> Iterator[Person]:
    """Everyone addressed, each once: those named, and the author of what it answers."""
    refs = [*body.text.mentions(), *body.mentions]
    parent = view.there.get(body.reply_to) if body.reply_to else None
    if parent is not None and parent.author in view.accounts:
        refs.append(parent.author)
    seen: set[str] = {view.actor.ref.id}
    for ref in refs:
        found = person(ref, view, domain)
        if found is not None and found.actor not in seen:
            seen.add(found.actor)
            yield found


def _mention(who: Person) -> Document:
    return {"type": "Mention", "href": who.actor, "name": f"@{who.handle}"}


def _hashtag(name: str, urls: Urls) -> Document:
    return {"type": "Hashtag", "href": urls.tag(name), "name": f"#{name}"}


def _emojis(text: Text) -> Iterator[Document]:
    seen: set[str] = set()
    for span in text.spans:
        code = text.plain[span.start : span.end]
        if span.kind == "emoji" and isinstance(span.target, str) and origin(span.target) and code not in seen:
            seen.add(code)
            yield emoji(code, span.target)


def emoji(code: str, image: str) -> Document:
    """The Emoji tag of `:code:`."""
    return {"type": "Emoji", "id": image, "name": code, "icon": {"type": "Image", "url": image}}


def _quote_line(url: str) -> str:
    shown = html.escape(url)
    return f'<p class="quote-inline">RE: <a href="{shown}">{shown}</a></p>'


def _quote_tag(url: str) -> Document:
    """FEP-e232."""
    return {"type": "Link", "mediaType": LD_TYPE, "rel": _MISSKEY_QUOTE, "href": url, "name": f"RE: {url}"}


def _attachment(media: Media) -> Document:
    kind = media.type or _MEDIA_TYPES.get(PurePosixPath(urlsplit(media.url).path).suffix.lower(), "")
    found: dict[str, Any] = {
        "type": "Document",
        "mediaType": kind,
        "url": media.url,
        "name": media.alt or None,
    }
    if media.size is not None:
        found |= {"width": media.size[0], "height": media.size[1]}
    if media.blurhash:
        found["blurhash"] = media.blurhash
    return {name: value for name, value in found.items() if value or name == "name"}


def _last_part(url: str) -> str:
    return urlsplit(url).path.rstrip("/").rpartition("/")[2].lstrip("@") or "user"
