"""What a person on the fediverse can do and read, as JSON-LD that the peer's library signs and delivers as it is."""

import uuid
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from .world import World

PUBLIC = "https://www.w3.org/ns/activitystreams#Public"


def ident(thing: Any) -> str | None:
    """The id of an object that may be given whole or by id."""
    return thing.get("id") if isinstance(thing, dict) else thing


def many(thing: Any) -> list[Any]:
    """A JSON-LD value that may be absent, single or a list."""
    return [] if thing is None else thing if isinstance(thing, list) else [thing]


def is_public(thing: dict[str, Any]) -> bool:
    return any(ident(x) in (PUBLIC, "as:Public", "Public") for x in [*many(thing.get("to")), *many(thing.get("cc"))])


# The terms that the servers of the network declare, so that nothing said below is lost to a reader of JSON-LD.
CONTEXT: list[Any] = [
    "https://www.w3.org/ns/activitystreams",
    "https://w3id.org/security/v1",
    {
        "Emoji": "toot:Emoji",
        "EmojiReact": "litepub:EmojiReact",
        "Hashtag": "as:Hashtag",
        "PropertyValue": "schema:PropertyValue",
        "QuoteRequest": "https://w3id.org/fep/044f#QuoteRequest",
        "_misskey_quote": "misskey:_misskey_quote",
        "_misskey_reaction": "misskey:_misskey_reaction",
        "alsoKnownAs": {"@id": "as:alsoKnownAs", "@type": "@id"},
        "automaticApproval": {"@id": "gts:automaticApproval", "@type": "@id"},
        "blurhash": "toot:blurhash",
        "canQuote": {"@id": "gts:canQuote", "@type": "@id"},
        "featured": {"@id": "toot:featured", "@type": "@id"},
        "focalPoint": {"@container": "@list", "@id": "toot:focalPoint"},
        "gts": "https://gotosocial.org/ns#",
        "interactionPolicy": {"@id": "gts:interactionPolicy", "@type": "@id"},
        "litepub": "http://litepub.social/ns#",
        "manualApproval": {"@id": "gts:manualApproval", "@type": "@id"},
        "misskey": "https://misskey-hub.net/ns#",
        "movedTo": {"@id": "as:movedTo", "@type": "@id"},
        "quote": {"@id": "https://w3id.org/fep/044f#quote", "@type": "@id"},
        "quoteAuthorization": {"@id": "https://w3id.org/fep/044f#quoteAuthorization", "@type": "@id"},
        "quoteUri": "http://fedibird.com/ns#quoteUri",
        "quoteUrl": "as:quoteUrl",
        "schema": "http://schema.org#",
        "sensitive": "as:sensitive",
        "toot": "http://joinmastodon.org/ns#",
        "value": "schema:value",
        "votersCount": "toot:votersCount",
    },
]
ANYONE_MAY_QUOTE = {"canQuote": {"automaticApproval": [PUBLIC]}}
NOBODY_MAY_QUOTE = {"canQuote": {"automaticApproval": []}}


def now() -> str:
    return _time(datetime.now(UTC))


def media(kind: str, url: str, alt: str = "", **fields: Any) -> dict[str, Any]:
    """An attachment; kind is a media type. Fields: width, height, duration, blurhash, focalPoint."""
    return {"type": "Document", "mediaType": kind, "url": url, "name": alt or None, **fields}


def emoji(name: str, url: str, kind: str = "image/png") -> dict[str, Any]:
    """A tag for the custom emoji :name:."""
    return {"type": "Emoji", "name": f":{name}:", "icon": {"type": "Image", "mediaType": kind, "url": url}}


def prop(name: str, value: str) -> dict[str, Any]:
    """A row of a profile's table."""
    return {"type": "PropertyValue", "name": name, "value": value}


def mention(actor: str, name: str = "@someone") -> dict[str, Any]:
    return {"type": "Mention", "href": actor, "name": name}


