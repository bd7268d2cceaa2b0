"""Signing our requests in the form each host takes.

Draft-cavage is the safe first form for a host we do not know; RFC 9421 is tried after a 401, and what a host
took is remembered (networks.md, "What real peers were measured to demand").
"""

from typing import Literal

from adapters.activitypub import tables
from adapters.activitypub.ids import key_id
from adapters.activitypub.shapes import origin
from adapters.activitypub.signatures import RsaKey, sign_cavage, sign_rfc9421
from bridged.api import Host

Scheme = Literal["cavage", "rfc9421"]

MAX_REMEMBERED = 4096


class Signer:
    """Signs with the one key of the instance, as any of our actors."""

    def __init__(self, host: Host, key: RsaKey) -> None:
        self._host = host
        self._key = key
        self._known: dict[str, Scheme] = {}

    async def order(self, url: str) -> tuple[Scheme, Scheme]:
        """The scheme to try first with the host of `url`, and the other one."""
        server = origin(url)
        if server not in self._known:
            stored = await self._host.read(tables.scheme_of(server))
            self._remember(server, "rfc9421" if stored == "rfc9421" else "cavage")
        return ("rfc9421", "cavage") if self._known[server] == "rfc9421" else ("cavage", "rfc9421")

    async def took(self, url: str, scheme: Scheme) -> None:
        """The host of `url` accepted what was signed so."""
        server = origin(url)
        if self._known.get(server) != scheme:
            self._remember(server, scheme)
            await self._host.write(tables.keep_scheme(server, scheme, self._host.now()))

    def headers(self, scheme: Scheme, actor: str, method: str, url: str, body: bytes | None) -> dict[str, str]:
        """The headers that sign one request as `actor`. Raises ValueError for a URL that cannot be sent."""
        sign = sign_cavage if scheme == "cavage" else sign_rfc9421
        return sign(self._key, key_id(actor), method, url, body, self._host.now())

    def _remember(self, server: str, scheme: Scheme) -> None:
        if len(self._known) >= MAX_REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[server] = scheme
