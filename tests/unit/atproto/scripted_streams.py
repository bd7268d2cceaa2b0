"""Streams on loopback that say exactly what a test's script says, one script for each connection.

Written from the specs, since no Jetstream and no relay installs: the frames of both Jetstream dialects (README and
lexicon of bluesky-social/jetstream). Those of a firehose are in `scripted_repo.py`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

NSID = "network.bsky.jetstream.subscribeEvents"
CID = "bafyreiclp443lavogvhj3d2ob2cxbfuscni2k5jk7bebjzg7khl3esabwq"
REV = "3kznmn7xqxl22"


class Client:
    """The bridge, as the stream's server sees it."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        assert socket.request is not None
        parts = urlsplit(socket.request.path)
        self.path = parts.path
        self.query: dict[str, list[str]] = {}
        for name, value in parse_qsl(parts.query):
            self.query.setdefault(name, []).append(value)

    @property
    def cursor(self) -> str:
        return self.query.get("cursor", [""])[0]

    async def say(self, *frames: Any) -> None:
        """JSON, or bytes as they are."""
        for frame in frames:
            await self.socket.send(frame if isinstance(frame, bytes) else json.dumps(frame, separators=(",", ":")))

    async def hold(self) -> None:
        """Stay silent until the other side hangs up."""
        await self.socket.wait_closed()


Script = Callable[[Client], Awaitable[None]]


class ScriptedStream:
    def __init__(self) -> None:
        self.url = ""
        self.clients: list[Client] = []
        self.errors: list[BaseException] = []
        self.refusals: list[int] = []
        """Statuses that the next handshakes are refused with."""


@asynccontextmanager
async def scripted(*scripts: Script, path: str = "/subscribe") -> AsyncIterator[ScriptedStream]:
    """The last script serves all further connections too. A failed assertion in a script fails the test."""
    stream = ScriptedStream()

    def admit(socket: ServerConnection, request: Request) -> Response | None:
        return socket.respond(stream.refusals.pop(0), "no") if stream.refusals else None

    async def handle(socket: ServerConnection) -> None:
        client = Client(socket)
        stream.clients.append(client)
        script = scripts[min(len(stream.clients), len(scripts)) - 1]
        try:
            await script(client)
        except ConnectionClosed:
            pass
        except Exception as error:
            stream.errors.append(error)

    async with (
        asyncio.timeout(120),
        serve(handle, "127.0.0.1", 0, process_request=admit, max_size=None, compression=None) as server,
    ):
        host, port = next(iter(server.sockets)).getsockname()[:2]
        stream.url = f"ws://{host}:{port}{path}"
        yield stream
    assert not stream.errors, stream.errors


def commit1(did: str, time_us: int, record: Any, rkey: str = REV, operation: str = "create") -> dict[str, Any]:
    """A v1 frame; the collection is the record's own, or for a delete what `record` says."""
    body: dict[str, Any] = {"rev": REV, "operation": operation, "collection": _collection(record), "rkey": rkey}
    if operation != "delete":
        body |= {"record": record, "cid": CID}
    return {"did": did, "time_us": time_us, "kind": "commit", "commit": body}


def account1(did: str, time_us: int, active: bool, status: str = "") -> dict[str, Any]:
    body = {"active": active, "did": did, "seq": 9, "time": iso(time_us), **({"status": status} if status else {})}
    return {"did": did, "time_us": time_us, "kind": "account", "account": body}


def identity1(did: str, time_us: int) -> dict[str, Any]:
    body = {"did": did, "handle": "new.test", "seq": 9, "time": iso(time_us)}
    return {"did": did, "time_us": time_us, "kind": "identity", "identity": body}


def commit2(
    did: str, seq: int, time_us: int, record: Any, rkey: str = REV, operation: str = "create"
) -> dict[str, Any]:
    body = {"rev": REV, "operation": operation, "collection": _collection(record), "rkey": rkey}
    if operation != "delete":
        body |= {"record": record, "cid": CID}
    return message2("commit", did=did, seq=seq, time=iso(time_us), **body)


def account2(did: str, seq: int, time_us: int, active: bool, status: str) -> dict[str, Any]:
    inner = account1(did, time_us, active, status)["account"]
    return message2("account", did=did, seq=seq, time=iso(time_us), account=inner)


def message2(kind: str, **payload: Any) -> dict[str, Any]:
    return {"$type": "message", "payload": {"$type": f"{NSID}#{kind}", **payload}}


def error2(name: str) -> dict[str, Any]:
    return {"$type": "error", "error": name, "message": "no more"}


def iso(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _collection(record: Any) -> str:
    return record if isinstance(record, str) else record["$type"]
