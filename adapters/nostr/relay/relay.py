"""The embedded relay as the adapter knows it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Final, TypeVar

from aiohttp import hdrs, web

from adapters.nostr import signing
from adapters.nostr.config import RelayConfig
from adapters.nostr.event import VANISH, Event, is_ephemeral, parse_event, to_json
from adapters.nostr.filters import Filter
from adapters.nostr.relay import bulk, limits, policy, query, quota, storage
from adapters.nostr.relay.live import Live
from adapters.nostr.relay.query import Reader
from adapters.nostr.relay.session import Session
from adapters.nostr.relay.storage import State
from adapters.nostr.relay.syncing import Records
from adapters.nostr.relay.together import Together
from bridged.api import HOME, Busy, Envelope, Host, Ref, Rejected, Tx

T = TypeVar("T")
_CORS: Final = {
    hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*",
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "*",
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, HEAD, OPTIONS",
}
_STORED: Final = "nostr/stored"
_PASSING: Final = "nostr/passing"
"""Signals to every process of the bridge: the id of an event that was stored; an ephemeral one as it is."""
_LONGEST_PASSING: Final = 4000
_ELSEWHERE: Final = 5000
"""Events of other processes that may wait to be told; with more, subscribers have to come again."""
_AT_ONCE: Final = 100
_READS: Final = 3
"""Questions put to the store at a time, so that the bridge's own find their way."""


