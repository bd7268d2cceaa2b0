"""The rarer acts as ActivityPub activities: votes, results, reports, pins, moves, messages, consent to quotes. Pure."""

from adapters.activitypub import controls, quotes
from adapters.activitypub.documents import Document, actor_document, create_of, dump
from adapters.activitypub.html import to_html
from adapters.activitypub.ids import NETWORK, Urls, collection, native
from adapters.activitypub.notes import linked, mention, person
from adapters.activitypub.polls import counted
from adapters.activitypub.saying import actor_of, bare, begun, endpoints, kept, said, standing, told
from adapters.activitypub.shapes import PUBLIC
from bridged.api import (
    Accept,
    Activity,
    Approve,
    Gate,
    Message,
    Move,
    Outgoing,
    Part,
    Pin,
    Post,
    QuoteRequest,
    Reject,
    Rejected,
    Report,
    Tally,
    There,
    View,
    Vote,
    Zap,
)


def vote(act: Vote, activity: Activity, view: View, urls: Urls) -> Outgoing:
    """One Note for each choice, to the poll's author alone. Raises Rejected."""
    there = view.there.get(act.target)
    poll = view.subject.act.body.poll if view.subject and isinstance(view.subject.act, Post) else None
    if there is None or there.ref is None or poll is None:
        raise Rejected("no_poll_to_vote_in")
    chosen = [option.name for option in poll.options if {option.id, option.name} & {*act.choices}]
    if not chosen:
        raise Rejected("no_such_option")
    author = actor_of(there.author, view, urls)
    parts: list[Part] = []
    for number, name in enumerate(chosen if poll.multiple else chosen[:1]):
        start = begun("Note", urls.ballot(activity.ref, number), activity, view)
        ballot: Document = {
            "id": start["id"],
            "type": "Note",
            "attributedTo": start["actor"],
            "published": start["published"],
            "to": [author],
            "cc": [],
            "inReplyTo": there.ref.id,
            "name": name,
        }
        parts.append(told(activity, create_of(ballot, urls), endpoints(view, author), number))
    lost = len(chosen) - len(parts)
    return Outgoing(tuple(parts), ("this poll takes one choice alone",) if lost else ())


def tally(act: Tally, activity: Activity, view: View, urls: Urls) -> Outgoing:
    """The Question as it stands, with its votes counted anew. Raises Rejected."""
    document = standing(view.previous)
    if document is None or document["type"] != "Question":
        raise Rejected("no_poll_here")
    return _amended(act, activity, view, counted(document, act.poll, min(activity.at, view.at)), urls)


def approve(act: Approve, activity: Activity, view: View, urls: Urls) -> Outgoing:
    """The quoting post, with the proof that it may quote, or without it any longer (FEP-044f). Raises Rejected."""
    document = standing(view.previous)
    if document is None or "quote" not in document:
        raise Rejected("no_quote_here")
    if not act.proof:
        document.pop("quoteAuthorization", None)
        return _amended(act, activity, view, document, urls)
    return _amended(act, activity, view, {**document, "quoteAuthorization": act.proof}, urls)


def gate(act: Gate, activity: Activity, view: View, urls: Urls) -> Outgoing:
    """The post with its `interactionPolicy` as it is now. Raises Rejected."""
    document, subject = standing(view.previous), view.subject
    if document is None or subject is None or not isinstance(subject.act, Post):
        raise Rejected("the_post_is_not_here")
    policy = controls.policy(subject.act.body, view.actor.ref.id)
    return _amended(act, activity, view, {**document, "interactionPolicy": policy}, urls)


def _amended(act: Tally | Approve | Gate, activity: Activity, view: View, document: Document, urls: Urls) -> Outgoing:
    """An Update without `updated`: facts beside the words have changed, the words have not."""
    update: Document = {
        **begun("Update", urls.caused("update", act.target, activity.ref), activity, view),
        "to": document["to"],
        "cc": document["cc"],
        "object": document,
    }
    changed = Part(
        of=act.target,
        ref=native(document["id"]),
        body=dump(update),
        served=dump(document),
        endpoints=endpoints(view),
    )
    return Outgoing((changed, kept(activity.ref, bare(update))))


