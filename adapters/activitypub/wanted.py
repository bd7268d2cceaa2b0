"""What is taken from the inbox, and in which form it is kept. Pure.

Only what is public, or is said to us, goes further; and of that only what somebody here waits for.
"""

from collections.abc import Iterator
from typing import Any, Literal

import orjson

from adapters.activitypub.ids import Urls, digest
from adapters.activitypub.polls import is_vote
from adapters.activitypub.posts import audience_of
from adapters.activitypub.reading import Object
from adapters.activitypub.shapes import (
    ACTIVITY_TYPES,
    ACTOR_TYPES,
    POST_TYPES,
    embedded,
    ident,
    idents,
    is_activity,
    objects,
    origin,
    same_origin,
    types,
)
from bridged.api import Heard

_SAYS = frozenset({"Create", "Update"})
_HANDLED = frozenset(
    {
        "Accept", "Add", "Announce", "Block", "Create", "Delete", "EmojiReact", "Flag", "Follow", "Like", "Move",
        "QuoteRequest", "Reject", "Remove", "Undo", "Update",
    }
)  # fmt: skip
_OF_KNOWN = frozenset({"Add", "Delete", "Move", "Remove", "Undo", "Update"})
_NAMING = (
    "object", "target", "inReplyTo", "to", "cc", "quote", "quoteUrl", "quoteUri", "_misskey_quote", "interactingObject",
)  # fmt: skip


class Refused(Exception):
    """What an honest server would not send: answered with `status`, counted by `reason`."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Dropped(Exception):
    """Fine, but not for us."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def actor_of(source: Object, urls: Urls) -> str:
    """The actor of an activity that could be somebody else's. Raises Refused, Dropped."""
    kinds = types(source)
    if not kinds & ACTIVITY_TYPES:
        raise Refused(400, "not_an_activity") if kinds else Refused(400, "no_type")
    actor = ident(source.get("actor"))
    # Ids are keys of an index, which holds no more bytes than this.
    if not origin(actor) or len(actor.encode()) > 2048:
        raise Refused(400, "no_actor")
    if urls.owns(actor):
        raise Refused(403, "own_actor")
    if not kinds & _HANDLED:
        raise Dropped("unsupported")
    return actor


def is_farewell(source: Object, actor: str) -> bool:
    """Whether an actor says that it is gone."""
    return "Delete" in types(source) and ident(source.get("object")) == actor


def is_wanted(source: Object, actor: str, heard: Heard, urls: Urls) -> bool:
    """Whether somebody here waits for this."""
    if actor in heard.full or any(urls.owns(named) for named in _named(source)):
        return True
    return actor in heard.known and bool(types(source) & _OF_KNOWN)


def needs_object(source: Object) -> str:
    """The IRI of the post that a Create or Update leaves us to fetch, or ""."""
    bare = types(source) & _SAYS and embedded(source.get("object")) is None
    return ident(source.get("object")) if bare else ""


def check(source: Object, actor: str) -> None:
    """An actor speaks for itself only: what it makes, changes and takes back is its own.

    Raises Refused.
    """
    kinds = types(source)
    said = ident(source)
    if said and not same_origin(said, actor):
        raise Refused(403, "foreign_id")
    target = ident(source.get("object"))
    inner = embedded(source.get("object"))
    if not target and inner is None:
        raise Refused(400, "no_object")
    if kinds & _SAYS:
        if inner is None:
            raise Refused(400, "no_object")
        for each in objects(source.get("object")):
            _check_said(each, actor)
    elif "Move" in kinds:
        if target != actor:
            raise Refused(403, "foreign_object")
    elif "QuoteRequest" in kinds:
        quote = embedded(source.get("instrument")) or {}
        if not same_origin(ident(source.get("instrument")), actor) or actor not in (
            idents(quote.get("attributedTo")) or [actor]
        ):
            raise Refused(403, "foreign_object")
    elif kinds & {"Delete", "Undo"}:
        if target and not same_origin(target, actor):
            raise Refused(403, "foreign_object")
        owners = idents((inner or {}).get("actor")) + idents((inner or {}).get("attributedTo"))
        if any(owner != actor for owner in owners):
            raise Refused(403, "foreign_object")


