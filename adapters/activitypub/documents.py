"""Documents we serve: actors, collections, tombstones, WebFinger, NodeInfo. Pure."""

import html
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import orjson

from adapters.activitypub.html import to_html
from adapters.activitypub.ids import Urls, collection, key_id
from adapters.activitypub.shapes import AS2_TYPE, origin
from adapters.activitypub.times import timestamp
from bridged.api import Account, Ghost, Ref, Text

Document = dict[str, Any]
Linked = Callable[[Ref], tuple[str, str] | None]
"""An account mentioned -> (address, name to show), or None where it has none here."""

_AS2 = "https://www.w3.org/ns/activitystreams"
_SECURITY = "https://w3id.org/security/v1"

# Everything we may say beyond ActivityStreams is declared in place: no reader has to fetch a context of ours.
CONTEXT: Sequence[Any] = (
    _AS2,
    _SECURITY,
    {
        "manuallyApprovesFollowers": "as:manuallyApprovesFollowers",
        "sensitive": "as:sensitive",
        "Hashtag": "as:Hashtag",
        "quoteUrl": "as:quoteUrl",
        "toot": "http://joinmastodon.org/ns#",
        "Emoji": "toot:Emoji",
        "blurhash": "toot:blurhash",
        "discoverable": "toot:discoverable",
        "featured": {"@id": "toot:featured", "@type": "@id"},
        "featuredTags": {"@id": "toot:featuredTags", "@type": "@id"},
        "focalPoint": {"@container": "@list", "@id": "toot:focalPoint"},
        "indexable": "toot:indexable",
        "votersCount": "toot:votersCount",
        "movedTo": {"@id": "as:movedTo", "@type": "@id"},
        "schema": "http://schema.org#",
        "PropertyValue": "schema:PropertyValue",
        "value": "schema:value",
        "misskey": "https://misskey-hub.net/ns#",
        "_misskey_quote": "misskey:_misskey_quote",
        "_misskey_reaction": "misskey:_misskey_reaction",
        "fedibird": "http://fedibird.com/ns#",
        "quoteUri": "fedibird:quoteUri",
        "fep044f": "https://w3id.org/fep/044f#",
        "QuoteAuthorization": "fep044f:QuoteAuthorization",
        "QuoteRequest": "fep044f:QuoteRequest",
        "quote": {"@id": "fep044f:quote", "@type": "@id"},
        "quoteAuthorization": {"@id": "fep044f:quoteAuthorization", "@type": "@id"},
        "gts": "https://gotosocial.org/ns#",
        "automaticApproval": {"@id": "gts:automaticApproval", "@type": "@id"},
        "canQuote": {"@id": "gts:canQuote", "@type": "@id"},
        "canReply": {"@id": "gts:canReply", "@type": "@id"},
        "interactingObject": {"@id": "gts:interactingObject", "@type": "@id"},
        "interactionPolicy": {"@id": "gts:interactionPolicy", "@type": "@id"},
        "interactionTarget": {"@id": "gts:interactionTarget", "@type": "@id"},
    },
)

JRD_TYPE = "application/jrd+json"
NODEINFO_VERSIONS = ("2.0", "2.1")


def dump(document: Document) -> bytes:
    """A document as it is stored, sent and served."""
    return orjson.dumps({"@context": CONTEXT, **document})


def url_links(web: str, canonical: str) -> list[Document]:
    """A `url`: the page first, since some readers take the first link, then the original (FEP-fffd)."""
    links = [{"type": "Link", "mediaType": "text/html", "href": web}]
    if canonical and canonical != web:
        links.append({"type": "Link", "rel": "canonical", "href": canonical})
    return links


def replies_of(post: str) -> Document:
    """The `replies` of one of our posts. The first page is there, and empty: without it, every server that the post
    is sent to would come back at once to read it."""
    url = f"{post}/replies"
    first: Document = {"type": "CollectionPage", "partOf": url, "next": f"{url}?page=1", "items": []}
    return {"id": url, "type": "Collection", "first": first}


