"""The AT network around a bridge, scripted: a PLC directory, a PDS, an AppView, and the firehose of a relay.

    async with Sky() as sky:                               # config: adapters.atproto = sky.config
        ada = sky.someone("ada")                           # a signed repo at this PDS
        await sky.say(ada, ada.post("hello"))              # one commit, on the firehose, to whoever reads it

Written from the specs (atproto.com/specs, web.plc.directory/spec), since neither a relay nor the public directory
installs. The directory is trusted by who asks it, so documents are served as the test has them and operations kept
unread; commits are signed, and their proofs cover what they change.
"""

import asyncio
import contextlib
import json
import time
from base64 import b32encode
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, unquote

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from adapters.atproto import cbor, documents, plc, tid
from adapters.atproto.cid import Cid
from adapters.atproto.crypto import SigningKey
from tests.unit.atproto import scripted_repo
from tests.unit.atproto.scripted_repo import ScriptedRepo

from .fediverse import Answer, Got, Peer

POST, FOLLOW, PROFILE = "app.bsky.feed.post", "app.bsky.graph.follow", "app.bsky.actor.profile"
Changes = dict[str, "dict[str, Any] | bytes | None"]
Turn = Callable[[ServerConnection, str], Awaitable[None]]
"""What is done with one connection, given the cursor it came with; then it is closed."""


def did_of(name: str) -> str:
    return f"did:plc:{b32encode(sha256(name.encode()).digest()).decode()[:24].lower()}"


def spelled(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03}Z"


class Person:
    """Somebody with a repo; `pds` is the address of their host, "" for the sky's own. Revs are an hour behind."""

    def __init__(self, name: str, did: str = "", handle: str = "", pds: str = "") -> None:
        self.name, self.handle, self.pds = name, handle or f"{name}.sky.test", pds
        self.repo = ScriptedRepo(did or did_of(name), time.time() - 3600)

    @property
    def did(self) -> str:
        return self.repo.did

    def key(self) -> str:
        """A fresh record key, of the time of the next commit."""
        return tid.make(int((self.repo.now + 1) * 1_000_000), 2)

    def post(self, text: str, **more: Any) -> Changes:
        return {f"{POST}/{self.key()}": {"$type": POST, "text": text, "createdAt": spelled(time.time()), **more}}

    def follow(self, did: str) -> Changes:
        return {f"{FOLLOW}/{self.key()}": {"$type": FOLLOW, "subject": did, "createdAt": spelled(time.time())}}

    def uri(self, path: str) -> str:
        return f"at://{self.did}/{path}"

    def shown(self, path: str) -> dict[str, Any]:
        """As getRecord shows it."""
        data = self.repo.records[path]
        return {"uri": self.uri(path), "cid": str(Cid.of(data)), "value": cbor.to_json(cbor.decode(data))}

    def document(self, sky: str, key: SigningKey | None = None) -> dict[str, Any]:
        state = plc.new(
            signing_key=(key or self.repo.key).public.did_key(),
            rotation_keys=(),
            handle=self.handle,
            pds=self.pds or sky,
        )
        return documents.document_of(self.did, state)


class Hose:
    """A relay's firehose: what was said is kept, and said to whoever comes back with a cursor before it.

    `turns` are what is done with the next connections instead.
    """

    def __init__(self) -> None:
        self.url, self.cursors = "", list[str]()
        self.kept: list[tuple[int, bytes | str]] = []
        self.turns: list[Turn] = []
        self.sockets: list[ServerConnection] = []
        self.shut = False
        """Whether nobody is let in."""

    @contextlib.asynccontextmanager
    async def open(self, address: str = "127.0.0.1", port: int = 0) -> AsyncIterator["Hose"]:
        options: dict[str, Any] = {"compression": None, "max_size": None, "close_timeout": 0.2}
        async with serve(self._serve, address, port, process_request=self._admit, **options) as server:
            self.url = f"ws://{address}:{next(iter(server.sockets)).getsockname()[1]}"
            yield self

    def _admit(self, socket: ServerConnection, request: Request) -> Response | None:
        return socket.respond(503, "not now") if self.shut else None

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        cursor = parse_qs(socket.request.path.partition("?")[2]).get("cursor", [""])[0]
        self.cursors.append(cursor)
        with contextlib.suppress(ConnectionClosed, OSError):
            if self.turns:
                await self.turns.pop(0)(socket, cursor)
                return
            self.sockets.append(socket)
            try:
                for seq, frame in list(self.kept) if cursor else ():
                    if seq > int(cursor):
                        await socket.send(frame)
                await socket.wait_closed()
            finally:
                self.sockets.remove(socket)

    async def write(self, frame: bytes | str) -> None:
        """To all who read, and not kept."""
        for socket in list(self.sockets):
            with contextlib.suppress(ConnectionClosed, OSError):
                await socket.send(frame)

    async def drop(self) -> None:
        for socket in list(self.sockets):
            socket.transport.abort()
            await socket.wait_closed()


