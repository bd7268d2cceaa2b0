"""For the tests of egress: a server that does as each test says, and canaries that nobody may reach."""

import asyncio
import datetime
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bridged.egress import Egress, Failed, Refused

GOOD = "127.0.0.3"
"""Where good servers listen; all that the egress under test lets through."""
CANARIES = ("127.0.0.1", "127.0.0.2", "::1")

Handle = Callable[[str, asyncio.StreamWriter], Awaitable[None]]
"""(request head, writer) -> answers."""


class Site:
    """A server made of paths. `heads` are the request heads it got, `now` and `peak` its open connections."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.paths: dict[str, Handle] = {"/good": answer(b"200 OK", b"good")}
        self.heads: list[str] = []
        self.now = self.peak = 0
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, GOOD, 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def url(self, path: str, host: str = "good.test", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.now += 1
        self.peak = max(self.peak, self.now)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            await self.paths[head.split(" ")[1].split("?")[0]](head, writer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.now -= 1
            writer.transport.abort() if task.cancelling() else writer.close()


def answer(status: bytes, body: bytes = b"", *headers: bytes) -> Handle:
    """One complete answer, then the connection ends."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), b"Connection: close", *headers]

    async def handle(_head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)

    return handle


def redirect(location: str, status: bytes = b"302 Found") -> Handle:
    return answer(status, b"moved", b"Location: " + location.encode())


def flood(start: bytes, repeat: bytes, pause: float = 0.0) -> Handle:
    """`start`, then `repeat` for ever: as fast as it is taken, or every `pause` seconds."""

    async def handle(_head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(repeat)
            await writer.drain()
            await asyncio.sleep(pause)

    return handle


class Canary:
    """Listens on one port of every address in CANARIES that this machine has."""

    def __init__(self) -> None:
        self.hits = 0
        self.port = 0

    def hit(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.hits += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\ninside")
        writer.close()


@asynccontextmanager
async def canaries() -> AsyncIterator[Canary]:
    canary = Canary()
    async with AsyncExitStack() as stack:
        for host in CANARIES:
            if host == "::1" and not _has_ipv6():
                continue
            server = await asyncio.start_server(canary.hit, host, canary.port)
            canary.port = server.sockets[0].getsockname()[1]
            await stack.enter_async_context(server)
        yield canary


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


class Names:
    """A resolver that knows a few names; a list of lists is answered in turn, the last one for ever."""

    def __init__(self, **names: Sequence[Sequence[str]]) -> None:
        self.names = {"good.test": [[GOOD]]} | {f"{name}.test": list(turns) for name, turns in names.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host.rstrip(".") == "localhost":
            return ["127.0.0.1", "::1"]
        turns = self.names.get(host.rstrip("."))
        if turns is None:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return turns.pop(0) if len(turns) > 1 else turns[0]


class Bench:
    """An egress that lets only GOOD through, a good site, canaries, and what was counted."""

    def __init__(self, egress: Egress, site: Site, canary: Canary, names: Names, counted: list[str]) -> None:
        self.egress, self.site, self.canary, self.names, self.counted = egress, site, canary, names, counted

    async def refused(self, url: str, **options: Any) -> str:
        with pytest.raises(Refused) as caught:
            await self.egress.get(url, **options)
        assert self.counted.pop() == caught.value.reason
        await self.still_good()
        return caught.value.reason

    async def failed(self, url: str, **options: Any) -> str:
        with pytest.raises(Failed) as caught:
            await self.egress.get(url, **options)
        await self.still_good()
        return caught.value.reason

    async def still_good(self) -> None:
        self.egress._timeout = 30.0  # what is good has its time, on a slow machine too
        response = await self.egress.get(self.site.url("/good"))
        assert (response.status, response.body) == (200, b"good")
        assert self.canary.hits == 0
        assert self.counted == []


@asynccontextmanager
async def bench_up(names: Names | None = None, **options: Any) -> AsyncIterator[Bench]:
    counted: list[str] = []
    names = names or Names()
    async with canaries() as canary, Site() as site:
        settings: dict[str, Any] = {
            "allow": [ip_network(GOOD)],
            "ports": {80, 443, canary.port},
            "resolve": names,
        }
        egress = Egress(user_agent="bridged/test", count=counted.append, **settings | options)
        try:
            yield Bench(egress, site, canary, names, counted)
        finally:
            await egress.close()


def authority(folder: Path, *names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server, client): a self-signed certificate for `names`, and a context that trusts only it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    today = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([*map(x509.DNSName, names), x509.IPAddress(ipaddress.ip_address(GOOD))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    chain = folder / "chain.pem"
    chain.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + pem
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain)
    return server, ssl.create_default_context(cadata=pem.decode())
