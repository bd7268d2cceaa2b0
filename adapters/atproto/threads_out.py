"""How a post of ours is tied to others: strongRefs to what it answers and quotes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.atproto import ids
from adapters.atproto.gates import GATES
from bridged.api import PostBody, Ref, Rejected, There, View


@dataclass(frozen=True, slots=True)
class Strong:
    """com.atproto.repo.strongRef: a record as it was when it was named."""

    uri: str
    cid: str

    def record(self) -> dict[str, Any]:
        return {"uri": self.uri, "cid": self.cid}


@dataclass(frozen=True, slots=True)
class Thread:
    """`parent` and `root` of an answer, None for none; `orphan` says that what it answers is not here."""

    parent: Strong | None = None
    root: Strong | None = None
    orphan: bool = False

    def after(self, post: Strong) -> "Thread":
        """Where the next post of the same thread belongs."""
        return Thread(post, self.root or post)

    def record(self) -> dict[str, Any] | None:
        """app.bsky.feed.post#replyRef."""
        if self.parent is None or self.root is None:
            return None
        return {"root": self.root.record(), "parent": self.parent.record()}


def thread_of(body: PostBody, view: View) -> Thread:
    """An answer to what became several posts here comes behind the last of them, where their reader ends."""
    if body.reply_to is None:
        return Thread()
    there = view.there.get(body.reply_to)
    if there is None:
        return Thread(orphan=True)
    uri, detail = there.ref.id if there.ref else "", there.detail
    last = max((c for c in there.parts if not c.gone and c.ref and c.part < GATES), key=lambda c: c.part, default=None)
    if last is not None and last.ref is not None:
        uri, detail = last.ref.id, last.detail
    parent = _strong(uri, detail)
    if parent is None:
        return Thread(orphan=True)
    return Thread(parent, _strong(detail.get("root", ""), {"cid": detail.get("root_cid", "")}) or parent)


def strong(there: There | None) -> Strong | None:
    """What stands there, the first post where it became several; None where nothing can be named."""
    if there is None or there.ref is None:
        return None
    return _strong(there.ref.id, there.detail)


def target(view: View, origin: Ref) -> Strong:
    """Raises Rejected where nothing stands here for the post `origin`."""
    found = strong(view.there.get(origin))
    if found is None:
        raise Rejected("nothing stands here for what it is about")
    return found


def _strong(uri: str, detail: Mapping[str, str]) -> Strong | None:
    """An article is answered and liked by way of the post that tells of it, if one does."""
    uri, cid = (detail["post"], detail["post_cid"]) if "post" in detail else (uri, detail.get("cid", ""))
    return Strong(uri, cid) if cid and ids.is_post(uri) else None
