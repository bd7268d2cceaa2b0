"""The load on an inbox: signed requests, made before the clock starts, sent over kept connections.

ready: {"pem": …}       the public key that all of it is signed with
{"do": "sign", "url": …, "actors": [id, …], "marks": [name, …]}      one Create of a note each
{"do": "hammer", "connections": n}          all of it, as fast as it is taken -> {seconds, statuses, p99}
{"do": "pace", "rate": per second}          all of it, evenly, whatever the answers -> {statuses, sent, answered}
"""

import asyncio
import json
import time
from collections import Counter, deque
from typing import Any
from urllib.parse import urlsplit

from adapters.activitypub.signatures import RsaKey, sign_cavage
from tests.bench.child import answer
from tests.bench.fediverse import mark

PUBLIC = "https://www.w3.org/ns/activitystreams#Public"


def create(actor: str, name: str, at: float) -> dict[str, Any]:
    """A Create as Mastodon sends it, no bigger and no smaller."""
    note = f"{actor}/notes/{name}"
    published = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    said = {"published": published, "to": [PUBLIC], "cc": [f"{actor}/followers"]}
    return {
        "@context": ["https://www.w3.org/ns/activitystreams", {"sensitive": "as:sensitive", "Hashtag": "as:Hashtag"}],
        "id": f"{note}/activity",
        "type": "Create",
        "actor": actor,
        **said,
        "object": {
            "id": note,
            "type": "Note",
            "attributedTo": actor,
            "inReplyTo": None,
            "url": note,
            "sensitive": False,
            "content": f"<p>A note of about the usual length, which says little but says it well: {mark(name)}</p>",
            "contentMap": {"en": f"<p>A note of about the usual length, which says little: {mark(name)}</p>"},
            "attachment": [],
            "tag": [],
            **said,
        },
    }


def follow(actor: str, name: str, target: str) -> dict[str, Any]:
    context = "https://www.w3.org/ns/activitystreams"
    return {"@context": context, "id": f"{actor}/follows/{name}", "type": "Follow", "actor": actor, "object": target}


class Wire(asyncio.Protocol):
    """One connection that sends a request when told, and gives the status of the answer."""

    def __init__(self) -> None:
        self.data = b""
        self.answered: asyncio.Future[int] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.answered is not None and not self.answered.done():
            self.answered.set_exception(ConnectionError("the server hung up"))

    async def send(self, request: bytes) -> int:
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.answered

    def data_received(self, data: bytes) -> None:
        self.data += data
        end = self.data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.data[:end].lower()
        size = 0
        if (at := head.find(b"content-length:")) >= 0:
            size = int(head[at + 15 :].split(b"\r\n")[0])
        chunked = b"transfer-encoding: chunked" in head
        if len(self.data) < end + 4 + size or (chunked and not self.data.endswith(b"0\r\n\r\n")):
            return
        status = int(self.data[9:12])
        self.data = b""
        if self.answered is not None:
            self.answered.set_result(status)


class Load:
    def __init__(self) -> None:
        self.key = RsaKey.generate()
        self.requests: list[tuple[str, bytes]] = []
        self.place = ("", 0)

    def sign(self, url: str, actors: list[str], marks: list[str], follows: str = "") -> None:
        parts = urlsplit(url)
        self.place = (parts.hostname or "", parts.port or 80)
        self.requests = []
        now = time.time()
        for number, name in enumerate(marks):
            actor = actors[number % len(actors)]
            activity = follow(actor, name, follows) if follows else create(actor, name, now)
            body = json.dumps(activity, separators=(",", ":")).encode()
            kind = {"Content-Type": "application/activity+json", "User-Agent": "bench", "Accept": "*/*"}
            fields = sign_cavage(self.key, f"{actor}#main-key", "POST", url, body, now)
            lines = [f"POST {parts.path} HTTP/1.1", *(f"{k}: {v}" for k, v in (fields | kind).items())]
            head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()
            self.requests.append((name, head + body))

    async def hammer(self, connections: int) -> dict[str, Any]:
        waiting = deque(self.requests)
        statuses: Counter[str] = Counter()
        took: list[float] = []

        async def one() -> None:
            wire = await self._connect()
            while waiting:
                _, request = waiting.popleft()
                began = time.monotonic()
                statuses[str(await wire.send(request))] += 1
                took.append(time.monotonic() - began)
            wire.transport.close()

        started = time.monotonic()
        await asyncio.gather(*(one() for _ in range(min(connections, len(waiting)))))
        seconds = time.monotonic() - started
        return {"seconds": seconds, "statuses": statuses, "p99": sorted(took)[int(len(took) * 0.99)]}

    async def pace(self, rate: float) -> dict[str, Any]:
        idle: list[Wire] = []
        sent: dict[str, float] = {}
        took: dict[str, float] = {}
        statuses: Counter[str] = Counter()

        async def one(name: str, request: bytes) -> None:
            wire = idle.pop() if idle else await self._connect()
            sent[name] = time.monotonic()
            statuses[str(await wire.send(request))] += 1
            took[name] = time.monotonic() - sent[name]
            idle.append(wire)

        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, (name, request) in enumerate(self.requests):
                await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
                group.create_task(one(name, request))
        for wire in idle:
            wire.transport.close()
        return {"statuses": statuses, "sent": sent, "answered": took}

    async def _connect(self) -> Wire:
        _, wire = await asyncio.get_running_loop().create_connection(Wire, *self.place)
        return wire


async def main() -> None:
    load = Load()

    async def handle(do: str, **more: Any) -> Any:
        match do:
            case "sign":
                return load.sign(**more)
            case "hammer":
                return await load.hammer(**more)
            case "pace":
                return await load.pace(**more)
        raise ValueError(do)

    await answer({"pem": load.key.public_pem}, handle)


if __name__ == "__main__":
    asyncio.run(main())
