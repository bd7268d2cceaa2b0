"""Events not yet signed, and what all encoders need to make them. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from adapters.nostr.event import parse_event
from bridged.api import HOME, Activity, Copy, Part, Ref, Rejected, There, View

PROFILE, RELAYS, FOLLOWS, BLOCKS, PINS, VANISHED = range(6)
"""Numbers of the parts made for an account itself: kinds 0, 10002, 3, 10000, 10001 and 62."""

_NO_DETAIL: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Draft:
    """An event to be signed by the actor's ghost, and the part it will be.

    With `secret` nobody is to see who says it: a key that is used for nothing else signs. `more` are relays to
    send it to beside our own.
    """

    of: Ref
    kind: int
    at: int
    tags: tuple[tuple[str, ...], ...]
    content: str = ""
    number: int = 0
    gone: bool = False
    detail: Mapping[str, str] = field(default_factory=lambda: _NO_DETAIL)
    secret: bool = False
    more: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Letter:
    """A direct message to be sealed for the key `to` (NIP-17), and the part it will be.

    `relays` are those on which it is looked for; none: our own.
    """

    of: Ref
    to: str
    text: str
    at: int
    reply_to: str = ""
    number: int = 0
    relays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drafts:
    """What an activity becomes, in the order it is to be sent."""

    parts: tuple[Draft | Letter | Part, ...] = ()
    losses: tuple[str, ...] = ()


def time_of(activity: Activity, view: View) -> int:
    """A copy is dated like its original, but never into the future."""
    return max(0, int(min(activity.at, view.at)))


def later(view: View, number: int, at: int) -> int:
    """A time at which a replaceable event takes over from the one before."""
    return after(view, own_copy(view, number), at)


def after(view: View, copy: Copy | None, at: int) -> int:
    """A time at which what is said takes over from `copy`, and from what we may have said and forgotten."""
    return max(at, int(view.not_before), 0 if copy is None else created(copy) + 1)


def own_copy(view: View, number: int) -> Copy | None:
    return next((copy for copy in view.own if copy.part == number), None)


def created(copy: Copy) -> int:
    return int(copy.detail.get("created_at", "0"))


def said(copy: Copy) -> tuple[str, tuple[tuple[str, ...], ...]] | None:
    """Content and tags of an event of ours."""
    if not copy.served:
        return None
    event = parse_event(copy.served)
    return event.content, event.tags


def detail_of(kind: int, at: int) -> dict[str, str]:
    return {"kind": str(kind), "created_at": str(at)}


def there_for(view: View, target: Ref) -> There:
    """What stands here for `target`. Raises Rejected."""
    there = view.there.get(target)
    if there is None or there.ref is None:
        raise Rejected("nothing stands here for what it is about")
    return there


def provenance(origin: Ref, url: str = "") -> list[tuple[str, ...]]:
    """NIP-48, and the original's address, which can be searched for. The bridge's own words are no copies."""
    if origin.network == HOME:
        return []
    return [("proxy", origin.id, origin.network), *([("r", url)] if url else [])]


def identifier(ref: Ref) -> str:
    """A `d` that stays the same over edits."""
    return hashlib.sha256(str(ref).encode()).hexdigest()[:32]
