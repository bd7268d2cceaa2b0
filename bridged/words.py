"""Rewrites the refs in an activity (pure): a ghost's becomes its owner's, a copy's its origin's.

So behind this point every ref is of the network where the person or the post is at home.
"""

from collections.abc import Callable
from dataclasses import replace

from bridged.model import (
    Accept,
    Activity,
    Approve,
    Block,
    BlockList,
    Delete,
    Edit,
    Follow,
    FollowList,
    Gate,
    Message,
    Move,
    Pin,
    PinList,
    Post,
    PostBody,
    QuoteRequest,
    React,
    Ref,
    Reject,
    Report,
    Repost,
    Tally,
    Text,
    Vote,
    Zap,
)

Resolve = Callable[[Ref], Ref]


def canonical(activity: Activity, person: Resolve, thing: Resolve) -> Activity:
    """`activity` with accounts passed through `person` and posts and acts through `thing`."""
    act = activity.act
    match act:
        case Post(body):
            act = Post(_body(body, person, thing))
        case Edit(body):
            act = Edit(_body(body, person, thing))
        case Follow(target) | Block(target):
            act = replace(act, target=person(target))
        case FollowList(targets) | BlockList(targets):
            act = replace(act, targets=_each(person, targets))
        case PinList(targets):
            act = PinList(_each(thing, targets))
        case Accept(target) | Reject(target) | React(target) | Repost(target) | Vote(target) | Zap(target):
            act = replace(act, target=thing(target))
        case Tally(target) | Pin(target) | Approve(target) | Gate(target):
            act = replace(act, target=thing(target))
        case QuoteRequest(target, quote):
            act = QuoteRequest(thing(target), thing(quote))
        case Report(target, posts):
            act = replace(act, target=person(target), posts=_each(thing, posts))
        case Message(to):
            act = replace(act, to=_each(person, to))
        case Delete() | Move() | _:
            # whose a Delete's target is, is looked up before; who moves stays on their own network
            pass
    return replace(activity, act=act)


def _each(resolve: Resolve, refs: tuple[Ref, ...]) -> tuple[Ref, ...]:
    return tuple(dict.fromkeys(map(resolve, refs)))


def _body(body: PostBody, person: Resolve, thing: Resolve) -> PostBody:
    return replace(
        body,
        text=_text(body.text, person),
        reply_to=thing(body.reply_to) if body.reply_to else None,
        root=thing(body.root) if body.root else None,
        quote=thing(body.quote) if body.quote else None,
        mentions=tuple(dict.fromkeys(person(m) for m in body.mentions)),
    )


def _text(text: Text, person: Resolve) -> Text:
    spans = (
        replace(s, target=person(s.target)) if s.kind == "mention" and isinstance(s.target, Ref) else s
        for s in text.spans
    )
    return Text(text.plain, tuple(spans))


def body_of(activity: Activity) -> PostBody | None:
    """The post that an activity makes or changes."""
    return activity.act.body if isinstance(activity.act, Post | Edit) else None


def posts_in(activity: Activity) -> tuple[Ref, ...]:
    """The posts an activity is about or answers, nearest first."""
    act = activity.act
    if isinstance(act, React | Repost | Zap | Vote | Pin | Tally | Approve | Gate):
        return (act.target,)
    if isinstance(act, QuoteRequest):
        return (act.target, act.quote)
    if isinstance(act, Report):
        return act.posts
    body = body_of(activity)
    if body is None:
        return ()
    found = (body.reply_to, body.quote, body.root)
    return tuple(dict.fromkeys(r for r in found if r is not None))


def people_in(activity: Activity) -> tuple[Ref, ...]:
    """The accounts an activity names, authors of posts apart."""
    act = activity.act
    if isinstance(act, Follow | Block | Report | Move):
        return (act.target,)
    if isinstance(act, Message):
        return act.to
    body = body_of(activity)
    return tuple(dict.fromkeys(body.text.mentions() + body.mentions)) if body else ()