def answer_quote(act: Accept | Reject, activity: Activity, view: View, urls: Urls) -> Outgoing:
    """The answer to a QuoteRequest; a yes comes with the stamp that others can check. Raises Rejected."""
    asked = view.subject
    if asked is None or not isinstance(asked.act, QuoteRequest):
        raise Rejected("nothing_to_answer")
    there = view.there.get(asked.act.target)
    if there is None or there.ref is None:
        raise Rejected("the_quoted_post_is_not_here")
    yes = isinstance(act, Accept)
    document: Document = {
        **begun(
            "Accept" if yes else "Reject",
            urls.caused("accept" if yes else "reject", asked.ref, activity.ref),
            activity,
            view,
        ),
        "to": [asked.actor.id],
        "object": {
            "id": asked.ref.id,
            "type": "QuoteRequest",
            "actor": asked.actor.id,
            "object": there.ref.id,
            "instrument": asked.act.quote.id,
        },
    }
    if not yes:
        return said(activity, document, view)
    stamp = quotes.authorization(
        urls.caused("approval", asked.ref, activity.ref), view.actor.ref.id, asked.act.quote.id, there.ref.id
    )
    out = said(activity, {**document, "result": stamp["id"]}, view)
    return Outgoing((*out.parts, kept(activity.ref, stamp, 1)), out.losses)


def zap(act: Zap, activity: Activity, view: View, urls: Urls) -> Outgoing:
    """A Like, since nothing is paid here. Raises Rejected."""
    there = _there(act, view)
    document: Document = {
        **begun("Like", urls.activity(activity.ref), activity, view),
        "to": [actor_of(there.author, view, urls)],
        "object": there.ref.id if there.ref else "",
    }
    return said(activity, document, view, f"a zap of {act.msats // 1000} sats is shown as a like")


def report(act: Report, activity: Activity, view: View, urls: Urls) -> Outgoing:
    """A Flag for those who moderate where the account lives. Raises Rejected."""
    if act.target.network != NETWORK:
        raise Rejected("that_account_is_not_from_here")
    posts = [
        there.ref.id for post in act.posts if (there := view.there.get(post)) is not None and there.ref is not None
    ]
    reason = "" if act.reason == "other" else act.reason
    document: Document = {
        **begun("Flag", urls.activity(activity.ref), activity, view),
        "object": [act.target.id, *posts],
        "content": ": ".join(part for part in (reason, act.text) if part),
    }
    return Outgoing((told(activity, document, endpoints(view, act.target.id)),))


def pin(act: Pin, activity: Activity, view: View, urls: Urls) -> Outgoing:
    """Add to the featured posts, or Remove from them. Raises Rejected."""
    there = _there(act, view)
    actor = view.actor.ref.id
    document: Document = {
        **begun("Add" if act.pinned else "Remove", urls.activity(activity.ref), activity, view),
        "to": [PUBLIC],
        "cc": [collection(actor, "followers")],
        "object": there.ref.id if there.ref else "",
        "target": f"{actor}/collections/featured",
    }
    return said(activity, document, view)


def move(act: Move, activity: Activity, view: View, urls: Urls, domain: str, public_pem: str) -> Outgoing:
    """Tells followers where the actor goes on, and says so on the actor itself. Raises Rejected."""
    new = person(act.target, view, domain)
    if new is None:
        raise Rejected("the_new_account_is_not_here")
    actor = view.actor.ref.id
    shown = standing(view.own) or actor_document(
        view.actor, view.account, urls, public_pem, lambda ref: linked(ref, view, domain)
    )
    document: Document = {
        **begun("Move", urls.activity(activity.ref), activity, view),
        "to": [collection(actor, "followers")],
        "object": actor,
        "target": new.actor,
    }
    out = said(activity, document, view)
    return Outgoing((kept(view.account.ref, {**shown, "movedTo": new.actor}), *out.parts))


def message(act: Message, activity: Activity, view: View, urls: Urls, domain: str) -> Outgoing:
    """A Note for those addressed alone. Raises Rejected."""
    people = [who for ref in act.to if (who := person(ref, view, domain)) is not None]
    if not people:
        raise Rejected("nobody_to_tell")
    start = begun("Note", urls.object(activity.ref), activity, view)
    content = to_html(act.text, lambda ref: linked(ref, view, domain), urls.tag)
    document: Document = {
        "id": start["id"],
        "type": "Note",
        "attributedTo": start["actor"],
        "published": start["published"],
        "to": [who.actor for who in people],
        "cc": [],
        "content": content,
        "tag": [mention(who) for who in people],
    }
    if act.reply_to is not None and act.reply_to.network == NETWORK:
        document["inReplyTo"] = act.reply_to.id
    to = endpoints(view, *document["to"])
    return Outgoing((told(activity, create_of(document, urls), to),))


def _there(act: Zap | Pin, view: View) -> There:
    there = view.there.get(act.target)
    if there is None or there.ref is None:
        raise Rejected("the_post_is_not_here")
    return there
