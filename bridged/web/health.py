"""/healthz, /readyz and /metrics."""

import asyncio
import time
from collections.abc import Callable, Iterable

from aiohttp import web
from sqlalchemy import select

from bridged.adapter import Busy
from bridged.core import Core
from bridged.store import hosts, inboxes, pruning, queued, settings
from bridged.store.engine import Tx
from bridged.web.clients import from_inside

PATIENCE = 2.0
"""Seconds the database has to answer a probe."""


def routes(core: Core, ready: Callable[[], bool]) -> Iterable[web.RouteDef]:
    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok", headers=_FRESH)

    async def readyz(_request: web.Request) -> web.Response:
        reason = "" if ready() else "starting or stopping"
        if not reason:
            reason = "the database does not answer"
            try:
                async with asyncio.timeout(PATIENCE):
                    await core.store.read(_probe)
                    if core.store.failing:
                        reason = f"the database takes no writes ({core.store.failing})"
                        await core.store.write(_leave_a_mark, first=1)
                reason = ""
            except (Busy, TimeoutError) as failed:
                core.log.warning("not_ready", why=str(failed) or "timeout")
        body = {"ready": not reason, "reason": reason}
        return web.json_response(body, status=503 if reason else 200, headers=_FRESH)

    async def metrics(request: web.Request) -> web.Response:
        if not from_inside(request):
            raise web.HTTPForbidden(text="metrics are for this machine and its private network\n")
        try:
            async with asyncio.timeout(PATIENCE):
                await refresh(core)
        except (Busy, TimeoutError) as failed:
            # the rest is worth the more when the database is away
            core.log.warning("metrics_without_queues", why=str(failed) or "timeout")
        return web.Response(body=core.metrics.render(), headers=_FRESH | {"Content-Type": _TEXT_FORMAT})

    return [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)]


async def refresh(core: Core) -> None:
    """Brings what the metrics say about the queues up to date. Raises Busy."""
    now, metrics = core.now(), core.metrics
    depths, (waiting, _), down, size = await core.store.read(
        lambda tx: (queued.depth(tx), inboxes.backlog(tx, now), hosts.count_shut(tx, now), pruning.size(tx))
    )
    for network in {*core.adapters, *depths}:
        depth, since = depths.get(network, (0, now))
        metrics.queue.labels(network).set(depth)
        metrics.queue_age.labels(network).set(max(0.0, now - since))
    metrics.backlog.set(waiting)
    metrics.size.set(size)
    metrics.hosts_down.set(down)


def _probe(tx: Tx) -> None:
    tx.execute(select(1))


def _leave_a_mark(tx: Tx) -> None:
    """Something that must reach the disk: an empty transaction would not."""
    settings.put(tx, "probe", str(time.time()))


_FRESH = {"Cache-Control": "no-store"}
_TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
