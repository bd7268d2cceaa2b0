"""A post as an ActivityPub object. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from adapters.activitypub import controls, polls, quotes
from adapters.activitypub.documents import Document, emojis_in, hashtag, replies_of, url_links
from adapters.activitypub.html import to_html
from adapters.activitypub.ids import NETWORK, Urls, collection
from adapters.activitypub.media import attachment
from adapters.activitypub.shapes import PUBLIC, origin
from adapters.activitypub.times import timestamp
from bridged.api import Audience, PostBody, Ref, Rejected, Span, Text, View, rewrite


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
    """The Note, an Article where there is a title, a Question where there is a poll, without its @context.

    And what was lost. Raises Rejected when the post is not public.
    """
    losses: list[str] = []
    url = urls.object(body.ref)
    people = list(_people(body, view, domain))
    to, cc = audience(body.audience, view.actor.ref.id, [who.actor for who in people])
    content = to_html(_led_here(body.text, view, domain), lambda ref: linked(ref, view, domain), urls.tag)
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
        document |= _titled(body)
    if body.poll is not None:
        document |= polls.question(body.poll, view.at)
    elif body.expires is not None:
        document["endTime"] = timestamp(body.expires)
    if body.reply_to is not None:
        parent = view.there.get(body.reply_to)
        if parent is not None and parent.ref is not None:
            document["inReplyTo"] = parent.ref.id
        else:
            losses.append("the post it answers is not to be had here, so it stands alone")
    document["sensitive"] = body.sensitive or bool(body.warning)
    if body.warning:
        document["summary"] = body.warning
        if body.summary:
            losses.append("its abstract gives way to the content warning")
    tags = [mention(who) for who in people]
    tags += [hashtag(name, urls) for name in body.hashtags()]
    tags += emojis_in(body.text)
    if body.quote is not None:
        quoted = view.there.get(body.quote)
        if quoted is not None and quoted.ref is not None:
            content += quotes.line(quoted.url if origin(quoted.url) else quoted.ref.id)
            document |= quotes.quoting(quoted.ref.id)
            tags.append(quotes.tag(quoted.ref.id))
        else:
            losses.append("the post it quotes is not to be had here")
    document["content"] = content
    if body.lang:
        document["contentMap"] = {body.lang: content}
    document["tag"] = tags
    document["attachment"] = [attachment(media) for media in body.media if origin(media.url)]
    if len(document["attachment"]) < len(body.media):
        losses.append("a file that is not on the web is left out")
    document["interactionPolicy"] = controls.policy(body, view.actor.ref.id)
    document["replies"] = replies_of(url)
    return document, losses


def mention(who: Person) -> Document:
    """The Mention tag of somebody."""
    return {"type": "Mention", "href": who.actor, "name": f"@{who.handle}"}


def _led_here(text: Text, view: View, domain: str) -> Text:
    """The text with its links to what stands here leading there; letters that are the address change with it."""
    pages: dict[str, str] = {}
    for address, there in view.links.items():
        if isinstance(there, Ref):
            found = person(there, view, domain)
            pages[address] = found.page if found else ""
        elif there.ref is not None:
            pages[address] = there.ref.id if there.parts or not origin(there.url) else there.url

    def page(span: Span) -> str:
        return pages.get(span.target, "") if span.kind == "link" and isinstance(span.target, str) else ""

    shown = rewrite(text, lambda span, letters: page(span) or None if letters == span.target else None)
    return Text(shown.plain, tuple(replace(span, target=page(span) or span.target) for span in shown.spans))


def _titled(body: PostBody) -> Document:
    found: Document = {"name": body.title}
    if body.summary:
        found["summary"] = body.summary
    if origin(body.image):
        found["image"] = {"type": "Image", "url": body.image}
    return found


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


def _last_part(url: str) -> str:
    return urlsplit(url).path.rstrip("/").rpartition("/")[2].lstrip("@") or "user"
