"""Neutral words to records in a ghost's repo. Pure; CIDs are computed here, so all ids are known before they are used.

What is said is a part for `LOCAL` (see `writes`), but a report, which goes to a moderation service.
"""

from dataclasses import replace
from typing import Any, Final

from adapters.atproto import ids, profiles_out, writes
from adapters.atproto.home import Home
from adapters.atproto.moments import spelled
from adapters.atproto.posts_out import place, post
from adapters.atproto.reports_out import report
from adapters.atproto.threads_out import target
from bridged.api import (
    Activity,
    BlobLimit,
    Block,
    Delete,
    Edit,
    Follow,
    Move,
    Outgoing,
    Pin,
    Post,
    Profile,
    React,
    Ref,
    Rejected,
    Report,
    Repost,
    Tally,
    Use,
    View,
    Zap,
)

ACTS: Final = frozenset(
    {"Post", "Edit", "Delete", "Follow", "Block", "React", "Repost", "Zap", "Tally", "Profile", "Move", "Pin", "Report"}
)
_PICTURES: Final = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif"})
_STILLS: Final = frozenset({"image/jpeg", "image/png"})
BLOBS: Final[dict[Use, BlobLimit]] = {
    "image": BlobLimit(2_000_000, _PICTURES),
    "avatar": BlobLimit(1_000_000, _STILLS),
    "banner": BlobLimit(1_000_000, _STILLS),
    "thumb": BlobLimit(1_000_000, _PICTURES),
    "video": BlobLimit(100_000_000, frozenset({"video/mp4"})),
}
"""As the lexicons of embeds and profiles have it; of films, what readers' servers take."""


def encode(activity: Activity, view: View, home: Home) -> Outgoing:
    """Raises Rejected for what has no form here."""
    act = activity.act
    match act:
        case Post(body):
            return post(activity, body, view, home)
        case Edit(body):
            return post(activity, body, view, home, edited=any(not copy.gone for copy in view.previous))
        case Delete():
            return _delete(act, view)
        case React(origin):
            losses = ("a reaction with an emoji is a like here",) if act.content.strip(" +") else ()
            return Outgoing(_about(activity, ids.LIKE, origin, view), losses)
        case Zap(origin):
            losses = (f"a zap of {act.msats // 1000} sats is shown as a like",)
            return Outgoing(_about(activity, ids.LIKE, origin, view), losses)
        case Repost(origin):
            return Outgoing(_about(activity, ids.REPOST, origin, view))
        case Follow(whom):
            return Outgoing(_towards(activity, ids.FOLLOW, whom, view))
        case Block(whom):
            return Outgoing(_towards(activity, ids.BLOCK, whom, view))
        case Tally():
            return _tally(activity, act, view, home)
        case Profile():
            return profiles_out.profile(activity, view)
        case Move(whom):
            return profiles_out.profile(activity, profiles_out.moved(view, whom))
        case Pin():
            return profiles_out.pin(activity, act, view)
        case Report():
            return report(activity, act, view, home)
        case _:
            return Outgoing()


def _about(activity: Activity, collection: str, origin: Ref, view: View) -> tuple[writes.Part, ...]:
    """A like or repost of a post; of the first, where it became several."""
    return _record(activity, collection, target(view, origin).record(), view)


def _towards(activity: Activity, collection: str, whom: Ref, view: View) -> tuple[writes.Part, ...]:
    """A follow or block of an account that is at home here."""
    if whom.network != ids.NETWORK:
        raise Rejected("that account is not from here")
    return _record(activity, collection, whom.id, view)


def _record(activity: Activity, collection: str, subject: Any, view: View) -> tuple[writes.Part, ...]:
    at = min(activity.at, view.at)
    uri = place(view.actor.ref, collection, activity.ref, activity.at)
    return (writes.put(activity.ref, uri, {"$type": collection, "subject": subject, "createdAt": spelled(at)}),)


def _tally(activity: Activity, act: Tally, view: View, home: Home) -> Outgoing:
    """The result of a closed poll takes the place of its answers; until then it is to be had at its home alone."""
    asked = view.subject.act if view.subject is not None else None
    if not act.poll.closed or not isinstance(asked, Post):
        return Outgoing()
    if not any(not copy.gone for copy in view.previous):
        return Outgoing((), ("the poll's result: the poll is not here",))
    return post(activity, replace(asked.body, poll=act.poll), view, home, edited=True)


def _delete(act: Delete, view: View) -> Outgoing:
    if act.target == view.account.ref:
        return profiles_out.farewell(view, final=act.final)
    live = [copy for copy in view.previous if not copy.gone and copy.ref is not None]
    return Outgoing(tuple(writes.withdrawn(copy) for copy in live))
