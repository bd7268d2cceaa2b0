"""Search by pasted address: what somebody elsewhere names, found under our domain.

Servers fetch the address that their user pastes into the search, and take what they find there if its id is where
they end up. So `https://us/ID`, with any id or address of another network, leads on to what stands for it here. What
texts those are only the other networks' adapters know: nothing is looked up that none of them reads.
"""

import re
from collections.abc import Iterable

from aiohttp import web

from adapters.activitypub.discovery import Discovery
from adapters.activitypub.serving import COME_BACK
from adapters.activitypub.shapes import MAX_ID
from bridged.api import Host, Unreachable

_SCHEME = re.compile(r"(https?):/+", re.IGNORECASE)

_NOTHING = (
    "Nothing here. If you look for a post or an account of another network: it was not found there, it is none of the"
    " kinds that are bridged, or its author does not want to be bridged.\n"
)
_SILENT = "Nobody who might know this answered just now. Please try again in a moment.\n"


class Pasted:
    def __init__(self, host: Host, discovery: Discovery) -> None:
        self._host = host
        self._discovery = discovery

    def routes(self) -> Iterable[web.RouteDef]:
        """The second takes every path that nobody else does, so it comes last."""
        return [web.get("/r/{text:.+}", self.find), web.get("/{text:.+}", self.find)]

    async def find(self, request: web.Request) -> web.Response:
        """302 to what the path names; browsers are sent on from there, as always."""
        # Some proxies make one slash of two.
        text = _SCHEME.sub(r"\1://", request.match_info["text"], count=1)
        if query := request.rel_url.raw_query_string:
            text = f"{text}?{query}"
        try:
            found = await self._meant(text) if len(text) <= MAX_ID else ""
        except Unreachable:
            return web.Response(status=503, text=_SILENT, headers={"Retry-After": str(COME_BACK)})
        if not found:
            return web.Response(status=404, text=_NOTHING)
        return web.Response(status=302, headers={"Location": found, "Cache-Control": "public, max-age=60"})

    async def _meant(self, text: str) -> str:
        """The id of what is meant, "" for nothing. Raises Unreachable."""
        if text.startswith("@"):
            located = await self._discovery.named(text[1:]) if "/" not in text else None
            return located.actor if located else ""
        ref = await self._host.bring(text)
        return ref.id if ref else ""
