"""Acts to ActivityPub activities. Pure: no I/O, no clock, no randomness.

A part that withdraws or changes an earlier copy carries the activity that says so as its `body`, and beside
it a part of its own, stored only, keeps that activity readable under its id.
"""

from dataclasses import dataclass

from adapters.activitypub import acts, quotes
from adapters.activitypub.documents import Document, actor_document, create_of, dump, emoji, tombstone
from adapters.activitypub.ids import NETWORK, Urls, collection, native
from adapters.activitypub.notes import audience, linked, note, person
from adapters.activitypub.saying import actor_of, bare, begun, endpoints, kept, said, standing
from adapters.activitypub.shapes import PUBLIC, origin
from adapters.activitypub.times import timestamp
from bridged.api import (
    Accept,
    Activity,
    Approve,
    Block,
    Delete,
    Edit,
    Follow,
    Gate,
    Message,
    Move,
    Outgoing,
    Part,
    Pin,
    Post,
    PostBody,
    Profile,
    QuoteRequest,
    React,
    Ref,
    Reject,
    Rejected,
    Report,
    Repost,
    Tally,
    View,
    Vote,
    Zap,
)

ACTS = frozenset(
    {
        "Accept", "Approve", "Block", "Delete", "Edit", "Follow", "Gate", "Message", "Move", "Pin", "Post", "Profile",
        "React", "Reject", "Report", "Repost", "Tally", "Vote", "Zap",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Encoder:
    """Says things as our ghosts. `public_pem` is the key all of them share."""

    urls: Urls
    domain: str
    public_pem: str

    def encode(self, activity: Activity, view: View) -> Outgoing:
        """As `Sink.encode`. Raises Rejected."""
        match activity.act:
            case Post():
                return self._post(activity.act, activity, view)
            case Edit():
                return self._edit(activity.act, activity, view)
            case Delete():
                return self._delete(activity.act, activity, view)
            case Follow():
                return self._follow(activity.act, activity, view)
            case Accept() | Reject():
                return self._answer(activity.act, activity, view)
            case React():
                return self._react(activity.act, activity, view)
            case Repost():
                return self._repost(activity.act, activity, view)
            case Profile():
                return self._profile(activity.act, activity, view)
            case Block():
                return self._block(activity.act, activity, view)
            case _:
                return self._rarer(activity, view)

    def _rarer(self, activity: Activity, view: View) -> Outgoing:
        match activity.act:
            case Vote():
                return acts.vote(activity.act, activity, view, self.urls)
            case Tally():
                return acts.tally(activity.act, activity, view, self.urls)
            case Zap():
                return acts.zap(activity.act, activity, view, self.urls)
            case Report():
                return acts.report(activity.act, activity, view, self.urls)
            case Pin():
                return acts.pin(activity.act, activity, view, self.urls)
            case Gate():
                return acts.gate(activity.act, activity, view, self.urls)
            case Approve():
                return acts.approve(activity.act, activity, view, self.urls)
            case Move():
                return acts.move(activity.act, activity, view, self.urls, self.domain, self.public_pem)
            case Message():
                return acts.message(activity.act, activity, view, self.urls, self.domain)
            case _:
                raise Rejected("has no form on ActivityPub")

    def _post(self, act: Post, activity: Activity, view: View) -> Outgoing:
        document, losses = note(act.body, view, self.urls, self.domain)
        document, asked = self._quoting(act.body, document, view)
        part = Part(
            of=activity.ref,
            ref=native(document["id"]),
            body=dump(create_of(document, self.urls)),
            served=dump(document),
            endpoints=endpoints(view),
        )
        return Outgoing((part, *asked), tuple(losses))

    def _edit(self, act: Edit, activity: Activity, view: View) -> Outgoing:
        document, losses = note(act.body, view, self.urls, self.domain)
        old = standing(view.previous) or {}
        asked: tuple[Part, ...] = ()
        if old.get("quote") != document.get("quote"):
            document, asked = self._quoting(act.body, document, view)
        elif "quoteAuthorization" in old:
            document["quoteAuthorization"] = old["quoteAuthorization"]
        document["updated"] = timestamp(min(activity.at, view.at))
        update: Document = {
            **begun("Update", self.urls.caused("update", act.body.ref, activity.ref), activity, view),
            "to": document["to"],
            "cc": document["cc"],
            "object": document,
        }
        changed = Part(
            of=act.body.ref,
            ref=native(document["id"]),
            body=dump(update),
            served=dump(document),
            endpoints=endpoints(view),
        )
        return Outgoing((changed, *asked, kept(activity.ref, bare(update))), tuple(losses))

    def _quoting(self, body: PostBody, document: Document, view: View) -> tuple[Document, tuple[Part, ...]]:
        """The note with leave to quote where it is ours to give, else what asks the author for it (FEP-044f).

        Either is the note's second part.
        """
        quoted = view.there.get(body.quote) if body.quote else None
        if quoted is None or quoted.ref is None or quoted.author == view.actor.ref:
            return document, ()
        if quoted.ref.network == NETWORK and not self.urls.owns(quoted.ref.id):
            request = quotes.request(document, body.ref, quoted.ref, quoted.author, self.urls)
            asked = Part(
                of=body.ref,
                ref=native(request["id"]),
                body=dump(request),
                served=dump(bare(request, "instrument")),
                endpoints=endpoints(view, quoted.author.id),
                number=1,
            )
            return document, (asked,)
        stamp = quotes.authorization(
            self.urls.caused("approval", quoted.ref, body.ref),
            actor_of(quoted.author, view, self.urls),
            document["id"],
            quoted.ref.id,
        )
        return {**document, "quoteAuthorization": stamp["id"]}, (kept(body.ref, stamp, 1),)

    def _delete(self, act: Delete, activity: Activity, view: View) -> Outgoing:
        actor = view.actor.ref.id
        leaving = act.target == view.account.ref
        subject = view.subject
        if subject is not None and not leaving and not isinstance(subject.act, Post):
            return self._undo(act.target, activity, view)
        known = next((copy.ref for copy in view.previous if copy.part == 0), None)
        url = actor if leaving else known.id if known else self.urls.object(act.target)
        document: Document = {
            **begun("Delete", self.urls.caused("delete", act.target, activity.ref), activity, view),
            "to": [PUBLIC],
            "cc": [collection(actor, "followers")],
            "object": actor if leaving else quotes.stamp_in(view.previous) or tombstone(url),
        }
        return self._withdrawn(act.target, url, document, activity, view)

    def _undo(self, target: Ref, activity: Activity, view: View) -> Outgoing:
        original = standing(view.previous)
        if original is None:
            return Outgoing(losses=("what is taken back was never said here",))
        document: Document = {
            **begun("Undo", self.urls.caused("undo", target, activity.ref), activity, view),
            **{name: original[name] for name in ("to", "cc") if name in original},
            "object": original,
        }
        return self._withdrawn(target, original["id"], document, activity, view)

    def _withdrawn(self, target: Ref, url: str, document: Document, activity: Activity, view: View) -> Outgoing:
        gone = Part(
            of=target,
            ref=native(url),
            body=dump(document),
            served=dump(tombstone(url)),
            endpoints=endpoints(view),
            gone=True,
        )
        # what went with it: a request to quote, or leave to
        beside = (
            Part(
                of=target,
                ref=copy.ref,
                body=b"",
                served=dump(tombstone(copy.ref.id)),
                number=copy.part,
                gone=True,
            )
            for copy in view.previous
            if copy.part and copy.ref is not None and not copy.gone
        )
        return Outgoing((gone, *beside, kept(activity.ref, document)))

    def _follow(self, act: Follow, activity: Activity, view: View) -> Outgoing:
        target = actor_of(act.target, view, self.urls)
        document: Document = {
            **begun("Follow", self.urls.caused("follow", act.target, activity.ref), activity, view),
            "to": [target],
            "object": target,
        }
        return said(activity, document, view)

    def _answer(self, act: Accept | Reject, activity: Activity, view: View) -> Outgoing:
        asked = view.subject
        if asked is None or asked.ref.network != NETWORK or not isinstance(asked.act, Follow | QuoteRequest):
            raise Rejected("no_follow_to_answer")
        if isinstance(asked.act, QuoteRequest):
            return acts.answer_quote(act, activity, view, self.urls)
        yes = isinstance(act, Accept)
        url = self.urls.caused("accept" if yes else "reject", asked.ref, activity.ref)
        document: Document = {
            **begun("Accept" if yes else "Reject", url, activity, view),
            "to": [asked.actor.id],
            # Some servers compare the whole Follow with the one they sent (networks.md).
            "object": {
                "id": asked.ref.id,
                "type": "Follow",
                "actor": asked.actor.id,
                "object": view.actor.ref.id,
            },
        }
        return said(activity, document, view)

    def _react(self, act: React, activity: Activity, view: View) -> Outgoing:
        there = view.there.get(act.target)
        if there is None or there.ref is None:
            raise Rejected("nothing_to_like")
        document: Document = {
            **begun("Like", self.urls.activity(activity.ref), activity, view),
            "to": [actor_of(there.author, view, self.urls)],
            "object": there.ref.id,
        }
        if act.content:
            document |= {"content": act.content, "_misskey_reaction": act.content}
            if origin(act.emoji):
                document["tag"] = [emoji(act.content, act.emoji)]
        return said(activity, document, view)

    def _repost(self, act: Repost, activity: Activity, view: View) -> Outgoing:
        there = view.there.get(act.target)
        if there is None or there.ref is None:
            raise Rejected("nothing_to_announce")
        to, cc = audience("public", view.actor.ref.id, [actor_of(there.author, view, self.urls)])
        document: Document = {
            **begun("Announce", self.urls.activity(activity.ref), activity, view),
            "to": to,
            "cc": cc,
            "object": there.ref.id,
        }
        return said(activity, document, view)

    def _profile(self, act: Profile, activity: Activity, view: View) -> Outgoing:
        account = act.account
        moved = person(account.moved, view, self.domain) if account.moved else None
        document = actor_document(
            view.actor,
            account,
            self.urls,
            self.public_pem,
            lambda ref: linked(ref, view, self.domain),
            moved.actor if moved else (standing(view.own) or {}).get("movedTo", ""),
        )
        shown = kept(account.ref, document)
        hearers = endpoints(view)
        if not hearers:
            return Outgoing((shown,))
        update: Document = {
            **begun("Update", self.urls.caused("update", account.ref, activity.ref), activity, view),
            "to": [PUBLIC],
            "cc": [collection(view.actor.ref.id, "followers")],
            "object": document,
        }
        told = Part(
            of=activity.ref,
            ref=native(update["id"]),
            body=dump(update),
            served=dump(bare(update)),
            endpoints=hearers,
            number=1 if activity.ref == account.ref else 0,
        )
        return Outgoing((shown, told))

    def _block(self, act: Block, activity: Activity, view: View) -> Outgoing:
        target = actor_of(act.target, view, self.urls)
        document: Document = {
            **begun("Block", self.urls.activity(activity.ref), activity, view),
            "to": [target],
            "object": target,
        }
        return said(activity, document, view)