def with_plain_url(served: bytes) -> bytes:
    """A served document whose `url` is the page alone, for readers that cannot take links."""
    document: Document = orjson.loads(served)
    return orjson.dumps({**document, "url": document["url"][0]["href"]})


def actor_document(
    ghost: Ghost, account: Account, urls: Urls, public_pem: str, linked: Linked | None = None, moved: str = ""
) -> Document:
    """The actor that stands for `account`, without its @context.

    `linked` resolves those mentioned in the bio; without it their names stay plain text. `moved` is the actor
    that goes on in its place.
    """
    actor = ghost.ref.id
    web = account.url if origin(account.url) else actor
    document: Document = {
        "id": actor,
        "type": "Group" if account.group else "Service" if account.bot else "Person",
        "preferredUsername": ghost.handle,
        "name": account.name or account.alias or account.handle,
        "summary": to_html(account.bio, linked or _nobody, urls.tag),
        "url": url_links(web, account.uri),
        **_endpoints(actor, urls),
        "featured": f"{actor}/collections/featured",
        "featuredTags": f"{actor}/collections/tags",
        "manuallyApprovesFollowers": account.locked,
        "discoverable": account.discoverable,
        "indexable": account.indexable,
        "publicKey": _public_key(actor, public_pem),
        "tag": [
            *emojis_in(account.bio, account.emojis),
            *(hashtag(name, urls) for name in account.bio.tags()),
        ],
        "attachment": [_field(name, value) for name, value in _fields(account, web)],
    }
    if account.since is not None:
        document["published"] = timestamp(account.since)
    if moved:
        document["movedTo"] = moved
    if origin(account.avatar):
        document["icon"] = {"type": "Image", "url": account.avatar}
    if origin(account.banner):
        document["image"] = {"type": "Image", "url": account.banner}
    return document


def instance_actor(urls: Urls, username: str, public_pem: str) -> Document:
    """The actor that signs our fetches, without its @context."""
    actor = urls.instance
    return {
        "id": actor,
        "type": "Application",
        "preferredUsername": username,
        "name": username,
        "summary": "",
        "url": urls.base,
        **_endpoints(actor, urls),
        "manuallyApprovesFollowers": True,
        "discoverable": False,
        "publicKey": _public_key(actor, public_pem),
    }


def hashtag(name: str, urls: Urls) -> Document:
    """The Hashtag tag of `#name`."""
    return {"type": "Hashtag", "href": urls.tag(name), "name": f"#{name}"}


def emoji(code: str, image: str) -> Document:
    """The Emoji tag of `:code:`."""
    return {"type": "Emoji", "id": image, "name": code, "icon": {"type": "Image", "url": image}}


def emojis_in(text: Text, others: Sequence[tuple[str, str]] = ()) -> list[Document]:
    """The Emoji tags of a text's custom emoji, and of `others`: (code without colons, image)."""
    found = {f":{code}:": image for code, image in others}
    for span in text.spans:
        if span.kind == "emoji" and isinstance(span.target, str):
            found.setdefault(text.plain[span.start : span.end], span.target)
    return [emoji(code, image) for code, image in found.items() if origin(image)]


def tombstone(url: str) -> Document:
    """What is left of something withdrawn, without its @context."""
    return {"id": url, "type": "Tombstone"}


def create_of(note: Mapping[str, Any], urls: Urls) -> Document:
    """The Create of one of our objects, without its @context, derived from the object alone."""
    document = {name: value for name, value in note.items() if name != "@context"}
    return {
        "id": urls.create(document["id"]),
        "type": "Create",
        "actor": document["attributedTo"],
        "published": document["published"],
        "to": document["to"],
        "cc": document["cc"],
        "object": document,
    }


def collection_document(url: str, total: int, first: str, kind: str = "OrderedCollection") -> Document:
    """A collection whose members are read page by page from the query `first` on, without its @context."""
    return {"id": url, "type": kind, "totalItems": total, "first": f"{url}?{first}"}


