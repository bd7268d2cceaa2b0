"""Station 1 for ActivityPub: the inboxes.

Trust is built in this order (networks.md): the request is signed, in time, for its body and for us; the key
is one that the actor names at the actor's own address; id and object are on the actor's host; then it is
stored, and only then answered with 202.
"""

import asyncio
from collections.abc import Mapping

import orjson
from aiohttp import web

from adapters.activitypub import wanted
from adapters.activitypub.client import Client
from adapters.activitypub.ids import NETWORK, Urls, native
from adapters.activitypub.reading import MAX_BYTES, Object, read_object
from adapters.activitypub.shapes import ident, is_as2, origin, same_origin
from adapters.activitypub.signatures import (
    BadSignature,
    Claim,
    check_key,
    check_request,
    parse_signature,
    public_key,
)
from adapters.activitypub.wanted import Dropped, Refused
from bridged.api import Busy, Envelope, Host, Malformed, Unreachable

READ_WITHIN = 10.0
"""Seconds a sender has for its body."""
COME_BACK = 60
"""Seconds after which a sender may try again when its own server did not answer us."""


class Inbox:
    """Takes activities at every inbox we have; all of them are one."""

    def __init__(self, host: Host, urls: Urls, client: Client) -> None:
        self._host = host
        self._urls = urls
        self._client = client

    async def post(self, request: web.Request) -> web.Response:
        """202 once it is stored, or once it is known that nobody here wants it; else why not."""
        try:
            await self._take(request)
        except Dropped as dropped:
            self._host.dropped(dropped.reason)
        except Refused as refused:
            return self._no(refused.status, refused.reason)
        except BadSignature as bad:
            return self._no(401, f"signature_{bad.reason}")
        except Malformed as malformed:
            return self._no(413 if malformed.reason == "too_big" else 400, malformed.reason)
        except Unreachable:
            return self._no(503, "origin_unreachable", {"Retry-After": str(COME_BACK)})
        except Busy as busy:
            return self._no(503, "busy", {"Retry-After": str(max(1, round(busy.after)))})
        return web.Response(status=202)

    async def post_to_ghost(self, request: web.Request) -> web.Response:
        """As `post`, at an inbox that must be somebody's."""
        if "Signature" not in request.headers:
            return self._no(401, "signature_missing")  # such a flood must not reach the database
        ref = native(f"{self._urls.base}{request.path.removesuffix('/inbox')}")
        try:
            if ref.id not in self._host.heard().ghosts and await self._host.ghost(ref) is None:
                gone = await self._host.ghost_gone(ref)
                return self._no(410, "inbox_gone") if gone else self._no(404, "no_such_inbox")
        except Busy as busy:
            return self._no(503, "busy", {"Retry-After": str(max(1, round(busy.after)))})
        return await self.post(request)

    def _no(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> web.Response:
        self._host.refused(reason)
        return web.json_response({"error": reason}, status=status, headers=headers)

    async def _take(self, request: web.Request) -> None:
        headers = list(request.headers.items())
        if (request.content_length or 0) > MAX_BYTES:
            raise Refused(413, "too_big")
        claim = parse_signature(request.method, self._urls.base, request.raw_path, headers)
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refused(415, "encoded_body")
        if not is_as2(request.headers.get("Content-Type", "")):
            raise Refused(415, "content_type")
        body = await _read(request)
        check_request(claim, body, self._host.now())
        source = read_object(body)
        actor = wanted.actor_of(source, self._urls)
        if not same_origin(claim.key_id, actor):
            raise Refused(401, "key_of_another")
        await self._verify(claim, source, actor)
        await self._keep(source, actor, body)

    async def _verify(self, claim: Claim, source: Object, actor: str) -> None:
        """Raises BadSignature, Refused, Dropped, Unreachable."""
        known = await self._client.known_keys(actor)
        if known is not None and _fits(claim, known):
            return
        # Nobody's absence, or what nobody asked for, is no reason to go and look.
        if known is None and wanted.is_farewell(source, actor):
            raise Dropped("unknown_actor_gone")
        if not wanted.is_wanted(source, actor, self._host.heard(), self._urls):
            raise Dropped("unwanted")
        found = await self._client.keys(actor)
        if found is None or claim.key_id not in found:
            raise Refused(401, "unknown_key")
        check_key(claim, public_key(found[claim.key_id]))
        await self._client.keep_keys(actor, found)

    async def _keep(self, source: Object, actor: str, body: bytes) -> None:
        if not wanted.is_wanted(source, actor, self._host.heard(), self._urls):
            raise Dropped("unwanted")
        bare = wanted.needs_object(source)
        if bare:
            source = {**source, "object": await self._at_origin(bare, actor)}
            body = orjson.dumps(source)
        wanted.check(source, actor)
        said, body = wanted.kept(source, actor, body, self._urls)
        envelope = Envelope(
            network=NETWORK,
            id=said,
            body=body,
            channel="inbox",
            signer=native(actor),
            received_at=self._host.now(),
        )
        if not await self._host.receive(envelope):
            raise Dropped("duplicate")

    async def _at_origin(self, url: str, actor: str) -> Object:
        """The object that an activity only named. Raises Refused, Dropped, Unreachable."""
        if not origin(url) or not same_origin(url, actor):
            raise Refused(403, "foreign_object")
        found = await self._client.document(url)
        if found is None:
            raise Dropped("object_not_found")
        if ident(found.document) != url or not same_origin(found.url, url):
            raise Refused(403, "foreign_object")
        return found.document


def _fits(claim: Claim, keys: Mapping[str, str]) -> bool:
    try:
        check_key(claim, public_key(keys[claim.key_id]))
    except (KeyError, BadSignature):
        return False
    return True


async def _read(request: web.Request) -> bytes:
    """The body, bounded in bytes and time. Raises Refused."""
    if request.content.is_eof():  # it came along with its head
        whole = request.content.read_nowait()
        if len(whole) > MAX_BYTES:
            raise Refused(413, "too_big")
        return whole
    body = bytearray()
    try:
        async with asyncio.timeout(READ_WITHIN):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise Refused(413, "too_big")
    except TimeoutError:
        raise Refused(408, "slow_body") from None
    return bytes(body)
