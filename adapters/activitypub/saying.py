"""What all encoded acts share: their beginnings, and the parts they are stored and sent as. Pure."""

from typing import Any

import orjson

from adapters.activitypub.documents import Document, dump
from adapters.activitypub.ids import NETWORK, Urls, native
from adapters.activitypub.times import timestamp
from bridged.api import Activity, Copy, Outgoing, Part, Ref, View


def begun(kind: str, url: str, activity: Activity, view: View) -> Document:
    """An activity of the ghost, with its date."""
    return {
        "id": url,
        "type": kind,
        "actor": view.actor.ref.id,
        "published": timestamp(min(activity.at, view.at)),
    }


def said(activity: Activity, document: Document, view: View, *losses: str) -> Outgoing:
    """Sent to all who should hear it, and readable under its id."""
    body = dump(document)
    part = Part(of=activity.ref, ref=native(document["id"]), body=body, served=body, endpoints=endpoints(view))
    return Outgoing((part,), losses)


def told(activity: Activity, document: Document, to: tuple[str, ...], number: int = 0) -> Part:
    """Sent to those it concerns alone, and readable by nobody else."""
    return Part(
        of=activity.ref, ref=native(document["id"]), body=dump(document), served=b"", endpoints=to, number=number
    )


def kept(of: Ref, document: Document, number: int = 0) -> Part:
    """Stored so that the id of an activity answers; what is sent travels with the copy it changes."""
    return Part(of=of, ref=native(document["id"]), body=b"", served=dump(document), number=number)


def bare(document: Document, name: str = "object") -> Document:
    """The activity with what it is about by its id alone: words are served in one place, and can be withdrawn there."""
    return {**document, name: document[name]["id"]}


def endpoints(view: View, *only: str) -> tuple[str, ...]:
    """The inboxes of all who should hear it; of `only` those actors where some are named."""
    heard = (each for each in view.recipients if each.endpoint and (not only or each.ref.id in only))
    return tuple(dict.fromkeys(each.endpoint for each in heard))


def standing(copies: tuple[Copy, ...]) -> Document | None:
    """What we say now, without its @context; None when it was never said, or taken back before."""
    for copy in copies:
        if copy.part == 0 and copy.served and not copy.gone:
            document: dict[str, Any] = orjson.loads(copy.served)
            document.pop("@context", None)
            return document
    return None


def actor_of(ref: Ref, view: View, urls: Urls) -> str:
    """The actor id of a native account, a ghost, or a foreign account's ghost."""
    if ref.network == NETWORK:
        return ref.id
    ghost = view.ghosts.get(ref)
    return ghost.ref.id if ghost else urls.user(ref)
