"""What our ghosts say, encoded for a small cast."""

import json
from dataclasses import replace
from typing import Any

from adapters.activitypub.encode import Encoder
from adapters.activitypub.ids import Urls, native
from bridged.api import Account, Activity, Ghost, Outgoing, PostBody, Ref, Span, Text, There, View
from tests.unit.activitypub.fake import BASE, GHOST, HOME, NOW

URLS = Urls(BASE)
ENCODER = Encoder(URLS, "bridge.test", "-----BEGIN PUBLIC KEY-----\n")
ACTOR = GHOST.ref.id
FOLLOWERS = f"{ACTOR}/followers"
BOB = Account(
    native("https://peer.test/users/bob"),
    "bob@peer.test",
    url="https://peer.test/@bob",
    endpoint="https://peer.test/inbox",
)
ZOE = Account(native("https://b.test/zoe"), "zoe@b.test", endpoint="https://b.test/zoe/inbox")
OTHER = Account(Ref("nostr", "cd" * 32), "npub1other", name="Otto", url="https://njump.example/otto")
OTHERS_GHOST = Ghost(OTHER.ref, native(URLS.user(OTHER.ref)), "npub1other")
NOBODY = Account(Ref("nostr", "ef" * 32), "npub1nobody", url="https://njump.example/nobody")
PARENT = Ref("activitypub", "https://peer.test/notes/1")
POST = Ref("nostr", "11" * 32)
ACT = Ref("nostr", "22" * 32)


def view(**more: Any) -> View:
    return View(
        at=NOW,
        actor=GHOST,
        account=HOME,
        ghosts={OTHER.ref: OTHERS_GHOST, NOBODY.ref: None},
        accounts={BOB.ref: BOB, OTHER.ref: OTHER, NOBODY.ref: NOBODY},
        there={PARENT: There(PARENT, PARENT, BOB.ref, url="https://peer.test/@bob/1")},
        recipients=(BOB, replace(ZOE, endpoint=BOB.endpoint), ZOE),
        **more,
    )


def body(text: str = "hello", *spans: Span, **more: Any) -> PostBody:
    return PostBody(ref=POST, author=HOME.ref, text=Text(text, spans), at=NOW - 60, uri="nostr:note1x", **more)


def said(act: Any, ref: Ref = ACT, seen: View | None = None) -> Outgoing:
    return ENCODER.encode(Activity(ref, HOME.ref, NOW - 60, act), seen or view())


def first(act: Any, ref: Ref = ACT, seen: View | None = None) -> dict[str, Any]:
    return json.loads(said(act, ref, seen).parts[0].body)
