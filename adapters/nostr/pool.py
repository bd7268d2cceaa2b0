"""The relays: one connection each to the configured ones, kept up; publishing to them and to others, asking them.

A relay that cannot be reached costs the others nothing: each has its own task, and waits longer every time.
What a relay says of its limits (NIP-11) is kept.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final

from adapters.nostr import nip11, plan, pow, wire
from adapters.nostr.connection import RATE, Connection, Ended
from adapters.nostr.event import Event, parse_event
from adapters.nostr.filters import Filter
from adapters.nostr.line import Line
from adapters.nostr.listening import Admit, Hearing, Listener, Seen
from adapters.nostr.outbox import Outbox
from adapters.nostr.relaylists import RelayLists
from bridged.api import EgressFailed, EgressRefused, Host, Rejected, Retry, Sent, Unreachable, beside

OK_SECONDS: Final = 10.0
QUERY_SECONDS: Final = 8.0
GRACE_SECONDS: Final = 1.0
MAX_FOUND: Final = 500
OUTBOX_TRIES: Final = 4
"""Attempts in a row to listen to a relay that is not configured, before another one takes its place."""
OUTBOX_RATE: Final = RATE / 5
"""Frames a second of such a relay: there may be many, chosen by strangers."""
MAX_OTHERS: Final = 100
"""Relays that are not configured of which anything is kept, a connection or what they are like."""
_STEADY: Final = 60.0
"""Seconds a connection must have lasted for the waits to start anew."""

Authenticate = Callable[[str, str], Event]
"""(relay URL, challenge) -> signed kind 22242 (NIP-42)."""


class Shared:
    """What the relays of a pool have in common."""

    def __init__(
        self, host: Host, authenticate: Authenticate, bot: Callable[[], str] = str, admit: Admit | None = None
    ) -> None:
        self.host, self.authenticate, self.bot, self.admit = host, authenticate, bot, admit
        self.seen, self.documents, self.lists = Seen(), nip11.Documents(host), RelayLists(host)


class Relay:
    """One relay: `run` listens to it for as long as it goes on; `publish` and `query` also work without.

    hearing  whom to ask it for; None: a configured relay, asked for all
    """

    def __init__(
        self,
        url: str,
        shared: Shared,
        hearing: Hearing | None = None,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
        *,
        ours: bool = True,
    ) -> None:
        self.url = url
        self._shared, self._host, self._pause = shared, shared.host, pause
        self._hearing, self._ours = hearing, ours
        self._label = url if ours else "outbox"
        self._connection: Connection | None = None
        self._connected = asyncio.Event()
        self._running = False
        self._one_at_a_time = asyncio.Lock()
        self._questions = asyncio.Semaphore(plan.SIDE)
        self._sloppy, self._syncs = False, True
        self._line = Line(self._connect)

    def retire(self) -> None:
        """It is not used again: a connection that is kept for publishing and asking need not be."""
        self._line.retire()

    async def run(self, tries: int | None = None) -> None:
        """Listen until cancelled, connecting again and again; or until `tries` attempts in a row came to nothing."""
        self._running, attempt = True, 0
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                try:
                    why = await self._session()
                except EgressRefused as refused:
                    why, attempt = refused.why, 20
                except EgressFailed as failed:
                    why = failed.why
                self._gauge(0.0)
                attempt = 1 if loop.time() - began > _STEADY else attempt + 1
                if tries is not None and attempt >= tries:
                    self._host.log.info("nostr_relay_given_up", relay=self.url, why=why)
                    return
                wait = wire.backoff(attempt, random.random())
                self._host.log.info("nostr_relay_lost", relay=self.url, why=why, again_in=round(wait, 1))
                await self._pause(wait)
        finally:
            self._running = False

    def _gauge(self, value: float) -> None:
        # strangers' relays come and go: a label for each would grow without end
        if self._ours:
            self._host.gauge("nostr_relay_connected", value, relay=self.url)

    async def publish(self, body: bytes, timeout: float = OK_SECONDS) -> Sent:
        """One attempt to have the relay take the event. Raises Retry or Rejected."""
        event = parse_event(body)
        limits = await self._shared.documents.limits(self.url)
        nip11.refuse(limits, event, len(body), self._host.now(), ours=self._ours)
        async with self._lease(timeout) as connection:
            if self._sloppy or connection.sloppy:
                self._sloppy = True
                async with self._one_at_a_time:
                    answer = await connection.publish(event.id, body, timeout)
            else:
                answer = await connection.publish(event.id, body, timeout)
        match wire.verdict(answer.accepted, answer.message, event.kind):
            case "sent":
                return Sent(note=answer.message)
            case "retry":
                raise Retry(answer.message or "refused without a reason")
            case "dead" if wire.prefix(answer.message) == "pow":
                mined = pow.difficulty(event.id)
                raise Rejected(f"{answer.message} (this event has {mined} bits, set adapters.nostr.pow)")
            case "auth" | "dead":
                raise Rejected(answer.message)

    async def query(self, filters: Sequence[Filter], timeout: float = QUERY_SECONDS) -> tuple[list[Event], bool]:
        """What the relay has, verified, and whether it said that this is all. Raises Retry, Rejected."""
        async with self._questions, self._lease(timeout) as connection:
            try:
                return await connection.query(filters, timeout, MAX_FOUND)
            except Ended:
                raise Retry("the connection was lost") from None

    async def _session(self) -> str:
        """Connect and listen; returns why it ended. Raises EgressRefused, EgressFailed."""
        limits = await self._shared.documents.limits(self.url)
        connection = await self._connect()
        listener = Listener(
            self.url,
            connection,
            self._host,
            self._shared.seen,
            self._shared.lists,
            hearing=self._hearing,
            limits=limits,
            label=self._label,
            bot=self._shared.bot() if self._ours else "",
            admit=self._shared.admit,
            syncs=self._syncs and 77 in limits.nips,
        )
        self._connection = connection
        self._connected.set()
        self._gauge(1.0)
        self._host.log.info("nostr_relay_connected", relay=self.url)
        why = "closed"
        try:
            await beside(connection.run(), listener.run())
        except Ended as ended:
            why = ended.why
        finally:
            self._connected.clear()
            self._connection = None
            self._sloppy = self._sloppy or connection.sloppy
            # one that breaks off over it, say with a frame too large for us, is not asked so again
            self._syncs = self._syncs and (listener.syncs or 77 not in limits.nips)
        return why

    async def _connect(self) -> Connection:
        socket = await self._host.http.websocket(self.url, max_size=wire.MAX_FRAME)
        return Connection(
            socket,
            auth=lambda challenge: self._shared.authenticate(self.url, challenge),
            refuse=self._host.refused,
            log=self._host.log.bind(relay=self.url),
            rate=RATE if self._ours else OUTBOX_RATE,
        )

    @asynccontextmanager
    async def _lease(self, timeout: float) -> AsyncGenerator[Connection]:
        """The connection that listens, or where none does one that is kept for a while. Raises Retry."""
        if not self._running:
            async with self._line.use() as connection:
                yield connection
            return
        try:
            async with asyncio.timeout(timeout):
                await self._connected.wait()
        except TimeoutError:
            raise Retry("not connected") from None
        if self._connection is None:
            raise Retry("not connected")
        yield self._connection


class Pool:
    """All relays. `publish` and `query` may be called whether or not `run` is running.

    bot     the public key that messages are for, "" for none
    admit   makes an envelope of a verified event (see Listener)
    own     the public URL of the embedded relay, "" without one: it need not be connected to
    outbox  how many relays are listened to beside the configured ones, because people write there
    """

    def __init__(
        self,
        urls: Sequence[str],
        host: Host,
        authenticate: Authenticate,
        bot: Callable[[], str] = str,
        admit: Admit | None = None,
        *,
        own: str = "",
        outbox: int = 0,
    ) -> None:
        self._host = host
        self._shared = Shared(host, authenticate, bot, admit)
        self._asking: set[asyncio.Task[tuple[str, list[Event], bool]]] = set()
        self._relays = {url: Relay(url, self._shared) for url in urls}
        self._others: OrderedDict[str, Relay] = OrderedDict()
        """Relays that are not configured, and were published to or asked lately."""
        self._outbox = Outbox(host, self.lists, {*urls, own}, outbox, self._listen, self.query)

    @property
    def lists(self) -> RelayLists:
        return self._shared.lists

    async def run(self) -> None:
        """Listen to every relay until cancelled; in one process each, where the bridge has several."""
        async with asyncio.TaskGroup() as group:
            for relay in self._relays.values():
                group.create_task(self._host.alone(f"relay {relay.url}", relay.run))
            group.create_task(self._host.alone("other relays", self._outbox.run))

    async def _listen(self, url: str, hearing: Hearing) -> None:
        """To one that is not configured, until there is no point in it."""
        await Relay(url, self._shared, hearing, ours=False).run(OUTBOX_TRIES)

    async def publish(self, url: str, body: bytes, timeout: float = OK_SECONDS) -> Sent:
        """Raises Retry or Rejected. To a relay that is not listened to the connection is kept for a while."""
        return await self._relay(url).publish(body, timeout)

    async def query(
        self, filters: Sequence[Filter], timeout: float = QUERY_SECONDS, also: Collection[str] = ()
    ) -> list[tuple[Event, str]]:
        """Verified events, each once, with the relay it came from. Raises Unreachable when none answered.

        Asked are the configured relays, and those in `also`. Once one relay has given all it has, the others are
        waited for a little longer and no more.
        """
        relays = [*self._relays.values(), *(self._relay(url) for url in also if url not in self._relays)]
        if not relays:
            return []

        async def ask(relay: Relay) -> tuple[str, list[Event], bool]:
            try:
                return relay.url, *await relay.query(filters, timeout)
            except (Retry, Rejected) as error:
                self._host.log.info("nostr_query_failed", relay=relay.url, why=error.why)
                return relay.url, [], False

        loop = asyncio.get_running_loop()
        waiting = {asyncio.create_task(ask(relay)) for relay in relays}
        # Those not waited for end by themselves, and close their subscriptions in good order.
        self._asking |= waiting
        for task in waiting:
            task.add_done_callback(self._asking.discard)
        answers: list[tuple[str, list[Event], bool]] = []
        until: float | None = None
        while waiting:
            patience = None if until is None else max(0.0, until - loop.time())
            answered, waiting = await asyncio.wait(waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if not answered:
                break
            answers += [task.result() for task in answered]
            if until is None and any(complete for _, _, complete in answers):
                until = loop.time() + GRACE_SECONDS
        if not any(complete or found for _, found, complete in answers):
            raise Unreachable("no relay answered")
        found: dict[str, tuple[Event, str]] = {}
        for url, events, _ in answers:
            for event in events:
                found.setdefault(event.id, (event, url))
        return list(found.values())

    async def probe(self, url: str, filters: Sequence[Filter], timeout: float = QUERY_SECONDS) -> float:
        """Seconds from connecting to the end of an answer. Raises Retry or Rejected."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        relay = Relay(url, self._shared)
        try:
            _, complete = await relay.query(filters, timeout)
        finally:
            relay.retire()
        if not complete:
            raise Retry("it did not finish its answer")
        return loop.time() - began

    def _relay(self, url: str) -> Relay:
        if url in self._relays:
            return self._relays[url]
        if url not in self._others:
            self._others[url] = Relay(url, self._shared, ours=False)
            if len(self._others) > MAX_OTHERS:
                self._others.popitem(last=False)[1].retire()
        self._others.move_to_end(url)
        return self._others[url]
