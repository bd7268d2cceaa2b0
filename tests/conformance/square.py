"""ActivityPub, Nostr and AT joined in one process: real adapters, with one person on each, scripted at the edge.

A `Side` is one network: its person says things there as their own server would hand them in, and what our ghosts said
there is read where others would read it: in an inbox, in our relay, in our repositories.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from adapters.activitypub.adapter import ActivityPub
from adapters.atproto import cbor, tid
from adapters.atproto import ids as at_ids
from adapters.atproto.adapter import Atproto
from adapters.atproto.cid import Cid
from adapters.atproto.envelopes import Change, Operation, Standing, account_envelope, record_envelope
from adapters.atproto.pds import reading, store
from adapters.nostr import ids as nostr_ids
from adapters.nostr import nip19, signing
from adapters.nostr.adapter import Nostr
from adapters.nostr.event import Event, parse_event, sign, to_json
from bridged.api import Activity, Envelope, Ref, Response, Tx
from bridged.store import identity
from bridged.testing import Harness, ScriptedHttp

PUBLIC = "https://www.w3.org/ns/activitystreams#Public"
MAYA = "https://peer.example/users/maya"
SECRET = b"\x07" * 32
KEY = signing.public_key(SECRET).hex()
ANNA = "did:web:anna.test"
PDS = "https://pds.example"
ADAPTERS = (ActivityPub, Nostr, Atproto)
CONFIGS = {"atproto": {"plc": "embedded"}}


class Outside(ScriptedHttp):
    """Maya's server and Anna's host; Nora's relays hear nothing but what we have ourselves."""

    def __init__(self) -> None:
        super().__init__()
        self.pages[f"{MAYA}/inbox"] = lambda _body, _headers: Response(202, f"{MAYA}/inbox", {}, b"")
        self.actor: dict[str, Any] = {
            "@context": "https://www.w3.org/ns/activitystreams", "id": MAYA, "type": "Person", "name": "Maya",
            "preferredUsername": "maya", "inbox": f"{MAYA}/inbox", "url": "https://peer.example/@maya",
            "publicKey": {"id": f"{MAYA}#main-key", "owner": MAYA, "publicKeyPem": "none"},
        }  # fmt: skip
        self.serve(MAYA, json.dumps(self.actor).encode(), type="application/activity+json")
        named = {"subject": "acct:maya@peer.example", "links": [
            {"rel": "self", "type": "application/activity+json", "href": MAYA},
        ]}  # fmt: skip
        url = "https://peer.example/.well-known/webfinger?resource=acct%3Amaya%40peer.example"
        self.serve(url, json.dumps(named).encode(), type="application/jrd+json")
        document = {
            "id": ANNA,
            "alsoKnownAs": ["at://anna.test"],
            "service": [{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": PDS}],
        }
        self.serve("https://anna.test/.well-known/did.json", json.dumps(document).encode())
        self.serve("https://anna.test/.well-known/atproto-did", ANNA.encode(), type="text/plain")
        self.profile(displayName="Anna")

    def profile(self, **fields: Any) -> None:
        """How Anna looks from now on, to who asks her host."""
        record = {"$type": at_ids.PROFILE, **fields}
        url = f"{PDS}/xrpc/com.atproto.repo.getRecord?collection={at_ids.PROFILE}&rkey=self&repo=did%3Aweb%3Aanna.test"
        self.serve(url, json.dumps({"uri": f"at://{ANNA}/{at_ids.PROFILE}/self", "value": record}).encode())

    def inbox(self) -> list[dict[str, Any]]:
        """What reached Maya, each once, in order."""
        said = {a["id"]: a for url, body, _ in self.posted if url == f"{MAYA}/inbox" and (a := json.loads(body))}
        return list(said.values())


class Side(Protocol):
    """One network, and the person who lives there."""

    network: str
    me: Ref

    async def post(self, text: str, *, to: Ref | None = None, quote: Ref | None = None) -> Ref: ...
    async def like(self, post: Ref) -> Ref: ...
    async def repost(self, post: Ref) -> Ref: ...
    async def follow(self, account: Ref) -> Ref: ...
    async def delete(self, what: Ref) -> None: ...
    async def said(self, origin: Ref) -> Sequence[Activity]:
        """What was said here for it, part by part, as a reader of this network takes it; nothing when it is gone."""
        ...


class _Side:
    network: str
    me: Ref

    def __init__(self, bridge: Harness, outside: Outside) -> None:
        self.bridge, self.outside, self.count = bridge, outside, 0

    def read(self, envelope: Envelope) -> Sequence[Activity]:
        return self.bridge.core.adapters[self.network].decode(envelope)

    async def _places(self, origin: Ref) -> list[Ref]:
        """Where the parts of what was said for it stand here."""
        copies = await self.bridge.copies(origin, self.network)
        return [copy.ref for copy in copies if copy.ref is not None and not copy.gone]


class Fediverse(_Side):
    network, me = "activitypub", Ref("activitypub", MAYA)

    async def act(self, said: dict[str, Any]) -> Ref:
        self.count += 1
        full = {"id": f"{MAYA}/acts/{self.count}", "actor": MAYA, "to": [PUBLIC], **said}
        body = json.dumps(full).encode()
        await self.bridge.hear(Envelope(self.network, full["id"], body, "inbox", self.me, self.bridge.clock()))
        return Ref(self.network, full["id"])

    async def post(self, text: str, *, to: Ref | None = None, quote: Ref | None = None, **more: Any) -> Ref:
        id = f"{MAYA}/notes/{self.count}"
        note = {"id": id, "type": "Note", "attributedTo": MAYA, "content": f"<p>{text}</p>", "to": [PUBLIC], **more}
        note |= ({"inReplyTo": to.id} if to else {}) | ({"quoteUrl": quote.id} if quote else {})
        await self.act({"type": "Create", "object": note})
        return Ref(self.network, id)

    async def edit(self, post: Ref, text: str) -> None:
        self.bridge.clock.move(60)
        note = {
            "id": post.id, "type": "Note", "attributedTo": MAYA, "content": f"<p>{text}</p>", "to": [PUBLIC],
            "updated": written(self.bridge.clock()),
        }  # fmt: skip
        await self.act({"type": "Update", "object": note, "published": written(self.bridge.clock())})

    async def like(self, post: Ref) -> Ref:
        return await self.act({"type": "Like", "object": post.id})

    async def repost(self, post: Ref) -> Ref:
        return await self.act({"type": "Announce", "object": post.id})

    async def follow(self, account: Ref) -> Ref:
        return await self.act({"type": "Follow", "object": account.id})

    async def block(self, account: Ref) -> Ref:
        return await self.act({"type": "Block", "object": account.id})

    async def delete(self, what: Ref) -> None:
        if "/notes/" in what.id:
            await self.act({"type": "Delete", "object": {"id": what.id, "type": "Tombstone"}})
        else:
            await self.act({"type": "Undo", "object": {"id": what.id, "type": "Like", "actor": MAYA}})

    async def said(self, origin: Ref) -> Sequence[Activity]:
        """The newest that arrived about each part."""
        found: list[Activity] = []
        for place in await self._places(origin):
            told = [a for a in self.outside.inbox() if place.id in (a["id"], _id(a.get("object")))]
            if told and told[-1]["type"] not in ("Delete", "Undo"):
                body = json.dumps(told[-1]).encode()
                actor = Ref(self.network, told[-1]["actor"])
                envelope = Envelope(self.network, told[-1]["id"], body, "inbox", actor, self.bridge.clock())
                found += self.read(envelope)
        return found


class Notes(_Side):
    network, me = "nostr", nostr_ids.account_ref(KEY)

    async def event(self, kind: int, text: str, *tags: list[str]) -> Ref:
        self.bridge.clock.move(1)
        event = sign(SECRET, kind, int(self.bridge.clock()), tags, text)
        body, now = to_json(event), self.bridge.clock()
        await self.bridge.hear(Envelope(self.network, event.id, body, "wss://relay.example", self.me, now))
        return Ref(self.network, event.id)

    async def post(self, text: str, *, to: Ref | None = None, quote: Ref | None = None) -> Ref:
        tags = [["e", to.id, "", "root"]] if to else []
        if quote is not None:
            text, tags = f"{text} nostr:{nip19.encode(nip19.Nevent(quote.id))}", [*tags, ["q", quote.id]]
        return await self.event(1, text, *tags)

    async def like(self, post: Ref) -> Ref:
        return await self.event(7, "+", ["e", post.id], ["p", (await self._event(post)).pubkey])

    async def repost(self, post: Ref) -> Ref:
        event = await self._event(post)
        return await self.event(6, to_json(event).decode(), ["e", post.id], ["p", event.pubkey])

    async def follow(self, account: Ref) -> Ref:
        return await self.event(3, "", ["p", account.id])

    async def delete(self, what: Ref) -> None:
        await self.event(5, "", ["e", what.id])

    async def said(self, origin: Ref) -> Sequence[Activity]:
        found: list[Activity] = []
        for place in await self._places(origin):
            for envelope in await self.bridge.core.adapters[self.network].fetch(place):
                found += self.read(envelope)
        return found

    async def _event(self, ref: Ref) -> Event:
        (envelope,) = await self.bridge.core.adapters[self.network].fetch(ref)
        return parse_event(envelope.body)


class Sky(_Side):
    network, me = "atproto", Ref("atproto", ANNA)

    async def change(
        self, collection: str, rkey: str = "", operation: Operation = "create", **record: Any
    ) -> tuple[Ref, str]:
        """(URI, CID) of what became of a record."""
        envelope = self.changed(collection, rkey, operation, **record)
        await self.bridge.hear(envelope)
        change = msgspec.json.decode(envelope.body)
        return at_ids.record_ref(ANNA, collection, change["rkey"]), change.get("cid", "")

    def changed(self, collection: str, rkey: str = "", operation: Operation = "create", **record: Any) -> Envelope:
        self.count += 1
        self.bridge.clock.move(1)
        now = self.bridge.clock()
        rev = tid.make(int(now * 1e6), self.count)
        value = {"$type": collection, "createdAt": written(now), **record}
        gone = operation == "delete"
        cid = "" if gone else str(Cid.of(cbor.encode(cbor.from_json(value))))
        change = Change(ANNA, collection, rkey or rev, operation, cid, rev, None if gone else value, "anna.test", PDS)
        return record_envelope(change, now)

    async def post(self, text: str, *, to: Ref | None = None, quote: Ref | None = None, **more: Any) -> Ref:
        if to is not None:
            parent = await self._strong(to)
            more["reply"] = {"root": await self._root(to) or parent, "parent": parent}
        if quote is not None:
            more["embed"] = {"$type": "app.bsky.embed.record", "record": await self._strong(quote)}
        return (await self.change(at_ids.POST, text=text, **more))[0]

    async def edit(self, post: Ref, text: str) -> None:
        self.bridge.clock.move(60)
        await self.change(at_ids.POST, post.id.rpartition("/")[2], "update", text=text)

    async def like(self, post: Ref) -> Ref:
        return (await self.change(at_ids.LIKE, subject=await self._strong(post)))[0]

    async def repost(self, post: Ref) -> Ref:
        return (await self.change(at_ids.REPOST, subject=await self._strong(post)))[0]

    async def follow(self, account: Ref) -> Ref:
        return (await self.change(at_ids.FOLLOW, subject=account.id))[0]

    async def block(self, account: Ref) -> Ref:
        return (await self.change(at_ids.BLOCK, subject=account.id))[0]

    async def delete(self, what: Ref) -> None:
        _, collection, rkey = at_ids.split(what.id) or ("", "", "")
        await self.change(collection, rkey, "delete")

    async def stands(self, *, active: bool, status: str = "") -> None:
        """Her host says so of her account."""
        self.bridge.clock.move(1)
        await self.bridge.hear(account_envelope(Standing(ANNA, active, status), self.bridge.clock()))

    async def said(self, origin: Ref) -> Sequence[Activity]:
        found: list[Activity] = []
        for place in await self._places(origin):
            record = await self.record(place)
            if record is not None:
                did, collection, rkey = at_ids.split(place.id) or ("", "", "")
                cid = str(Cid.of(cbor.encode(record)))
                shown = {name: value for name, value in cbor.to_json(record).items() if not name.startswith("bridgedO")}
                change = Change(did, collection, rkey, "create", cid, "", shown, "ghost.bridge.test", PDS)
                found += self.read(record_envelope(change, self.bridge.clock()))
        return found

    async def record(self, ref: Ref) -> dict[str, Any] | None:
        """What stands there in a repository of ours."""
        did, collection, rkey = at_ids.split(ref.id) or ("", "", "")

        def unit(tx: Tx) -> dict[str, Any] | None:
            repo = store.find(tx, did)
            found = reading.record(tx, repo, f"{collection}/{rkey}") if repo is not None else None
            return cbor.decode(found.body) if found is not None else None

        return await self.bridge.read(unit)

    async def _strong(self, post: Ref) -> dict[str, str]:
        record = await self.record(post)
        assert record is not None, f"{post} is not there"
        return {"uri": post.id, "cid": str(Cid.of(cbor.encode(record)))}

    async def _root(self, post: Ref) -> dict[str, str] | None:
        record = await self.record(post)
        return cbor.to_json(record)["reply"]["root"] if record and "reply" in record else None


class Square:
    """Maya of the fediverse, Nora of Nostr, Anna of AT. With `joined` all are bridged, and Maya follows both others."""

    def __init__(self, bridge: Harness, outside: Outside) -> None:
        self.bridge, self.outside = bridge, outside
        self.fediverse, self.notes, self.sky = Fediverse(bridge, outside), Notes(bridge, outside), Sky(bridge, outside)
        self.sides = {side.network: side for side in (self.fediverse, self.notes, self.sky)}

    async def start(self, *, joined: bool = True) -> "Square":
        if joined:
            for side in self.sides.values():
                ref = side.me
                await self.bridge.write(lambda tx, r=ref: identity.set_standing(tx, r, "in", "operator", 0.0))
            for side in (self.notes, self.sky):
                ghost = await self.bridge.ghost(side.me, "activitypub")
                await self.fediverse.follow(ghost.ref)
        return self

    async def here(self, origin: Ref, network: str) -> Ref:
        """Where what somebody did stands on a network: the original, or the first part of our copy."""
        if origin.network == network:
            return origin
        ref = (await self.bridge.copies(origin, network))[0].ref
        assert ref is not None
        return ref


async def square_of(bridge_of: Any, *, joined: bool = True, **settings: Any) -> Square:
    outside = Outside()
    bridge = await bridge_of(*ADAPTERS, http=outside, configs=CONFIGS, **settings)
    return await Square(bridge, outside).start(joined=joined)


def written(at: float) -> str:
    """As both networks that write dates in words take it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _id(value: Any) -> str:
    return value.get("id", "") if isinstance(value, dict) else value if isinstance(value, str) else ""
