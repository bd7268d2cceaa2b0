"""Neutral words to unsigned events. Pure; the adapter signs what comes out.

A `Draft` becomes one event and one part; a `Part` goes to the core as it is. Parts made for the account
itself (`of` is the account) have the numbers 0 for the profile (kind 0), 1 for its relays (kind 10002) and 2
for its follows (kind 3).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from adapters.nostr import ids, replies
from adapters.nostr.event import parse_event
from adapters.nostr.home import Home
from adapters.nostr.note import note, plain
from bridged.api import (
    HOME,
    Activity,
    Copy,
    Delete,
    Edit,
    Follow,
    Part,
    Post,
    PostBody,
    Profile,
    React,
    Ref,
    Rejected,
    Repost,
    There,
    View,
)

PROFILE, RELAYS, FOLLOWS = range(3)
ACTS: Final = frozenset({"Post", "Edit", "Delete", "Follow", "React", "Repost", "Profile"})

_NO_DETAIL: Final[Mapping[str, str]] = {}
_SHORT: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")

MAX_SHOWN = 48 << 10
"""Characters of JSON that a repost carries; the event has 64 KiB in all."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An event to be signed by the actor's ghost, and the part it will be."""

    of: Ref
    kind: int
    at: int
    tags: tuple[tuple[str, ...], ...]
    content: str = ""
    number: int = 0
    gone: bool = False
    detail: Mapping[str, str] = field(default_factory=lambda: _NO_DETAIL)


@dataclass(frozen=True, slots=True)
class Drafts:
    """What an activity becomes, in the order it is to be sent."""

    parts: tuple[Draft | Part, ...] = ()
    losses: tuple[str, ...] = ()


def encode(activity: Activity, view: View, home: Home) -> Drafts:
    """Raises Rejected for what has no form here."""
    match activity.act:
        case Post(body):
            return _post(activity, body, view, home)
        case Edit(body):
            return _edit(activity, body, view, home)
        case Delete(target):
            return _delete(activity, target, view, home)
        case React(target):
            return Drafts((_reaction(activity, activity.act, _there(view, target), view, home),))
        case Repost(target):
            return Drafts((_repost(activity, _there(view, target), view, home),))
        case Follow():
            return Drafts((_follows(activity, view, home),))
        case Profile():
            return _profile(activity, view, home)
        case _:
            return Drafts()


def _post(activity: Activity, body: PostBody, view: View, home: Home) -> Drafts:
    is_article = bool(body.title) and body.reply_to is None
    draft, losses = _written(activity, body, view, home, is_article=is_article, at=_time(activity, view))
    return Drafts((draft,), losses)


def _edit(activity: Activity, body: PostBody, view: View, home: Home) -> Drafts:
    """An article is replaced; a note is deleted and said again, since nobody honours edits of notes."""
    old = next((copy for copy in view.previous if not copy.gone and copy.ref is not None), None)
    if old is None:
        return _post(activity, body, view, home)
    is_article = old.detail.get("kind") == "30023"
    at = _time(activity, view)
    if is_article:
        at = max(at, _created(old) + 1)
    draft, losses = _written(activity, body, view, home, is_article=is_article, at=at)
    if is_article or (before := _said(old)) is None:
        return Drafts((draft,), losses)
    if before == (draft.content, draft.tags):
        return Drafts((), ("the edit changed nothing that shows here",))
    deletion = _deletion(activity, (old,), view)
    return Drafts((deletion, draft), (*losses, "an edited note is a new note here; answers stay with the old one"))


def _delete(activity: Activity, target: Ref, view: View, home: Home) -> Drafts:
    if target == view.account.ref:
        return _farewell(activity, view)
    if view.subject is not None and isinstance(view.subject.act, Follow):
        return Drafts((_follows(activity, view, home),))
    live = [copy for copy in view.previous if not copy.gone and copy.ref is not None]
    if not live:
        return Drafts()
    withdrawn = [
        Part(copy.origin, copy.ref, b"", b"", number=copy.part, gone=True, detail=copy.detail) for copy in live
    ]
    return Drafts((_deletion(activity, live, view), *withdrawn))


