"""The configured relays: one connection each, kept up; publishing to them and asking them.

A relay that cannot be reached costs the others nothing: each has its own task, and waits longer every time.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from adapters.nostr import wire
from adapters.nostr.connection import Connection, Ended
from adapters.nostr.event import Event, parse_event
from adapters.nostr.filters import Filter
from adapters.nostr.listening import Listener, Seen
from bridged.api import EgressFailed, EgressRefused, Host, Rejected, Retry, Sent, Unreachable

OK_SECONDS: Final = 10.0
QUERY_SECONDS: Final = 8.0
GRACE_SECONDS: Final = 1.0
MAX_FOUND: Final = 500
_STEADY: Final = 60.0
"""Seconds a connection must have lasted for the waits to start anew."""

Authenticate = Callable[[str, str], Event]
"""(relay URL, challenge) -> signed kind 22242 (NIP-42)."""


class Relay:
    """One relay: `run` listens to it for as long as it goes on; `publish` and `query` also work without."""

    def __init__(
        self,
        url: str,
        host: Host,
        authenticate: Authenticate,
        seen: Seen,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.url = url
        self._host, self._authenticate, self._seen, self._pause = host, authenticate, seen, pause
        self._connection: Connection | None = None
        self._connected = asyncio.Event()
        self._running = False
        self._one_at_a_time = asyncio.Lock()
        self._sloppy = False

    async def run(self) -> None:
        """Listen until cancelled, connecting again and again."""
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
                self._host.gauge("nostr_relay_connected", 0.0, relay=self.url)
                attempt = 1 if loop.time() - began > _STEADY else attempt + 1
                wait = wire.backoff(attempt, random.random())
                self._host.log.info("nostr_relay_lost", relay=self.url, why=why, again_in=round(wait, 1))
                await self._pause(wait)
        finally:
            self._running = False

    async def publish(self, body: bytes, timeout: float = OK_SECONDS) -> Sent:
        """One attempt to have the relay take the event. Raises Retry or Rejected."""
        event = parse_event(body)
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
            case "auth" | "dead":
                raise Rejected(answer.message)

    async def query(self, filters: Sequence[Filter], timeout: float = QUERY_SECONDS) -> tuple[list[Event], bool]:
        """What the relay has, verified, and whether it said that this is all. Raises Retry, Rejected."""
        async with self._lease(timeout) as connection:
            try:
                return await connection.query(filters, timeout, MAX_FOUND)
            except Ended:
                raise Retry("the connection was lost") from None

    async def _session(self) -> str:
        """Connect and listen; returns why it ended. Raises EgressRefused, EgressFailed."""
        connection = await self._connect()
        listener = Listener(self.url, connection, self._host, self._seen)
        self._connection = connection
        self._connected.set()
        self._host.gauge("nostr_relay_connected", 1.0, relay=self.url)
        self._host.log.info("nostr_relay_connected", relay=self.url)
        why = "closed"
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(connection.run())
                group.create_task(listener.run())
        except* Ended as ended:
            first = ended.exceptions[0]
            why = first.why if isinstance(first, Ended) else why
        finally:
            self._connected.clear()
            self._connection = None
            self._sloppy = self._sloppy or connection.sloppy
        return why

    async def _connect(self) -> Connection:
        socket = await self._host.http.websocket(self.url, max_size=wire.MAX_FRAME)
        return Connection(
            socket,
            auth=lambda challenge: self._authenticate(self.url, challenge),
            refuse=self._host.refused,
            log=self._host.log.bind(relay=self.url),
        )

    @asynccontextmanager
    async def _lease(self, timeout: float) -> AsyncGenerator[Connection]:
        """The open connection, or one for this once where none is kept. Raises Retry."""
        if self._running:
            try:
                async with asyncio.timeout(timeout):
                    await self._connected.wait()
            except TimeoutError:
                raise Retry("not connected") from None
            if self._connection is None:
                raise Retry("not connected")
            yield self._connection
            return
        connection = await self._connect()
        reading = asyncio.create_task(connection.run())
        try:
            yield connection
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError, Ended):
                await reading


class Pool:
    """All relays. `publish` and `query` may be called whether or not `run` is running."""

    def __init__(self, urls: Sequence[str], host: Host, authenticate: Authenticate) -> None:
        self._host, self._authenticate = host, authenticate
        self._seen = Seen()
        self._asking: set[asyncio.Task[tuple[str, list[Event], bool]]] = set()
        self._relays = {url: Relay(url, host, authenticate, self._seen) for url in urls}

    async def run(self) -> None:
        """Listen to every relay until cancelled."""
        if not self._relays:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            for relay in self._relays.values():
                group.create_task(relay.run())

    async def publish(self, url: str, body: bytes, timeout: float = OK_SECONDS) -> Sent:
        """Raises Retry or Rejected. A relay that is no longer configured is connected to for this once."""
        return await self._relay(url).publish(body, timeout)

    async def query(self, filters: Sequence[Filter], timeout: float = QUERY_SECONDS) -> list[tuple[Event, str]]:
        """Verified events, each once, with the relay it came from. Raises Unreachable when none answered.

        Once one relay has given all it has, the others are waited for a little longer and no more.
        """
        if not self._relays:
            return []

        async def ask(relay: Relay) -> tuple[str, list[Event], bool]:
            try:
                return relay.url, *await relay.query(filters, timeout)
            except (Retry, Rejected) as error:
                self._host.log.info("nostr_query_failed", relay=relay.url, why=error.why)
                return relay.url, [], False

        loop = asyncio.get_running_loop()
        waiting = {asyncio.create_task(ask(relay)) for relay in self._relays.values()}
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
        relay = Relay(url, self._host, self._authenticate, self._seen)
        _, complete = await relay.query(filters, timeout)
        if not complete:
            raise Retry("it did not finish its answer")
        return loop.time() - began

    def _relay(self, url: str) -> Relay:
        return self._relays.get(url) or Relay(url, self._host, self._authenticate, self._seen)
