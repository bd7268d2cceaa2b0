"""Who may answer and quote a post (`interactionPolicy`, GoToSocial and FEP-044f), both ways. Pure."""

from typing import Final

from adapters.activitypub.documents import Document
from adapters.activitypub.reading import Object
from adapters.activitypub.shapes import PUBLIC, idents, is_public, objects
from bridged.api import Circle, PostBody

_ENDS: Final[dict[str, Circle]] = {"/followers": "followers", "/following": "followed"}


def answers_of(source: Object) -> tuple[Circle, ...] | None:
    """Who may answer without being asked about, beside the author and those mentioned; None for everybody."""
    granted = _granted(source, "canReply")
    if granted is None or is_public(granted):
        return None
    found: dict[Circle, None] = {}
    for who in granted:
        found.update((circle, None) for end, circle in _ENDS.items() if who.rstrip("/").endswith(end))
    return (*found, "mentioned")


def quotable(source: Object) -> bool:
    """Whether anybody may quote it without asking; nothing said means yes."""
    granted = _granted(source, "canQuote")
    return granted is None or is_public(granted)


def policy(body: PostBody, author: str) -> Document:
    """`interactionPolicy` of a post of the actor `author`."""
    said: Document = {"canQuote": {"automaticApproval": [PUBLIC if body.quotable else author]}}
    if body.answers is not None:
        ends = {circle: end for end, circle in _ENDS.items()}
        circles = [author + ends[circle] for circle in body.answers if circle in ends]
        said["canReply"] = {"automaticApproval": [author, *circles]}
    return said


def _granted(source: Object, name: str) -> list[str] | None:
    """Those whom a policy lets do something without being asked; None where it says nothing."""
    for whole in objects(source.get("interactionPolicy")):
        for each in objects(whole.get(name)):
            for word in ("automaticApproval", "always"):  # GoToSocial before 0.20
                if word in each:
                    return list(idents(each.get(word)))
    return None
