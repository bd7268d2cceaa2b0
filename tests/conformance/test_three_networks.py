"""Pigeon, ActivityPub and Nostr joined in one process: real adapters, with their servers scripted at the edge."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from pigeon.adapter import Pigeon
from pigeon.server import BASE, PigeonServer

from adapters.activitypub.adapter import ActivityPub
from adapters.nostr import ids, signing
from adapters.nostr.adapter import Nostr
from adapters.nostr.event import Event, parse_event, sign, to_json
from bridged.api import Envelope, Ref, Response
from bridged.store import identity
from bridged.testing import Harness, ScriptedHttp

PUBLIC = "https://www.w3.org/ns/activitystreams#Public"
MAYA = "https://peer.example/users/maya"
SECRET = b"\x07" * 32
KEY = signing.public_key(SECRET).hex()


class Outside(ScriptedHttp):
    """Maya's server, and the pigeons'."""

    def __init__(self) -> None:
        super().__init__()
        self.pigeons = PigeonServer()
        self.pages[f"{MAYA}/inbox"] = lambda _body, _headers: Response(202, f"{MAYA}/inbox", {}, b"")
        actor = {
            "@context": "https://www.w3.org/ns/activitystreams",
            "id": MAYA,
            "type": "Person",
            "preferredUsername": "maya",
            "name": "Maya",
            "inbox": f"{MAYA}/inbox",
            "publicKey": {"id": f"{MAYA}#main-key", "owner": MAYA, "publicKeyPem": "none"},
        }
        self.serve(MAYA, json.dumps(actor).encode(), type="application/activity+json")

    async def get(self, url: str, **more: Any) -> Response:
        return await (self.pigeons.get(url) if url.startswith(BASE) else super().get(url, **more))

    async def post(self, url: str, body: bytes, **more: Any) -> Response:
        return await (self.pigeons.post(url, body) if url.startswith(BASE) else super().post(url, body, **more))

    def inbox(self, kind: str) -> list[dict[str, Any]]:
        """Activities of one type that reached maya, each once."""
        said: Mapping[str, Any] = {
            a["id"]: a for url, body, _ in self.posted if url == f"{MAYA}/inbox" and (a := json.loads(body))
        }
        return [a for a in said.values() if a["type"] == kind]


class Square:
    """Maya of the fediverse, Nora of Nostr and piet the bird are all bridged, and follow one another."""

    def __init__(self, bridge: Harness, outside: Outside) -> None:
        self.bridge, self.outside = bridge, outside
        self.maya, self.nora = Ref("activitypub", MAYA), ids.account_ref(KEY)
        self.piet = Ref("pigeon", outside.pigeons.bird("piet"))
        self.count = 0

    async def start(self) -> "Square":
        for ref in (self.maya, self.nora, self.piet):
            await self.bridge.write(lambda tx, r=ref: identity.set_standing(tx, r, "in", "operator", 0.0))
        for owner in (self.nora, self.piet):
            ghost = await self.bridge.ghost(owner, "activitypub")
            await self.activity({"type": "Follow", "object": ghost.ref.id})
        for owner in (self.maya, self.nora):
            ghost = await self.bridge.ghost(owner, "pigeon")
            await self.fly(self.outside.pigeons.event("flock", self.piet.id, ghost.ref.id))
        return self

    async def activity(self, said: dict[str, Any]) -> dict[str, Any]:
        self.count += 1
        full = {"id": f"{MAYA}/acts/{self.count}", "actor": MAYA, "to": [PUBLIC], **said}
        body = json.dumps(full).encode()
        await self.bridge.hear(Envelope("activitypub", full["id"], body, "inbox", self.maya, self.bridge.clock()))
        return full

    async def note(self, text: str, **more: Any) -> str:
        id = f"{MAYA}/notes/{self.count}"
        note = {
            "id": id, "type": "Note", "attributedTo": MAYA, "content": f"<p>{text}</p>", "to": [PUBLIC], **more,
        }  # fmt: skip
        await self.activity({"type": "Create", "object": note})
        return id

    async def event(self, kind: int, text: str, *tags: list[str]) -> Event:
        self.bridge.clock.move(1)
        event = sign(SECRET, kind, int(self.bridge.clock()), tags, text)
        await self.bridge.hear(
            Envelope("nostr", event.id, to_json(event), "wss://relay.example", self.nora, self.bridge.clock())
        )
        return event

    async def coo(self, text: str, to: str = "") -> str:
        made = self.outside.pigeons.coo(self.piet.id, text, to)
        await self.fly(made)
        return made["id"]

    async def fly(self, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        await self.bridge.hear(Envelope("pigeon", said["id"], body, "test", self.piet, self.bridge.clock()))

    async def on_nostr(self, origin: Ref) -> Event:
        (copy,) = await self.bridge.copies(origin, "nostr")
        event = parse_event(copy.served)
        assert await self.relay(event.id) == [event], "the embedded relay does not have it"
        return event

    async def relay(self, id: str) -> list[Event]:
        """What the embedded relay has under an id."""
        found = await self.bridge.core.adapters["nostr"].fetch(Ref("nostr", id))
        return [parse_event(e.body) for e in found]

    async def on_pigeon(self, origin: Ref) -> str:
        copy = (await self.bridge.copies(origin, "pigeon"))[-1]
        assert copy.ref is not None
        return copy.ref.id


@pytest.fixture
async def square(bridge_of: Any) -> Square:
    outside = Outside()
    bridge = await bridge_of(ActivityPub, Nostr, Pigeon, http=outside)
    return await Square(bridge, outside).start()


async def test_coo_reaches_both_others_and_its_drop_too(square: Square) -> None:
    coo = await square.coo("coo from the roof")
    (create,) = square.outside.inbox("Create")
    assert "coo from the roof" in create["object"]["content"]
    event = await square.on_nostr(Ref("pigeon", coo))
    assert (event.kind, event.content) == (1, "coo from the roof")
    await square.fly(square.outside.pigeons.event("drop", square.piet.id, coo))
    (delete,) = square.outside.inbox("Delete")
    assert delete["object"]["id"] == create["object"]["id"]
    assert await square.relay(event.id) == []


async def test_note_reaches_both_others_and_its_delete_too(square: Square) -> None:
    note = await square.note("hello from the fediverse")
    event = await square.on_nostr(Ref("activitypub", note))
    assert event.content == "hello from the fediverse"
    assert square.outside.pigeons.flying()[-1] == ("hello from the fediverse", "")
    await square.activity({"type": "Delete", "object": {"id": note, "type": "Tombstone"}})
    assert square.outside.pigeons.flying() == []
    assert await square.relay(event.id) == []


async def test_event_reaches_both_others_and_its_deletion_too(square: Square) -> None:
    event = await square.event(1, "hello from Nostr")
    (create,) = square.outside.inbox("Create")
    assert "hello from Nostr" in create["object"]["content"]
    assert square.outside.pigeons.flying()[-1] == ("hello from Nostr", "")
    await square.event(5, "", ["e", event.id])
    (delete,) = square.outside.inbox("Delete")
    assert delete["object"]["id"] == create["object"]["id"]
    assert square.outside.pigeons.flying() == []


async def test_thread_over_three_networks_stays_one_thread(square: Square) -> None:
    coo = await square.coo("first")
    (create,) = square.outside.inbox("Create")
    note = await square.note("second", inReplyTo=create["object"]["id"])
    assert square.outside.pigeons.flying()[-1] == ("second", coo)
    first = await square.on_nostr(Ref("pigeon", coo))
    second = await square.on_nostr(Ref("activitypub", note))
    assert ["e", first.id] == list(second.tags[0][:2])
    third = await square.event(1, "third", ["e", first.id, "", "root"], ["e", second.id, "", "reply"])
    replies = [c["object"] for c in square.outside.inbox("Create") if "third" in c["object"]["content"]]
    assert [r["inReplyTo"] for r in replies] == [note]
    there = await square.on_pigeon(Ref("activitypub", note))
    assert square.outside.pigeons.flying()[-1] == ("third", there)
    last = await square.coo("fourth", await square.on_pigeon(Ref("nostr", third.id)))
    fourth = await square.on_nostr(Ref("pigeon", last))
    assert [t[1] for t in fourth.tags if t[0] == "e"] == [first.id, third.id]


async def test_long_note_is_a_chain_of_coos_answered_at_its_end(square: Square) -> None:
    words = " ".join(f"word{n}" for n in range(60))
    note = await square.note(words)
    await square.note("more", inReplyTo=note)
    flying = square.outside.pigeons.flying()
    assert len(flying) > 3
    assert flying[-1] == ("more", await square.on_pigeon(Ref("activitypub", note)))


async def test_like_of_a_coo_copy_comes_back_to_the_bird(square: Square) -> None:
    coo = await square.coo("like me")
    (create,) = square.outside.inbox("Create")
    await square.activity({"type": "Like", "object": create["object"]["id"]})
    ghost = await square.bridge.ghost(square.maya, "pigeon")
    claps = [e for e in square.outside.pigeons.events if e["kind"] == "clap" and e["by"] == ghost.ref.id]
    assert [e["target"] for e in claps] == [coo]


async def test_nothing_comes_twice_after_a_restart(square: Square) -> None:
    await square.coo("once")
    await square.bridge.restart()
    await square.bridge.settle()
    assert len(square.outside.inbox("Create")) == 1
    assert len([1 for _, b, _ in square.outside.posted if b'"Create"' in b]) == 1
    copies = await square.bridge.copies(Ref("pigeon", "coo1"), "nostr")
    assert len(copies) == 1
