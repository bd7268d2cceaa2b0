"""ActivityStreams 2.0 to acts. Pure: no I/O, no clock, no randomness.

An envelope holds an activity that its actor is proved to have sent, or a bare object or actor document read
at its origin. What we do not bridge becomes nothing; `Malformed` is for what no server should send.
"""

from collections.abc import Sequence

from adapters.activitypub.ids import digest, native
from adapters.activitypub.polls import poll_of, vote_of
from adapters.activitypub.posts import post_of
from adapters.activitypub.profiles import account_of
from adapters.activitypub.reading import Object, read_object
from adapters.activitypub.shapes import (
    ACTIVITY_TYPES,
    ACTOR_TYPES,
    MAX_ID,
    POST_TYPES,
    embedded,
    ident,
    idents,
    image_url,
    is_activity,
    objects,
    origin,
    same_origin,
    text,
    types,
    when,
)
from adapters.activitypub.texts import plain_of
from bridged.api import (
    Accept,
    Act,
    Activity,
    Approve,
    Block,
    Delete,
    Edit,
    Envelope,
    Follow,
    Malformed,
    Message,
    Move,
    Pin,
    Post,
    Profile,
    QuoteRequest,
    React,
    Ref,
    Reject,
    Report,
    Repost,
    Tally,
)

MAX_REACTION = 100
"""Longest emoji or `:code:` of a reaction, in characters."""
MAX_REPORTED = 50
MAX_COMPLAINT = 5000


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
    actor = envelope.signer
    if ident(source.get("actor")) != actor.id:
        raise Malformed("actor_mismatch")
    at = when(source.get("published")) or envelope.received_at
    if kinds & {"Create", "Update"}:
        return _say(source, native(said), bool(kinds & {"Update"}), at, envelope)
    if "Announce" in kinds:
        return _announce(source, native(said), at, actor)
    act = _about_accounts(source, kinds, actor) if kinds & _ABOUT_ACCOUNTS else _act(source, kinds)
    return [Activity(native(said), actor, at, act)] if act is not None else []


def _object(source: Object) -> tuple[str, Object | None, frozenset[str]]:
    """(id, what is embedded, its types) of an activity's object. Raises Malformed: no_object."""
    inner = embedded(source.get("object"))
    target = ident(source.get("object"))
    if not origin(target):
        # Follows without an id, and the like, cannot be told apart later.
        if inner is None:
            raise Malformed("no_object")
        target = ""
    return target, inner, types(inner) if inner else frozenset[str]()


def _act(source: Object, kinds: frozenset[str]) -> Act | None:
    target, inner, inner_kinds = _object(source)
    if not target:
        return None
    ref = native(target)
    if kinds & {"Delete", "Undo"}:
        if "Accept" in inner_kinds and "Undo" in kinds:
            # the follow is ended by whom it was granted by
            granted = ident((inner or {}).get("object"))
            return Reject(native(granted)) if origin(granted) else None
        if "QuoteAuthorization" in inner_kinds:
            quote = ident((inner or {}).get("interactingObject"))
            return Approve(native(quote), "") if origin(quote) else None
        return Delete(ref)
    if kinds & {"Accept", "Reject"}:
        return _answer(source, ref, kinds, inner_kinds)
    if kinds & {"Like", "EmojiReact"}:
        return _reaction(source, ref)
    if "QuoteRequest" in kinds:
        quote = ident(source.get("instrument"))
        return QuoteRequest(ref, native(quote)) if origin(quote) else None
    return None


def _answer(source: Object, ref: Ref, kinds: frozenset[str], inner_kinds: frozenset[str]) -> Act | None:
    proof = ident(source.get("result"))
    if "Accept" in kinds and ("QuoteRequest" in inner_kinds or (proof and not inner_kinds)):
        # FEP-044f: only its author can vouch for the quoted post
        return Approve(ref, proof) if same_origin(proof, ident(source.get("actor"))) else None
    if inner_kinds and not inner_kinds & {"Follow", "QuoteRequest"}:
        return None
    return Accept(ref) if "Accept" in kinds else Reject(ref)


_ABOUT_ACCOUNTS = frozenset({"Add", "Block", "Flag", "Follow", "Move", "Remove"})


