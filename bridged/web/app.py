"""The aiohttp application: every adapter's routes beside our own, and the rules that hold for all of them."""

import logging
import math
import re
import time
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from bridged import __version__
from bridged.adapter import Busy
from bridged.core import Core
from bridged.registry import BadAdapter
from bridged.web import files, health, pages
from bridged.web.clients import TRUSTED, client_ip, scheme

MAX_BODY = 1 << 20
CORE = web.AppKey("core", Core)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ANY_PATH = re.compile(r"/\{\w+(?::\.[+*])?\}")
"""The paths of routes that take whatever nobody else does."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def build(core: Core, ready: Callable[[], bool]) -> web.Application:
    """What this process serves by its roles; health and metrics in any case. `ready` says whether the daemon is up.

    Raises BadAdapter when routes clash.
    """
    roles = core.process.roles
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_outermost])
    app[CORE] = core
    app[TRUSTED] = core.settings.trusted_proxies
    app.on_response_prepare.append(_secure)
    served = [
        (
            "bridged",
            [*([*pages.routes(core), *files.routes(core)] if "web" in roles else ()), *health.routes(core, ready)],
        )
    ]
    for network, adapter in core.adapters.items():
        web_routes = adapter.routes() if "web" in roles else ()
        streams = adapter.streams() if "relay" in roles else ()
        served.append((network, [*web_routes, *streams]))
    app.add_routes(_without_clashes(served))
    return app


def _without_clashes(sets: Iterable[tuple[str, Iterable[web.RouteDef]]]) -> list[web.RouteDef]:
    """All routes in order, those for any path last, unless two owners claim the same method and path."""
    taken: dict[tuple[str, str], str] = {}
    found: list[web.RouteDef] = []
    for owner, routes in sets:
        for route in routes:
            # names of path parameters make no difference, what they match does
            path = re.sub(r"\{[^:{}]+(?::([^{}]*(?:\{[^{}]*\}[^{}]*)*))?\}", r"{\1}", route.path)
            method = "GET" if route.method == "HEAD" else route.method
            for key in ((method, path), ("*", path)):
                if taken.get(key, owner) != owner:
                    raise BadAdapter(
                        f"the adapters for {taken[key]!r} and {owner!r} both serve {route.method} {route.path};"
                        " they cannot run side by side"
                    )
            if method == "*" and (other := next((o for (_, p), o in taken.items() if p == path), owner)) != owner:
                raise BadAdapter(
                    f"the adapters for {other!r} and {owner!r} both serve {route.path}; they cannot run side by side"
                )
            taken[method, path] = owner
            found.append(route)
    # what takes any path at all must not take it from those who name theirs, or say what theirs look like
    return sorted(found, key=lambda route: (route.path.startswith("/{"), _ANY_PATH.fullmatch(route.path) is not None))


@web.middleware
async def _outermost(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Client and scheme as they are behind the proxies; failures answered and logged, one line each."""
    core = request.app[CORE]
    client, said = client_ip(request), scheme(request)
    if client != request.remote or said != request.scheme:
        request = request.clone(remote=client, scheme=said)
    started = time.monotonic()

    def facts(status: int) -> dict[str, object]:
        # without the query, which is the client's business
        return {
            "method": request.method,
            "path": request.path[:500],
            "status": status,
            "client": request.remote,
            "ms": round((time.monotonic() - started) * 1000, 1),
        }

    try:
        response = await handler(request)
    except web.HTTPException as answer:
        core.log.debug("request", **facts(answer.status))
        raise
    except Busy as busy:
        core.log.warning("request_while_busy", why=busy.why, **facts(503))
        after = str(max(1, math.ceil(busy.after)))
        return _plain(request, 503, "The bridge is busy; please come back.", {"Retry-After": after})
    except ConnectionError:
        core.log.debug("client_left", **facts(499))
        raise
    except Exception:
        core.log.exception("request_failed", **facts(500))
        return _plain(request, 500, "Something went wrong here; it is logged.")
    core.log.debug("request", **facts(response.status))
    return response


def server_log(core: Core) -> logging.Logger:
    """Where aiohttp reports what went wrong below the handlers.

    Requests that are no HTTP are counted and not reported, nor are clients that hang up: a line each, with a traceback,
    would be a stranger's to fill the disk with.
    """

    def ours(record: logging.LogRecord) -> bool:
        failed = record.exc_info[1] if record.exc_info else None
        if isinstance(failed, ConnectionError):
            return False
        if not isinstance(failed, HttpProcessingError | RequestPayloadError):
            return True
        core.metrics.refused.labels("web", "bad_http").inc()
        return False

    log = logging.getLogger("bridged.web")
    log.filters[:] = [ours]
    return log


def _plain(request: web.Request, status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    """A short answer; once another was begun all that can be done is to hang up."""
    if request.writer.output_size > 0 and request.transport is not None:
        request.transport.abort()
    return web.Response(status=status, text=text + "\n", headers=headers)


async def _secure(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    # aiohttp would tell its own version and Python's
    response.headers["Server"] = f"bridged/{__version__}"
