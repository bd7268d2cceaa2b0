"""A scripted ActivityPub server: what it is sent it records byte for byte, how it answers the test says.

    async with Peer() as peer:
        alice = peer.actor("alice")
        assert await alice.send(alice.follow(ghost), inbox) == 202          # signed as she would
        peer.script = lambda got: Answer(503) if got.method == "POST" else None
        peer.posts("Create")                                                # what its inboxes were sent

Without a script it answers as an honest server: actors, notes and WebFinger are served, every POST to an inbox is
taken with 202. A script is asked first; None means "as ever".
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

import aiohttp
from aiohttp import web

from adapters.activitypub.signatures import RsaKey, sign_cavage, sign_rfc9421
from tests.unit.activitypub.fake import AS2, PUBLIC, rsa_key

Scheme = Literal["cavage", "rfc9421"]


@dataclass
class Got:
    """A request as it came in.

    accepted    this server has done what it asks, whether or not it could say so
    answered    it was told so, as far as this side can know
    """

    at: float
    method: str
    path: str  # with the query, as sent
    headers: list[tuple[str, str]]
    body: bytes
    accepted: bool = False
    answered: bool = False

    @cached_property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    def header(self, name: str) -> str:
        return next((v for k, v in self.headers if k.lower() == name.lower()), "")


@dataclass(frozen=True)
class Answer:
    """`how`: whole; half (the head and half the body, then the connection is cut); slow (a byte each 0.1 s);
    drop (taken, but the connection is cut without an answer); reset (cut without having taken it); hang (for ever).
    """

    status: int = 202
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    delay: float = 0.0
    how: Literal["whole", "half", "slow", "drop", "reset", "hang"] = "whole"


Script = Callable[[Got], Answer | None]


def once(*answers: Answer, when: Callable[[Got], bool] = lambda got: got.method == "POST") -> Script:
    """These answers, one after the other, to the requests that meet `when`; then as ever."""
    left = list(answers)
    return lambda got: left.pop(0) if left and when(got) else None


class Peer:
    """Serves at `http://ADDRESS:port` while entered; 127.0.0.2 and so on make it another host."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self.address, self.port = address, port
        self.got: list[Got] = []
        self.script: Script = lambda got: None
        self.on_taken: Callable[[Got], None] = lambda got: None
        """Told of each request this server has taken."""
        self.documents: dict[str, Any] = {}
        """path -> what GET of it answers: a document, bytes, or None for 410."""
        self.actors: dict[str, Actor] = {}
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._closing = asyncio.Event()

    async def __aenter__(self) -> "Peer":
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.address, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=90))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner
        assert self._session
        self._closing.set()
        await self._session.close()
        await self._runner.cleanup()

    @property
    def host(self) -> str:
        return f"{self.address}:{self.port}"

    @property
    def base(self) -> str:
        return f"http://{self.host}"

    def actor(self, name: str = "alice", key: RsaKey | None = None) -> "Actor":
        """The actor of this name, made when first asked for; crowds may share a key, since making them is slow."""
        if name not in self.actors:
            self.actors[name] = Actor(self, name, key or rsa_key(name))
        return self.actors[name]

    def posts(self, type: str = "", *, accepted: bool = True) -> list[Got]:
        """POSTs to the inboxes, oldest first: those of this activity type, and those that were taken."""
        return [
            got
            for got in self.got
            if got.method == "POST" and (got.accepted or not accepted) and (not type or got.json.get("type") == type)
        ]

    def copies(self, words: str, type: str = "") -> int:
        """How many activities that were taken say this: one that came twice under one id counts once, since that is
        how a delivery is repeated whose answer, or whose mark, was lost."""
        return len({got.json["id"] for got in self.posts(type) if words in json.dumps(got.json, ensure_ascii=False)})

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        """POST as it stands. Raises aiohttp.ClientError, TimeoutError."""
        assert self._session
        async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in request.raw_headers]
        got = Got(time.time(), request.method, request.raw_path, headers, await request.read())
        self.got.append(got)
        answer = self.script(got) or self._usual(got)
        if answer.delay:
            await asyncio.sleep(answer.delay)
        got.accepted = answer.how == "drop" or (answer.how in ("whole", "slow", "half") and answer.status < 300)
        got.answered = got.accepted and answer.how == "whole"
        if got.accepted:
            self.on_taken(got)
        assert request.transport
        if answer.how == "hang":
            await self._closing.wait()
        if answer.how in ("drop", "reset", "hang"):
            request.transport.abort()
            return web.Response()
        if answer.how == "whole":
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        body = answer.body or b"." * 64
        response.content_length = len(body)
        await response.prepare(request)
        if answer.how == "half":
            await response.write(body[: len(body) // 2])
            request.transport.abort()
            return response
        for at in range(len(body)):
            await response.write(body[at : at + 1])
            await asyncio.sleep(0.1)
        return response

    def _usual(self, got: Got) -> Answer:
        path, _, query = got.path.partition("?")
        if got.method == "POST":
            return Answer(202)
        if path == "/.well-known/webfinger":
            return self._webfinger(query)
        document = self.documents.get(path, b"")
        if document is None:
            return Answer(410)
        if document == b"":
            return Answer(404)
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return Answer(200, {"Content-Type": AS2}, body)

    def _webfinger(self, query: str) -> Answer:
        for actor in self.actors.values():
            if actor.name in query:
                links = [{"rel": "self", "type": AS2, "href": actor.id}]
                jrd = {"subject": f"acct:{actor.name}@{self.host}", "links": links}
                return Answer(200, {"Content-Type": "application/jrd+json"}, json.dumps(jrd).encode())
        return Answer(404)


class Actor:
    """Somebody on a peer, with an RSA key. Makes activities under fresh ids, serves her notes, signs requests."""

    def __init__(self, peer: Peer, name: str, key: RsaKey) -> None:
        self.peer, self.name, self.key = peer, name, key
        self.id = f"{peer.base}/users/{name}"
        self.inbox = f"{self.id}/inbox"
        self.followers = f"{self.id}/followers"
        self.key_id = f"{self.id}#main-key"
        self.number = 0
        self.show()

    def show(self, **changes: Any) -> dict[str, Any]:
        """Serves her document with these changes, and returns it."""
        document = {
            "@context": ["https://www.w3.org/ns/activitystreams", "https://w3id.org/security/v1"],
            "id": self.id,
            "type": "Person",
            "preferredUsername": self.name,
            "name": self.name.title(),
            "inbox": self.inbox,
            "followers": self.followers,
            "publicKey": {"id": self.key_id, "owner": self.id, "publicKeyPem": self.key.public_pem},
            **changes,
        }
        self._serve(self.id, document)
        return document

    def activity(self, type: str, object: Any, **more: Any) -> dict[str, Any]:
        self.number += 1
        return {
            "@context": "https://www.w3.org/ns/activitystreams",
            "id": f"{self.id}/activities/{self.number}",
            "type": type,
            "actor": self.id,
            "object": object,
            **more,
        }

    def note(self, text: str, **more: Any) -> dict[str, Any]:
        """A public note under a fresh id, served there."""
        self.number += 1
        note: dict[str, Any] = {
            "id": f"{self.id}/notes/{self.number}",
            "type": "Note",
            "attributedTo": self.id,
            "content": f"<p>{text}</p>",
            "published": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "to": [PUBLIC],
            "cc": [self.followers],
            **more,
        }
        self._serve(note["id"], {"@context": "https://www.w3.org/ns/activitystreams", **note})
        return note

    def create(self, text: str, **more: Any) -> dict[str, Any]:
        note = self.note(text, **more)
        return self.activity("Create", note, to=note["to"], cc=note["cc"])

    def update(self, note: Mapping[str, Any], text: str) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        changed = {**note, "content": f"<p>{text}</p>", "updated": now}
        self._serve(note["id"], changed)
        return self.activity("Update", changed, to=note["to"], cc=note["cc"])

    def delete(self, note: str) -> dict[str, Any]:
        self.peer.documents[note.removeprefix(self.peer.base)] = None
        return self.activity("Delete", {"id": note, "type": "Tombstone"}, to=[PUBLIC])

    def follow(self, whom: str) -> dict[str, Any]:
        return self.activity("Follow", whom)

    def like(self, what: str) -> dict[str, Any]:
        return self.activity("Like", what)

    def announce(self, what: str) -> dict[str, Any]:
        return self.activity("Announce", what, to=[PUBLIC], cc=[self.followers])

    def undo(self, activity: Mapping[str, Any]) -> dict[str, Any]:
        inner = {k: v for k, v in activity.items() if k != "@context"}
        return self.activity("Undo", inner, to=activity.get("to", []), cc=activity.get("cc", []))

    def signed(
        self,
        url: str,
        body: bytes | None,
        *,
        method: str = "POST",
        scheme: Scheme = "cavage",
        key: RsaKey | None = None,
        key_id: str | None = None,
        now: float | None = None,
    ) -> dict[str, str]:
        """Headers of a signed request; every part can be another than is right: spoil the rest yourself."""
        sign = sign_rfc9421 if scheme == "rfc9421" else sign_cavage
        at = time.time() if now is None else now
        return {"Content-Type": AS2, **sign(key or self.key, key_id or self.key_id, method, url, body, at)}

    async def send(self, activity: Mapping[str, Any] | bytes, url: str, **how: Any) -> int:
        """POSTs it to an inbox, signed (`how` as in `signed`); the status. Raises aiohttp.ClientError, TimeoutError."""
        body = activity if isinstance(activity, bytes) else json.dumps(activity).encode()
        return (await self.peer.post(url, body, self.signed(url, body, **how)))[0]

    def _serve(self, url: str, document: Any) -> None:
        self.peer.documents[url.removeprefix(self.peer.base)] = document
