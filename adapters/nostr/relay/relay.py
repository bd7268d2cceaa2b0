"""The embedded relay as the adapter knows it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final, TypeVar

from aiohttp import hdrs, web

from adapters.nostr import signing
from adapters.nostr.config import RelayConfig
from adapters.nostr.event import Event, is_ephemeral, parse_event, to_json
from adapters.nostr.filters import Filter
from adapters.nostr.relay import limits, policy, query, storage
from adapters.nostr.relay.live import Live
from adapters.nostr.relay.session import Session
from adapters.nostr.relay.storage import State
from bridged.api import HOME, Host, Ref, Rejected, Tx

T = TypeVar("T")
_CORS: Final = {
    hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*",
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "*",
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, HEAD, OPTIONS",
}
_READS: Final = 3
"""Questions put to the store at a time, so that the bridge's own find their way."""


class Relay:
    """Holds what the bridge says on Nostr, and takes posts of bridged accounts and answers to ghosts.

    `url` is its public address. `wants` says whether the bridge listens for a verified event. `accept` hands one
    in and stores it here in the same transaction; it raises Rejected, with a message for the client, and Busy.
    """

    def __init__(
        self,
        host: Host,
        config: RelayConfig,
        url: str,
        wants: Callable[[Event], bool],
        accept: Callable[[Event], Awaitable[None]],
    ) -> None:
        self.live = Live()
        self._host, self._path, self._url = host, config.path, url
        self._wants, self._accept = wants, accept
        self._door = limits.Door()
        self._reads = asyncio.Semaphore(_READS)
        self._sessions: set[Session] = set()
        self._closing = False

    def routes(self) -> Iterable[web.RouteDef]:
        return (web.get(self._path, self._get), web.options(self._path, self._options))

    def store(self, tx: Tx, event: Event) -> bool:
        """Keep a verified event, with what it replaces and deletes; whoever has asked for it hears of it on commit.

        False when it is not kept: held already, deleted, older than what is held, or ephemeral.
        """
        kept = storage.store(tx, event, self._host.now())
        if kept:
            tx.on_commit(partial(self.live.publish, event, to_json(event)))
        return kept

    def query(self, tx: Tx, filters: Sequence[Filter], limit: int) -> list[Event]:
        """The newest `limit` events that meet any of the filters, each held to its own limit."""
        found = query.find(tx, filters, self._host.now(), min(limit, query.MAX_LIMIT))[:limit]
        return [parse_event(body) for body in query.bodies(tx, found)]

    async def publish(self, event: Event) -> tuple[bool, str]:
        """What to answer a client that sends this verified event, once done with it. Raises Busy."""
        host = self._host
        heard, now = host.heard(), host.now()
        if event.pubkey in heard.ghosts:
            if await self._read(lambda tx: storage.state(tx, event)) is State.HELD:
                return True, "duplicate: held already"
            return self._refused("own", "blocked: only the bridge speaks for this key")
        why = policy.unfit(event, now)
        if why:
            return self._refused("relay_unfit", why)
        if is_ephemeral(event.kind):
            if event.pubkey not in heard.full:
                return self._refused("relay_restricted", policy.RESTRICTED)
            self.live.publish(event, to_json(event))
            return True, ""
        wanted = self._wants(event)

        def unit(tx: Tx) -> State | None:
            state = storage.state(tx, event)
            if state is State.HELD:
                return state
            return state if policy.permitted(tx, event, heard, wanted) else None

        match await self._read(unit):
            case None:
                return self._refused("relay_restricted", policy.RESTRICTED)
            case State.HELD:
                return True, "duplicate: held already"
            case State.OLDER:
                return True, "duplicate: a newer version is held"
            case State.DELETED:
                return self._refused("relay_deleted", "blocked: its author has deleted it")
            case State.NEW:
                try:
                    await self._accept(event)
                except Rejected as rejected:
                    return False, rejected.why
                return True, ""

    async def close(self) -> None:
        """Send all clients away and let no more in, within limits.GOODBYE seconds."""
        self._closing = True
        await asyncio.gather(*(session.stop() for session in self._sessions))

    async def find(self, filters: Sequence[Filter]) -> list[str]:
        now = self._host.now()
        return await self._read(lambda tx: query.find(tx, filters, now))

    async def bodies(self, event_ids: Sequence[str]) -> list[bytes]:
        return await self._read(lambda tx: query.bodies(tx, event_ids))

    async def count(self, filters: Sequence[Filter]) -> int:
        now = self._host.now()
        return await self._read(lambda tx: query.count(tx, filters, now))

    async def _read(self, unit: Callable[[Tx], T]) -> T:
        async with self._reads:
            return await self._host.read(unit)

    def _refused(self, reason: str, message: str) -> tuple[bool, str]:
        self._host.dropped(reason)
        return False, message

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
            return await self._serve(request)
        if "application/nostr+json" in request.headers.get(hdrs.ACCEPT, "").lower():
            return web.json_response(
                limits.information(self._host.site, self._bot()), content_type="application/nostr+json", headers=_CORS
            )
        text = (
            f"This is {self._url}, the Nostr relay of the bridge at {self._host.site.domain}.\n"
            "Add it to a Nostr client to read the accounts bridged to Nostr and to answer them.\n"
        )
        return web.Response(text=text, headers=_CORS)

    async def _options(self, _: web.Request) -> web.Response:
        return web.Response(status=204, headers=_CORS)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        place = None if self._closing else self._door.enter(request.remote)
        if place is None:
            return web.Response(status=503, text="no more connections now\n", headers={hdrs.RETRY_AFTER: "60"})
        try:
            socket = web.WebSocketResponse(
                compress=False, heartbeat=limits.PING, max_msg_size=limits.MAX_MESSAGE, timeout=5.0
            )
            await socket.prepare(request)
            session = Session(self._host, self, socket, request.transport)
            self._sessions.add(session)
            try:
                await session.run()
            finally:
                self._sessions.discard(session)
            return socket
        finally:
            self._door.leave(place)

    def _bot(self) -> str:
        """The public key of the bot's ghost, which the adapter derives likewise."""
        return signing.public_key(self._host.keys.derive("nostr-ghost", Ref(HOME, "bot"), 0)).hex()