def _check_said(inner: Object, actor: str) -> None:
    kinds = types(inner)
    if kinds & ACTOR_TYPES:
        if ident(inner) != actor:
            raise Refused(403, "foreign_object")
    elif kinds & POST_TYPES:
        if not ident(inner):
            raise Refused(400, "no_object_id")
        owners = idents(inner.get("attributedTo"))
        if actor not in owners or not same_origin(ident(inner), actor, *owners):
            raise Refused(403, "foreign_object")


def kept(source: Object, actor: str, body: bytes, urls: Urls) -> tuple[str, bytes]:
    """(id, bytes) of what is stored: the bytes as signed wherever they may be kept whole.

    Raises Dropped for what is not public.
    """
    said = ident(source) or f"{actor}#{digest(body.decode())}"
    changed: Object | None = None if ident(source) else {**source, "id": said}
    match _privacy(source, urls):
        case "private":
            raise Dropped("not_public")
        case "withdrawn":
            # The post is public no more: its copies go, and its new words are not kept.
            inner = embedded(source.get("object")) or {}
            changed = {"id": said, "type": "Delete", "actor": actor, "object": ident(inner)}
        case "open":
            pass
    kinds = types(source)
    inner = embedded(source.get("object"))
    if "Announce" in kinds and inner is not None:
        # What a stranger says that somebody else said is worth nothing: the origin is asked.
        changed = {**(changed or source), "object": _shown(inner)}
    elif "QuoteRequest" in kinds:
        # the quoting post may be private: its id is all that an answer needs
        changed = {**(changed or source), "instrument": ident(source.get("instrument"))}
    elif "Flag" in kinds:
        changed = {**(changed or source), "object": _reported(source, urls)}
    elif (
        kinds & {"Add", "Delete", "Remove"} and inner is not None and types(inner) & POST_TYPES and not _is_open(inner)
    ):
        changed = {**(changed or source), "object": ident(inner)}
    return said, body if changed is None else orjson.dumps(changed)


def _shown(inner: Object) -> str | Object:
    """What an Announce shows, by its id alone: of an activity that a group passes on (FEP-1b12), its type as well.

    Raises Dropped for those that say nothing new.
    """
    if not is_activity(inner):
        return ident(inner)
    if not types(inner) & _SAYS:
        raise Dropped("group_activity")
    return {"id": ident(inner), "type": sorted(types(inner) & _SAYS), "object": ident(inner.get("object"))}


def _reported(source: Object, urls: Urls) -> list[str]:
    """What a report names of ours, accounts first; the rest is none of our business. Raises Dropped."""
    ours = [named for named in idents(source.get("object")) if urls.owns(named)]
    if not ours:
        raise Dropped("not_public")
    return sorted(ours, key=lambda named: not named.startswith(f"{urls.base}/users/"))


def _privacy(source: Object, urls: Urls) -> Literal["open", "private", "withdrawn"]:
    kinds = types(source)
    inner = embedded(source.get("object"))
    if not kinds & {"Create", "Update", "Announce"} or (inner and types(inner) & ACTOR_TYPES):
        return "open"
    # A post's own address list counts; its activity's only where the post has none.
    addressed = [part for part in (inner, source) if part and _addresses(part)]
    if "Announce" in kinds:
        addressed = [source]
    if addressed and _is_open(addressed[0]):
        return "open"
    if "Create" in kinds and inner is not None and _is_for_us(source, inner, urls):
        return "open"
    return "withdrawn" if "Update" in kinds and addressed else "private"


def _is_open(part: Object) -> bool:
    return audience_of(part) in ("public", "unlisted")


def _is_for_us(source: Object, inner: Object, urls: Urls) -> bool:
    """Whether what is not public is a vote in a poll of ours, or words for the bot alone."""
    if is_vote(inner):
        ballots = [*objects(source.get("object"))]
        return all(is_vote(each) and urls.owns(ident(each.get("inReplyTo"))) for each in ballots)
    return "Note" in types(inner) and _told(source, inner) - {ident(source.get("actor"))} == {urls.bot}


def _addresses(part: Object) -> bool:
    return bool(part.get("to") or part.get("cc"))


def _told(*parts: Object) -> set[str]:
    return {who for part in parts for name in ("to", "cc") for who in idents(part.get(name))}


def _named(source: Object, depth: int = 3) -> Iterator[str]:
    for name in _NAMING:
        value: Any = source.get(name)
        yield from idents(value)
        if name == "object" and depth:
            for inner in objects(value):
                yield from _named(inner, depth - 1)
    for tag in objects(source.get("tag")):
        yield ident(tag.get("href"))
