"""Where the bridge may connect to: the address and URL rules behind `egress.py`. Pure: no I/O.

A URL is judged twice. `check_url` judges its spelling before anything else happens; `Guard.check` judges the
address a socket is about to be connected to, whatever name led there.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from yarl import URL

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

HTTP_SCHEMES = frozenset({"http", "https"})
WEBSOCKET_SCHEMES = frozenset({"ws", "wss"})
MAX_URL = 4096
"""Longest URL accepted, in characters."""

_V4_CLOSED = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
_V6_OPEN = IPv6Network("2000::/3")
_V6_CLOSED = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))

# Blanks, controls and backslashes are read differently by different parsers, so none may pass.
_UNCLEAN = re.compile(r"[\x00-\x20\x7f\\]")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}\.?")
# WHATWG URL, "ends in a number": resolvers read such names as addresses in octal, hex or short form.
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")


class Forbidden(Exception):
    """The rules say no, and will say no again.

    `reason` is one of url, scheme, userinfo, address, port, downgrade, redirects; `host` is the host asked
    for, "" where the URL names none.
    """

    def __init__(self, reason: str, host: str) -> None:
        super().__init__(reason, host)
        self.reason, self.host = reason, host


def allowed(address: Address, allow: Sequence[Network] = ()) -> bool:
    """Whether `address` is on the public internet, or inside one of the networks in `allow`.

    `ipaddress.is_global` alone lets `::127.0.0.1`, NAT64 and 6to4 through, hence the lists.
    """
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in allow):
        return True
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and not _within(address, _V4_CLOSED)
    return address in _V6_OPEN and not _within(address, _V6_CLOSED)


@lru_cache(maxsize=1024)
def check_url(text: str, schemes: frozenset[str]) -> URL:
    """`text` parsed: as it will be sent, its host in IDNA form, without its fragment.

    The host of what is returned is an IPv6 address, an IPv4 address in four plain decimal numbers, or a DNS
    name that nothing can read as a number. Raises Forbidden: url, scheme, userinfo, address.
    """
    if len(text) > MAX_URL or _UNCLEAN.search(text):
        raise Forbidden("url", "")
    try:
        url = URL(text).with_fragment(None)
    except ValueError:
        raise Forbidden("url", "") from None
    return _checked(url, schemes)


def check_redirect(url: URL, location: str) -> URL:
    """Where a redirect from `url` leads. Raises Forbidden as `check_url` does, and downgrade."""
    if len(location) > MAX_URL or _UNCLEAN.search(location):
        raise Forbidden("url", url.raw_host or "")
    try:
        target = url.join(URL(location)).with_fragment(None)
    except ValueError:
        raise Forbidden("url", url.raw_host or "") from None
    target = _checked(target, HTTP_SCHEMES)
    if url.scheme == "https" and target.scheme == "http":
        raise Forbidden("downgrade", target.raw_host or "")
    return target


@dataclass(frozen=True, slots=True)
class Guard:
    """`allow`: networks let through beside the public internet, on any port. `ports`: those of the latter."""

    allow: Sequence[Network]
    ports: Collection[int]

    def check(self, address: str, port: int, host: str) -> None:
        """Judge one endpoint that `host` led to. Raises Forbidden: address, port."""
        try:
            ip = ip_address(address)
        except ValueError:
            raise Forbidden("address", host) from None
        if not allowed(ip, self.allow):
            raise Forbidden("address", host)
        # Relays in private networks and servers in tests seldom listen on 443: naming the network is enough.
        if port == 0 or (port not in self.ports and not self._listed(ip)):
            raise Forbidden("port", host)

    def _listed(self, ip: Address) -> bool:
        mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
        return _within(mapped or ip, self.allow)


def is_address(host: str) -> bool:
    """Whether the host of a checked URL is an address rather than a name."""
    return ":" in host or _NUMERIC.fullmatch(host) is not None


def _checked(url: URL, schemes: frozenset[str]) -> URL:
    host = url.raw_host or ""
    if len(host) > 254:
        raise Forbidden("url", "")
    if url.scheme not in schemes:
        raise Forbidden("scheme", host)
    if url.user is not None or url.password is not None:
        raise Forbidden("userinfo", host)
    if ":" in host or _NUMERIC.fullmatch(host):
        try:
            ip = ip_address(host)
        except ValueError:
            raise Forbidden("address", host) from None
        # A zone names an interface of this machine.
        if isinstance(ip, IPv6Address) and ip.scope_id is not None:
            raise Forbidden("address", host)
    elif not _NAME.fullmatch(host):
        raise Forbidden("url", host)
    # An empty path is sent as "/", and what is signed must be what is sent.
    return url.with_path("/", keep_query=True) if url.raw_path == "/" else url


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
