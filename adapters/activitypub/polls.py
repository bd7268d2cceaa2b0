"""Polls: Questions, votes in them, and their results, both ways. Pure.

A Question's answers have no ids of their own: a vote names one, so `Option.id` is the name.
"""

from typing import Any

from adapters.activitypub.documents import Document
from adapters.activitypub.ids import native
from adapters.activitypub.reading import Object
from adapters.activitypub.shapes import (
    count,
    embedded,
    ident,
    idents,
    many,
    natural,
    objects,
    origin,
    text,
    types,
    when,
)
from adapters.activitypub.texts import plain_of
from adapters.activitypub.times import timestamp
from bridged.api import Malformed, Option, Poll, Ref, Vote

MAX_OPTIONS = 32
MAX_OPTION = 500
"""Longest answer, in characters."""


def poll_of(source: Object, received_at: float) -> Poll | None:
    """The poll that a Question holds; None for what offers no answers."""
    if "Question" not in types(source):
        return None
    multiple = not many(source.get("oneOf"))
    offered: dict[str, Option] = {}
    for item in objects(source.get("anyOf" if multiple else "oneOf")):
        name = natural(item, "name")[0].strip()[:MAX_OPTION]
        if name and len(offered) < MAX_OPTIONS:
            votes = count((embedded(item.get("replies")) or {}).get("totalItems"))
            offered.setdefault(name, Option(name, name, votes))
    if not offered:
        return None
    closed = when(source.get("closed"))
    votes = 0 if multiple else sum(option.votes for option in offered.values())
    return Poll(
        options=tuple(offered.values()),
        multiple=multiple,
        ends=when(source.get("endTime")) or closed,
        closed=source.get("closed") is True or (closed is not None and closed <= received_at),
        voters=count(source.get("votersCount")) or votes,
    )


def is_vote(source: Object) -> bool:
    """Whether a Note is a vote: a name that answers something, and no words. snac gives it a lone line break."""
    if "Note" not in types(source) or not text(source.get("name")) or not ident(source.get("inReplyTo")):
        return False
    return not source.get("attachment") and not plain_of(natural(source, "content")[0]).strip()


def vote_of(value: Any, actor: Ref) -> Vote | None:
    """The vote that the object of a Create is, or the objects: GoToSocial lists one for each choice.

    Raises Malformed: foreign_object.
    """
    ballots = [*objects(value)]
    if not ballots or len(ballots) > MAX_OPTIONS or not all(map(is_vote, ballots)):
        return None
    if any(actor.id not in idents(ballot.get("attributedTo")) for ballot in ballots):
        raise Malformed("foreign_object")
    polls = {ident(ballot.get("inReplyTo")) for ballot in ballots}
    poll = polls.pop()
    if polls or not origin(poll):
        return None
    names = dict.fromkeys(text(ballot.get("name")).strip()[:MAX_OPTION] for ballot in ballots)
    return Vote(native(poll), tuple(name for name in names if name), named=True)


def question(poll: Poll, at: float) -> Document:
    """What makes a note a Question; `at` is when it is said (seconds)."""
    offered = [
        {"type": "Note", "name": option.name, "replies": {"type": "Collection", "totalItems": option.votes}}
        for option in poll.options
    ]
    document: Document = {
        "type": "Question",
        "anyOf" if poll.multiple else "oneOf": offered,
        "votersCount": poll.voters,
    }
    if poll.ends is not None:
        document["endTime"] = timestamp(poll.ends)
    if poll.closed:
        document["closed"] = timestamp(at if poll.ends is None else min(poll.ends, at))
    return document


def counted(served: Document, poll: Poll, at: float) -> Document:
    """A served Question with its votes counted anew: answers keep their order and words, new ones are left out."""
    anew = question(poll, at)
    votes = {option.name: option.votes for option in poll.options}
    for name in ("oneOf", "anyOf"):
        if name in served:
            anew[name] = [
                {**item, "replies": {"type": "Collection", "totalItems": votes.get(item["name"], 0)}}
                for item in served[name]
            ]
        else:
            anew.pop(name, None)
    return {**served, **anew}