class Sky:
    """`script` is asked before all else is answered; None means as ever. `got` is what it was asked."""

    def __init__(self) -> None:
        self.web, self.hose = Peer(), Hose()
        self.people: dict[str, Person] = {}
        self.documents: dict[str, Any] = {}
        """DID -> the document that the directory has, None for none; else it is the person's own."""
        self.operations: dict[str, list[dict[str, Any]]] = {}
        """DID -> what the directory was given."""
        self.blobs: dict[str, tuple[str, bytes]] = {}
        """CID -> (type, bytes) of the PDS."""
        self.script: Callable[[Got], Answer | None] = lambda got: None
        self.seq = 0
        self.jetstream = False
        """Whether it is a Jetstream that people are heard on: JSON, and numbers that are microseconds."""
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Sky":
        self.web.script = self._answer
        await self._stack.enter_async_context(self.web)
        await self._stack.enter_async_context(self.hose.open())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def base(self) -> str:
        return self.web.base

    @property
    def config(self) -> dict[str, Any]:
        heard = {"jetstream": f"{self.hose.url}/subscribe"} if self.jetstream else {"firehose": self.hose.url}
        return {
            "plc": f"{self.base}/plc",
            "appview": self.base,
            "ingest": heard,
            "pace": {"second": 10_000, "hour": 1_000_000, "day": 10_000_000},
        }

    def someone(self, name: str, **more: str) -> Person:
        made = Person(name, **more)
        self.people[made.did] = made
        return made

    def asked(self, part: str) -> list[Got]:
        return [got for got in self.web.got if part in unquote(got.path)]

    def next(self) -> int:
        self.seq = max(self.seq + 1, int(time.time() * 1e6) if self.jetstream else 0)
        return self.seq

    async def say(self, who: Person, changes: Changes) -> str:
        """One commit, kept and heard; the path of what changed first."""
        said = who.repo.say(self.next(), changes)
        if not self.jetstream:
            await self.frame(said)
        for path in changes if self.jetstream else ():
            await self.frame(json.dumps(commit_of(who, path, self.next())))
        return next(iter(changes))

    async def frame(self, frame: bytes | str) -> None:
        """A frame with the newest number."""
        self.hose.kept.append((self.seq, frame))
        await self.hose.write(frame)

    async def account(self, who: Person, active: bool, status: str = "") -> None:
        await self._tell("account", who, active=active, **({"status": status} if status else {}))

    async def identity(self, who: Person) -> None:
        await self._tell("identity", who, handle=who.handle)

    async def _tell(self, kind: str, who: Person, **more: Any) -> None:
        said = {"did": who.did, "seq": self.next(), "time": spelled(time.time()), **more}
        if self.jetstream:
            await self.frame(json.dumps({"did": who.did, "time_us": self.seq, "kind": kind, kind: said}))
        else:
            await self.frame(scripted_repo.frame(f"#{kind}", said))

    def _answer(self, got: Got) -> Answer:
        path, _, query = got.path.partition("?")
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        said = self.script(got)
        if said is not None:
            return said
        if path.startswith("/plc/"):
            return self._directory(got, *unquote(path).removeprefix("/plc/").split("/"))
        match path.removeprefix("/xrpc/"):
            case "com.atproto.identity.resolveHandle":
                found = next((who.did for who in self.people.values() if who.handle == asked["handle"]), "")
                return as_json({"did": found}) if found else failed("HandleNotFound")
            case "app.bsky.feed.getPostThread":
                return as_json({"thread": {"replies": []}})
            case "com.atproto.sync.getBlob":
                kind, data = self.blobs.get(asked["cid"], ("", b""))
                return Answer(200, {"Content-Type": kind}, data) if kind else failed("BlobNotFound")
            case name:
                who = self.people.get(asked.get("repo") or asked.get("did", ""))
                return failed("RepoNotFound") if who is None else _of_repo(who, name, asked)

    def _directory(self, got: Got, did: str, *more: str) -> Answer:
        if got.method == "POST":
            self.operations.setdefault(did, []).append(got.json)
            return Answer(200)
        if more == ("log", "last"):
            return as_json(self.operations[did][-1]) if did in self.operations else failed("none", 404)
        known = self.people.get(did)
        document = self.documents.get(did, known.document(self.base) if known else None)
        return as_json(document) if document is not None else failed("none", 404)


def commit_of(who: Person, path: str, time_us: int, **other: Any) -> dict[str, Any]:
    """A creation as a Jetstream has it (v1), with something else in places."""
    collection, _, rkey = path.partition("/")
    shown = who.shown(path)
    said = {"operation": "create", "collection": collection, "rkey": rkey, "rev": who.repo.rev, "cid": shown["cid"]}
    commit = {**said, "record": shown["value"], **other}
    return {"did": who.did, "time_us": time_us, "kind": "commit", "commit": commit}


def _of_repo(who: Person, name: str, asked: dict[str, str]) -> Answer:
    records = who.repo.records
    match name:
        case "com.atproto.repo.getRecord":
            path = f"{asked['collection']}/{asked['rkey']}"
            return as_json(who.shown(path)) if path in records else failed("RecordNotFound")
        case "com.atproto.repo.listRecords":
            paths = sorted((p for p in records if p.startswith(f"{asked['collection']}/")), reverse=True)
            return as_json({"records": [who.shown(path) for path in paths[: int(asked["limit"])]]})
        case "com.atproto.sync.getRepo":
            return Answer(200, {"Content-Type": "application/vnd.ipld.car"}, who.repo.whole())
        case _:
            return failed("MethodNotImplemented", 501)


def as_json(value: Any) -> Answer:
    return Answer(200, {"Content-Type": "application/json"}, json.dumps(value).encode())


def failed(name: str, status: int = 400) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps({"error": name}).encode())


async def hold(socket: ServerConnection, _cursor: str) -> None:
    """A turn: silent until the other side hangs up."""
    await socket.wait_closed()


def raw(data: bytes, wait: float = 0.0) -> Turn:
    """A turn: bytes as they are past the handshake, and then silence."""

    async def turn(socket: ServerConnection, _cursor: str) -> None:
        socket.transport.write(data)
        await asyncio.sleep(wait)
        await socket.wait_closed()

    return turn
