"""One open websocket to a relay: frames in and out, authentication (NIP-42), answers matched to questions.

Every event is parsed, its id and signature checked and held against the filters that were sent, before anyone
sees it: relays are not trusted to do any of that. Frames may come in any order.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

from adapters.nostr import wire
from adapters.nostr.event import BadEvent, Event, parse_event, verify
from adapters.nostr.filters import Filter, matches
from bridged.api import Retry

SEND_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 1.0
MAX_STRIKES: Final = 50
"""Forged or garbled frames after which a relay is hung up on."""
MAX_AUTHS: Final = 5
"""Challenges answered in vain before it is given up."""
RATE: Final = 500.0
"""Frames a second taken in for long; the rest waits in the network."""
BURST: Final = 5000.0
MAX_NOISE: Final = 5000
"""Frames nobody asked for after which a relay is hung up on; NOISE_RATE of them a second are forgiven."""
NOISE_RATE: Final = 1.0
_LOUD: Final = 100
"""Noise from which on notices are no longer logged."""
_YIELD_EVERY: Final = 32


class Ended(Exception):
    """The connection is of no more use; `why` is a short snake_case word."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Unsynced(Exception):
    """A relay did not reconcile (NIP-77); `why` is for the log."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Socket(Protocol):
    async def recv(self) -> str | bytes: ...
    async def send(self, message: str) -> None: ...
    async def close(self) -> None: ...
    @property
    def transport(self) -> asyncio.Transport: ...


class Subscription:
    """A standing question.

    `event` gets what was verified and matches; `skip` may say, before anything is checked, that an event need
    not be looked at; `end` is told of EOSE (None), once, and of CLOSED (the message).
    """

    def __init__(
        self,
        filters: Sequence[Filter],
        event: Callable[[Event], Awaitable[None]],
        end: Callable[[str | None], Awaitable[None]],
        skip: Callable[[Event], bool] = lambda _: False,
    ) -> None:
        self.filters = tuple(filters)
        self.event, self.end, self.skip = event, end, skip
        self.authed = self.refused = self.ended = False


class Connection:
    """Use `run` in a task of its own; everything else only while it runs.

    auth     makes the kind 22242 event for a challenge
    refuse   counts what was refused, by reason
    clock    seconds, monotonic
    rate     frames a second taken in for long
    """

    def __init__(
        self,
        socket: Socket,
        *,
        auth: Callable[[str], Event],
        refuse: Callable[[str], None],
        log: Any,
        clock: Callable[[], float] | None = None,
        rate: float = RATE,
    ) -> None:
        self._socket, self._auth, self._refuse, self._log = socket, auth, refuse, log
        self._clock = clock or asyncio.get_running_loop().time
        self._subscriptions: dict[str, Subscription] = {}
        self._answers: dict[str, asyncio.Future[wire.OkFrame]] = {}
        self._queries: set[asyncio.Event] = set()
        self._syncs: dict[str, asyncio.Future[bytes]] = {}
        self._challenge = self._auth_id = ""
        """The challenge that is not answered yet, and the answer that is not acknowledged yet."""
        self._authed = asyncio.Event()
        self._auths = self._strikes = self._numbers = 0
        self._rate, self._allowance, self._counted_at = rate, BURST, self._clock()
        self._noise, self._noised_at = 0.0, self._clock()
        self._ended: Ended | None = None
        self.sloppy = False
        """Set once the relay answered without saying to what: then events must go one at a time."""

    async def run(self) -> None:
        """Take frames in until the connection ends, which is raised as Ended. Cancelling closes it too."""
        try:
            taken = 0
            while True:
                try:
                    data = await self._socket.recv()
                except Exception as error:  # whatever the library calls it, there is nothing more to read
                    raise Ended("closed") from error
                taken += 1
                if taken % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)
                await self._bound_rate()
                await self._take(data)
        except Ended as ended:
            self._ended = ended
            raise
        finally:
            self._ended = self._ended or Ended("closed")
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(Retry("the connection was lost"))
                    answer.exception()  # nobody may be waiting any more
            self._answers.clear()
            for done in self._queries:
                done.set()
            for reply in self._syncs.values():
                reply.cancel()
            await self._hang_up()

    async def _hang_up(self) -> None:
        """In good order, if the other side lets us: one that floods never reads our goodbye."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.close()
        except TimeoutError:
            self._socket.transport.abort()

    async def subscribe(self, name: str, subscription: Subscription) -> None:
        """Ask; a subscription of the same name is replaced. Raises Ended."""
        self._subscriptions[name] = subscription
        await self._ask(name, subscription)

    async def unsubscribe(self, name: str) -> None:
        """Raises Ended."""
        if self._subscriptions.pop(name, None) is not None:
            await self._send(wire.close(name))

    def new_name(self) -> str:
        """A subscription name that was not used before."""
        self._numbers += 1
        return f"q{self._numbers}"

    async def publish(self, event_id: str, body: bytes, timeout: float) -> wire.OkFrame:
        """The relay's answer, after authenticating if that is what it asks for. Raises Retry."""
        try:
            was_authed = self._authed.is_set()
            answer = await self._offer(event_id, body, timeout)
            if answer.accepted or wire.prefix(answer.message) != "auth-required" or was_authed:
                return answer
            async with asyncio.timeout(timeout):
                await self._authed.wait()
            return await self._offer(event_id, body, timeout)
        except TimeoutError:
            raise Retry("the relay did not answer") from None
        except Ended:
            raise Retry("the connection was lost") from None

    async def query(self, filters: Sequence[Filter], timeout: float, limit: int) -> tuple[list[Event], bool]:
        """Stored events that match, and whether the relay said that these are all. Raises Ended."""
        found: dict[str, Event] = {}
        done = asyncio.Event()
        complete = False

        async def take(event: Event) -> None:
            found[event.id] = event
            if len(found) >= limit:
                done.set()

        async def end(message: str | None) -> None:
            nonlocal complete
            complete = message is None
            done.set()

        name = self.new_name()
        self._queries.add(done)
        try:
            async with asyncio.timeout(timeout):
                await self.subscribe(name, Subscription(filters, take, end))
                await done.wait()
        except TimeoutError:
            pass
        finally:
            self._queries.discard(done)
            self._subscriptions.pop(name, None)
        if self._ended is None:
            await self._send(wire.close(name))
        return list(found.values()), complete or len(found) >= limit

    async def exchange(self, name: str, text: str, timeout: float) -> bytes:
        """Send a NEG-OPEN or NEG-MSG of that name, and wait for the NEG-MSG that answers it.

        Raises Unsynced, Ended.
        """
        reply = self._syncs[name] = asyncio.get_running_loop().create_future()
        try:
            await self._send(text)
            async with asyncio.timeout(timeout):
                return await reply
        except TimeoutError:
            raise Unsynced("no answer") from None
        except asyncio.CancelledError:
            if self._ended is None or not reply.cancelled():
                raise
            raise self._ended from None
        finally:
            del self._syncs[name]

    async def leave(self, name: str) -> None:
        """Send the NEG-CLOSE of that name. Raises Ended."""
        await self._send(wire.neg_close(name))

    async def _offer(self, event_id: str, body: bytes, timeout: float) -> wire.OkFrame:
        waiting = self._answers.get(event_id)
        if waiting is None:
            waiting = self._answers[event_id] = asyncio.get_running_loop().create_future()
            try:
                await self._send(wire.publish(body))
            except BaseException:
                self._answers.pop(event_id, None)
                raise
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(waiting)
        finally:
            if self._answers.get(event_id) is waiting:
                del self._answers[event_id]

    async def _ask(self, name: str, subscription: Subscription) -> None:
        subscription.authed, subscription.refused, subscription.ended = self._authed.is_set(), False, False
        await self._send(wire.req(name, subscription.filters))

    async def _send(self, text: str) -> None:
        if self._ended is not None:
            raise self._ended
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._socket.send(text)
        except Exception as error:
            raise Ended("closed") from error

    async def _bound_rate(self) -> None:
        """A token for each frame: who sends faster than the rate is read more slowly."""
        now = self._clock()
        self._allowance = min(BURST, self._allowance + (now - self._counted_at) * self._rate) - 1
        self._counted_at = now
        if self._allowance < 0:
            await asyncio.sleep(-self._allowance / self._rate)

    def _note_noise(self) -> None:
        """Some is normal: what was on its way when a question was closed, or ignored a tag filter."""
        now = self._clock()
        self._noise = max(0.0, self._noise - (now - self._noised_at) * NOISE_RATE) + 1
        self._noised_at = now
        if self._noise > MAX_NOISE:
            self._refuse("flood")
            raise Ended("flood")

    def _strike(self, reason: str) -> None:
        self._refuse(reason)
        self._strikes += 1
        if self._strikes > MAX_STRIKES:
            raise Ended("misbehaves")

    async def _take(self, data: str | bytes) -> None:
        try:
            frame = wire.parse_frame(data)
        except wire.BadFrame as bad:
            self._strike(bad.reason)
            return
        match frame:
            case wire.EventFrame():
                await self._take_event(frame)
            case wire.OkFrame():
                await self._take_ok(frame)
            case wire.EoseFrame(name) if (asked := self._subscriptions.get(name)) and not asked.ended:
                asked.ended = True
                await asked.end(None)
            case wire.ClosedFrame(name, message):
                await self._take_closed(name, message)
            case wire.NegFrame(name, message, error):
                reply = self._syncs.get(name)
                if reply is None or reply.done():
                    self._note_noise()
                elif error:
                    reply.set_exception(Unsynced(error))
                else:
                    reply.set_result(message)
            case wire.AuthFrame(challenge):
                await self._take_challenge(challenge)
            case wire.NoticeFrame(message):
                self._note_noise()
                if self._noise < _LOUD:
                    self._log.info("nostr_notice", said=message)
            case wire.EoseFrame() | None:
                self._note_noise()

    async def _take_event(self, frame: wire.EventFrame) -> None:
        subscription = self._subscriptions.get(frame.subscription)
        if subscription is None:
            self._note_noise()  # closed a moment ago, or never asked: not worth the checking
            return
        try:
            event = parse_event(frame.event)
            if subscription.skip(event):
                return
            verify(event)
        except BadEvent as bad:
            self._strike(bad.reason)
            return
        if any(matches(filter_, event) for filter_ in subscription.filters):
            await subscription.event(event)
        else:
            # Some relays take no notice of tag filters: untidy, not hostile.
            self._refuse("filter")
            self._note_noise()

    async def _take_ok(self, frame: wire.OkFrame) -> None:
        if frame.id and frame.id == self._auth_id:
            await self._authenticated(frame)
            return
        waiting = self._answers.get(frame.id)
        if waiting is not None:
            if not waiting.done():
                waiting.set_result(frame)
            return
        if frame.id:
            self._note_noise()
            return
        self.sloppy = True
        open_ = [answer for answer in self._answers.values() if not answer.done()]
        if len(open_) == 1:
            open_[0].set_result(frame)
            return
        for answer in open_:
            answer.set_exception(Retry("the relay did not say which event it answered"))

    async def _take_closed(self, name: str, message: str) -> None:
        subscription = self._subscriptions.get(name)
        if subscription is None:
            self._note_noise()
            return
        if wire.prefix(message) == "auth-required" and not subscription.authed:
            if self._authed.is_set():
                await self._ask(name, subscription)
            else:
                subscription.refused = True  # until a challenge comes and is met
            return
        del self._subscriptions[name]
        await subscription.end(message or "closed")

    async def _take_challenge(self, challenge: str) -> None:
        """Some relays send a new challenge with every refusal, and the latest alone counts."""
        self._note_noise()
        self._challenge = challenge
        if not self._auth_id and not self._authed.is_set():
            await self._authenticate()

    async def _authenticate(self) -> None:
        self._auths += 1
        event = self._auth(self._challenge)
        self._auth_id, self._challenge = event.id, ""
        await self._send(wire.auth(event))

    async def _authenticated(self, frame: wire.OkFrame) -> None:
        self._auth_id = ""
        if not frame.accepted and self._challenge and self._auths < MAX_AUTHS:
            await self._authenticate()
            return
        if not frame.accepted:
            self._log.warning("nostr_auth_refused", said=frame.message)
            for name, subscription in list(self._subscriptions.items()):
                if subscription.refused:
                    del self._subscriptions[name]
                    await subscription.end(frame.message or "auth-required: refused")
            return
        self._authed.set()
        for name, subscription in list(self._subscriptions.items()):
            if subscription.refused:
                await self._ask(name, subscription)
