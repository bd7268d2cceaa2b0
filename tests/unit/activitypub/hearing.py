"""What a peer says, decoded."""

import json
from typing import Any

from adapters.activitypub.decode import decode
from adapters.activitypub.shapes import ident, idents
from bridged.api import Activity, Envelope, Ref
from tests.unit.activitypub.fake import NOW, PUBLIC

ALICE = "https://peer.test/users/alice"


def ap(url: str) -> Ref:
    return Ref("activitypub", url)


def heard(document: object, signer: str = "") -> list[Activity]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    if not signer and isinstance(document, dict):
        owners = idents(document.get("attributedTo")) or [ident(document)]
        signer = ident(document.get("actor")) or owners[0]
    return [*decode(Envelope("activitypub", "x", body, "inbox", ap(signer or ALICE), NOW))]


def one(document: object, signer: str = "") -> Any:
    (activity,) = heard(document, signer)
    return activity


def note(**more: Any) -> dict[str, Any]:
    return {
        "id": "https://peer.test/notes/1",
        "type": "Note",
        "attributedTo": ALICE,
        "content": "<p>hi</p>",
        "published": "2026-09-21T10:00:00Z",
        "to": PUBLIC,
        **more,
    }


def act(kind: str, what: object, **more: Any) -> dict[str, Any]:
    return {"id": "https://peer.test/a/1", "type": kind, "actor": ALICE, "object": what, **more}
