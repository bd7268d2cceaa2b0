"""Neutral words as JSON to read and compare, and what of them must survive a crossing."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, cast

from bridged.model import (
    Activity,
    Block,
    BlockList,
    Delete,
    Edit,
    Follow,
    FollowList,
    Gate,
    Pin,
    PinList,
    Post,
    PostBody,
    Profile,
    Ref,
    Text,
    Vote,
)

_SPOKEN = frozenset({"mention", "link", "tag", "emoji"})
_LISTS: Mapping[str, str] = {"Follow": "FollowList", "Block": "BlockList", "Pin": "PinList"}


def shown(activity: Activity, hidden: frozenset[str] = frozenset()) -> dict[str, Any]:
    """An activity as JSON: defaults left out, refs as `network:id`, spans as `start-end kind target`.

    What a post's body repeats of its activity is left out too, and so are facts of `detail` named in `hidden`.
    """
    found: dict[str, Any] = {
        "act": type(activity.act).__name__,
        "ref": str(activity.ref),
        "actor": str(activity.actor),
        "at": activity.at,
    }
    if activity.mark:
        found["mark"] = activity.mark
    said = {f.name: _plain(getattr(activity.act, f.name), hidden) for f in _told(activity.act)}
    body: dict[str, Any] = said.get("body", {})
    for name, whole in (("ref", "ref"), ("author", "actor"), ("at", "at"), ("mark", "mark")):
        if name in body and body[name] == found.get(whole):
            del body[name]
    return found | said


def _plain(value: object, hidden: frozenset[str]) -> Any:
    if isinstance(value, Ref):
        return str(value)
    if isinstance(value, Text):
        spans = [f"{s.start}-{s.end} {s.kind} {s.target or ''}".rstrip() for s in value.spans]
        return {"plain": value.plain, "spans": spans} if spans else value.plain
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name), hidden) for f in _told(value)}
    if isinstance(value, Mapping):
        facts = cast(Mapping[str, object], value)
        return {name: _plain(fact, hidden) for name, fact in facts.items() if name not in hidden}
    if isinstance(value, tuple):
        items = cast(tuple[object, ...], value)
        return [_plain(item, hidden) for item in items]
    return value


def _told(value: Any) -> Iterable[Any]:
    """The fields that say something other than their default."""
    for each in fields(value):
        default: object = each.default
        if default is MISSING:
            default = MISSING if each.default_factory is MISSING else each.default_factory()
        if getattr(value, each.name) != default:
            yield each


def meaning(activity: Activity) -> dict[str, Any]:
    """What must survive, by name. Refs are expected to be of home networks already (`words.canonical`)."""
    act = activity.act
    kind = type(act).__name__
    match act:
        case Post(body) | Edit(body):
            return {"act": kind, **_post(body)}
        case Profile(account):
            names = ("name", "avatar", "banner", "bot", "group", "fields", "emojis", "locked", "moved", "indexable")
            told = {name: _plain(getattr(account, name), frozenset()) for name in (*names, "discoverable", "same_as")}
            return {"act": kind, "bio": _words(account.bio), **told}
        case Vote(target, choices, named):
            return {"act": kind, "target": str(target), "choices": list(choices), "named": named}
        case _:
            return {"act": kind, **{f.name: _plain(getattr(act, f.name), frozenset()) for f in fields(act)}}


def _post(body: PostBody) -> dict[str, Any]:
    text = body.text
    inner = text.targets("mention")
    poll = body.poll
    return {
        "text": _words(text),
        "mentions": sorted(map(str, inner)),
        "addressed": sorted({str(ref) for ref in body.mentions} - set(map(str, inner))),
        "links": sorted({_address(str(t)) for t in text.targets("link")}),
        "tags": sorted(tag.casefold() for tag in body.hashtags()),
        "emojis": sorted((text.plain[s.start : s.end], str(s.target)) for s in text.spans if s.kind == "emoji"),
        "styles": [(s.kind, text.plain[s.start : s.end]) for s in text.spans if s.kind not in _SPOKEN],
        **{
            f"media.{name}": [_plain(getattr(item, name), frozenset()) for item in body.media]
            for name in ("url", "type", "alt", "size", "blurhash", "sha256", "focus", "preview", "seconds")
        },
        **{name: str(getattr(body, name) or "") for name in ("reply_to", "root", "quote")},
        **{name: getattr(body, name) for name in ("title", "summary", "image", "warning", "lang", "audience")},
        "sensitive": body.sensitive or bool(body.warning),
        "expires": body.expires,
        "answers": body.answers and sorted(body.answers),
        "quotable": body.quotable,
        "poll.options": [option.name for option in poll.options] if poll else None,
        "poll.votes": [option.votes for option in poll.options] if poll else None,
        "poll.multiple": poll.multiple if poll else None,
        "poll.ends": poll.ends if poll else None,
    }


def _words(text: Text) -> str:
    """The letters, those of mentions and links left out, since each network writes them its own way."""
    out, end = "", 0
    for span in text.spans:
        if span.kind in ("mention", "link") and span.start >= end:
            out += text.plain[end : span.start] + ("⟨@⟩" if span.kind == "mention" else "⟨link⟩")
            end = span.end
    out += text.plain[end:]
    return re.sub(r"[ \t\u00a0]*\n[ \t\u00a0]*", "\n", out).strip()


def _address(url: str) -> str:
    return url.rstrip("/")


def changes(said: Activity, back: Iterable[Activity]) -> list[str]:
    """The names of what did not survive, of `said` against what was read `back` from our own output.

    A list that replaces another says what a single follow, block or pin says if it names the target; an edit may
    come back as a new post, and who may answer or quote a post as an edit of it. ["act"] when nothing of the kind came
    back at all.
    """
    found = list(back)
    kind = type(said.act).__name__
    for each in found:
        inner = each.act
        if isinstance(inner, FollowList | BlockList | PinList) and _LISTS.get(kind) == type(inner).__name__:
            assert isinstance(said.act, Follow | Block | Pin)
            listed = said.act.target in inner.targets
            return [] if listed == (not isinstance(said.act, Pin) or said.act.pinned) else ["target"]
        if isinstance(inner, FollowList | BlockList) and isinstance(said.act, Delete):
            return []
        if isinstance(inner, Edit) and isinstance(said.act, Gate):
            return [] if _post(said.act.on(inner.body)) == _post(inner.body) else [said.act.what]
    same = [each for each in found if type(each.act) is type(said.act)]
    same = same or [each for each in found if kind == "Edit" and isinstance(each.act, Post)]
    if not same:
        return ["act"]
    before, after = meaning(said), meaning(same[0])
    if kind == "Edit":
        after["act"] = kind
    if before.get("reply_to") == after.get("reply_to") != "":
        before.pop("root", None)  # it follows from the parent
    return [name for name, value in before.items() if not _kept(name, value, after.get(name))]


def _kept(name: str, before: Any, after: Any) -> bool:
    """More than was said is no loss: an author who is told of an answer, a field or a line that says whence it is."""
    if name in ("addressed", "fields", "same_as"):
        return all(each in after for each in before)
    return after.startswith(before) if name == "bio" else before == after or (name == "image" and not before)
