"""The shipped conformance suite, run on all real adapters and on the one from outside."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pigeon.adapter import Pigeon
from pigeon.server import PigeonServer

from adapters.activitypub.adapter import ActivityPub
from adapters.atproto import cbor as at_cbor
from adapters.atproto import cid as at_cid
from adapters.atproto import ids as at_ids
from adapters.atproto import tid as at_tid
from adapters.atproto.adapter import Atproto
from adapters.atproto.envelopes import (
    Change,
    Operation,
    Person,
    Standing,
    account_envelope,
    identity_envelope,
    record_envelope,
)
from adapters.atproto.writes import read_write
from adapters.nostr import ids, signing
from adapters.nostr.adapter import Nostr
from adapters.nostr.event import parse_event, sign, to_json
from adapters.nostr.nip17 import wrap
from bridged.api import HOME, Account, Envelope, Ghost, Http, Part, Ref
from bridged.keys import KeyRing
from bridged.testing.conformance import Conformance

NOW = 1_790_000_000
PUBLIC = "https://www.w3.org/ns/activitystreams#Public"
MAYA = "https://peer.example/users/maya"
SECRET = b"\x07" * 32
KEY = signing.public_key(SECRET).hex()
ALEX, BETTY = f"did:plc:{'a' * 24}", f"did:plc:{'b' * 24}"
REV = at_tid.make(NOW * 1_000_000, 0)


class TestActivityPub(Conformance):
    adapter = ActivityPub
    native = Account(
        Ref("activitypub", MAYA), "maya@peer.example", name="Maya", url=MAYA, uri=MAYA, endpoint=f"{MAYA}/inbox"
    )

    def samples(self) -> Sequence[Envelope]:
        note = {
            "id": f"{MAYA}/notes/1",
            "type": "Note",
            "attributedTo": MAYA,
            "content": '<p>Hi <a href="https://example.com">there</a> #tag</p>',
            "published": "2026-09-21T10:00:00Z",
            "to": [PUBLIC],
            "cc": [f"{MAYA}/followers"],
            "tag": [{"type": "Hashtag", "name": "#tag", "href": "https://peer.example/tags/tag"}],
            "attachment": [{"type": "Image", "url": "https://peer.example/i.png", "mediaType": "image/png"}],
        }
        reply = {**note, "id": f"{MAYA}/notes/2", "inReplyTo": f"{MAYA}/notes/1"}
        poll = {**note, "id": f"{MAYA}/notes/3", "type": "Question", "oneOf": [{"name": "yes"}, {"name": "no"}]}
        ours = "https://bridge.test/objects/nostr/abc"
        ballot = {"id": f"{MAYA}/votes/1", "type": "Note", "name": "yes", "attributedTo": MAYA, "inReplyTo": ours}
        words = {"id": f"{MAYA}/notes/4", "type": "Note", "attributedTo": MAYA, "content": "start"}
        quote = {"id": f"{MAYA}/notes/5", "type": "Note", "attributedTo": MAYA, "quote": ours, "to": [PUBLIC]}
        actor = {"id": MAYA, "type": "Person", "preferredUsername": "maya", "inbox": f"{MAYA}/inbox"}
        other = "https://bridge.test/users/nostr/abc"
        said: list[dict[str, Any]] = [
            {"type": "Create", "object": note, "to": note["to"], "cc": note["cc"]},
            {"type": "Create", "object": reply, "to": note["to"], "cc": note["cc"]},
            {"type": "Update", "object": {**note, "updated": "2026-09-21T11:00:00Z"}},
            {"type": "Update", "object": actor},
            {"type": "Delete", "object": {"id": f"{MAYA}/notes/1", "type": "Tombstone"}},
            {"type": "Follow", "object": other},
            {"type": "Undo", "object": {"id": f"{MAYA}/acts/6", "type": "Follow", "actor": MAYA, "object": other}},
            {"type": "Accept", "object": "https://bridge.test/activities/nostr/abc/follow"},
            {"type": "Like", "object": "https://bridge.test/objects/nostr/abc"},
            {"type": "Announce", "object": "https://bridge.test/objects/nostr/abc", "to": [PUBLIC]},
            {"type": "Block", "object": other},
            {"type": "Create", "object": poll, "to": note["to"], "cc": note["cc"]},
            {"type": "Update", "object": {**poll, "votersCount": 1}},
            {"type": "Create", "object": ballot, "to": [other]},
            {"type": "Create", "object": words, "to": ["https://bridge.test/users/bridge/bot"]},
            {"type": "QuoteRequest", "object": ours, "instrument": quote},
            {
                "type": "Accept",
                "object": {"type": "QuoteRequest", "id": "https://bridge.test/activities/nostr/abc/quote"},
                "result": f"{MAYA}/stamps/1",
            },
            {"type": "Flag", "object": [other, ours], "content": "spam"},
            {"type": "Move", "object": MAYA, "target": "https://new.example/maya"},
            {"type": "Add", "object": f"{MAYA}/notes/1", "target": f"{MAYA}/collections/featured"},
            {"type": "EmojiReact", "object": ours, "content": "🔥"},
            {
                "type": "Announce",
                "object": {"type": "Create", "id": "https://lemmy.example/a/1", "object": "https://lemmy.example/p/1"},
                "to": [PUBLIC],
            },
        ]
        return [
            self._envelope({"id": f"{MAYA}/acts/{n}", "actor": MAYA, **activity}, MAYA)
            for n, activity in enumerate(said, 1)
        ]

    def back(self, part: Part, ghost: Ghost) -> Envelope | None:
        return self._envelope(json.loads(part.body), ghost.ref.id)

    def _envelope(self, document: dict[str, Any], actor: str) -> Envelope:
        body = json.dumps(document).encode()
        return Envelope("activitypub", document["id"], body, "inbox", Ref("activitypub", actor), float(NOW))


class TestNostr(Conformance):
    adapter = Nostr
    native = Account(ids.account_ref(KEY), ids.npub(KEY), name="Nora", uri=f"nostr:{ids.npub(KEY)}")
    config: ClassVar[Mapping[str, object]] = {"relays": ["wss://relay.example"]}

    def samples(self) -> Sequence[Envelope]:
        other = signing.public_key(b"\x09" * 32).hex()
        note = self._event(1, "hi there #tag https://example.com")
        first = parse_event(note.body).id
        return [
            note,
            self._event(1, "a reply", ["e", first, "", "root"], ["p", KEY]),
            self._event(0, json.dumps({"name": "nora", "about": "hello"})),
            self._event(3, "", ["p", other]),
            self._event(5, "", ["e", first], ["e", "ab" * 32]),
            self._event(6, "", ["e", "ab" * 32], ["p", other]),
            self._event(7, "+", ["e", "ab" * 32], ["p", other]),
            self._event(7, ":blob:", ["e", "ab" * 32], ["emoji", "blob", "https://example.com/b.png"]),
            self._event(30023, "# long", ["d", "long"], ["title", "Long"]),
            self._event(1111, "a comment", ["E", "ab" * 32], ["K", "30023"], ["e", "ab" * 32], ["k", "30023"]),
            self._event(1068, "a poll", ["option", "a", "One"], ["option", "b", "Two"], ["endsAt", str(NOW + 60)]),
            self._event(1018, "", ["e", "ab" * 32], ["response", "a"]),
            self._event(20, "a picture", ["title", "T"], ["imeta", "url https://example.com/a.jpg", "alt A"]),
            self._event(34235, "a video", ["d", "v"], ["imeta", "url https://example.com/a.mp4", "duration 3.5"]),
            self._event(9802, "a highlight", ["r", "https://example.com/page"]),
            self._event(31923, "a meeting", ["d", "m"], ["title", "Meeting"], ["start", str(NOW)]),
            self._event(30402, "an **offer**", ["d", "o"], ["title", "Bike"], ["price", "10", "EUR"]),
            self._event(10000, "", ["p", other]),
            self._event(10001, "", ["e", first]),
            self._event(1984, "bad", ["p", other, "spam"]),
            self._event(62, "", ["relay", "ALL_RELAYS"]),
            self._zap(other),
            self._message(),
        ]

    def _zap(self, wallet_of: str) -> Envelope:
        """Paid by the native; signed by somebody's wallet."""
        request = sign(SECRET, 9734, NOW, [("p", wallet_of), ("e", "ab" * 32)], "thanks")
        tags = [("p", wallet_of), ("e", "ab" * 32), ("bolt11", "lnbc1u1q"), ("description", to_json(request).decode())]
        event = sign(b"\x08" * 32, 9735, NOW, tags, "")
        return Envelope("nostr", event.id, to_json(event), "wss://relay.example", ids.account_ref(KEY), float(NOW))

    def _message(self) -> Envelope:
        """From the native to the bot of the bridge that the suite sets up."""
        bot = signing.public_key(KeyRing(b"harness." * 4).derive("nostr-ghost", Ref(HOME, "bot"))).hex()
        event = wrap(SECRET, bot, "help", NOW, b"seed" * 8)
        return Envelope("nostr", event.id, to_json(event), "wss://relay.example", ids.account_ref(KEY), float(NOW))

    def back(self, part: Part, ghost: Ghost) -> Envelope | None:
        event = parse_event(part.body)
        return Envelope("nostr", event.id, part.body, "wss://relay.example", ids.account_ref(event.pubkey), NOW + 100.0)

    def _event(self, kind: int, content: str, *tags: list[str]) -> Envelope:
        event = sign(SECRET, kind, NOW, tags, content)
        return Envelope("nostr", event.id, to_json(event), "wss://relay.example", ids.account_ref(KEY), float(NOW))


