"""An internet of the test's own: a network namespace in which every address leads to this machine (root, Linux).

    with internet():                               # this thread, and the processes it starts, from here on
        async with Names() as names, canary_everywhere() as bird, Site(authority, "good.example", GOOD) as good:
            names.answers["good.example"] = [[GOOD]]
            daemon = Daemon(tmp_path, config={"egress": {"allow": []}}, env=authority.env)
            await daemon.start(prefix=inside(tmp_path))

Public addresses are as good as private ones here, so the daemon runs with the guard that operators have, and nothing
is let through for the test's sake. Names are asked of `Names`, by way of the system's own resolver.
"""

import asyncio
import contextlib
import ctypes
import datetime
import os
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .canary import Canary
from .fediverse import Peer

GOOD, EVIL, FAR = "198.41.0.4", "199.7.83.42", "192.33.4.12"
"""Addresses of the public internet, and so nobody's in here."""
_NET = 0x40000000
_DNS = "127.0.0.53"
_OPEN = (80, 443)


@contextlib.contextmanager
def internet() -> Iterator[None]:
    """Skips where it cannot be had, but not in CI."""
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs root (network namespaces)")
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(_NET):
            raise OSError(ctypes.get_errno(), "no network namespace to be had")
        for words in ("link set lo up", "route add local 0.0.0.0/0 dev lo", "-6 route add local ::/0 dev lo"):
            subprocess.run(["ip", *words.split()], check=True)
        yield
    finally:
        libc.setns(home, _NET)
        os.close(home)


def inside(folder: Path) -> list[str]:
    """Words before a command that shall ask `Names`: it sees a hosts file and a resolv.conf of its own."""
    (folder / "resolv.conf").write_text(f"nameserver {_DNS}\noptions timeout:2 attempts:1\n")
    (folder / "hosts").write_text("127.0.0.1 localhost\n::1 localhost ip6-localhost\n")
    mounts = " && ".join(f"mount --bind {folder}/{name} /etc/{name}" for name in ("resolv.conf", "hosts"))
    return ["unshare", "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh"]


@contextlib.asynccontextmanager
async def canary_everywhere(*ports: int) -> AsyncIterator[Canary]:
    """Hears every connection to any address at one of the ports that the guard opens; `Site`s keep their own."""
    bird = Canary()
    async with contextlib.AsyncExitStack() as stack:
        for port in (*_OPEN, *ports):
            for address in ("0.0.0.0", "::"):
                server = await asyncio.start_server(bird._hit, address, port, reuse_port=True)
                await stack.enter_async_context(server)
        yield bird


class Names(asyncio.DatagramProtocol):
    """A name server: A and AAAA only. `answers`: name -> the addresses told at first, then, …; the last ones stay."""

    def __init__(self) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []
        self._turn: dict[tuple[str, int], int] = {}
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> "Names":
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(_DNS, 53))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._transport
        self._transport.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        labels, at = [], 12
        while length := data[at]:
            labels.append(data[at + 1 : at + 1 + length].decode("latin-1"))
            at += length + 1
        name, (kind,) = ".".join(labels).lower(), struct.unpack_from("!H", data, at + 1)
        question = data[12 : at + 5]
        self.asked.append(name)
        turns = self.answers.get(name, [])
        turn = self._turn.get((name, kind), 0)
        self._turn[name, kind] = turn + 1
        found = [ip_address(text) for text in turns[min(turn, len(turns) - 1)]] if turns else []
        family = {1: IPv4Address, 28: IPv6Address}.get(kind)
        records = [ip.packed for ip in found if family is not None and isinstance(ip, family)]
        head = data[:2] + struct.pack("!HHHHH", 0x8180 if turns else 0x8183, 1, len(records), 0, 0)
        body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(each)) + each for each in records)
        assert self._transport
        self._transport.sendto(head + question + body, addr)


class Authority:
    """A certificate authority in `folder`, and what a daemon needs to trust it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "internet of a test")])
        basic = (x509.BasicConstraints(ca=True, path_length=0), True)
        use = x509.KeyUsage(*(False,) * 5, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False)
        (folder / "ca.pem").write_bytes(self._signed(self._name, self._key.public_key(), basic, (use, True)))
        self.env = {"SSL_CERT_FILE": str(folder / "ca.pem")}

    def context(self, *names: str) -> ssl.SSLContext:
        """For a server with these names or addresses."""
        key, where = ec.generate_private_key(ec.SECP256R1()), self._folder / f"{len(list(self._folder.iterdir()))}.pem"
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:60])])
        alt = x509.SubjectAlternativeName([*map(_alternative, names)])
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        where.write_bytes(private + self._signed(subject, key.public_key(), (alt, False)))
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(where)
        return made

    def _signed(self, subject: x509.Name, key: Any, *extensions: tuple[x509.ExtensionType, bool]) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(9))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Site(Peer):
    """A peer of the kit at `https://NAME` and `http://NAME`, on an address of its own."""

    def __init__(self, authority: Authority, name: str, address: str, *also: str) -> None:
        super().__init__(address, 443)
        self.name, self._tls = name, authority.context(name, address, *also)

    async def __aenter__(self) -> "Site":
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        for port, tls in ((80, None), (443, self._tls)):
            await web.TCPSite(self._runner, self.address, port, ssl_context=tls, reuse_port=True).start()
        self._session = ClientSession(timeout=ClientTimeout(total=90))
        return self

    @property
    def host(self) -> str:
        return self.name

    @property
    def base(self) -> str:
        return f"https://{self.name}"


def refused_of(figures: Mapping[Any, float]) -> float:
    """How many requests the guard refused, of `Daemon.metrics`."""
    return sum(value for (name, _), value in figures.items() if name == "bridged_egress_refused_total")
