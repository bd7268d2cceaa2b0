"""Events to neutral words. Pure; the events given have been verified.

What an encoder needs to answer a post properly is kept in `PostBody.detail`:
kind, relay (where it was heard), p (keys it names, comma-separated), event (the event id, where the ref is an
address), root and root_author (NIP-10), and for comments (NIP-22) root_tag, root_id, root_kind, root_author.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

import msgspec

from adapters.nostr import ids
from adapters.nostr.event import Event, first_tag, tag_values, to_json
from adapters.nostr.media import media_of
from adapters.nostr.plan import refuse_untimely
from adapters.nostr.text import from_note
from adapters.nostr.threads import parents
from bridged.api import (
    Account,
    Act,
    Activity,
    Delete,
    FollowList,
    Malformed,
    Post,
    PostBody,
    Profile,
    React,
    Ref,
    Repost,
    Text,
    clean_name,
    trim,
    web_url,
)

MAX_NAMED: Final = 50
"""Accounts one post may address."""
MAX_TAGS: Final = 50
MAX_FOLLOWS: Final = 2000
MAX_DELETES: Final = 100
_MAX_REACTION: Final = 64
_MAX_NAME: Final = 200
_MAX_ABOUT: Final = 10_000
_MAX_URL: Final = 2048
_BRIDGES: Final = ("mostr.pub", "momostr.pink")
"""Hosts of other bridges, as they show in the NIP-05 names of their ghosts."""

_LANGUAGE: Final = re.compile("[a-z]{2}")
_SHORTCODE: Final = re.compile(":([A-Za-z0-9_-]{1,60}):")

NOTE, ARTICLE, COMMENT, PICTURE = 1, 30023, 1111, 20


def decode(event: Event, *, channel: str, received_at: float) -> tuple[Activity, ...]:
    """The activities an event stands for; none for kinds that are not bridged.

    Raises Malformed: future, expired, protected, and what is wrong with the event's kind.
    """
    refuse_untimely(event, received_at)
    match event.kind:
        case 0:
            acts: Sequence[Act] = (Profile(_account(event)),)
        case 1 | 20 | 1111 | 30023:
            acts = (Post(_body(event, channel)),)
        case 3:
            acts = (FollowList(_follows(event)),)
        case 5:
            acts = [Delete(target) for target in _deleted(event)]
        case 6 | 16:
            acts = (Repost(_target(event)),)
        case 7:
            acts = _reaction(event)
        case _:
            return ()
    ref = acts[0].body.ref if acts and isinstance(acts[0], Post) else Ref(ids.NETWORK, event.id)
    actor, mark = ids.account_ref(event.pubkey), _mark(event)
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


def account_of(pubkey: str, event: Event | None) -> Account:
    """The account as its newest kind 0 shows it, or just the key; `alias` is for who has checked it."""
    if event is not None:
        return _account(event)
    npub = ids.npub(pubkey)
    return Account(ids.account_ref(pubkey), npub, url=ids.VIEWER + npub, uri=f"nostr:{npub}")


def _account(event: Event) -> Account:
    try:
        content: object = msgspec.json.decode(event.content)
    except (msgspec.MsgspecError, RecursionError):
        raise Malformed("profile") from None
    if not isinstance(content, dict):
        raise Malformed("profile")
    members = cast(dict[str, Any], content)

    def text(name: str, limit: int) -> str:
        value = members.get(name)
        return value[:limit].strip() if isinstance(value, str) else ""

    def address(name: str) -> str:
        return web_url(text(name, _MAX_URL + 1)) or ""

    website, nip05 = address("website"), text("nip05", 320)
    npub = ids.npub(event.pubkey)
    domain = nip05.rpartition("@")[2].lower()
    return Account(
        ref=ids.account_ref(event.pubkey),
        handle=npub,
        name=clean_name(text("display_name", 4000), _MAX_NAME) or clean_name(text("name", 4000), _MAX_NAME),
        bio=from_note(text("about", _MAX_ABOUT), event.tags),
        avatar=address("picture"),
        banner=address("banner"),
        url=ids.VIEWER + npub,
        uri=f"nostr:{npub}",
        fields=(("Website", website),) if website else (),
        bot=members.get("bot") is True,
        mark=_mark(event) or (nip05 if domain in _BRIDGES else ""),
        detail={"nip05": nip05} if nip05 else {},
    )


def _body(event: Event, channel: str) -> PostBody:
    try:
        ref = ids.post_ref(event)
    except ValueError:
        raise Malformed("address") from None
    thread = parents(event)
    media, content = media_of(event)
    title = _first(event, "title")[:500].strip()
    if event.kind == PICTURE and title:
        content, title = f"{title}\n\n{content}".strip(), ""
    quote = _quote(event)
    text = trim(from_note(content, event.tags, quoted=(quote.id,) if quote else ()))
    named = [key for key in dict.fromkeys(tag_values(event, "p")) if ids.is_hex(key)][:MAX_NAMED]
    told = set(text.mentions())
    warning = first_tag(event, "content-warning")
    detail = {"kind": str(event.kind), "created_at": str(event.created_at), **thread.detail}
    if channel.startswith(("ws://", "wss://")) and channel.isascii() and len(channel) <= 255:
        detail["relay"] = channel
    if named:
        detail["p"] = ",".join(named)
    if ref.id != event.id:
        detail["event"] = event.id
    # whoever reposts it shows it whole (NIP-18)
    detail["json"] = to_json(event).decode()
    return PostBody(
        ref=ref,
        author=ids.account_ref(event.pubkey),
        text=text,
        at=_published(event),
        media=media,
        reply_to=thread.reply_to,
        root=thread.root,
        quote=quote,
        title=title if event.kind == ARTICLE else "",
        warning=(warning[1].strip()[:500] if len(warning) > 1 else "") if warning else "",
        sensitive=warning is not None,
        lang=_language(event),
        url=ids.VIEWER + ids.post_word(ref),
        uri="nostr:" + ids.post_word(ref),
        mentions=tuple(account for key in named if (account := ids.account_ref(key)) not in told),
        tags=_beside(text, tag_values(event, "t")),
        mark=_mark(event),
        detail=detail,
    )


def _beside(text: Text, names: Iterable[str]) -> tuple[str, ...]:
    """Those of `names` that the text does not show."""
    shown = {name.lower() for name in text.tags()}
    found = {name.lower(): name for name in names if 0 < len(name) <= 100 and name.lower() not in shown}
    return tuple(found.values())[:MAX_TAGS]


def _published(event: Event) -> float:
    """When it first came out: articles say so (NIP-23), and are dated anew by every edit."""
    text = _first(event, "published_at") if event.kind == ARTICLE else ""
    if text.isascii() and text.isdigit() and len(text) <= 12:
        return float(min(int(text), event.created_at))
    return float(event.created_at)


def _follows(event: Event) -> tuple[Ref, ...]:
    keys = dict.fromkeys(key for key in tag_values(event, "p") if ids.is_hex(key) and key != event.pubkey)
    return tuple(ids.account_ref(key) for key in list(keys)[:MAX_FOLLOWS])


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
    for text in tag_values(event, "q"):
        if ids.is_post_id(text):
            return Ref(ids.NETWORK, text)
    return None


def _language(event: Event) -> str:
    for tag in event.tags:
        if len(tag) > 2 and tag[0] == "l" and tag[2] == "ISO-639-1" and _LANGUAGE.fullmatch(tag[1]):
            return tag[1]
    return ""


def _mark(event: Event) -> str:
    """NIP-48: what this is a copy of."""
    return _first(event, "proxy")[:_MAX_URL]


def _first(event: Event, name: str) -> str:
    tag = first_tag(event, name)
    return tag[1] if tag is not None and len(tag) > 1 else ""