def _about_accounts(source: Object, kinds: frozenset[str], actor: Ref) -> Act | None:
    target, _, inner_kinds = _object(source)
    if not target:
        return None
    ref = native(target)
    if "Follow" in kinds:
        return Follow(ref)
    if "Block" in kinds:
        # with a target, somebody is kept out of a community (FEP-1b12)
        return None if source.get("target") else Block(ref)
    if "Move" in kinds:
        if target != actor.id:
            raise Malformed("foreign_object")
        new = ident(source.get("target"))
        return Move(native(new)) if origin(new) and new != target else None
    if "Flag" in kinds:
        return _report(source)
    featured = ident(source.get("target"))
    if not same_origin(featured, target, actor.id) or "featured" not in featured.rstrip("/").rpartition("/")[2]:
        return None
    if inner_kinds and not inner_kinds & POST_TYPES:
        # hashtags are featured, too
        return None
    return Pin(ref, pinned="Add" in kinds)


def _report(source: Object) -> Report | None:
    named = [native(each) for each in idents(source.get("object")) if origin(each)][: MAX_REPORTED + 1]
    if not named:
        return None
    words = plain_of(text(source.get("content"))).strip()[:MAX_COMPLAINT]
    return Report(named[0], tuple(named[1:]), text=words)


def _say(source: Object, said: Ref, update: bool, at: float, envelope: Envelope) -> Sequence[Activity]:
    actor = envelope.signer
    if not update and (vote := vote_of(source.get("object"), actor)):
        return _one(said, actor, at, vote) if vote.choices else []
    target, inner, kinds = _object(source)
    if inner is None or not target:
        return []
    if kinds & ACTOR_TYPES:
        if target != actor.id:
            raise Malformed("foreign_object")
        if not update:
            return []
        account = account_of(inner)
        return _one(said, actor, at, Profile(account), account.mark)
    if not kinds & POST_TYPES:
        return []
    if not any(inner.get(name) for name in ("to", "cc")):
        inner = {**inner, "to": source.get("to"), "cc": source.get("cc")}
    body = post_of(inner, actor, envelope.received_at)
    if body is None:
        return []
    if not update:
        if body.audience == "direct" and "Note" in kinds:
            told = (native(who) for who in _told(source, inner) if origin(who))
            return _one(body.ref, actor, body.at, Message(tuple(told), body.text, body.reply_to), body.mark)
        # The post is the activity: who fetches it elsewhere must come to the same ref.
        return _one(body.ref, body.author, body.at, Post(body), body.mark)
    found: list[Activity] = []
    changed = when(inner.get("updated"))
    poll = poll_of(inner, envelope.received_at)
    if changed is not None or "Question" not in kinds:
        found += _one(said, actor, changed or at, Edit(body), body.mark)
    if poll is not None:
        # Once edited, a poll says so with every new count.
        ref = native(f"{said.id[: MAX_ID - 8]}#tally") if found else said
        found += _one(ref, actor, at, Tally(body.ref, poll), body.mark)
    return found


def _announce(source: Object, said: Ref, at: float, actor: Ref) -> Sequence[Activity]:
    target, inner, kinds = _object(source)
    if inner is not None and is_activity(inner):
        # A group passes on what others did (FEP-1b12): what they said is shown, once, and read at its origin.
        target = ident(inner.get("object"))
        said = native(f"{actor.id[: MAX_ID - 40]}#shows-{digest(target)}")
        if not kinds & {"Create", "Update"}:
            return []
    return _one(said, actor, at, Repost(native(target))) if origin(target) else []


def _one(ref: Ref, actor: Ref, at: float, act: Act, mark: str = "") -> list[Activity]:
    return [Activity(ref, actor, at, act, mark)]


def _told(*parts: Object) -> list[str]:
    return list(dict.fromkeys(who for part in parts for name in ("to", "cc") for who in idents(part.get(name))))


def _reaction(source: Object, target: Ref) -> React:
    said = (text(source.get("content")) or text(source.get("_misskey_reaction"))).strip()
    if not said or len(said) > MAX_REACTION:
        return React(target)
    # Misskey adds where a custom emoji comes from: `:blob@host:`.
    code = said.strip(":").partition("@")[0]
    for tag in objects(source.get("tag")):
        name = text(tag.get("name")).strip(":")
        if "Emoji" in types(tag) and name and name.partition("@")[0] == code and (image := image_url(tag.get("icon"))):
            return React(target, f":{code}:", image)
    return React(target, said)