def _deletion(activity: Activity, copies: Sequence[Copy], view: View) -> Draft:
    """NIP-09, dated no earlier than what it deletes: an `a` reaches versions up to its own time only."""
    tags: list[tuple[str, ...]] = []
    kinds: dict[str, None] = {}
    for copy in copies:
        if copy.ref is not None:
            coordinates = ids.split_address(copy.ref.id)
            tags.append(("e" if coordinates is None else "a", copy.ref.id))
            if coordinates is not None and "event" in copy.detail:
                tags.append(("e", copy.detail["event"]))
            kinds[copy.detail.get("kind", "1")] = None
    tags += [("k", kind) for kind in kinds]
    at = max([_time(activity, view), *map(_created, copies)])
    return Draft(activity.ref, 5, at, (*tags, *_provenance(activity.ref, "")), detail=_detail(5, at))


def _written(
    activity: Activity, body: PostBody, view: View, home: Home, *, is_article: bool, at: int
) -> tuple[Draft, tuple[str, ...]]:
    written = note(body, view, home, titled=is_article)
    thread = replies.Thread() if is_article else replies.thread_of(body, view, home)
    kind = 30023 if is_article else thread.kind
    content = written.content
    if thread.orphan and (link := body.url or body.uri):
        content = f"{content}\n\n{link}".strip()
    keys = [key for key in dict.fromkeys((*thread.keys, *written.keys)) if key != view.actor.ref.id]
    keys = keys[: replies.MAX_KEYS]
    tags: list[tuple[str, ...]] = list(thread.tags)
    # NIP-22 gives `p` the parent's author, already among the thread's tags.
    there = {tag[1] for tag in tags if tag[0] == "p"}
    tags += [("p", key) for key in keys if key not in there]
    tags += written.tags
    if is_article:
        tags = [
            ("d", _identifier(body.ref)),
            ("title", body.title),
            ("published_at", str(int(body.at))),
            *tags,
        ]
    tags += _provenance(body.ref, body.url)
    detail = {**_detail(kind, at), **thread.detail}
    if keys or there:
        detail["p"] = ",".join(dict.fromkeys((*keys, *there)))
    draft = Draft(body.ref, kind, at, tuple(tags), content, detail=detail)
    losses = (*written.losses, *(("what it answers is not here",) if thread.orphan else ()))
    return draft, losses


def _reaction(activity: Activity, act: React, there: There, view: View, home: Home) -> Draft:
    """NIP-25; a custom emoji goes with its NIP-30 tag."""
    content, tags = act.content.strip(), replies.pointers(there, home)
    code = content.strip(":")
    if content.startswith(":") and content.endswith(":") and len(content) > 2:
        if act.emoji and code and set(code) <= _SHORT:
            tags.append(("emoji", code, act.emoji))
        else:
            content = "+"
    # A "-" would say the opposite of what was meant.
    content = "+" if content in ("", "-") or len(content) > 64 else content
    at = _time(activity, view)
    tags += [("p", there.author.id), ("k", replies.kind_of(there)), *_provenance(activity.ref, "")]
    return Draft(activity.ref, 7, at, tuple(tags), content, detail=_detail(7, at))


def _repost(activity: Activity, there: There, view: View, home: Home) -> Draft:
    """NIP-18: what is shown goes along as JSON."""
    of_kind, at = replies.kind_of(there), _time(activity, view)
    kind = 6 if of_kind == "1" else 16
    tags = [*replies.pointers(there, home), ("p", there.author.id)]
    if kind == 16:
        tags.append(("k", of_kind))
    own = next((copy.served.decode() for copy in there.parts if copy.served and not copy.gone), "")
    shown = own or there.detail.get("json", "")
    if len(json.dumps(shown)) > MAX_SHOWN:
        shown = ""  # readers fetch it by its id
    tags += _provenance(activity.ref, "")
    return Draft(activity.ref, kind, at, tuple(tags), shown, detail=_detail(kind, at))


