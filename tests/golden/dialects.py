"""How the golden cases are written and read on ActivityPub and on Nostr."""

import json
from collections.abc import Mapping
from typing import Any

from adapters.activitypub.adapter import ActivityPub, Config
from adapters.nostr import ids, nip19, signing
from adapters.nostr.adapter import Nostr
from adapters.nostr.config import NostrConfig
from adapters.nostr.event import parse_event, sign, to_json
from bridged.api import Account, Envelope, Part, Ref, Text
from bridged.testing import FakeHost

RELAY = "wss://relay.example"


def _account(ref: Ref, entry: Mapping[str, Any], **more: str) -> Account:
    names = {"handle", "alias", "name", "url", "uri", "endpoint", "bot", "group", "mark"}
    return Account(ref, **{"bio": Text(entry.get("bio", "")), **more, **{n: entry[n] for n in entry if n in names}})


class OnActivityPub:
    """Native inputs are activities, or bare objects and actors as they are fetched."""

    hidden: frozenset[str] = frozenset()

    def __init__(self, sink: ActivityPub) -> None:
        self.sink = sink

    @classmethod
    async def started(cls) -> "OnActivityPub":
        sink = ActivityPub(Config(), FakeHost("bridge.example"))
        await sink.start()
        return cls(sink)

    def account(self, entry: Mapping[str, Any]) -> Account:
        actor = entry["id"]
        return _account(Ref("activitypub", actor), entry, uri=actor, endpoint=entry.get("endpoint", f"{actor}/inbox"))

    def envelope(self, said: Any, received_at: float) -> Envelope:
        signer = said.get("actor") or said.get("attributedTo") or said["id"]
        if isinstance(signer, list):  # PeerTube: the account, then its channel
            signer = next(who["id"] for who in signer if who["type"] == "Person")
        signer = signer["id"] if isinstance(signer, dict) else signer
        body = json.dumps(said).encode()
        return Envelope("activitypub", said.get("id", "none"), body, "inbox", Ref("activitypub", signer), received_at)

    def written(self, ref: Ref, form: str) -> str:
        raise ValueError(f"no form {form} of {ref}")

    def shown(self, part: Part) -> Any:
        """Without what is always the same: the context, the key all ghosts share, where answers are listed."""
        document = json.loads(part.body or part.served)
        document.pop("@context", None)
        inner = document.get("object")
        asked = document.get("instrument")
        for each in (document, inner, asked):
            if isinstance(each, dict):
                each.pop("replies", None)
                if "publicKey" in each:
                    each["publicKey"] = "(the instance's)"
        return document

    def back(self, part: Part, received_at: float) -> Envelope | None:
        return self.envelope(json.loads(part.body or part.served), received_at)


class OnNostr:
    """Native inputs are signed events, or templates: what a template lacks is filled in, and the cast signs it."""

    hidden: frozenset[str] = frozenset({"json"})

    def __init__(self) -> None:
        host = FakeHost("bridge.example")
        self.sink = Nostr(NostrConfig.model_validate({"relays": [RELAY]}), host)
        self._secrets: dict[str, bytes] = {}

    def account(self, entry: Mapping[str, Any]) -> Account:
        secret = bytes([entry["seed"]]) * 32
        key = signing.public_key(secret).hex()
        self._secrets[key] = secret
        npub = ids.npub(key)
        return _account(ids.account_ref(key), entry, handle=npub, url=ids.VIEWER + npub, uri=f"nostr:{npub}")

    def envelope(self, said: Any, received_at: float) -> Envelope:
        if "sig" not in said:
            at = said.get("created_at", int(received_at) - 10)
            content = said.get("content", "")
            content = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
            tags = [
                [v if isinstance(v, str) else self._inner(v, received_at) for v in tag] for tag in said.get("tags", [])
            ]
            event = sign(self._secrets[said["pubkey"]], said["kind"], at, tags, content)
        else:
            event = parse_event(json.dumps(said).encode())
        return Envelope("nostr", event.id, to_json(event), RELAY, ids.account_ref(event.pubkey), received_at)

    def _inner(self, said: Any, received_at: float) -> str:
        """An event inside another, as JSON."""
        return self.envelope(said, received_at).body.decode()

    def written(self, ref: Ref, form: str) -> str:
        match form:
            case "npub":
                return ids.npub(ref.id)
            case "nprofile":
                return nip19.encode(nip19.Nprofile(ref.id, (RELAY,)))
            case "note":
                return nip19.encode(nip19.Note(ref.id))
            case "nevent":
                return nip19.encode(nip19.Nevent(ref.id, (RELAY,), None, 1))
            case "naddr":
                kind, key, name = ids.split_address(ref.id) or (0, "", "")
                return nip19.encode(nip19.Naddr(name, key, kind, (RELAY,)))
            case _:
                raise ValueError(f"no form {form}")

    def shown(self, part: Part) -> Any:
        event = parse_event(part.body or part.served)
        content: Any = event.content
        if event.kind in (0, 6, 16) and content:
            content = json.loads(content)  # JSON in JSON is hard to read
        return {
            "id": event.id,
            "pubkey": event.pubkey,
            "created_at": event.created_at,
            "kind": event.kind,
            "tags": [list(tag) for tag in event.tags],
            "content": content,
        }

    def back(self, part: Part, received_at: float) -> Envelope | None:
        event = parse_event(part.body or part.served)
        return Envelope("nostr", event.id, part.body, RELAY, ids.account_ref(event.pubkey), received_at + 100)
