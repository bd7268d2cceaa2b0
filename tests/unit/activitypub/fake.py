"""A Host and a fediverse in memory, for tests of the ActivityPub adapter without a core."""

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from adapters.activitypub import tables
from adapters.activitypub.signatures import RsaKey, sign_cavage, sign_rfc9421
from bridged.api import Account, Copy, EgressFailed, Envelope, Ghost, Heard, Ref, Response, Site, Text

NOW = 1_790_000_000.0
BASE = "https://bridge.test"
AS2 = "application/activity+json"
PUBLIC = "https://www.w3.org/ns/activitystreams#Public"

NPUB = "npub1" + "q" * 58
HOME = Account(
    Ref("nostr", "ab" * 32),
    NPUB,
    name="Nora",
    bio=Text("hello"),
    url="https://njump.example/nora",
    uri=f"nostr:{NPUB}",
)
GHOST = Ghost(HOME.ref, Ref("activitypub", f"{BASE}/users/nostr/{'ab' * 32}"), NPUB)
BOT = Ghost(Ref("bridge", "bot"), Ref("activitypub", f"{BASE}/users/bridge/bot"), "bridge")


@functools.cache
def rsa_key(name: str) -> RsaKey:
    """A key per name, made once: making them is slow."""
    return RsaKey.generate()