def _follows(activity: Activity, view: View, home: Home) -> Draft:
    """NIP-02: the whole list, every time."""
    at = _later(view, FOLLOWS, _time(activity, view))
    tags = [("p", ref.id) for ref in view.follows if ref.network == ids.NETWORK and ids.is_hex(ref.id)]
    tags += _provenance(view.account.ref, "")
    return Draft(view.account.ref, 3, at, tuple(tags), number=FOLLOWS, detail=_detail(3, at))


def _profile(activity: Activity, view: View, home: Home) -> Drafts:
    """Kind 0 (NIP-24) and the relays to find the account's posts on (NIP-65)."""
    account, at = view.account, _time(activity, view)
    about = plain(account.bio, view, home)
    source = account.url or account.uri
    if account.ref.network != HOME:
        about = f"{about}\n\nbridged from {source or account.handle}".strip()
    members: dict[str, object] = {
        "name": account.handle,
        "display_name": account.name or account.handle,
        "about": about,
        "picture": account.avatar,
        "banner": account.banner,
        "website": account.url,
        "nip05": f"{view.actor.handle}@{home.domain}",
        "bot": account.bot,
    }
    content = msgspec.json.encode({name: value for name, value in members.items() if value}).decode()
    marks = _provenance(account.ref, account.url)
    relays = [("r", url) for url in home.public_relays]
    drafts: list[Draft] = []
    for number, kind, tags, text in (
        (PROFILE, 0, marks, content),
        (RELAYS, 10002, [*relays, *marks[:1]], ""),
    ):
        own = _own(view, number)
        if own is None or own.gone or _said(own) != (text, tuple(tags)):
            moment = _later(view, number, at)
            drafts.append(
                Draft(account.ref, kind, moment, tuple(tags), text, number=number, detail=_detail(kind, moment))
            )
    return Drafts(tuple(drafts))


def _farewell(activity: Activity, view: View) -> Drafts:
    """The account is gone: relays keep the newest kind 0, so the last one says so and nothing else."""
    at = _later(view, PROFILE, _time(activity, view))
    content = msgspec.json.encode({"about": "This account is no longer bridged.", "deleted": True}).decode()
    tags = tuple(_provenance(view.account.ref, ""))
    draft = Draft(view.account.ref, 0, at, tags, content, number=PROFILE, gone=True, detail=_detail(0, at))
    return Drafts((draft,))


def _there(view: View, target: Ref) -> There:
    there = view.there.get(target)
    if there is None or there.ref is None:
        raise Rejected("nothing stands here for what it is about")
    return there


def _provenance(origin: Ref, url: str) -> list[tuple[str, ...]]:
    """NIP-48, and the original's address, which can be searched for. The bridge's own words are no copies."""
    if origin.network == HOME:
        return []
    return [("proxy", origin.id, origin.network), *([("r", url)] if url else [])]


def _identifier(ref: Ref) -> str:
    """A `d` that stays the same over edits."""
    return hashlib.sha256(str(ref).encode()).hexdigest()[:32]


def _time(activity: Activity, view: View) -> int:
    """A copy is dated like its original, but never into the future."""
    return max(0, int(min(activity.at, view.at)))


def _own(view: View, number: int) -> Copy | None:
    return next((copy for copy in view.own if copy.part == number), None)


def _later(view: View, number: int, at: int) -> int:
    """A time at which a replaceable event takes over from the one before."""
    own = _own(view, number)
    return at if own is None else max(at, _created(own) + 1)


def _created(copy: Copy) -> int:
    return int(copy.detail.get("created_at", "0"))


def _said(copy: Copy) -> tuple[str, tuple[tuple[str, ...], ...]] | None:
    """Content and tags of an event of ours."""
    if not copy.served:
        return None
    event = parse_event(copy.served)
    return event.content, event.tags


def _detail(kind: int, at: int) -> dict[str, str]:
    return {"kind": str(kind), "created_at": str(at)}
