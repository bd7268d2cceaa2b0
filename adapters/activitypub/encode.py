"""Acts to ActivityPub activities. Pure: no I/O, no clock, no randomness.

A part that withdraws or changes an earlier copy carries the activity that says so as its `body`, and beside
it a part of its own, stored only, keeps that activity readable under its id.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from adapters.activitypub.documents import Document, actor_document, create_of, dump, tombstone
from adapters.activitypub.ids import NETWORK, Urls, collection, native
from adapters.activitypub.notes import audience, emoji, linked, note, timestamp
from adapters.activitypub.shapes import PUBLIC, origin
from bridged.api import (
    Accept,
    Activity,
    Block,
    Copy,
    Delete,
    Edit,
    Follow,
    Outgoing,
    Part,
    Post,
    Profile,
    React,
    Ref,
    Reject,
    Rejected,
    Repost,
    View,
)


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
            case Accept():
                return self._answer("Accept", activity, view)
            case Reject():
                return self._answer("Reject", activity, view)
            case React():
                return self._react(activity.act, activity, view)
            case Repost():
                return self._repost(activity.act, activity, view)
            case Profile():
                return self._profile(activity.act, activity, view)
            case Block():
                return self._block(activity.act, activity, view)
            case _:
                raise Rejected("has no form on ActivityPub")

    def _post(self, act: Post, activity: Activity, view: View) -> Outgoing:
        document, losses = note(act.body, view, self.urls, self.domain)
        part = Part(
            of=activity.ref,
            ref=native(document["id"]),
            body=dump(create_of(document, self.urls)),
            served=dump(document),
            endpoints=_endpoints(view),
        )
        return Outgoing((part,), tuple(losses))

    def _edit(self, act: Edit, activity: Activity, view: View) -> Outgoing:
        document, losses = note(act.body, view, self.urls, self.domain)
        document["updated"] = timestamp(min(activity.at, view.at))
        update: Document = {
            "id": self.urls.caused("update", act.body.ref, activity.ref),
            "type": "Update",
            "actor": view.actor.ref.id,
            "published": document["updated"],
            "to": document["to"],
            "cc": document["cc"],
            "object": document,
        }
        changed = Part(
            of=act.body.ref,
            ref=native(document["id"]),
            body=dump(update),
            served=dump(document),
            endpoints=_endpoints(view),
        )
        return Outgoing((changed, _kept(activity.ref, update)), tuple(losses))

    def _delete(self, act: Delete, activity: Activity, view: View) -> Outgoing:
        actor = view.actor.ref.id
        leaving = act.target == view.account.ref
        subject = view.subject
        if subject is not None and not leaving and not isinstance(subject.act, Post):
            return self._undo(act.target, activity, view)
        known = view.previous[0].ref if view.previous else None
        url = actor if leaving else known.id if known else self.urls.object(act.target)
        document: Document = {
            "id": self.urls.caused("delete", act.target, activity.ref),
            "type": "Delete",
            "actor": actor,
            "published": timestamp(min(activity.at, view.at)),
            "to": [PUBLIC],
            "cc": [collection(actor, "followers")],
            "object": actor if leaving else tombstone(url),
        }
        return self._withdrawn(act.target, url, document, activity, view)

    def _undo(self, target: Ref, activity: Activity, view: View) -> Outgoing:
        original = _served(view.previous)
        if original is None:
            return Outgoing(losses=("what is taken back was never said here",))
        document: Document = {
            "id": self.urls.caused("undo", target, activity.ref),
            "type": "Undo",
            "actor": view.actor.ref.id,
            "published": timestamp(min(activity.at, view.at)),
            **{name: original[name] for name in ("to", "cc") if name in original},
            "object": original,
        }
        return self._withdrawn(target, original["id"], document, activity, view)

    def _withdrawn(self, target: Ref, url: str, said: Document, activity: Activity, view: View) -> Outgoing:
        gone = Part(
            of=target,
            ref=native(url),
            body=dump(said),
            served=dump(tombstone(url)),
            endpoints=_endpoints(view),
            gone=True,
        )
        return Outgoing((gone, _kept(activity.ref, said)))

    def _follow(self, act: Follow, activity: Activity, view: View) -> Outgoing:
        target = self._actor(act.target, view)
        document: Document = {
            "id": self.urls.caused("follow", act.target, activity.ref),
            "type": "Follow",
            "actor": view.actor.ref.id,
            "published": timestamp(min(activity.at, view.at)),
            "to": [target],
            "object": target,
        }
        return _said(activity, document, view)

    def _answer(self, kind: str, activity: Activity, view: View) -> Outgoing:
        follow = view.subject
        if follow is None or follow.ref.network != NETWORK or not isinstance(follow.act, Follow):
            raise Rejected("no_follow_to_answer")
        document: Document = {
            "id": self.urls.caused("accept" if kind == "Accept" else "reject", follow.ref, activity.ref),
            "type": kind,
            "actor": view.actor.ref.id,
            "published": timestamp(min(activity.at, view.at)),
            "to": [follow.actor.id],
            # Some servers compare the whole Follow with the one they sent (networks.md).
            "object": {
                "id": follow.ref.id,
                "type": "Follow",
                "actor": follow.actor.id,
                "object": view.actor.ref.id,
            },
        }
        return _said(activity, document, view)

    def _react(self, act: React, activity: Activity, view: View) -> Outgoing:
        there = view.there.get(act.target)
        if there is None or there.ref is None:
            raise Rejected("nothing_to_like")
        document: Document = {
            "id": self.urls.activity(activity.ref),
            "type": "Like",
            "actor": view.actor.ref.id,
            "published": timestamp(min(activity.at, view.at)),
            "to": [self._actor(there.author, view)],
            "object": there.ref.id,
        }
        if act.content:
            document |= {"content": act.content, "_misskey_reaction": act.content}
            if origin(act.emoji):
                document["tag"] = [emoji(act.content, act.emoji)]
        return _said(activity, document, view)

    def _repost(self, act: Repost, activity: Activity, view: View) -> Outgoing:
        there = view.there.get(act.target)
        if there is None or there.ref is None:
            raise Rejected("nothing_to_announce")
        to, cc = audience("public", view.actor.ref.id, [self._actor(there.author, view)])
        document: Document = {
            "id": self.urls.activity(activity.ref),
            "type": "Announce",
            "actor": view.actor.ref.id,
            "published": timestamp(min(activity.at, view.at)),
            "to": to,
            "cc": cc,
            "object": there.ref.id,
        }
        return _said(activity, document, view)

    def _profile(self, act: Profile, activity: Activity, view: View) -> Outgoing:
        account = act.account
        document = actor_document(
            view.actor, account, self.urls, self.public_pem, lambda ref: linked(ref, view, self.domain)
        )
        shown = Part(of=account.ref, ref=view.actor.ref, body=b"", served=dump(document))
        endpoints = _endpoints(view)
        if not endpoints:
            return Outgoing((shown,))
        update: Document = {
            "id": self.urls.caused("update", account.ref, activity.ref),
            "type": "Update",
            "actor": view.actor.ref.id,
            "published": timestamp(min(activity.at, view.at)),
            "to": [PUBLIC],
            "cc": [collection(view.actor.ref.id, "followers")],
            "object": document,
        }
        told = Part(
            of=activity.ref,
            ref=native(update["id"]),
            body=dump(update),
            served=dump(update),
            endpoints=endpoints,
            number=1 if activity.ref == account.ref else 0,
        )
        return Outgoing((shown, told))

    def _block(self, act: Block, activity: Activity, view: View) -> Outgoing:
        target = self._actor(act.target, view)
        document: Document = {
            "id": self.urls.activity(activity.ref),
            "type": "Block",
            "actor": view.actor.ref.id,
            "to": [target],
            "object": target,
        }
        return _said(activity, document, view)

    def _actor(self, ref: Ref, view: View) -> str:
        """The actor id of a native account, a ghost, or a foreign account's ghost."""
        if ref.network == NETWORK:
            return ref.id
        ghost = view.ghosts.get(ref)
        return ghost.ref.id if ghost else self.urls.user(ref)


def _said(activity: Activity, document: Document, view: View) -> Outgoing:
    body = dump(document)
    part = Part(of=activity.ref, ref=native(document["id"]), body=body, served=body, endpoints=_endpoints(view))
    return Outgoing((part,))


def _kept(of: Ref, document: Document) -> Part:
    """Stored so that the id of an activity answers; what is sent travels with the copy it changes."""
    return Part(of=of, ref=native(document["id"]), body=b"", served=dump(document))


def _endpoints(view: View) -> tuple[str, ...]:
    return tuple(dict.fromkeys(account.endpoint for account in view.recipients if account.endpoint))


def _served(previous: tuple[Copy, ...]) -> dict[str, Any] | None:
    """What we once said, without its @context; None when it was never said, or taken back before."""
    for copy in previous:
        if copy.served and not copy.gone:
            document: dict[str, Any] = orjson.loads(copy.served)
            document.pop("@context", None)
            return document
    return None