class Relay:
    """Holds what the bridge says on Nostr, and takes posts of bridged accounts, answers and messages to ghosts.

    `url` is its public address. `wants` says whether the bridge listens for a verified event. `admit` makes of one
    what is handed in, in the transaction that stores it here; it raises Rejected, with a message for the client.
    """

    def __init__(
        self,
        host: Host,
        config: RelayConfig,
        url: str,
        wants: Callable[[Event], bool],
        admit: Callable[[Event], Awaitable[Envelope]],
    ) -> None:
        self.live, self.records = Live(self.searchable), Records()
        self._host, self._config, self._url = host, config, url
        self._bot = _bot(host)
        self._wants, self._admitted = wants, admit
        self._together = Together(host, self)
        self._door = limits.Door()
        self._reads = asyncio.Semaphore(_READS)
        self._sessions: set[Session] = set()
        self._leaving: set[asyncio.Future[None]] = set()
        self._closing = False
        self._fresh: dict[str, tuple[Event, bytes]] = {}
        self._elsewhere: asyncio.Queue[str] = asyncio.Queue(_ELSEWHERE)
        host.on(_STORED, self._stored)
        host.on(_PASSING, self._passing)

    async def run(self) -> None:
        """Tells subscribers what other processes of the bridge have stored, until cancelled: then sends them away."""
        try:
            while True:
                ids = [await self._elsewhere.get()]
                while len(ids) < _AT_ONCE and not self._elsewhere.empty():
                    ids.append(self._elsewhere.get_nowait())
                try:
                    found = await self.bodies(ids) if self._sessions else []
                except Busy:
                    self._missed()
                    continue
                for body in found:
                    self.live.publish(parse_event(body), body)
        finally:
            await self.close()

    def _stored(self, event_id: str) -> None:
        """An event is on disk: one that we have at hand, or one that another process has stored."""
        fresh = self._fresh.pop(event_id, None)
        if fresh is not None:
            self.live.publish(*fresh)
        elif self._sessions:
            if not event_id or self._elsewhere.full():
                self._missed()
            else:
                self._elsewhere.put_nowait(event_id)

    def _passing(self, body: str) -> None:
        """An event that is not kept (NIP-01)."""
        if body:
            self.live.publish(parse_event(body.encode()), body.encode())

    def _missed(self) -> None:
        """Subscribers may have missed something: they come again, and ask for it."""
        for session in self._sessions:
            task = asyncio.ensure_future(session.stop())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _announce(self, tx: Tx, event: Event) -> None:
        """Subscribers of every process hear of it once it is on disk."""
        tx.on_commit(partial(self._fresh.__setitem__, event.id, (event, to_json(event))))
        tx.signal(_STORED, event.id)

    def routes(self) -> Iterable[web.RouteDef]:
        return (web.get(self._config.path, self._get), web.options(self._config.path, self._options))

    def searchable(self, pubkey: str) -> bool:
        """Whether what this key wrote may be found by search (NIP-50)."""
        return True

    def store(self, tx: Tx, event: Event) -> bool:
        """Keep a verified event, with what it replaces and deletes; whoever has asked for it hears of it on commit.

        False when it is not kept: held already, deleted, older than what is held, ephemeral, or a request to
        vanish from other relays.
        """
        kept = (event.kind != VANISH or policy.vanishes(event, self._url)) and storage.store(
            tx, event, self._host.now()
        )
        if kept:
            self._announce(tx, event)
        return kept

    def take(self, tx: Tx, event: Event) -> bool:
        """The same for what a client sent: of those who are not bridged no more is kept than the quota allows."""
        kept = self.store(tx, event)
        if kept and not policy.is_bridged(event.pubkey, self._host.heard()):
            quota.charge(tx, event, len(to_json(event)), self._host.now(), self._config.strangers)
        return kept

    def states(self, tx: Tx, several: Sequence[Event]) -> dict[str, State]:
        return bulk.states(tx, several)

    def keep(self, tx: Tx, several: Sequence[Event]) -> None:
        """The same for many plain events of bridged people."""
        for event in bulk.store(tx, several, self._host.now()):
            self._announce(tx, event)

    def query(self, tx: Tx, filters: Sequence[Filter], limit: int) -> list[Event]:
        """The newest `limit` events that meet any of the filters, each held to its own limit."""
        found = query.find(tx, filters, self._host.now(), min(limit, query.MAX_LIMIT))[:limit]
        return [parse_event(body) for body in query.bodies(tx, found)]

    async def publish(self, event: Event, authenticated: AbstractSet[str]) -> tuple[bool, str]:
        """What to answer a client that sends this verified event and holds these keys. Raises Busy."""
        host = self._host
        heard, now = host.heard(), host.now()
        if event.pubkey in heard.ghosts or event.pubkey == self._bot:
            if await self._read(lambda tx: storage.state(tx, event)) is State.HELD:
                return True, "duplicate: held already"
            return self._refused("own", "blocked: only the bridge speaks for this key")
        why = policy.unfit(event, now, self._url)
        if why:
            return self._refused("relay_unfit", why)
        protected = policy.is_protected(event)
        if protected and event.pubkey not in authenticated:
            return self._refused("relay_protected", "auth-required: a protected event is taken from its author only")
        if is_ephemeral(event.kind):
            if event.pubkey not in heard.full:
                return self._refused("relay_restricted", policy.RESTRICTED)
            body = to_json(event)
            if len(body) > _LONGEST_PASSING:
                return self._refused("relay_unfit", "invalid: an ephemeral event may have 4000 bytes here")
            await self._host.write(lambda tx: tx.signal(_PASSING, body.decode()))
            return True, ""
        wanted = not protected and self._wants(event)
        if wanted and bulk.is_plain(event) and policy.is_bridged(event.pubkey, heard):
            return await self._take_with_others(event)

        def unit(tx: Tx) -> State | None:
            state = storage.state(tx, event)
            if state is State.HELD:
                return state
            return state if policy.permitted(tx, event, heard, self._bot, wanted) else None

        state = await self._read(unit)
        if state is None:
            return self._refused("relay_restricted", policy.RESTRICTED)
        if state is not State.NEW:
            return self._known(state)
        return await self._admit(event, policy.is_bridged(event.pubkey, heard), protected)

    async def _take_with_others(self, event: Event) -> tuple[bool, str]:
        try:
            envelope = await self._admitted(event)
        except Rejected as rejected:
            return False, rejected.why
        state = await self._together.take(event, envelope)
        return (True, "") if state is State.NEW else self._known(state)

    def _known(self, state: State) -> tuple[bool, str]:
        if state is State.DELETED:
            return self._refused("relay_deleted", "blocked: its author has deleted it")
        return True, "duplicate: held already" if state is State.HELD else "duplicate: a newer version is held"

    async def _admit(self, event: Event, bridged: bool, protected: bool) -> tuple[bool, str]:
        """What is new and permitted goes to the bridge; what is protected stays here (NIP-70)."""
        why = "" if bridged else policy.unproven(event, self._config.min_pow)
        if why:
            return self._refused("relay_pow", why)
        if protected:
            await self._host.write(partial(_take, self, event))
            return True, ""
        try:
            envelope = await self._admitted(event)
        except Rejected as rejected:
            return False, rejected.why
        await self._host.receive(envelope, also=partial(_take, self, event))
        return True, ""

    async def close(self) -> None:
        """Send all clients away and let no more in, within limits.GOODBYE seconds."""
        self._closing = True
        await asyncio.gather(*(session.stop() for session in self._sessions))

    async def find(self, filters: Sequence[Filter], keys: AbstractSet[str]) -> list[str]:
        now, reader = self._host.now(), self._reader(keys)
        return await self._read(lambda tx: query.find(tx, filters, now, reader=reader))

    async def bodies(self, event_ids: Sequence[str]) -> list[bytes]:
        return await self._read(lambda tx: query.bodies(tx, event_ids))

    async def count(self, filters: Sequence[Filter], keys: AbstractSet[str]) -> int:
        now, reader = self._host.now(), self._reader(keys)
        return await self._read(lambda tx: query.count(tx, filters, now, reader))

    async def pairs(self, filter_: Filter, keys: AbstractSet[str], most: int) -> list[tuple[int, str]]:
        now, reader = self._host.now(), self._reader(keys)
        return await self._read(lambda tx: query.newest(tx, filter_, now, most, reader))

    def _reader(self, keys: AbstractSet[str]) -> Reader:
        return Reader(frozenset(keys), self.searchable)

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
                limits.information(self._host.site, self._bot, self._config),
                content_type="application/nostr+json",
                headers=_CORS,
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
            # aiohttp refuses what is as long as its limit.
            socket = web.WebSocketResponse(
                compress=False, autoping=False, heartbeat=limits.PING, max_msg_size=limits.MAX_MESSAGE + 1, timeout=5.0
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


def _take(relay: Relay, event: Event, tx: Tx) -> None:
    relay.take(tx, event)


def _bot(host: Host) -> str:
    """The public key of the bot's ghost, which the adapter derives likewise."""
    return signing.public_key(host.keys.derive("nostr-ghost", Ref(HOME, "bot"), 0)).hex()
