"""Who is really asking: the address behind the proxies we trust, and nobody else's word for it."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import cast

from aiohttp import web

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

MAX_HOPS = 20
TRUSTED = web.AppKey("trusted", tuple[Network, ...])

_INSIDE = tuple(
    ip_network(block)
    for block in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)
_SIGNS_OF_PROXIES = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")


@lru_cache(maxsize=256)
def _address(text: str) -> Address | None:
    """An address as X-Forwarded-For has it: bare, in brackets, with a port or a zone."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _within(address: Address, blocks: Sequence[Network]) -> bool:
    return any(address in block for block in blocks)


def _peer(request: web.Request) -> Address | None:
    """The other end of the connection; None for a socket without an address."""
    name: object = request.transport.get_extra_info("peername") if request.transport else None
    return _address(str(cast("tuple[object, ...]", name)[0])) if isinstance(name, tuple) and name else None


def behind_proxy(request: web.Request) -> bool:
    """Whether the connection comes from a proxy named in `trusted_proxies`."""
    peer = _peer(request)
    return peer is not None and _within(peer, request.app[TRUSTED])


def client_ip(request: web.Request) -> str:
    """The client's address, "" if unknown.

    X-Forwarded-For is read from its end, as far as each hop was written down by a proxy we trust.
    """
    client, trusted = _peer(request), request.app[TRUSTED]
    hops = [h for line in request.headers.getall("X-Forwarded-For", []) for h in line.split(",")]
    for hop in reversed(hops[-MAX_HOPS:]):
        if client is None or not _within(client, trusted):
            break
        client = _address(hop)
    return "" if client is None else str(client)


def scheme(request: web.Request) -> str:
    """http or https, as the client sees it."""
    said = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower()
    return said if said in ("http", "https") and behind_proxy(request) else request.scheme


def from_inside(request: web.Request) -> bool:
    """Whether the client is on this machine or its private network.

    A request that passed a proxy we do not know could come from anywhere, so it counts as outside.
    """
    if not behind_proxy(request) and any(name in request.headers for name in _SIGNS_OF_PROXIES):
        return False
    client = _address(client_ip(request))
    return client is not None and _within(client, _INSIDE)