class FakeHttp:
    """Answers from `pages`: address -> Response, exception, or what makes one of (headers)."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {}
        self.asked: list[str] = []
        self.posted: list[tuple[str, bytes, Mapping[str, str]]] = []

    def serve(self, url: str, document: object, *, kind: str = AS2, status: int = 200, at: str = "") -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.pages[url] = Response(status, at or url, {"content-type": kind}, body)

    async def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, limit: int = 1 << 20, sign: Any = None
    ) -> Response:
        self.asked.append(url)
        sent = {**(headers or {}), **(sign("GET", url) if sign else {})}
        return self._answer(self.pages.get(url, Response(404, url, {}, b"")), sent)

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int = 1 << 16,
        sign: Any = None,
    ) -> Response:
        sent = {**(headers or {}), **(sign("POST", url) if sign else {})}
        self.posted.append((url, body, sent))
        return self._answer(self.pages.get(url, EgressFailed("connect")), sent)

    def _answer(self, page: Any, sent: Mapping[str, str]) -> Response:
        page = page(sent) if callable(page) and not isinstance(page, Response) else page
        if isinstance(page, Exception):
            raise page
        return page


class FakeHost:
    """What the core offers, in memory; SQL runs on SQLite."""

    def __init__(self, heard: Heard | None = None, base_url: str = BASE) -> None:
        domain = base_url.partition("://")[2]
        self.site = Site(domain, domain, base_url, "1.2.3", "bridge", "The bridge", Path("."))
        self.http: Any = FakeHttp()
        self.clock = NOW
        self.listening = heard or Heard()
        self.received: list[Envelope] = []
        self.refusals: list[str] = []
        self.drops: list[str] = []
        self.fail: Exception | None = None
        self.ghosts: dict[str, tuple[Ghost, Account]] = {GHOST.ref.id: (GHOST, HOME)}
        self.withdrawn: set[str] = set()
        self.elsewhere: dict[str, Any] = {}
        self.copies: dict[str, Copy] = {}
        self.outbox: list[Copy] = []
        self.followed_by: list[Ref] = []
        self.pins: list[Copy] = []
        self.replies: dict[str, list[Ref]] = {}
        self.places: dict[str, Any] = {}
        self.brought: list[str] = []
        self.reads = 0
        self._engine = sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        tables.actors.metadata.create_all(self._engine)

    def now(self) -> float:
        return self.clock

    def heard(self) -> Heard:
        return self.listening

    async def receive(self, *envelopes: Envelope, cursor: Any = None, also: Any = None) -> int:
        if self.fail is not None:
            raise self.fail
        known = {envelope.id for envelope in self.received}
        new = [envelope for envelope in envelopes if envelope.id not in known]
        self.received += new
        return len(new)

    async def read(self, unit: Callable[[Any], Any]) -> Any:
        with self._engine.begin() as connection:
            return unit(connection)

    write = read

    async def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        return rsa_key("bridge").private_pem()

    async def ghost(self, ref: Ref) -> tuple[Ghost, Account] | None:
        self.reads += 1
        return self.ghosts.get(ref.id)

    async def ghost_gone(self, ref: Ref) -> bool:
        return ref.id in self.withdrawn

    async def ghost_named(self, handle: str) -> tuple[Ghost, Account] | None:
        return next((found for found in self.ghosts.values() if found[0].handle == handle), None)

    async def lookup(self, name: str) -> tuple[Ghost, Account] | None:
        found = self.elsewhere.get(name)
        if isinstance(found, Exception):
            raise found
        return found

    async def copy(self, ref: Ref) -> Copy | None:
        self.reads += 1
        return self.copies.get(ref.id)

    async def copies_by(
        self, ghost: Ghost, acts: Iterable[str], limit: int, before: int | None = None
    ) -> list[tuple[int, Copy]]:
        self.reads += 1
        numbered = [*enumerate(self.outbox, 1)][::-1]
        return [item for item in numbered if before is None or item[0] < before][:limit]

    async def followers(self, ghost: Ghost, limit: int, offset: int = 0) -> tuple[int, list[Ref]]:
        self.reads += 1
        return len(self.followed_by), self.followed_by[offset : offset + limit]

    async def following(self, ghost: Ghost, limit: int, offset: int = 0) -> tuple[int, list[Ref]]:
        return 0, []

    async def pinned(self, ghost: Ghost) -> list[Copy]:
        self.reads += 1
        return self.pins

    async def answers(self, ref: Ref, limit: int, offset: int = 0) -> tuple[int, list[Ref]]:
        self.reads += 1
        found = self.replies.get(ref.id, [])
        return len(found), found[offset : offset + limit]

    async def bring(self, text: str) -> Ref | None:
        self.brought.append(text)
        found = self.places.get(text)
        if isinstance(found, Exception):
            raise found
        return found

    async def counts(self) -> Mapping[str, int]:
        self.reads += 1
        return {"ghosts": 3, "posts": 14}

    def refused(self, reason: str) -> None:
        self.refusals.append(reason)

    def dropped(self, reason: str) -> None:
        self.drops.append(reason)


class Peer:
    """An actor on another server: its documents, and requests signed by it."""

    def __init__(self, host: FakeHost, name: str = "alice", server: str = "peer.test") -> None:
        self._host = host
        self.name = name
        self.id = f"https://{server}/users/{name}"
        self.key = rsa_key(name)
        self.key_id = f"{self.id}#main-key"
        host.http.serve(self.id, self.actor())

    def actor(self, **changed: Any) -> dict[str, Any]:
        return {
            "@context": ["https://www.w3.org/ns/activitystreams", "https://w3id.org/security/v1"],
            "id": self.id,
            "type": "Person",
            "preferredUsername": self.name,
            "inbox": f"{self.id}/inbox",
            "publicKey": {"id": self.key_id, "owner": self.id, "publicKeyPem": self.key.public_pem},
            **changed,
        }

    def activity(self, kind: str, what: object, number: int = 1, **more: Any) -> dict[str, Any]:
        return {
            "@context": "https://www.w3.org/ns/activitystreams",
            "id": f"{self.id}/activities/{number}",
            "type": kind,
            "actor": self.id,
            "object": what,
            **more,
        }

    def note(self, number: int = 1, **more: Any) -> dict[str, Any]:
        return {
            "id": f"{self.id}/notes/{number}",
            "type": "Note",
            "attributedTo": self.id,
            "content": "<p>hi</p>",
            "published": "2026-09-21T10:00:00Z",
            "to": [PUBLIC],
            "cc": [f"{self.id}/followers"],
            **more,
        }

    def create(self, number: int = 1, **more: Any) -> dict[str, Any]:
        note = self.note(number, **more)
        return self.activity("Create", note, number, to=note["to"], cc=note["cc"])

    def signed(
        self, body: bytes, *, path: str = "/inbox", scheme: str = "cavage", now: float | None = None
    ) -> dict[str, str]:
        sign = sign_rfc9421 if scheme == "rfc9421" else sign_cavage
        url = f"{self._host.site.base_url}{path}"
        added = sign(self.key, self.key_id, "POST", url, body, self._host.clock if now is None else now)
        return {"Host": self._host.site.domain, "Content-Type": AS2, **added}
