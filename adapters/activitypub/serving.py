"""How we answer: in which form, with which validators, and from memory where many ask the same.

Naively served collections have drawn more than a million requests in a day to one bridge.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Literal

from aiohttp import web

from adapters.activitypub.documents import dump, tombstone
from adapters.activitypub.ids import native
from adapters.activitypub.shapes import AS2_TYPE, LD_TYPE
from bridged.api import Host

MAX_AGE = 180
"""Seconds that caches may keep what we serve."""
FRESH = 10.0
"""Seconds that we answer from memory: so long may something withdrawn still stand in a collection."""
MAX_ENTRIES = 4096
MAX_BYTES = 32 << 20
COME_BACK = 30
"""Seconds after which somebody may ask again for what could not be had now."""

Form = Literal["as2", "ld", "page"]
"""ActivityStreams as its own type, the same as JSON-LD, or something for people to read."""

_MEMBER = re.compile(r'(?:[^,"]|"[^"]*")+')
_FORMS: Mapping[str, Form] = {
    AS2_TYPE: "as2",
    "application/json": "as2",
    "application/ld+json": "ld",
    "text/html": "page",
    "application/xhtml+xml": "page",
}


def form(request: web.Request) -> Form:
    """The form that the Accept header prefers (RFC 9110 §12.5.1).

    Wildcards count only for ActivityStreams, and so does a tie: that is what we are here for. What accepts none of
    our forms gets it as well, since some servers say nothing sensible.
    """
    weights: dict[Form, float] = {}
    for member in _MEMBER.findall(request.headers.get("Accept", "")):
        kind, *parameters = (part.strip().lower() for part in member.split(";"))
        found = _FORMS.get(kind) or ("as2" if kind in ("*/*", "application/*") else None)
        if found is not None:
            weights[found] = max(weights.get(found, 0.0), _weight(parameters))
    as2, ld, page = (weights.get(name, 0.0) for name in ("as2", "ld", "page"))
    if page > max(as2, ld):
        return "page"
    return "ld" if ld > as2 else "as2"


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return min(float(value), 1.0) if re.fullmatch(r"\d(\.\d{0,3})?", value.strip()) else 0.0
    return 1.0


def content_type(wanted: Form) -> str:
    """The Content-Type of ActivityStreams in this form."""
    return LD_TYPE if wanted == "ld" else f"{AS2_TYPE}; charset=utf-8"


def answer(
    request: web.Request, body: bytes, kind: str, *, status: int = 200, changed: float | None = None
) -> web.Response:
    """`body` as `kind`, or 304 where the client has it. `changed`: since when it reads like this, if that is known."""
    tag = hashlib.sha256(kind.encode() + b"\n" + body).hexdigest()[:32]
    headers = {
        "Content-Type": kind,
        "ETag": f'"{tag}"',
        "Cache-Control": f"public, max-age={MAX_AGE}",
        "Vary": "Accept",
        "Access-Control-Allow-Origin": "*",
    }
    if changed is not None:
        headers["Last-Modified"] = formatdate(changed, usegmt=True)
    if status == 200 and _unchanged(request, tag, changed):
        return web.Response(status=304, headers=headers)
    return web.Response(status=status, body=body, headers=headers)


def _unchanged(request: web.Request, tag: str, changed: float | None) -> bool:
    """RFC 9110 §13.1: a tag outranks a date. Of dates only the one we gave counts: a change may reach us late."""
    if "If-None-Match" in request.headers:
        return any(known.value in (tag, "*") for known in request.if_none_match or ())
    since = request.if_modified_since
    return changed is not None and since is not None and int(changed) == since.timestamp()


def served(request: web.Request, body: bytes, *, changed: float | None = None) -> web.Response:
    """An ActivityStreams document, in the form asked for."""
    return answer(request, body, content_type(form(request)), changed=changed)


def elsewhere(url: str) -> web.Response:
    """The browser's way on, to the page of what it asked for."""
    return web.Response(status=303, headers={"Location": url, "Vary": "Accept"})


def error(status: int, reason: str, headers: Mapping[str, str] | None = None) -> web.Response:
    said: dict[str, Any] = {"error": reason}
    return web.json_response(said, status=status, headers={"Access-Control-Allow-Origin": "*", **(headers or {})})


async def absent(host: Host, request: web.Request, actor: str) -> web.Response:
    """What is said of an actor of ours, or of something below it, that is not there: gone or never heard of."""
    if await host.ghost_gone(native(actor)):
        return answer(request, dump(tombstone(actor)), content_type(form(request)), status=410)
    return error(404, "not_found")


def number(text: str | None) -> int | None:
    """A short decimal number in a query."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None


@dataclass(frozen=True, slots=True)
class Kept:
    """A body, when it first read like this, and when that was last made sure of."""

    body: bytes
    changed: float
    at: float


Make = Callable[[], Awaitable[bytes | None]]
"""Makes a body anew; None when there is no such thing."""


class Memory:
    """Bodies by address, the longest unused forgotten first.

    However many ask for one at once, it is made once.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._kept: dict[str, Kept] = {}
        self._size = 0
        self._making: dict[str, asyncio.Task[Kept | None]] = {}

    async def get(self, key: str, make: Make) -> Kept | None:
        """What `make` made for `key`, lately; None when there is no such thing, which is not remembered.

        Raises what `make` raises.
        """
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._kept[key] = kept
            if 0 <= self._now() - kept.at <= FRESH:
                return kept
        return await asyncio.shield(self._task(key, make))

    def _task(self, key: str, make: Make) -> asyncio.Task[Kept | None]:
        task = self._making.get(key)
        if task is None:
            task = self._making[key] = asyncio.create_task(self._make(key, make))
            task.add_done_callback(lambda done: self._made(key, done))
        return task

    async def _make(self, key: str, make: Make) -> Kept | None:
        body = await make()
        old = self._kept.pop(key, None)
        if old is not None:
            self._size -= len(old.body)
        if body is None:
            return None
        now = self._now()
        kept = Kept(body, old.changed if old is not None and old.body == body else now, now)
        self._kept[key] = kept
        self._size += len(body)
        while self._size > MAX_BYTES or len(self._kept) > MAX_ENTRIES:
            self._size -= len(self._kept.pop(next(iter(self._kept))).body)
        return kept

    def _made(self, key: str, task: asyncio.Task[Kept | None]) -> None:
        self._making.pop(key, None)
        if not task.cancelled():
            # Whoever waited may be gone: an error nobody collects is no news.
            task.exception()
