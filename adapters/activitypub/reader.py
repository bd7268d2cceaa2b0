"""Reading what accounts and threads elsewhere hold: posts, answers to them, outboxes and pins.

A document counts only as read at its own id. What an account's own outbox holds whole is the account's word as
well, where account, outbox and post are of one host.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from adapters.activitypub.client import Client, Found
from adapters.activitypub.ids import NETWORK, digest, native
from adapters.activitypub.posts import audience_of
from adapters.activitypub.reading import Object
from adapters.activitypub.shapes import (
    ACTOR_TYPES,
    POST_TYPES,
    embedded,
    ident,
    idents,
    many,
    same_origin,
    types,
    when,
)
from bridged.api import Envelope, Host, Unreachable

WITHIN = 10.0
"""Seconds that `answers` and `recent` may take; what came by then is what there is."""
MAX_FETCHES = 20
"""Posts fetched by one of them."""
MAX_ANSWERS = 40
ANSWER_FETCHES = 4
"""The collection itself, and as many pages as that leaves."""
MAX_RECENT = 20
MAX_PINNED = 10
PINNED_FETCHES = 2
OUTBOX_FETCHES = 3
_AT_ONCE = 4

Member = tuple[Any, str]
"""A member of a collection, whole or by id, and the address it was read at."""


class _Haul:
    """What one call gathers: posts by id, with the fetches that it has left."""

    def __init__(self) -> None:
        self.left = MAX_FETCHES
        self._found: dict[str, tuple[float, Envelope]] = {}

    def __contains__(self, post: str) -> bool:
        return post in self._found

    def __getitem__(self, post: str) -> Envelope:
        return self._found[post][1]

    def take(self, envelope: Envelope | None, document: Object) -> None:
        if envelope is not None:
            self._found[envelope.id] = (when(document.get("published")) or envelope.received_at, envelope)

    def oldest_first(self) -> list[Envelope]:
        return [envelope for _, envelope in sorted(self._found.values(), key=lambda one: one[0])]


class Reader:
    """Nothing but Unreachable is raised."""

    def __init__(self, host: Host, client: Client) -> None:
        self._host = host
        self._client = client

    async def post(self, url: str) -> Envelope | None:
        """The public post at `url`, from its origin; None where there is none."""
        found = await self._client.at_home(url)
        return self._envelope(found.document, found.body) if found else None

    async def answers(self, url: str) -> Sequence[Envelope]:
        """Public posts that answer the post at `url`, each from its origin, oldest first."""
        haul = _Haul()

        async def gather() -> None:
            post = await self._client.at_home(url)
            if post is None:
                return
            members = await self._members(post.document.get("replies"), post.url, ANSWER_FETCHES, MAX_ANSWERS)
            named = filter(None, dict.fromkeys(ident(item) for item, _ in members))
            await _each([partial(self._answer, answer, ident(post.document), haul) for answer in named])

        return await _in_time(gather, haul)

    async def recent(self, actor: str) -> Sequence[Envelope]:
        """What the account `actor` posted lately, oldest first, then an Add for each post that it keeps pinned."""
        haul = _Haul()
        pinned: list[str] = []
        featured = ""

        async def gather() -> None:
            nonlocal featured
            account = await self._client.at_home(actor)
            if account is None or not types(account.document) & ACTOR_TYPES:
                return
            named, home = account.document.get("featured"), account.url
            featured = ident(named)
            pins: list[Member] = []
            with suppress(Unreachable):
                pins = await self._members(named, home, PINNED_FETCHES, MAX_PINNED)
            pinned.extend(ident(item) for item, _ in pins)
            listed = await self._members(account.document.get("outbox"), home, OUTBOX_FETCHES, MAX_RECENT)
            said = ident(account.document)
            await _each([partial(self._own, item, where, said, haul) for item, where in [*pins, *listed]])

        posts = await _in_time(gather, haul)
        # The latest pinned stands first, and is to be heard last.
        order = [post for post in reversed(pinned) if post in haul]
        return [*posts, *(self._add(haul[post], featured, place) for place, post in enumerate(order))]

    def _add(self, post: Envelope, featured: str, place: int) -> Envelope:
        document = {
            "id": f"{featured}#{digest(post.id)}",
            "type": "Add",
            "actor": post.signer.id,
            "object": post.id,
            "target": featured,
        }
        at = post.received_at + place / 1000
        return replace(post, id=document["id"], body=orjson.dumps(document), received_at=at)

    async def _answer(self, url: str, parent: str, haul: _Haul) -> None:
        read = await self._fetched(url, haul)
        if read is not None and ident(read.document.get("inReplyTo")) == parent:
            haul.take(self._envelope(read.document, read.body), read.document)

    async def _own(self, item: Any, where: str, actor: str, haul: _Haul) -> None:
        """Takes the post that a member of an outbox or of pins is or makes, if `actor` wrote it."""
        whole = embedded(item)
        if whole is None:
            read = await self._fetched(ident(item), haul)
            if read is None:
                return
            whole, where = read.document, read.url
        if "Create" in types(whole):
            whole = _made(whole) if ident(whole.get("actor")) == actor else {}
        elif not types(whole) & POST_TYPES:
            return
        body = orjson.dumps(whole)
        if not types(whole) or not same_origin(ident(whole), where, actor):
            read = await self._fetched(ident(whole), haul)
            if read is None:
                return
            whole, body = read.document, read.body
        if idents(whole.get("attributedTo"))[:1] == [actor]:
            haul.take(self._envelope(whole, body), whole)

    async def _fetched(self, url: str, haul: _Haul) -> Found | None:
        if not url or url in haul or haul.left <= 0:
            return None
        haul.left -= 1
        return await self._client.at_home(url)

    def _envelope(self, document: Object, body: bytes) -> Envelope | None:
        """The document as its author's word, if it is a post of the author's host and for all."""
        said, owners = ident(document), idents(document.get("attributedTo"))
        if not types(document) & POST_TYPES or not owners or not same_origin(owners[0], said):
            return None
        if audience_of(document) not in ("public", "unlisted"):
            return None
        return Envelope(NETWORK, said, body, "fetch", native(owners[0]), self._host.now())

    async def _members(self, value: Any, home: str, fetches: int, most: int) -> list[Member]:
        """The first members of a collection that a document at `home` holds or names, in at most `fetches`.

        All of it is to be on the host of `home`. Raises Unreachable when nothing of it could be had.
        """
        found: list[Member] = []
        seen: set[str] = set()
        while value and len(found) < most:
            part, where = embedded(value), home
            if part is None or not part.keys() & {"items", "orderedItems", "first", "next"}:
                url = ident(value)
                if not same_origin(url, home) or url in seen or len(seen) >= fetches:
                    break
                seen.add(url)
                read = await self._page(url, bool(found))
                if read is None or not same_origin(read.url, home):
                    break
                part, where = read.document, read.url
            found += [(item, where) for name in ("items", "orderedItems") for item in many(part.get(name))]
            value = part.get("first") or part.get("next")
        return found[:most]

    async def _page(self, url: str, late: bool) -> Found | None:
        try:
            return await self._client.document(url)
        except Unreachable:
            if not late:
                raise
            return None


def _made(create: Object) -> Object:
    """The object of a Create, for those the Create is for where it does not say itself; its id alone if named so."""
    made = embedded(create.get("object"))
    if made is None:
        return {"id": ident(create.get("object"))}
    if made.get("to") or made.get("cc"):
        return made
    return {**made, "to": create.get("to"), "cc": create.get("cc")}


async def _each(reads: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """All of `reads`, a few at a time; those that find nobody home are left out."""
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(read: Callable[[], Awaitable[None]]) -> None:
        async with free:
            with suppress(Unreachable):
                await read()

    await asyncio.gather(*(one(read) for read in reads))


async def _in_time(gather: Callable[[], Awaitable[None]], haul: _Haul) -> list[Envelope]:
    """What was gathered in time. Raises Unreachable when that is nothing."""
    try:
        async with asyncio.timeout(WITHIN):
            await gather()
    except TimeoutError:
        if not haul.oldest_first():
            raise Unreachable("slow") from None
    return haul.oldest_first()
