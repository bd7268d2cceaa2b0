"""Records, and news of accounts, to neutral words. Pure; the envelopes given have been verified.

What an encoder needs to answer a post properly is kept in `PostBody.detail`: cid (of its record), and for an answer
root and root_cid (URI and CID of the thread's first post, as the record names them).
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from adapters.atproto import ids
from adapters.atproto.articles import read_article
from adapters.atproto.embeds import read_embed
from adapters.atproto.envelopes import (
    ACCOUNT,
    BEHIND,
    IDENTITY,
    RECORD,
    Change,
    read_change,
    read_person,
    read_standing,
)
from adapters.atproto.facets import is_tag, read_text
from adapters.atproto.flat import joined
from adapters.atproto.gates import read_gate
from adapters.atproto.labels import NOT_FOR_STRANGERS, values_of, warning_of
from adapters.atproto.moments import committed, dated
from adapters.atproto.profiles import account_of, mark_of, pinned
from adapters.atproto.syntax import is_cid, is_did, is_language, is_nsid, is_record_key
from bridged.api import (
    Act,
    Activity,
    Approve,
    Block,
    Delete,
    Edit,
    Envelope,
    Follow,
    Malformed,
    PinList,
    Post,
    PostBody,
    Profile,
    React,
    Ref,
    Repost,
    Span,
    Text,
)

MAX_TAGS: Final = 8
"""Tags beside the text."""

_BRIDGED: Final = frozenset({ids.POST, ids.ARTICLE, ids.LIKE, ids.REPOST, ids.FOLLOW, ids.BLOCK})


def decode(envelope: Envelope) -> tuple[Activity, ...]:
    """The activities an envelope stands for; none for records that are not bridged.

    Raises Malformed: envelope, signer, record, text, title, reply, subject, channel.
    """
    at = envelope.received_at
    match envelope.channel:
        case channel if channel == RECORD:
            return _change(read_change(envelope), at)
        case channel if channel == IDENTITY:
            person = read_person(envelope)
            account = account_of(_did(person.did), person.handle, person.pds, person.profile)
            return (Activity(Ref(ids.NETWORK, envelope.id), account.ref, at, Profile(account), account.mark),)
        case channel if channel == ACCOUNT:
            standing = read_standing(envelope)
            actor = ids.account_ref(_did(standing.did))
            if standing.active or standing.status in BEHIND:
                return ()
            return (Activity(Ref(ids.NETWORK, envelope.id), actor, at, Delete(actor)),)
        case _:
            raise Malformed("channel")


def _change(change: Change, heard: float) -> tuple[Activity, ...]:
    did = _did(change.did)
    if not is_nsid(change.collection) or not is_record_key(change.rkey):
        raise Malformed("record")
    ref = ids.record_ref(did, change.collection, change.rkey)
    if len(ref.id) > ids.MAX_ID:
        raise Malformed("record")
    actor = ids.account_ref(did)
    if change.collection in (ids.THREADGATE, ids.POSTGATE):
        return _gate(change, ref, actor, heard)
    if change.operation == "delete":
        if change.collection not in _BRIDGED:
            return ()
        name = Ref.made(ids.NETWORK, f"{ref.id}#delete:{change.rev}")
        return (Activity(name, actor, committed(change.rev, heard), Delete(ref)),)
    record = change.record
    if record is None or not is_cid(change.cid) or record.get("$type", change.collection) != change.collection:
        raise Malformed("record")
    if change.collection == ids.PROFILE:
        return _profile(change, ref, actor, record, heard)
    act = _act(change, ref, actor, record, heard)
    if act is None:
        return ()
    at = dated(record.get("publishedAt" if change.collection == ids.ARTICLE else "createdAt"), heard)
    mark = ""
    if isinstance(act, Post | Edit):
        mark = act.body.mark
    if isinstance(act, Edit):
        # an edit keeps the date of the post; when it was made, the commit says
        ref, at = Ref.made(ids.NETWORK, f"{ref.id}#{change.cid}"), committed(change.rev, heard)
    return (Activity(ref, actor, at, act, mark),)


def _act(change: Change, ref: Ref, actor: Ref, record: Mapping[str, Any], heard: float) -> Act | None:
    subject = record.get("subject")
    match change.collection:
        case ids.POST:
            body = _body(change, ref, actor, record, heard)
            return Post(body) if change.operation == "create" else Edit(body)
        case ids.ARTICLE:
            body = _article(change, ref, actor, record, heard)
            return Post(body) if change.operation == "create" else Edit(body)
        case ids.LIKE | ids.REPOST:
            uri = _uri(subject)
            if uri is None:
                raise Malformed("subject")
            if not ids.is_post(uri):  # feeds and labelers are liked, too
                return None
            target = Ref(ids.NETWORK, uri)
            return React(target) if change.collection == ids.LIKE else Repost(target)
        case ids.FOLLOW | ids.BLOCK:
            target = ids.account_ref(_did(subject))
            return Follow(target) if change.collection == ids.FOLLOW else Block(target)
        case _:
            return None


def _gate(change: Change, ref: Ref, actor: Ref, heard: float) -> tuple[Activity, ...]:
    """Who may answer or quote the post of the same key, and quotes of it that its author wants no part in."""
    post = ids.record_ref(change.did, ids.POST, change.rkey)
    at, told = committed(change.rev, heard), f"{ref.id}#{change.cid or 'delete'}:{change.rev}"
    record = None if change.operation == "delete" else change.record
    if change.operation != "delete" and (
        record is None or record.get("$type", change.collection) != change.collection or record.get("post") != post.id
    ):
        raise Malformed("record")
    said, detached = read_gate(change.collection, post, record)
    return (
        Activity(Ref.made(ids.NETWORK, told), actor, at, said),
        *(
            Activity(Ref.made(ids.NETWORK, f"{told}:{uri}"), actor, at, Approve(Ref(ids.NETWORK, uri), ""))
            for uri in detached
        ),
    )


def _profile(change: Change, ref: Ref, actor: Ref, record: Mapping[str, Any], heard: float) -> tuple[Activity, ...]:
    """How the account looks, and the post it keeps at the top: both are in one record."""
    if change.rkey != "self":
        return ()
    account = account_of(change.did, change.handle, change.pds, record)
    at = committed(change.rev, heard)
    told = f"{ref.id}#{change.cid}:{change.rev}"
    top = pinned(record)
    pins = (Ref(ids.NETWORK, top),) if top else ()
    return (
        Activity(Ref.made(ids.NETWORK, told), actor, at, Profile(account), account.mark),
        Activity(Ref.made(ids.NETWORK, f"{told}:pins"), actor, at, PinList(pins)),
    )


def _body(change: Change, ref: Ref, actor: Ref, record: Mapping[str, Any], heard: float) -> PostBody:
    text = read_text(record.get("text"), record.get("facets"))
    embedded = read_embed(record.get("embed"), change.did, change.pds)
    shown = {target for target in text.targets("link") if isinstance(target, str)}
    text = joined((text, *(_link(url) for url in embedded.links if url not in shown)), "\n\n")
    reply_to, root, detail = _reply(record.get("reply"))
    return PostBody(
        ref=ref,
        author=actor,
        text=text,
        at=dated(record.get("createdAt"), heard),
        media=embedded.media,
        reply_to=reply_to,
        root=root,
        quote=embedded.quote,
        lang=_language(record.get("langs")),
        url=ids.page(ref.id, change.handle),
        uri=ref.id,
        tags=_tags(record.get("tags"), text),
        mark=mark_of(record),
        detail={"cid": change.cid, **detail},
        **_labelled(record),
    )


def _article(change: Change, ref: Ref, actor: Ref, record: Mapping[str, Any], heard: float) -> PostBody:
    said = read_article(record, change.site, change.did, change.pds)
    url = said.url or ids.page(ref.id, change.handle)
    # a text in a form of its own is read at its home
    text = said.text if said.text.plain else _link(url)
    return PostBody(
        ref=ref,
        author=actor,
        text=text,
        at=dated(record.get("publishedAt"), heard),
        title=said.title,
        summary=said.summary,
        image=said.image,
        url=url,
        uri=ref.id,
        tags=_tags(record.get("tags"), text),
        mark=mark_of(record),
        detail={"cid": change.cid, **said.facts},
        **_labelled(record),
    )


def _labelled(record: Mapping[str, Any]) -> dict[str, Any]:
    """What its author's labels say of a post."""
    labels = values_of(record)
    warning = warning_of(labels)
    # elsewhere nobody is signed in
    audience = "followers" if NOT_FOR_STRANGERS in labels else "public"
    return {"warning": warning, "sensitive": bool(warning), "audience": audience}


