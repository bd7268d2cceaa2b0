"""Events to neutral words. Pure; the events given have been verified.

What an encoder needs to answer a post properly is kept in `PostBody.detail`: kind, relay (where it was heard),
p (keys it names, comma-separated), event (the event id, where the ref is an address), root and root_author
(NIP-10), for comments (NIP-22) root_tag, root_id, root_kind, root_author, and poll_relays (NIP-88).
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from adapters.nostr import fallbacks, ids, lists, polls, reports, zaps
from adapters.nostr.event import Event, first_tag, tag_values, to_json
from adapters.nostr.fallbacks import joined
from adapters.nostr.markdown import from_markdown
from adapters.nostr.media import VIDEOS, attached, described, media_of
from adapters.nostr.plan import refuse_untimely
from adapters.nostr.profiles import account_of, mark_of
from adapters.nostr.text import VIEWER, from_note
from adapters.nostr.threads import parents
from bridged.api import (
    Act,
    Activity,
    BlockList,
    Delete,
    FollowList,
    Malformed,
    Media,
    PinList,
    Post,
    PostBody,
    Profile,
    React,
    Ref,
    Repost,
    Span,
    Text,
    find_links,
    trim,
    web_url,
)

__all__ = ["account_of", "decode"]

MAX_NAMED: Final = 50
"""Accounts one post may address."""
MAX_TAGS: Final = 50
MAX_DELETES: Final = 100
_MAX_REACTION: Final = 64
_MAX_TITLE: Final = 500

_LANGUAGE: Final = re.compile("[a-z]{2}")
_SHORTCODE: Final = re.compile(":([A-Za-z0-9_-]{1,60}):")

NOTE, ARTICLE, COMMENT, PICTURE, VANISH = 1, 30023, 1111, 20, 62
_POSTS: Final = frozenset({NOTE, ARTICLE, COMMENT, PICTURE, polls.KIND}) | VIDEOS | fallbacks.KINDS
_DATED: Final = frozenset({ARTICLE}) | VIDEOS


def decode(event: Event, *, channel: str, received_at: float) -> tuple[Activity, ...]:
    """The activities an event stands for; none for kinds that are not bridged.

    Raises Malformed: future, expired, protected, and what is wrong with the event's kind.
    """
    refuse_untimely(event, received_at)
    if event.kind == zaps.RECEIPT:
        zap = zaps.activity_of(event)
        return (zap,) if zap is not None else ()
    acts: Sequence[Act]
    match event.kind:
        case 0:
            acts = (Profile(account_of(event.pubkey, event)),)
        case kind if kind in _POSTS:
            acts = (Post(_body(event, channel, received_at)),)
        case lists.FOLLOW_LIST:
            acts = (FollowList(lists.people_of(event)),)
        case lists.MUTE_LIST:
            acts = (BlockList(lists.people_of(event)),)
        case lists.PIN_LIST:
            acts = (PinList(lists.posts_of(event)),)
        case 5:
            acts = [Delete(target) for target in _deleted(event)]
        case 62:  # NIP-62; from which relays does not matter, since the person asks to be forgotten
            acts = (Delete(ids.account_ref(event.pubkey)),)
        case 6 | 16:
            acts = (Repost(_target(event)),)
        case 7:
            acts = _reaction(event)
        case polls.RESPONSE:
            acts = (polls.vote_of(event),)
        case reports.KIND:
            acts = (reports.report_of(event),)
        case _:
            return ()
    ref = acts[0].body.ref if acts and isinstance(acts[0], Post) else Ref(ids.NETWORK, event.id)
    actor, mark = ids.account_ref(event.pubkey), mark_of(event)
    if acts and isinstance(acts[0], Profile):
        mark = acts[0].account.mark  # bridges show in its NIP-05 name, too
    return tuple(
        Activity(
            Ref(ids.NETWORK, f"{ref.id}#{number}") if number else ref,
            actor,
            float(event.created_at),
            act,
            mark,
        )
        for number, act in enumerate(acts)
    )


def _body(event: Event, channel: str, now: float) -> PostBody:
    try:
        ref = ids.post_ref(event)
    except ValueError:
        raise Malformed("address") from None
    thread = parents(event)
    quote = _quote(event)
    word = ids.post_word(ref)
    text, media = _said(event, VIEWER + word, quote)
    if event.kind == COMMENT and thread.reply_to is None:
        text = _about(event, text)
    named = [key for key in dict.fromkeys(tag_values(event, "p")) if ids.is_hex(key)][:MAX_NAMED]
    told = set(text.mentions())
    warning = _warning(event)
    is_article = event.kind == ARTICLE
    return PostBody(
        ref=ref,
        author=ids.account_ref(event.pubkey),
        text=text,
        at=_published(event),
        media=media,
        reply_to=thread.reply_to,
        root=thread.root,
        quote=quote,
        title=_line(event, "title") if is_article else "",
        summary=_first(event, "summary")[:5000].strip() if is_article else "",
        image=(web_url(_first(event, "image")) or "") if is_article else "",
        poll=polls.poll_of(event, now) if event.kind == polls.KIND else None,
        warning=warning or "",
        sensitive=warning is not None,
        lang=_language(event),
        expires=_expires(event),
        url=VIEWER + word,
        uri="nostr:" + word,
        mentions=tuple(account for key in named if (account := ids.account_ref(key)) not in told),
        tags=_beside(text, tag_values(event, "t")),
        mark=mark_of(event),
        detail=_facts(event, channel, ref, named, thread.detail),
    )


def _facts(event: Event, channel: str, ref: Ref, named: Sequence[str], thread: dict[str, str]) -> dict[str, str]:
    detail = {"kind": str(event.kind), "created_at": str(event.created_at), **thread}
    if channel.startswith(("ws://", "wss://")) and channel.isascii() and len(channel) <= 255:
        detail["relay"] = channel
    if named:
        detail["p"] = ",".join(named)
    if ref.id != event.id:
        detail["event"] = event.id
    if event.kind == polls.KIND and (relays := polls.relays_of(event)):
        detail["poll_relays"] = " ".join(relays)
    # whoever reposts it shows it whole (NIP-18)
    detail["json"] = to_json(event).decode()
    return detail


def _said(event: Event, link: str, quote: Ref | None) -> tuple[Text, tuple[Media, ...]]:
    """The text and the files of a post of any kind."""
    quoted = (quote.id,) if quote else ()
    if event.kind in fallbacks.KINDS:
        return fallbacks.shown(event, link)
    if event.kind == ARTICLE:
        files, content = attached(event)
        text, media = from_markdown(content, event.tags, quoted=quoted)
        return trim(text), (*described(media, event), *files)
    media, content = media_of(event)
    text = trim(from_note(content, event.tags, quoted=quoted))
    title = ""
    if event.kind == PICTURE or event.kind in VIDEOS:
        title = _line(event, "title")
    elif event.kind == NOTE and parents(event).reply_to is None:
        title = _line(event, "subject")  # NIP-14
    if title and not text.plain.startswith(title):
        text = joined((Text(title, (Span(0, len(title), "bold"),)), text), "\n\n")
    return text, media


def _about(event: Event, text: Text) -> Text:
    """A comment on something that is no event (NIP-73) ends in where that is, or what it is called."""
    tag = first_tag(event, "I") or first_tag(event, "i") or ()
    urls = [url for value in tag[1:3] if (url := web_url(value))]
    word = urls[0] if urls else "".join(tag[1:2])[:_MAX_TITLE]
    return text if word in text.plain else joined((text, find_links(Text(word))), "\n\n")


def _beside(text: Text, names: Iterable[str]) -> tuple[str, ...]:
    """Those of `names` that the text does not show."""
    shown = {name.lower() for name in text.tags()}
    found = {name.lower(): name for name in names if 0 < len(name) <= 100 and name.lower() not in shown}
    return tuple(found.values())[:MAX_TAGS]


def _published(event: Event) -> float:
    """When it first came out: articles (NIP-23) and videos say so, and are dated anew by every edit."""
    text = _first(event, "published_at") if event.kind in _DATED else ""
    if text.isascii() and text.isdigit() and len(text) <= 12:
        return float(min(int(text), event.created_at))
    return float(event.created_at)


def _deleted(event: Event) -> list[Ref]:
    """NIP-09. Events of others are not known to be so here: the core checks whose a target is."""
    found: dict[Ref, None] = {}
    for tag in event.tags:
        if len(tag) < 2:
            continue
        if tag[0] == "e" and ids.is_hex(tag[1]):
            found[Ref(ids.NETWORK, tag[1])] = None
        elif tag[0] == "a":
            coordinates = ids.split_address(tag[1])
            if coordinates is not None and coordinates[1] == event.pubkey:
                found[Ref(ids.NETWORK, tag[1])] = None
    if not found:
        raise Malformed("target")
    return list(found)[:MAX_DELETES]


def _target(event: Event) -> Ref:
    """What a repost or reaction is about: the address if there is one, else the last `e` (NIP-18, NIP-25)."""
    for text in reversed(tag_values(event, "a")):
        if ids.split_address(text) is not None:
            return Ref(ids.NETWORK, text)
    for text in reversed(tag_values(event, "e")):
        if ids.is_hex(text):
            return Ref(ids.NETWORK, text)
    raise Malformed("target")


def _reaction(event: Event) -> tuple[React, ...]:
    content = event.content.strip()
    if content == "-":
        return ()
    target = _target(event)
    if content in ("", "+") or len(content) > _MAX_REACTION:
        return (React(target),)
    code = _SHORTCODE.fullmatch(content)
    if code is None:
        return (React(target, content),)
    for tag in event.tags:
        if len(tag) > 2 and tag[0] == "emoji" and tag[1] == code[1] and (image := web_url(tag[2])):
            return (React(target, content, image),)
    return (React(target),)


def _quote(event: Event) -> Ref | None:
    """NIP-18, and as it was before: an `e` marked as a mention, which the text points to."""
    for text in tag_values(event, "q"):
        if ids.is_post_id(text):
            return Ref(ids.NETWORK, text)
    for tag in event.tags:
        if tag[0] == "e" and len(tag) > 3 and tag[3] == "mention" and ids.is_hex(tag[1]) and "nostr:n" in event.content:
            return Ref(ids.NETWORK, tag[1])
    return None


def _warning(event: Event) -> str | None:
    """NIP-36, and as a label (NIP-32); "" for one without a reason."""
    for tag in event.tags:
        if tag[0] == "content-warning" or (tag[0] == "l" and tag[2:3] == ("content-warning",)):
            return tag[1].strip()[:_MAX_TITLE] if len(tag) > 1 else ""
    return None


def _language(event: Event) -> str:
    for tag in event.tags:
        if len(tag) > 2 and tag[0] == "l" and tag[2] == "ISO-639-1" and _LANGUAGE.fullmatch(tag[1]):
            return tag[1]
    language = _first(event, "lang")[:2].lower()
    return language if _LANGUAGE.fullmatch(language) else ""


def _expires(event: Event) -> float | None:
    """NIP-40; what is no number was refused before."""
    text = _first(event, "expiration")
    return float(text) if text else None


def _line(event: Event, name: str) -> str:
    return " ".join(_first(event, name)[:_MAX_TITLE].split())


def _first(event: Event, name: str) -> str:
    tag = first_tag(event, name)
    return tag[1] if tag is not None and len(tag) > 1 else ""