class TestAtproto(Conformance):
    adapter = Atproto
    native = Account(Ref("atproto", ALEX), "alex.example", name="Alex", uri=f"at://{ALEX}")
    config: ClassVar[Mapping[str, object]] = {
        "plc": "embedded",
        "moderation": {"url": "https://mod.example", "did": f"did:plc:{'m' * 24}"},
    }

    def samples(self) -> Sequence[Envelope]:
        post = self._record("app.bsky.feed.post", text="hi there #tag https://example.com")
        place = "at://" + ALEX + "/app.bsky.feed.post/"
        strong = {"uri": f"{place}3jzfcijpj2z2a", "cid": str(at_cid.Cid.of(b"post"))}
        picture = {"$type": "blob", "ref": {"$link": str(at_cid.Cid.of(b"p", at_cid.RAW))}, "mimeType": "image/png"}
        return [
            post,
            self._record("app.bsky.feed.post", text="a reply", reply={"root": strong, "parent": strong}),
            self._record(
                "app.bsky.feed.post",
                text="a picture",
                embed={"$type": "app.bsky.embed.images", "images": [{"alt": "A", "image": {**picture, "size": 1}}]},
            ),
            self._record(
                "app.bsky.feed.post", text="a quote", embed={"$type": "app.bsky.embed.record", "record": strong}
            ),
            self._record("app.bsky.feed.post", operation="update", text="edited"),
            self._record("app.bsky.feed.like", subject=strong),
            self._record("app.bsky.feed.repost", subject=strong),
            self._record("app.bsky.graph.follow", subject=BETTY),
            self._record("app.bsky.graph.block", subject=BETTY),
            self._gate("app.bsky.feed.threadgate", allow=[{"$type": "app.bsky.feed.threadgate#mentionRule"}]),
            self._gate(
                "app.bsky.feed.postgate",
                embeddingRules=[{"$type": "app.bsky.feed.postgate#disableRule"}],
                detachedEmbeddingUris=[f"at://{BETTY}/app.bsky.feed.post/3jzfcijpj2z2a"],
            ),
            self._record("app.bsky.actor.profile", displayName="Alex", description="hello", pinnedPost=strong),
            record_envelope(Change(ALEX, "app.bsky.feed.post", "3jzfcijpj2z2a", "delete", rev=REV), float(NOW)),
            identity_envelope(Person(ALEX, "alex.example", "https://pds.example", {"displayName": "A"}), float(NOW)),
            account_envelope(Standing(ALEX, active=False, status="deleted"), float(NOW)),
        ]

    def back(self, part: Part, ghost: Ghost) -> Envelope | None:
        place = at_ids.split(part.ref.id) if part.ref else None
        if place is None:
            return None
        write = read_write(part.body)
        record = at_cbor.to_json(at_cbor.decode(write.record)) if write.record else None
        if write.action == "leave":
            return account_envelope(Standing(ghost.ref.id, active=False, status="deleted"), NOW + 100.0)
        cid = part.detail["cid"] if record else ""
        return record_envelope(Change(*place, write.action, cid, REV, record, ghost.handle), NOW + 100.0)

    def _gate(self, collection: str, **fields: Any) -> Envelope:
        """Beside a post, under its key."""
        key = "3jzfcijpj2z2a"
        record = {"$type": collection, "post": f"at://{ALEX}/app.bsky.feed.post/{key}", **fields}
        cid = str(at_cid.Cid.of(at_cbor.encode(at_cbor.from_json(record))))
        return record_envelope(Change(ALEX, collection, key, "create", cid, REV, record), float(NOW))

    def _record(self, collection: str, operation: Operation = "create", **fields: Any) -> Envelope:
        record = {"$type": collection, "createdAt": "2026-09-21T10:00:00.000Z", **fields}
        cid = str(at_cid.Cid.of(at_cbor.encode(at_cbor.from_json(record))))
        rkey = "self" if collection == at_ids.PROFILE else at_tid.record_key(Ref("atproto", cid), float(NOW))
        change = Change(ALEX, collection, rkey, operation, cid, REV, record, "alex.example", "https://pds.example")
        return record_envelope(change, float(NOW))


