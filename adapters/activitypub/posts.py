"""ActivityPub objects as neutral posts. Pure."""

from collections.abc import Iterator

from adapters.activitypub.controls import answers_of, quotable
from adapters.activitypub.ids import native
from adapters.activitypub.marks import mark_of
from adapters.activitypub.media import media_of
from adapters.activitypub.polls import is_vote, poll_of
from adapters.activitypub.quotes import quote_of, without_line
from adapters.activitypub.reading import Object
from adapters.activitypub.shapes import (
    embedded,
    ident,
    idents,
    image_url,
    is_public,
    language,
    natural,
    objects,
    origin,
    text,
    types,
    web_url,
    when,
)
from adapters.activitypub.texts import beside, hashtags, joined, lines, mentioned, plain_of, text_of
from adapters.activitypub.times import moment
from bridged.api import Audience, Malformed, Media, PostBody, Ref, Span, Text

MAX_NAME = 500
MAX_LINKS = 10
MAX_SUMMARY = 10_000

_UNTITLED = frozenset({"Note", "Question"})
# What is over at a time, or lasts until one, does not vanish then.
_LASTING = frozenset({"Event", "Question", "Video", "Audio", "Track", "PodcastEpisode"})

_ADDRESS = ("streetAddress", "postalCode", "addressLocality", "addressRegion", "addressCountry")


def post_of(source: Object, author: Ref, received_at: float) -> PostBody | None:
    """The post an object is, as said by `author`; None when it is nobody's post, such as a vote.

    Raises Malformed: no_id, foreign_object.
    """
    said = ident(source)
    if not origin(said):
        raise Malformed("no_id")
    if author.id not in idents(source.get("attributedTo")):
        raise Malformed("foreign_object")
    if is_vote(source):
        return None
    content, lang = natural(source, "content")
    kinds = types(source)
    titled = not kinds & _UNTITLED
    name = plain_of(natural(source, "name")[0])[:MAX_NAME]
    summary = plain_of(natural(source, "summary")[0])[:MAX_SUMMARY]
    sensitive = source.get("sensitive") is True
    # An Article's summary is an abstract, unless it says otherwise.
    warned = bool(summary) and (sensitive or not titled)
    page = web_url(source.get("url"))
    media = tuple(media_of(source))
    body = text_of(content, source)
    quote = quote_of(source)
    if quote:
        body = without_line(body)
    poll = poll_of(source, received_at)
    body = _whole(source, body, "" if titled else name)
    if titled and ((not media and (not body.plain or kinds & _LASTING)) or "Event" in kinds):
        # what cannot be shown here is to be seen there, and an event is joined there
        body = joined(body, lines(page))
    at = when(source.get("published")) or received_at
    ends = None if kinds & _LASTING else when(source.get("endTime"))
    parent = ident(source.get("inReplyTo"))
    spoken = body.mentions()
    return PostBody(
        ref=native(said),
        author=author,
        text=body,
        at=at,
        media=media,
        reply_to=native(parent) if origin(parent) else None,
        quote=native(quote) if quote else None,
        title=name if titled else "",
        summary=summary if titled and not warned else "",
        image=image_url(source.get("image")) if titled and not _shown(media, source) else "",
        poll=poll,
        warning=summary if warned else "",
        sensitive=sensitive,
        lang=lang or language(source),
        audience=audience_of(source),
        answers=answers_of(source),
        quotable=quotable(source),
        expires=ends if ends is not None and ends > at else None,
        url=page,
        uri=said,
        mentions=tuple(ref for ref in dict.fromkeys(mentioned(source).values()) if ref not in spoken),
        tags=beside(body, hashtags(source)),
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


def _whole(source: Object, body: Text, name: str) -> Text:
    """The text with all that other readers would not find: a Note's name, an Event's when and where, links attached."""
    heading = Text(name, (Span(0, len(name), "bold"),)) if name and name not in body.plain else Text()
    facts = lines(*_facts(source)) if "Event" in types(source) else Text()
    known = {target for target in body.targets("link") if isinstance(target, str)}
    attached = [href for href in dict.fromkeys(_attached(source)) if href not in known][:MAX_LINKS]
    return joined(heading, facts, body, lines(*attached))


def _facts(source: Object) -> Iterator[str]:
    """When and where an Event takes place (AS2 §3.3, with Mobilizon's addresses)."""
    start, end = moment(source.get("startTime")), moment(source.get("endTime"))
    if start or end:
        yield f"When: {' – '.join(each for each in (start, end) if each)}"
    for place in objects(source.get("location")):
        address = embedded(place.get("address"))
        parts = [text(place.get("address"))] if address is None else [text(address.get(part)) for part in _ADDRESS]
        virtual = web_url(place.get("url")) if "VirtualLocation" in types(place) else ""
        named = dict.fromkeys(" ".join(part.split()) for part in (text(place.get("name")), *parts, virtual))
        if where := ", ".join(part[:MAX_NAME] for part in named if part):
            yield f"Where: {where}"


def _attached(source: Object) -> Iterator[str]:
    """Addresses of what is attached as a link: Lemmy's and Friendica's way to post one."""
    for item in objects(source.get("attachment")):
        if types(item) & {"Link", "Page"} and (href := web_url([item]) or web_url(item.get("url"))):
            yield href


def _shown(media: tuple[Media, ...], source: Object) -> bool:
    """Whether the picture at the head is among the files shown already."""
    return any(image_url(source.get("image")) in (file.url, file.preview) for file in media)
