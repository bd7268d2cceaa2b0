"""What others ask of our handles: `atproto-did` and `did.json` by the Host of the request, and `resolveHandle`.

(atproto.com/specs/handle, atproto.com/specs/did)
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from aiohttp import web

from adapters.atproto import handles
from adapters.atproto.identity import DOCUMENT, WEB, WELL_KNOWN
from adapters.atproto.syntax import is_handle
from bridged.api import Host, Unreachable

Document = Callable[[str], Awaitable[dict[str, Any] | None]]
"""The document of one of our did:web, if it is one."""

_LOOKUPS: Final = 8
"""Look-ups of names on other networks at one time: each of them asks strangers' servers."""
_LOOKUP_SECONDS: Final = 15.0
_CORS: Final = {"Access-Control-Allow-Origin": "*"}
_LATER: Final = {**_CORS, "Retry-After": "60"}


class Names:
    """Answers for the handles below `handle_domain`, making ghosts where somebody may be bridged."""

    def __init__(self, host: Host, document: Document) -> None:
        self._host, self._document = host, document
        self._lookups = asyncio.Semaphore(_LOOKUPS)

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get(WELL_KNOWN, self._well_known),
            web.get(DOCUMENT, self._did_json),
            web.get("/xrpc/com.atproto.identity.resolveHandle", self._resolve),
        ]

    async def ours(self, handle: str) -> str | None:
        """The DID of a ghost that is there already."""
        if handles.label_under(self._host.site.handle_domain, handle) is None:
            return None
        found = await self._host.ghost_named(handle.lower())
        return found[0].ref.id if found else None

    async def _well_known(self, request: web.Request) -> web.Response:
        try:
            did = await self._did(_asked(request))
        except (Unreachable, TimeoutError):
            return web.Response(status=503, text="cannot tell at the moment\n", headers=_LATER)
        if did is None:
            return web.Response(status=404, text="nobody has this handle\n", headers=_CORS)
        return web.Response(text=did, headers=_CORS)

    async def _did_json(self, request: web.Request) -> web.Response:
        document = await self._document(f"{WEB}{_asked(request)}")
        if document is None:
            return web.json_response({"error": "not_found"}, status=404, headers=_CORS)
        return web.json_response(document, headers=_CORS)

    async def _resolve(self, request: web.Request) -> web.Response:
        handle = request.query.get("handle", "").lower()
        if not is_handle(handle):
            return _error(400, "InvalidRequest", "handle is a handle")
        try:
            did = await self._did(handle)
        except (Unreachable, TimeoutError):
            return _error(503, "NotAvailable", "Cannot tell at the moment", _LATER)
        return _error(400, "HandleNotFound", "Nobody here has this handle") if did is None else _found(did)

    async def _did(self, handle: str) -> str | None:
        """The DID of one of our handles. Raises Unreachable, TimeoutError."""
        label = handles.label_under(self._host.site.handle_domain, handle)
        if label is None:
            return None
        did = await self.ours(handle)
        name = handles.name_of(label) if did is None else None
        if name is None:
            return did
        if self._lookups.locked():
            raise Unreachable("too many look-ups at once")
        async with self._lookups, asyncio.timeout(_LOOKUP_SECONDS):
            found = await self._host.lookup(name)
        return found[0].ref.id if found else None


def _asked(request: web.Request) -> str:
    """The host that was asked for, in lower case, without a port."""
    return request.host.partition(":")[0].lower()


def _found(did: str) -> web.Response:
    return web.json_response({"did": did}, headers=_CORS)


def _error(status: int, name: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": name, "message": message}, status=status, headers=headers or _CORS)
