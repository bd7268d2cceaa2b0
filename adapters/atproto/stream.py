"""One stream of events, kept up: read in order, held against whom we listen for, stored with its cursor.

The cursor that is stored never passes anything that is not stored: the reader only queues, and what is queued is handed
on in its order, together with the place in the stream where it was. After a break the stream goes on from the last
place read, after a restart from the one stored. What the other side says is bounded: frames in size and rate, forged
or garbled ones in number.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from websockets.exceptions import ConnectionClosed

from adapters.atproto.wanted import Wanted
from bridged.api import Busy, EgressFailed, EgressRefused, Host, Malformed, beside

QUEUE: Final = 512
"""Events that wait to be stored; when it is full, the stream is read no further."""
BATCH: Final = 64
GATHER: Final = 0.25
"""Seconds that what comes next has to become more: a transaction for each event would cost more than the stream."""
SAVE_EVERY: Final = 5.0
"""Seconds of nothing for us after which the cursor is stored by itself."""
RATE: Final = 5000.0
"""Frames a second taken in for long; the rest waits in the network."""
BURST: Final = 20_000.0
MAX_STRIKES: Final = 50
"""Forged or garbled frames after which the other side is hung up on."""
LONGEST_WAIT: Final = 120.0
_STEADY: Final = 60.0
"""Seconds a connection must have lasted for the waits to start anew."""
_REFUSED: Final = 20
"""The guard said no to an address: tried as if for the so-manieth time."""
_YIELD_EVERY: Final = 32
_CLOSE_SECONDS: Final = 1.0
_WHY: Final = {1009: "too_big", 1011: "silent"}
"""What we hung up for, by the code that we said it with: a frame beyond all bounds, a ping that was not answered."""


class Ended(Exception):
    """The connection is of no more use; `why` is a short word. `last` is an item that its end amounts to."""

    def __init__(self, why: str, last: Any = None) -> None:
        super().__init__(why)
        self.why, self.last = why, last


Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)


class Dialect(Protocol[Item_co]):
    """How one kind of stream talks. `cursor` is where it was read up to, "" for from now on; set before all else.

    `place` of an item is the cursor that may be stored once the item is.
    """

    cursor_key: str
    max_frame: int

    @property
    def cursor(self) -> str: ...
    @cursor.setter
    def cursor(self, place: str) -> None: ...
    def url(self, wanted: Wanted) -> str: ...
    def take(self, frame: bytes, wanted: Wanted) -> Item_co | None:
        """What a frame says that is for us; moves the cursor. Raises Malformed, Ended."""
        ...

    def hear(self, wanted: Wanted) -> str | None:
        """What to tell the other side now that others are listened for. Raises Ended to connect anew."""
        ...

    def refused(self, failed: EgressFailed) -> None:
        """The other side does not open the stream: there may be another way to ask."""
        ...

    def skip(self, count: int) -> None:
        """Go on past so much more of what comes next, which is too large to be taken in."""
        ...


Store = Callable[[Sequence[Item], tuple[str, str]], Awaitable[None]]
"""(items, cursor): have them handed in, in order, and the cursor with the last of them. Raises Busy."""


class Stream(Generic[Item]):
    def __init__(
        self,
        host: Host,
        dialect: Dialect[Item],
        store: Store[Item],
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
        *,
        save_every: float = SAVE_EVERY,
    ) -> None:
        self._host, self._dialect, self._store, self._pause = host, dialect, store, pause
        self._save_every = save_every
        self._queue: asyncio.Queue[tuple[Item, str]] = asyncio.Queue(QUEUE)
        self._saved = ""
        self._heard = host.heard()
        self._wanted = Wanted(self._heard)
        self._skipping, self._losses = 0, 0

    async def run(self) -> None:
        """Until cancelled."""
        self._saved = self._dialect.cursor = await self._host.cursor(self._dialect.cursor_key) or ""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_connected())
            group.create_task(self._hand_on())

    async def _keep_connected(self) -> None:
        attempt, loop = 0, asyncio.get_running_loop()
        name = self._dialect.cursor_key
        while True:
            began, before = loop.time(), self._dialect.cursor
            try:
                why = await self._session()
            except EgressRefused as refused:
                why, attempt = refused.why, _REFUSED
            except EgressFailed as failed:
                why = failed.why
                self._dialect.refused(failed)
            self._losses += 1
            self._gauge("stream_connected", 0.0)
            self._gauge("stream_losses", self._losses)
            if why == "too_big":
                self._pass_over(moved=self._dialect.cursor != before)
            attempt = 1 if loop.time() - began > _STEADY else attempt + 1
            wait = backoff(attempt, random.random())
            self._host.log.warning("atproto_stream_lost", stream=name, why=why, again_in=round(wait, 1))
            await self._pause(wait)

    def _gauge(self, name: str, value: float) -> None:
        self._host.gauge(name, value, stream=self._dialect.cursor_key)

    def _pass_over(self, *, moved: bool) -> None:
        """What is too large would come again and again: it is passed over, by as few numbers as it takes."""
        self._host.refused("frame_size")
        self._skipping = 1 if moved or not self._skipping else self._skipping * 2
        if self._dialect.cursor:
            self._dialect.skip(self._skipping)

    async def _session(self) -> str:
        """Connect and read; why it ended. Raises EgressRefused, EgressFailed."""
        self._heard = self._host.heard()
        self._wanted = Wanted(self._heard)
        socket = await self._host.http.websocket(self._dialect.url(self._wanted), max_size=self._dialect.max_frame)
        self._gauge("stream_connected", 1.0)
        self._host.log.info("atproto_stream_connected", stream=self._dialect.cursor_key, cursor=self._dialect.cursor)
        why = "closed"
        try:
            await beside(self._read(socket), self._follow(socket))
        except Ended as ended:
            why = ended.why
        finally:
            await _hang_up(socket)
        return why

    async def _read(self, socket: Any) -> None:
        """Raises Ended."""
        clock = asyncio.get_running_loop().time
        taken, strikes, allowance, counted_at = 0, 0, BURST, clock()
        while True:
            try:
                frame: bytes = await socket.recv(decode=False)
            except ConnectionClosed as closed:
                code = closed.sent.code if closed.sent is not None else 0
                raise Ended(_WHY.get(code, "closed")) from None
            except Exception as error:  # whatever the library calls it, there is nothing more to read
                raise Ended("closed") from error
            taken += 1
            if taken == _YIELD_EVERY:
                now = clock()
                allowance = min(BURST, allowance + (now - counted_at) * RATE) - taken
                taken, counted_at = 0, now
                await asyncio.sleep(max(0.0, -allowance / RATE))
            try:
                item = self._dialect.take(frame, self._wanted)
            except Malformed as bad:
                self._host.refused(bad.reason)
                strikes += 1
                if strikes > MAX_STRIKES:
                    raise Ended("misbehaves") from None
                continue
            except Ended as ended:
                if ended.last is not None:
                    await self._queue.put((ended.last, self._dialect.cursor))
                raise
            if item is not None:
                await self._queue.put((item, self._dialect.cursor))

    async def _follow(self, socket: Any) -> None:
        """Listens for others as soon as the host does. Raises Ended."""
        while True:
            self._heard = await self._host.heard_change(self._heard)
            self._wanted = Wanted(self._heard)
            said = self._dialect.hear(self._wanted)
            if said is not None:
                try:
                    await socket.send(said)
                except Exception as error:
                    raise Ended("closed") from error

    async def _hand_on(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._save_every):
                    batch = [await self._queue.get()]
            except TimeoutError:
                await self._save()
                continue
            while len(batch) < BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            place = batch[-1][1]
            while True:
                try:
                    await self._store([item for item, _ in batch], (self._dialect.cursor_key, place))
                    break
                except Busy as busy:
                    await self._pause(busy.after)
            self._saved = place
            if self._queue.qsize() < BATCH:
                await asyncio.sleep(GATHER)

    async def _save(self) -> None:
        """Nothing waits: all that was read until now is stored, or was not for us."""
        place = self._dialect.cursor
        if place == self._saved:
            return
        with contextlib.suppress(Busy):
            await self._store([], (self._dialect.cursor_key, place))
            self._saved = place


def backoff(attempt: int, chance: float) -> float:
    """Seconds before attempt number `attempt` (from 1); `chance` between 0 and 1 spreads those of many."""
    return min(LONGEST_WAIT, 2.0 ** min(attempt - 1, 10)) * (0.5 + chance / 2)


async def _hang_up(socket: Any) -> None:
    """In good order, if the other side lets us: one that floods never reads our goodbye."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await socket.close()
    except TimeoutError:
        socket.transport.abort()
