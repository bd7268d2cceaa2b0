"""ActivityStreams 2.0 to acts. Pure: no I/O, no clock, no randomness.

An envelope holds an activity that its actor is proved to have sent, or a bare object or actor document read
at its origin. What we do not bridge becomes nothing; `Malformed` is for what no server should send.
"""

from collections.abc import Sequence

from adapters.activitypub.ids import native
from adapters.activitypub.posts import account_of, post_of
from adapters.activitypub.reading import Object, read_object
from adapters.activitypub.shapes import (
    ACTIVITY_TYPES,
    ACTOR_TYPES,
    MAX_ID,
    POST_TYPES,
    embedded,
    ident,
    image_url,
    objects,
    origin,
    text,
    types,
    when,
)
from bridged.api import (
    Accept,
    Act,
    Activity,
    Block,
    Delete,
    Edit,
    Envelope,
    Follow,
    Malformed,
    Post,
    Profile,
    React,
    Ref,
    Reject,
    Repost,
)

MAX_REACTION = 100
"""Longest emoji or `:code:` of a reaction, in characters."""


def decode(envelope: Envelope) -> Sequence[Activity]:
    """As `Source.decode`. Raises Malformed."""
    source = read_object(envelope.body)
    kinds = types(source)
    if not kinds:
        raise Malformed("no_type")
    said = ident(source)
    if not origin(said):
        raise Malformed("no_id")
    if kinds & ACTIVITY_TYPES:
        return _activity(source, said, kinds, envelope)
    if kinds & POST_TYPES:
        body = post_of(source, envelope.signer, envelope.received_at)
        return [Activity(body.ref, body.author, body.at, Post(body), body.mark)] if body else []
    if kinds & ACTOR_TYPES:
        account = account_of(source)
        ref = native(f"{said[: MAX_ID - 8]}#profile")
        return [Activity(ref, account.ref, envelope.received_at, Profile(account), account.mark)]
    return []


def _activity(source: Object, said: str, kinds: frozenset[str], envelope: Envelope) -> Sequence[Activity]:
    if ident(source.get("actor")) != envelope.signer.id:
        raise Malformed("actor_mismatch")
    act = _act(source, kinds, envelope)
    if act is None:
        return []
    at = when(source.get("published")) or envelope.received_at
    if isinstance(act, Post):
        # The post is the activity: who fetches it elsewhere must come to the same ref.
        return [Activity(act.body.ref, act.body.author, act.body.at, act, act.body.mark)]
    mark = ""
    if isinstance(act, Edit):
        mark, at = act.body.mark, when((embedded(source.get("object")) or {}).get("updated")) or at
    if isinstance(act, Profile):
        mark = act.account.mark
    return [Activity(native(said), envelope.signer, at, act, mark)]


def _act(source: Object, kinds: frozenset[str], envelope: Envelope) -> Act | None:
    inner = embedded(source.get("object"))
    target = ident(source.get("object"))
    if not origin(target):
        # Follows without an id, and the like, cannot be told apart later.
        if inner is None:
            raise Malformed("no_object")
        return None
    ref = native(target)
    inner_kinds = types(inner) if inner else frozenset[str]()
    if kinds & {"Create", "Update"}:
        return _say(source, inner, inner_kinds, bool(kinds & {"Update"}), envelope)
    if kinds & {"Delete", "Undo"}:
        return Delete(ref)
    if kinds & {"Accept", "Reject"}:
        if inner_kinds and "Follow" not in inner_kinds:
            return None
        return Accept(ref) if "Accept" in kinds else Reject(ref)
    if "Follow" in kinds:
        return Follow(ref)
    if "Block" in kinds:
        return Block(ref)
    if "Announce" in kinds:
        # A group that passes on an activity (FEP-1b12) repeats what others did.
        return None if inner_kinds & ACTIVITY_TYPES else Repost(ref)
    if kinds & {"Like", "EmojiReact"}:
        return _reaction(source, ref)
    return None


def _say(
    source: Object, inner: Object | None, inner_kinds: frozenset[str], update: bool, envelope: Envelope
) -> Act | None:
    if inner is None:
        return None
    if inner_kinds & ACTOR_TYPES:
        if ident(inner) != envelope.signer.id:
            raise Malformed("foreign_object")
        return Profile(account_of(inner)) if update else None
    if not inner_kinds & POST_TYPES:
        return None
    if update and "Question" in inner_kinds and "updated" not in inner:
        # New counts of a poll, not new words.
        return None
    if not any(inner.get(name) for name in ("to", "cc")):
        inner = {**inner, "to": source.get("to"), "cc": source.get("cc")}
    body = post_of(inner, envelope.signer, envelope.received_at)
    if body is None:
        return None
    return Edit(body) if update else Post(body)


def _reaction(source: Object, target: Ref) -> React:
    said = (text(source.get("content")) or text(source.get("_misskey_reaction"))).strip()
    if not said or len(said) > MAX_REACTION:
        return React(target)
    for tag in objects(source.get("tag")):
        name = text(tag.get("name"))
        if "Emoji" in types(tag) and name.strip(":") == said.strip(":"):
            return React(target, f":{name.strip(':')}:", image_url(tag.get("icon")))
    return React(target, said)