def _link(url: str) -> Text:
    return Text(url, (Span(0, len(url), "link", url),))


def _reply(reply: Any) -> tuple[Ref | None, Ref | None, dict[str, str]]:
    """(parent, root, detail)."""
    if reply is None:
        return None, None, {}
    found = _object(reply)
    parent, root = _uri(found.get("parent")), _uri(found.get("root"))
    if parent is None or root is None:
        raise Malformed("reply")
    if not ids.is_post(parent):
        return None, None, {}
    cid = _object(found.get("root")).get("cid")
    detail = {"root": root, "root_cid": cid} if isinstance(cid, str) and is_cid(cid) else {}
    return Ref(ids.NETWORK, parent), Ref(ids.NETWORK, root) if ids.is_post(root) else None, detail


def _tags(tags: Any, text: Text) -> tuple[str, ...]:
    """Those that the text does not show."""
    shown = {name.lower() for name in text.tags()}
    found: dict[str, str] = {}
    for tag in cast(list[Any], tags)[:MAX_TAGS] if isinstance(tags, list) else ():
        name = tag.lstrip("#") if isinstance(tag, str) else ""
        if is_tag(name) and "\0" not in name and name.lower() not in shown:
            found.setdefault(name.lower(), name)
    return tuple(found.values())


def _language(langs: Any) -> str:
    first: Any = cast(list[Any], langs)[0] if isinstance(langs, list) and langs else ""
    return first if isinstance(first, str) and is_language(first) else ""


def _uri(strong: Any) -> str | None:
    """The URI of a strongRef to a record; None for none."""
    uri = _object(strong).get("uri")
    return uri if isinstance(uri, str) and ids.split(uri) is not None else None


def _did(text: Any) -> str:
    if not isinstance(text, str) or not is_did(text) or len(text) > ids.MAX_ID:
        raise Malformed("subject")
    return text


def _object(value: Any) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}
