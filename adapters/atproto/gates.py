"""Who may answer and quote a post: records beside it, under the same key (app.bsky.feed.threadgate, postgate). Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from adapters.atproto import ids, writes
from adapters.atproto.moments import spelled
from bridged.api import Circle, Copy, Gate, Part, PostBody, Ref, View

GATES: Final = 1000
"""Numbers of the parts that are gates: of the thread this, of each post one more than the post's after this."""

_RULES: Final[dict[Circle, str]] = {
    "mentioned": "mentionRule",
    "followers": "followerRule",
    "followed": "followingRule",
}

_CIRCLES: Final[dict[str, Circle]] = {f"{ids.THREADGATE}#{name}": circle for circle, name in _RULES.items()}
_DISABLED: Final = f"{ids.POSTGATE}#disableRule"
MAX_DETACHED: Final = 50
"""Quotes that one postgate may withdraw (lexicon)."""

Record = dict[str, Any]


def gates(body: PostBody, posts: Sequence[Ref], view: View, old: Sequence[Copy]) -> Iterator[Part]:
    """The gates of a post that became `posts`; `old` are the copies of it that stand, gates among them.

    Only the first post of a thread says who may answer.
    """
    wanted: dict[int, tuple[Ref, Record]] = {}
    common = {"createdAt": spelled(min(body.at, view.at))}
    if body.answers is not None and body.reply_to is None:
        rules = [{"$type": f"{ids.THREADGATE}#{_RULES[circle]}"} for circle in body.answers]
        record = {"$type": ids.THREADGATE, "post": posts[0].id, "allow": rules, **common}
        wanted[GATES] = (_beside(posts[0], ids.THREADGATE), record)
    if not body.quotable:
        rules = [{"$type": _DISABLED}]
        for number, post in enumerate(posts, GATES + 1):
            record = {"$type": ids.POSTGATE, "post": post.id, "embeddingRules": rules, **common}
            wanted[number] = (_beside(post, ids.POSTGATE), record)
    known = {copy.part: copy for copy in old if copy.part >= GATES and not copy.gone}
    for number, (uri, record) in wanted.items():
        part = writes.put(body.ref, uri, record, number=number, update=number in known)
        if number not in known or known[number].served != part.served:
            yield part
    yield from (writes.withdrawn(copy) for number, copy in known.items() if number not in wanted)


def _beside(post: Ref, collection: str) -> Ref:
    found = ids.split(post.id)
    assert found is not None, "our own URIs are whole"
    did, _, rkey = found
    return ids.record_ref(did, collection, rkey)


def read_gate(collection: str, post: Ref, record: Mapping[str, Any] | None) -> tuple[Gate, tuple[str, ...]]:
    """What a gate beside `post` says, and the URIs of posts that quote it no more; None is a gate that is gone.

    A threadgate without `allow` lets everybody answer, an empty one nobody. Lists have no form elsewhere: who may
    answer by one alone may not do so there. A postgate forbids quoting by the one rule there is.
    """
    said = record or {}
    if collection == ids.THREADGATE:
        allow = said.get("allow")
        if not isinstance(allow, list):
            return Gate(post, "answers"), ()
        kinds = dict.fromkeys(_kind(rule) for rule in cast(list[Any], allow))
        return Gate(post, "answers", tuple(_CIRCLES[kind] for kind in kinds if kind in _CIRCLES)), ()
    rules, detached = said.get("embeddingRules"), said.get("detachedEmbeddingUris")
    closed = isinstance(rules, list) and any(_kind(rule) == _DISABLED for rule in cast(list[Any], rules))
    listed = cast(list[Any], detached)[:MAX_DETACHED] if isinstance(detached, list) else []
    uris = dict.fromkeys(uri for uri in listed if isinstance(uri, str) and ids.is_post(uri))
    return Gate(post, "quotes", () if closed else None), tuple(uris)


def _kind(rule: Any) -> str:
    kind = cast(dict[str, Any], rule).get("$type") if isinstance(rule, dict) else ""
    return kind if isinstance(kind, str) else ""
