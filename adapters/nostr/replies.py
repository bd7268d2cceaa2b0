"""The tags that tie a post to others: NIP-10 for notes, NIP-22 for comments on anything else. Pure."""

from dataclasses import dataclass, field
from typing import Final

from adapters.nostr import ids
from adapters.nostr.home import Home
from bridged.api import PostBody, Ref, There, View

MAX_KEYS: Final = 50
"""Accounts one post may name."""

Tags = list[tuple[str, ...]]
_NO_DETAIL: Final[dict[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Thread:
    """`keys` go into `p` tags, `detail` is for who answers this, `orphan` says that the parent is missing."""

    kind: int = 1
    tags: tuple[tuple[str, ...], ...] = ()
    keys: tuple[str, ...] = ()
    detail: dict[str, str] = field(default_factory=lambda: _NO_DETAIL)
    orphan: bool = False


def thread_of(body: PostBody, view: View, home: Home) -> Thread:
    """How the post is tied to what it answers."""
    if body.reply_to is None:
        return Thread()
    parent = view.there.get(body.reply_to)
    if parent is None or parent.ref is None:
        return Thread(orphan=True)
    return under(parent, body.root, view, home)


def under(parent: There, root: Ref | None, view: View, home: Home) -> Thread:
    """How an answer is tied to `parent`; `root` is the origin of the thread's first post, if that is known."""
    if kind_of(parent) == "1":
        return _note(root, parent, view, home)
    return _comment(parent, view, home)


def kind_of(there: There) -> str:
    """The kind of the event that stands there."""
    if there.ref is not None and (coordinates := ids.split_address(there.ref.id)) is not None:
        return str(coordinates[0])
    return there.detail.get("kind", "1")


def hint(there: There, view: View, home: Home) -> str:
    """A relay that has it: ours for what we made, else where it was heard, else one that its author writes to."""
    if there.parts:
        return next(iter(home.public_relays), "")
    return there.detail.get("relay") or written_to(there.author, view) or next(iter(home.relays), "")


def written_to(account: Ref, view: View) -> str:
    """A relay that a native account writes to (NIP-65), "" when none is known."""
    known = view.accounts.get(account)
    return next(iter(known.detail.get("write", "").split()), "") if known is not None else ""


def pointers(there: There, view: View, home: Home) -> Tags:
    """The `e` and `a` tags that name one event, with relay and author."""
    if there.ref is None:
        return []
    place, author = hint(there, view, home), there.author.id
    if ids.split_address(there.ref.id) is None:
        return [("e", there.ref.id, place, author)]
    tags: Tags = [("a", there.ref.id, place, author)]
    if "event" in there.detail:
        tags.insert(0, ("e", there.detail["event"], place, author))
    return tags


def _note(root: Ref | None, parent: There, view: View, home: Home) -> Thread:
    """NIP-10: an answer to the root names it once; a deeper one names root and parent."""
    parent_id, place, author = parent.ref.id if parent.ref else "", hint(parent, view, home), parent.author.id
    root_id, root_author, root_place = _root(root, parent, view, home)
    if root_id in ("", parent_id):
        root_id, root_author = parent_id, author
        tags: Tags = [("e", parent_id, place, "root", author)]
    else:
        first = ("e", root_id, root_place, "root")
        tags = [(*first, root_author) if root_author else first, ("e", parent_id, place, "reply", author)]
    named = [key for key in parent.detail.get("p", "").split(",") if ids.is_hex(key)]
    return Thread(
        kind=1,
        tags=tuple(tags),
        keys=tuple(dict.fromkeys((author, *named))),
        detail={"root": root_id, "root_author": root_author},
    )


def _root(root: Ref | None, parent: There, view: View, home: Home) -> tuple[str, str, str]:
    """Id, author and relay of the thread's first note: what the parent says, unless we have replaced that since."""
    origin = root or parent.root
    known = view.there.get(origin) if origin is not None else None
    named = parent.detail.get("root", "")
    if (
        known is not None
        and known.ref is not None
        and kind_of(known) == "1"
        and (known.parts or named in ("", known.ref.id))
    ):
        return known.ref.id, known.author.id, hint(known, view, home)
    return (named, parent.detail.get("root_author", ""), hint(parent, view, home)) if named else ("", "", "")


def _comment(parent: There, view: View, home: Home) -> Thread:
    """NIP-22: the root in capitals, the parent in small letters."""
    kind, place = kind_of(parent), hint(parent, view, home)
    lower = pointers(parent, view, home)
    facts = parent.detail
    if kind == "1111" and "root_id" in facts:
        name, root_kind, root_author = (
            facts["root_tag"],
            facts.get("root_kind", ""),
            facts.get("root_author", ""),
        )
        root_id = facts["root_id"]
    else:
        by_address = parent.ref is not None and ids.split_address(parent.ref.id) is not None
        name, root_kind, root_author = "A" if by_address else "E", kind, parent.author.id
        root_id = parent.ref.id if parent.ref else ""
    upper: Tags = [(name, root_id) if name == "I" else (name, root_id, place)]
    if root_author and name != "I":
        upper = [(*upper[0], root_author)]
    upper.append(("K", root_kind))
    if root_author:
        upper.append(("P", root_author))
    return Thread(
        kind=1111,
        tags=(*upper, *lower, ("k", kind), ("p", parent.author.id)),
        keys=(parent.author.id,),
        detail={"root_tag": name, "root_id": root_id, "root_kind": root_kind, "root_author": root_author},
    )
