"""The other servers of the fediverse, in one process: each address of 127/8 is a server with one actor.

As little as a server can do, so that the processors are left to what is measured: it answers from memory, reads no
more of a request than it must, and takes every activity. All its actors share one RSA key.

    ready: {"port": …}      options: servers (how many), pem (their public key)
    {"do": "hang", "servers": [n, …]}     these answer no POST any more
    {"do": "forget"}                      what came so far
    {"do": "came"}                        {mark: [how often, first at]} of the activities that came: see `mark`
    {"do": "last"}                        when the last of them came
    {"do": "wait", "count": n, "within": seconds}    -> how many POSTs came, when it is n or time is over
"""

import asyncio
import contextlib
import json
import re
import time
from typing import Any

from tests.bench.child import answer, options

MARK = re.compile(rb"bench mark ([0-9a-z-]+)")
"""What our activities and events carry in their text, so that they are known again on the other side."""


def address(number: int) -> str:
    """Of server `number`, from 0."""
    return f"127.3.{number // 250}.{number % 250 + 1}"


def actor_of(number: int, port: int) -> str:
    return f"http://{address(number)}:{port}/users/bench"


def mark(name: str) -> str:
    return f"bench mark {name}"


class Servers:
    def __init__(self, pem: str) -> None:
        self.pem = pem
        self.port = 0
        self.wanted = 0
        self.enough = asyncio.Event()
        self.hanging: set[str] = set()
        self.forget()

    def forget(self) -> None:
        self.posts = 0
        self.last = 0.0
        self.came: dict[str, list[float]] = {}
        self.enough.clear()

    def get(self, host: str, path: str) -> bytes:
        actor = f"http://{host}/users/bench"
        document: dict[str, Any]
        if path.startswith("/.well-known/webfinger"):
            kind = "application/jrd+json"
            links = [{"rel": "self", "type": "application/activity+json", "href": actor}]
            document = {"subject": f"acct:bench@{host}", "links": links}
        else:
            kind = "application/activity+json"
            document = {
                "@context": ["https://www.w3.org/ns/activitystreams", "https://w3id.org/security/v1"],
                "id": actor,
                "type": "Person",
                "preferredUsername": "bench",
                "name": f"Bench at {host}",
                "inbox": f"http://{host}/inbox",
                "publicKey": {"id": f"{actor}#main-key", "owner": actor, "publicKeyPem": self.pem},
            }
        body = json.dumps(document).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (
            kind.encode(),
            len(body),
            body,
        )

    def post(self, body: bytes) -> None:
        self.posts += 1
        self.last = time.monotonic()
        if found := MARK.search(body):
            self.came.setdefault(found[1].decode(), []).append(time.monotonic())
        if self.posts >= self.wanted:
            self.enough.set()


class Exchange(asyncio.Protocol):
    """One connection: HTTP/1.1, kept alive."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.data = bytearray()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        if self.data.startswith(b"\x16"):  # TLS, which is tried first for WebFinger: nobody speaks it here
            self.transport.abort()
            return
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.data[:end]).decode("latin-1")
            fields = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in head.split("\r\n")[1:])}
            size = int(fields.get("content-length", 0))
            if len(self.data) < end + 4 + size:
                return
            body = bytes(self.data[end + 4 : end + 4 + size])
            del self.data[: end + 4 + size]
            method, path, _ = head.split(" ", 2)
            if method == "GET":
                self.transport.write(self.servers.get(fields["host"], path))
            elif fields["host"].partition(":")[0] not in self.servers.hanging:
                self.servers.post(body)
                self.transport.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


async def main() -> None:
    told = options()
    servers = Servers(told["pem"])
    addresses = [address(n) for n in range(told["servers"])]
    loop = asyncio.get_running_loop()
    first = await loop.create_server(lambda: Exchange(servers), addresses[0], 0)
    servers.port = first.sockets[0].getsockname()[1]
    if addresses[1:]:
        await loop.create_server(lambda: Exchange(servers), addresses[1:], servers.port)

    async def handle(do: str, **more: Any) -> Any:
        match do:
            case "hang":
                servers.hanging = {address(n) for n in more["servers"]}
            case "forget":
                servers.forget()
            case "last":
                return servers.last
            case "came":
                return {name: [len(at), at[0]] for name, at in servers.came.items()}
            case "wait":
                servers.wanted = more["count"]
                if servers.posts >= servers.wanted:
                    return servers.posts
                servers.enough.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(more["within"]):
                        await servers.enough.wait()
                return servers.posts
        return None

    await answer({"port": servers.port}, handle)


if __name__ == "__main__":
    asyncio.run(main())
