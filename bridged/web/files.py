"""Files that are ours, under the hash of what is in them: they never change, and nothing in them may run."""

from collections.abc import Iterable

from aiohttp import web

from bridged.core import Core
from bridged.media import TYPES

_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}


def routes(core: Core) -> Iterable[web.RouteDef]:
    async def file(request: web.Request) -> web.StreamResponse:
        found = await core.media.blob(bytes.fromhex(request.match_info["sha256"]))
        if found is None or found[0].mime not in TYPES:
            raise web.HTTPNotFound
        blob, path = found
        return web.FileResponse(path, headers={**_HEADERS, "Content-Type": blob.mime})

    return [web.get("/media/{sha256:[0-9a-f]{64}}", file)]