class Acts:
    """What every Peer can do on top of its library's own sending, table in peers.py. `to` are ids of actors."""

    world: World
    host: str
    actor: str

    def _ctl(self, name: str, **body: Any) -> Any:
        raise NotImplementedError

    def received(self, kind: str | None = None, **fields: Any) -> list[dict[str, Any]]:
        raise NotImplementedError

    # What the rest is made of

    def deliver(self, activity: dict[str, Any], *to: str, followers: bool = False) -> dict[str, int]:
        """Signs and sends it as it is, once: what each inbox answered (HTTP status)."""
        return self._ctl("deliver", activity=activity, to=[*to, *(["followers"] if followers else [])])

    def serve(self, url: str, doc: dict[str, Any] | None) -> None:
        """The document behind a URL of this server's, None to take it away (404)."""
        self._ctl("serve", path=urlsplit(url).path, doc=doc)

    def new_id(self) -> str:
        return f"https://{self.host}/x/{uuid.uuid4()}"

    def act(self, kind: str, obj: Any, *to: str, followers: bool = False, **fields: Any) -> dict[str, Any]:
        """Says and serves an activity, addressed as it is delivered unless `fields` say otherwise; all took it."""
        activity = {
            "@context": CONTEXT,
            "id": self.new_id(),
            "type": kind,
            "actor": self.actor,
            "object": obj,
            "to": list(to),
        }
        if followers:
            activity["cc"] = [self.followers_url]
        activity |= fields
        self.serve(activity["id"], activity)
        said = self.deliver(activity, *to, followers=followers)
        assert said or not to, f"no inbox of {to}"
        assert all(200 <= status < 300 for status in said.values()), f"{kind}: {said}"
        return activity

    def retract(self, activity: dict[str, Any], *to: str, followers: bool = False) -> dict[str, Any]:
        """Undo of what `act` returned."""
        return self.act("Undo", _inner(activity), *(to or activity["to"]), followers=followers)

    @cached_property
    def followers_url(self) -> str:
        return self.world.get_json(self.actor)["followers"]

    # Posts

    def publish(self, *to: str, followers: bool = True, **fields: Any) -> str:
        """Any object (a Note unless `type` says otherwise; public unless `to` and `cc` do) that exists from now on,
        delivered to the actors and, if wanted, the followers; its id."""
        id_ = self.new_id()
        doc = {"@context": CONTEXT, "id": id_, "url": id_, "type": "Note", "attributedTo": self.actor,
               "published": now(), "to": [PUBLIC], "cc": [self.followers_url, *to], **fields}  # fmt: skip
        self.serve(id_, doc)
        heads = {k: doc[k] for k in ("to", "cc", "published", "audience") if k in doc}
        self.act("Create", _inner(doc), *to, followers=followers, **heads)
        return id_

    def update(self, url: str, *to: str, followers: bool = True, **changes: Any) -> dict[str, Any]:
        """Changes what `publish` made and says so; without changes, says how it is now (votes counted)."""
        doc = self.world.get_json(url) | {"updated": now()} | changes
        self.serve(url, doc)
        return self.act("Update", _inner(doc), *to, followers=followers, to=doc["to"], cc=doc["cc"])

    def dm(self, text: str, *to: str, **fields: Any) -> str:
        """A note that mentions these actors and is for nobody else; its id."""
        about = {"content": f"<p>{text}</p>", "to": list(to), "cc": [], "tag": [mention(a) for a in to]}
        return self.publish(*to, followers=False, **(about | fields))

    def dms(self, text: str = "") -> list[dict[str, Any]]:
        """Notes received that only actors are addressed by, this one among them."""
        notes = [a["object"] for a in self.received("Create") if isinstance(a["object"], dict)]
        return [
            n for n in notes
            if text in str(n.get("content")) and not is_public(n) and self.actor in map(ident, many(n.get("to")))
            and not any(str(ident(x)).endswith("/followers") for x in [*many(n.get("to")), *many(n.get("cc"))])
        ]  # fmt: skip

    # Reactions, polls, quotes

    def react(
        self, note: str, author: str, content: str, tag: dict[str, Any] | None = None, kind: str = "EmojiReact"
    ) -> dict[str, Any]:
        """EmojiReact as of Pleroma, kind="Like" as of Misskey. `tag`: the `emoji()` if content is :its_name:."""
        fields = (
            {"content": content}
            | ({"tag": [tag]} if tag else {})
            | ({"_misskey_reaction": content} if kind == "Like" else {})
        )
        return self.act(kind, note, author, **fields)

    def poll(
        self, text: str, options: list[str], *to: str, multiple: bool = False, hours: float = 24, **fields: Any
    ) -> str:
        """A Question with these options that ends in so many hours; its id. Votes that arrive are counted in it."""
        offered = [{"type": "Note", "name": o, "replies": {"type": "Collection", "totalItems": 0}} for o in options]
        about = {"type": "Question", "content": f"<p>{text}</p>", "anyOf" if multiple else "oneOf": offered,
                 "endTime": _time(datetime.now(UTC) + timedelta(hours=hours)), "votersCount": 0}  # fmt: skip
        return self.publish(*to, **(about | fields))

    def vote(self, question: str, author: str, *options: str) -> None:
        for option in options:
            about = {"name": option, "inReplyTo": question, "to": [author], "cc": []}
            self.publish(author, followers=False, **about)

    def counts(self, question: str) -> dict[str, int]:
        """Votes for each option as the Question's own server tells."""
        doc = self.fetch(question)
        return {o["name"]: o["replies"]["totalItems"] for o in many(doc.get("oneOf") or doc.get("anyOf"))}

    def quote(self, text: str, note: str, *to: str, **fields: Any) -> str:
        """A public note that quotes another in every way in use (FEP-044f, FEP-e232, Misskey, Fedibird); its id."""
        link = {"type": "Link", "mediaType": 'application/ld+json; profile="https://www.w3.org/ns/activitystreams"',
                "rel": "https://misskey-hub.net/ns#_misskey_quote", "href": note, "name": f"RE: {note}"}  # fmt: skip
        about = {
            "content": f"<p>{text}</p>",
            "quote": note,
            "quoteUrl": note,
            "quoteUri": note,
            "_misskey_quote": note,
            "tag": [link],
        }
        return self.publish(*to, **(about | fields))

    def request_quote(self, quoting: str, note: str, author: str) -> dict[str, Any]:
        """Asks the author whether `quoting` may quote the note (FEP-044f); the QuoteRequest."""
        return self.act("QuoteRequest", note, author, instrument=_inner(self.world.get_json(quoting)))

    def quote_answer(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The Accept (with the authorization as `result`) or Reject that arrived for it."""
        answers = [*self.received("Accept", object=request["id"]), *self.received("Reject", object=request["id"])]
        return answers[-1] if answers else None

    # Accounts

    def profile(self, *to: str, followers: bool = True, **fields: Any) -> dict[str, Any]:
        """Changes fields of the actor document and says so (Update); the document."""
        self._ctl("profile", fields=fields)
        doc = self.world.get_json(self.actor)
        self.act("Update", _inner(doc), *to, followers=followers, **{"to": [PUBLIC], "@context": doc["@context"]})
        return doc

    def move(self, target: str, *to: str) -> dict[str, Any]:
        """Moves this account to another, which must name this one by profile(alsoKnownAs=[...]) first."""
        self._ctl("profile", fields={"movedTo": target})
        return self.act("Move", self.actor, *to, followers=True, target=target)

    def block(self, actor: str) -> dict[str, Any]:
        """The Block, for `retract`."""
        return self.act("Block", actor, actor)

    def flag(self, actor: str, *notes: str, comment: str = "") -> dict[str, Any]:
        """A report to the actor's server about the actor and notes of theirs."""
        return self.act("Flag", [actor, *notes], actor, content=comment)

    def announce(self, activity: dict[str, Any] | str, *to: str) -> dict[str, Any]:
        """As a group does (FEP-1b12): the whole activity, told on to the followers."""
        obj = _inner(activity) if isinstance(activity, dict) else activity
        return self.act("Announce", obj, *to, followers=True, to=[PUBLIC], cc=[self.followers_url], published=now())

    def pin(self, note: str, *to: str) -> dict[str, Any]:
        return self._feature("Add", note, to)

    def unpin(self, note: str, *to: str) -> dict[str, Any]:
        return self._feature("Remove", note, to)

    def _feature(self, kind: str, note: str, to: tuple[str, ...]) -> dict[str, Any]:
        url = f"https://{self.host}/featured"
        status, _, _ = self.world.get(url)
        pinned = self.world.get_json(url)["orderedItems"] if status == 200 else []
        pinned = [note, *pinned] if kind == "Add" else [n for n in pinned if n != note]
        self.serve(url, {"@context": CONTEXT, "id": url, "type": "OrderedCollection", "totalItems": len(pinned),
                         "orderedItems": pinned})  # fmt: skip
        return self.act(kind, note, *to, followers=True, target=url)

    # Reading

    def fetch(self, url: str) -> dict[str, Any]:
        """The JSON-LD behind any URL, a web page's too, by a GET signed as this actor (what a search by URL does)."""
        return self._ctl("fetch", url=url)["document"]

    def collection(self, url: str, limit: int = 500) -> dict[str, Any]:
        """{"totalItems", "items"} of all pages, items as they are there."""
        return self._ctl("collection", url=url, limit=limit)

    def featured(self, actor: str) -> list[Any]:
        """What an actor pinned."""
        return self.collection(self.fetch(actor)["featured"])["items"]


def _inner(doc: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in doc.items() if k != "@context"}


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