class TestPigeon(Conformance):
    adapter = Pigeon
    native = Account(Ref("pigeon", "bird77"), "piet", name="Piet", endpoint="https://pigeon.example")

    def http(self) -> Http:
        return PigeonServer()

    def samples(self) -> Sequence[Envelope]:
        said: list[dict[str, Any]] = [
            {"kind": "coo", "id": "coo1", "hash": "aa", "text": "coo", "to": ""},
            {"kind": "coo", "id": "coo2", "hash": "bb", "text": "coo coo", "to": "coo1"},
            {"kind": "clap", "id": "clap1", "target": "coo9"},
            {"kind": "flock", "id": "flock1", "target": "bird9"},
            {"kind": "drop", "id": "drop1", "target": "coo1"},
        ]
        return [self._envelope({**each, "by": "bird77"}) for each in said]

    def back(self, part: Part, ghost: Ghost) -> Envelope | None:
        said = json.loads(part.body)
        if said["path"] != "/coos":
            return None
        to = said.get("to", {}).get("id", "")
        return self._envelope(
            {"kind": "coo", "id": f"coo{len(part.body)}", "hash": "cc", "by": ghost.ref.id, **said, "to": to}
        )

    def _envelope(self, said: dict[str, Any]) -> Envelope:
        body = json.dumps(said).encode()
        return Envelope("pigeon", said["id"], body, "live", Ref("pigeon", said["by"]), float(NOW))