def page_document(
    url: str, query: str, items: Sequence[Any], following: str, kind: str = "OrderedCollection"
) -> Document:
    """One page of the collection at `url`; `following` is the query of the next page, "" on the last."""
    document: Document = {"id": f"{url}?{query}", "type": f"{kind}Page", "partOf": url, _members(kind): items}
    if following:
        document["next"] = f"{url}?{following}"
    return document


def whole_collection(url: str, items: Sequence[Any], kind: str = "OrderedCollection") -> Document:
    """A collection without pages, without its @context."""
    return {"id": url, "type": kind, "totalItems": len(items), _members(kind): items}


def resource_descriptor(subject: str, actor: str, profile: str, avatar: str, rels: Collection[str]) -> Document:
    """The WebFinger answer for an actor (RFC 7033 §4.4), with the links of `rels` alone if there are any (§4.3)."""
    links: list[Document] = [
        {"rel": "self", "type": AS2_TYPE, "href": actor},
        {"rel": "http://webfinger.net/rel/profile-page", "type": "text/html", "href": profile},
    ]
    if origin(avatar):
        links.append({"rel": "http://webfinger.net/rel/avatar", "href": avatar})
    return {
        "subject": subject,
        "aliases": list(dict.fromkeys((actor, profile))),
        "links": [link for link in links if not rels or link["rel"] in rels],
    }


def host_meta(base: str) -> Document:
    """Where WebFinger is asked (RFC 6415), as JSON."""
    return {"links": [{"rel": "lrdd", "type": JRD_TYPE, "template": _lrdd(base)}]}


def host_meta_xrd(base: str) -> bytes:
    """The same as XRD 1.0."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<XRD xmlns="http://docs.oasis-open.org/ns/xri/xrd-1.0">\n'
        f'  <Link rel="lrdd" type="{JRD_TYPE}" template="{html.escape(_lrdd(base))}"/>\n'
        "</XRD>\n"
    ).encode()


def _lrdd(base: str) -> str:
    return f"{base}/.well-known/webfinger?resource={{uri}}"


def nodeinfo_links(base: str) -> Document:
    """`/.well-known/nodeinfo`."""
    return {
        "links": [
            {
                "rel": f"http://nodeinfo.diaspora.software/ns/schema/{version}",
                "href": f"{base}/nodeinfo/{version}",
            }
            for version in NODEINFO_VERSIONS
        ]
    }


def nodeinfo(schema: str, version: str, name: str, description: str, users: int, posts: int) -> Document:
    """NodeInfo in schema 2.0 or 2.1. Nobody is at home here, so nobody can register."""
    return {
        "version": schema,
        "software": {"name": "bridged", "version": version},
        "protocols": ["activitypub"],
        "services": {"inbound": [], "outbound": []},
        "openRegistrations": False,
        "usage": {"users": {"total": users}, "localPosts": posts},
        "metadata": {"nodeName": name, "nodeDescription": description},
    }


def _members(kind: str) -> str:
    return "orderedItems" if kind == "OrderedCollection" else "items"


def _nobody(_: Ref) -> None:
    return None


def _endpoints(actor: str, urls: Urls) -> Document:
    return {
        "inbox": collection(actor, "inbox"),
        "outbox": collection(actor, "outbox"),
        "followers": collection(actor, "followers"),
        "following": collection(actor, "following"),
        "endpoints": {"sharedInbox": urls.shared_inbox},
    }


def _public_key(actor: str, public_pem: str) -> Document:
    return {"id": key_id(actor), "owner": actor, "publicKeyPem": public_pem}


def _fields(account: Account, web: str) -> list[tuple[str, str]]:
    fields = [(name, value) for name, value in account.fields if name and value]
    return [*fields, ("Bridged from", web)] if origin(account.url) else fields


def _field(name: str, value: str) -> Document:
    shown = html.escape(value)
    if origin(value) and not any(c.isspace() for c in value):
        shown = f'<a href="{shown}" rel="me nofollow noopener noreferrer" target="_blank">{shown}</a>'
    return {"type": "PropertyValue", "name": name, "value": shown}
