"""One client of the relay: its requests in order, its subscriptions, and what it may cost us."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from adapters.nostr.event import GIFT_WRAP, BadEvent, Event, parse_event, tag_values, verify
from adapters.nostr.filters import BadFilter, Filter
from adapters.nostr.relay import frames, limits
from adapters.nostr.relay.live import Live, Subscription, size
from adapters.nostr.relay.outbox import Gone, Outbox
from adapters.nostr.relay.policy import not_authentic
from adapters.nostr.relay.query import MAX_COUNT
from adapters.nostr.relay.syncing import Records, Syncs
from adapters.nostr.wire import BadFrame
from bridged.api import Busy, Host

_LATER: Final = "error: try again later"
_SLOW_DOWN: Final = "rate-limited: slow down"
_CHUNK: Final = 25
"""Events read from the store at a time."""
_WRAPS: Final = frozenset({GIFT_WRAP})
_PENDING: Final = 500
"""Live events kept for a subscription while it is being answered."""


class Shelf(Protocol):
    """What a session needs of the relay."""

    live: Live
    records: Records

    async def publish(self, event: Event, authenticated: AbstractSet[str]) -> tuple[bool, str]:
        """Take a verified event, if policy lets it; (accepted, message). Raises Busy."""
        ...

    async def find(self, filters: Sequence[Filter], keys: AbstractSet[str]) -> list[str]:
        """As a client who holds these keys may see it. Raises Busy."""
        ...

    async def bodies(self, event_ids: Sequence[str]) -> list[bytes]:
        """Raises Busy."""
        ...

    async def count(self, filters: Sequence[Filter], keys: AbstractSet[str]) -> int:
        """Raises Busy."""
        ...

    async def pairs(self, filter_: Filter, keys: AbstractSet[str], most: int) -> list[tuple[int, str]]:
        """(created_at, id) of the newest `most` that meet the filter. Raises Busy."""
        ...


class _Open:
    """A subscription of this client; `pending` holds what happens while the stored events are sent."""

    def __init__(self, name: str, filters: tuple[Filter, ...], session: "Session") -> None:
        self.head = frames.event_head(name)
        self.pending: list[tuple[Event, bytes]] | None = []
        self._session = session
        self.entry = Subscription(filters, self._tell)

    def _tell(self, event: Event, body: bytes) -> None:
        if event.kind == GIFT_WRAP and self._session.authenticated.isdisjoint(tag_values(event, "p")):
            return
        if self.pending is None:
            self._session.tell(self.head, body)
        elif len(self.pending) < _PENDING:
            self.pending.append((event, body))
        else:
            self._session.drop("slow_reader")


class Session:
    """Serves one websocket; `run` returns when it is over."""

    def __init__(self, host: Host, shelf: Shelf, socket: web.WebSocketResponse, transport: Any) -> None:
        self._host, self._shelf, self._socket, self._transport = host, shelf, socket, transport
        self._outbox = Outbox()
        self._open: dict[str, _Open] = {}
        self._challenge = secrets.token_hex(16)
        self._bad = 0
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._events = limits.Bucket(*limits.EVENTS, self._clock())
        self._questions = limits.Bucket(*limits.QUESTIONS, self._clock())
        self._wraps = limits.Bucket(*limits.WRAPS, self._clock())
        self._pings = limits.Bucket(*limits.PINGS, self._clock())
        self.authenticated: set[str] = set()
        """Keys this client has shown to hold (NIP-42).

        They let it read gift wraps for them and keep protected events of theirs here, nothing else.
        """
        self._syncs = Syncs(shelf.records, self._pairs, self._sync_ended)

    async def run(self) -> None:
        writer = asyncio.create_task(self._write(), name="relay writer")
        try:
            await self._outbox.put(frames.challenge(self._challenge))
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    await self._handle(message.data)
                elif message.type is WSMsgType.BINARY:
                    await self._nonsense("invalid: messages are text")
                elif message.type in (WSMsgType.PING, WSMsgType.PONG):
                    if not self._pings.take(self._clock()):
                        self._host.refused("flood")
                        self.drop("pings")
                        break
                    if message.type is WSMsgType.PING:
                        await self._socket.pong(message.data)
                else:
                    break
                if self._bad >= limits.MAX_BAD_FRAMES:
                    await self._close()
                    break
                # What has already come in is read without waiting: let the others have their turn.
                await asyncio.sleep(0)
        except Gone:
            pass
        finally:
            self._outbox.close()
            for subscription in self._open.values():
                self._shelf.live.remove(subscription.entry)
            self._open.clear()
            self._syncs.close_all()
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer

    def tell(self, head: bytes, body: bytes) -> None:
        """Send a live event; a client that reads too slowly is dropped."""
        if not self._outbox.offer(head, body, b"]"):
            self.drop("slow_reader")

    def drop(self, reason: str) -> None:
        """End it at once."""
        if self._transport is not None and not self._transport.is_closing():
            self._host.log.info("relay_client_dropped", reason=reason)
            self._transport.abort()
        self._outbox.close()

    async def stop(self) -> None:
        """Send the client away, politely if it answers soon."""
        try:
            async with asyncio.timeout(limits.GOODBYE):
                await self._socket.close(code=WSCloseCode.GOING_AWAY)
        except TimeoutError:
            self.drop("no_goodbye")

    async def _write(self) -> None:
        while True:
            frame = await self._outbox.take()
            try:
                async with asyncio.timeout(limits.SEND_TIMEOUT):
                    await self._socket.send_frame(frame, WSMsgType.TEXT)
            except TimeoutError:
                self.drop("slow_reader")
                return
            except (ConnectionError, RuntimeError):  # aiohttp's words for a connection that has gone
                self._outbox.close()
                return

    async def _close(self) -> None:
        """With what was said before it, if the client reads that soon."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.SEND_TIMEOUT):
                await self._outbox.emptied()
        # aiohttp's own close would first read to its end whatever is still coming in
        goodbye = WSCloseCode.POLICY_VIOLATION.to_bytes(2, "big") + b"too many bad messages"
        with contextlib.suppress(ConnectionError):
            await self._socket.send_frame(goodbye, WSMsgType.CLOSE)
        if self._transport is not None:
            self._transport.close()

    async def _nonsense(self, why: str) -> None:
        self._bad += 1
        self._host.refused("relay_frame")
        await self._outbox.put(frames.notice(why))

    async def _handle(self, data: str) -> None:
        try:
            frame = frames.parse(data)
        except BadFrame as bad:
            await self._nonsense(bad.reason)
            return
        match frame:
            case frames.Publish(source) | frames.Auth(source):
                await self._take(source, isinstance(frame, frames.Auth))
            case frames.Ask():
                try:
                    await self._answer(frame)
                except Busy:
                    self._end(frame.subscription)
                    await self._outbox.put(frames.closed(frame.subscription, _LATER))
            case frames.Close(name):
                self._end(name)
            case frames.Sync():
                await self._outbox.put(await self._reconcile(frame))
            case frames.EndSync(name):
                self._syncs.close(name)

    async def _reconcile(self, frame: frames.Sync) -> bytes:
        if not self._questions.take(self._clock()):
            self._syncs.close(frame.subscription)
            return frames.sync_ended(frame.subscription, _SLOW_DOWN)
        try:
            return await self._syncs.answer(frame)
        except Busy:
            return frames.sync_ended(frame.subscription, _LATER)

    async def _pairs(self, filter_: Filter, most: int) -> list[tuple[int, str]]:
        return await self._shelf.pairs(filter_, self.authenticated, most)

    def _sync_ended(self, name: str, why: str) -> None:
        self._outbox.offer(frames.sync_ended(name, why))

    async def _take(self, source: bytes, authenticating: bool) -> None:
        if not self._events.take(self._clock()):
            await self._outbox.put(frames.ok(frames.claimed_id(source), False, _SLOW_DOWN))
            return
        try:
            event = parse_event(source)
        except BadEvent as bad:
            event_id = frames.claimed_id(source)
            if event_id:
                self._host.refused(bad.reason)
                await self._outbox.put(frames.ok(event_id, False, f"invalid: {bad.reason}"))
            else:
                await self._nonsense(f"invalid: {bad.reason}")
            return
        try:
            verify(event)
        except BadEvent as bad:
            self._host.refused(bad.reason)
            await self._outbox.put(frames.ok(event.id, False, f"invalid: wrong {bad.reason}"))
            return
        if authenticating:
            accepted, message = self._authenticate(event)
        elif event.kind == GIFT_WRAP and not self._wraps.take(self._clock()):
            accepted, message = False, _SLOW_DOWN
        else:
            try:
                accepted, message = await self._shelf.publish(event, self.authenticated)
            except Busy:
                accepted, message = False, _LATER
        await self._outbox.put(frames.ok(event.id, accepted, message))

    def _authenticate(self, event: Event) -> tuple[bool, str]:
        why = not_authentic(event, self._challenge, self._host.site.base_url, self._host.now())
        if not why and len(self.authenticated) >= limits.MAX_KEYS and event.pubkey not in self.authenticated:
            why = "restricted: too many keys on one connection"
        if why:
            return False, why
        self.authenticated.add(event.pubkey)
        return True, ""

    async def _answer(self, ask: frames.Ask) -> None:
        name = ask.subscription
        why, filters = self._understood(ask)
        if why:
            self._end(name)
            await self._outbox.put(frames.closed(name, why))
        elif ask.counting:
            number = await self._shelf.count(filters, self.authenticated)
            await self._outbox.put(frames.counted(name, number, MAX_COUNT))
        else:
            await self._subscribe(name, filters)

    def _understood(self, ask: frames.Ask) -> tuple[str, tuple[Filter, ...]]:
        """Why it is refused, else "", and its filters."""
        if not self._questions.take(self._clock()):
            return _SLOW_DOWN, ()
        try:
            filters = frames.parse_filters(ask.filters)
        except BadFilter as bad:
            self._host.refused("relay_filter")
            return f"invalid: {bad.reason}", ()
        if not self.authenticated and all(filter_.kinds == _WRAPS for filter_ in filters):
            return "auth-required: gift wraps are shown only to whom they are for", ()
        if not ask.counting:
            others = [open_.entry.values for name, open_ in self._open.items() if name != ask.subscription]
            if len(others) >= limits.MAX_SUBSCRIPTIONS:
                return f"restricted: at most {limits.MAX_SUBSCRIPTIONS} subscriptions", ()
            if sum(others) + size(filters) > limits.MAX_VALUES:
                return f"restricted: at most {limits.MAX_VALUES} values in all subscriptions", ()
            if self._shelf.live.values + size(filters) > limits.MAX_ALL_VALUES:
                return "error: too many subscriptions of all clients, try again later", ()
        return "", filters

    async def _subscribe(self, name: str, filters: tuple[Filter, ...]) -> None:
        """Stored events, EOSE, then what happened meanwhile and from now on, nothing twice."""
        self._end(name)
        subscription = self._open[name] = _Open(name, filters, self)
        self._shelf.live.add(subscription.entry)
        found = await self._shelf.find(filters, self.authenticated)
        for start in range(0, len(found), _CHUNK):
            for body in await self._shelf.bodies(found[start : start + _CHUNK]):
                await self._outbox.put(subscription.head, body, b"]")
        await self._outbox.put(frames.eose(name))
        sent, pending = set(found), subscription.pending or []
        subscription.pending = None
        for event, body in pending:
            if event.id not in sent:
                self.tell(subscription.head, body)

    def _end(self, name: str) -> None:
        subscription = self._open.pop(name, None)
        if subscription is not None:
            self._shelf.live.remove(subscription.entry)
