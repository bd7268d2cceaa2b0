"""`subscribeRepos`: the firehose to whoever reads it, from the database as far back as it goes.

Each reader has a place in the stream, and is sent what follows it. What is new is read once, for all of them, and kept
at hand; who is further behind is served from the database. A reader that takes too long over a frame is sent away, and
nobody waits for it.
"""

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from aiohttp import WSCloseCode, WSMsgType, web

from adapters.atproto.pds import firehose
from adapters.atproto.pds.firehose import Event
from bridged.api import Busy, Host, Tx

T = TypeVar("T")

PATH: Final = "/xrpc/com.atproto.sync.subscribeRepos"
MAX_READERS: Final = 2000
SEND_SECONDS: Final = 20.0
"""How long one frame may take."""
PING: Final = 30.0
PAGE: Final = 100
"""Events read from the database at a time."""
KEPT: Final = 8_000_000
"""Bytes of the newest events that are kept at hand."""
_AGAIN: Final = 1.0
_SOON: Final = 0.005
"""Seconds to wait at least for what has its turn any moment."""
_GOODBYE: Final = 2.0
_READS: Final = 3
"""Pages read for those behind at one time."""


class Subscription:
    """Serves the stream. `run` goes along, until cancelled: then all readers are sent away."""

    def __init__(self, host: Host, send_seconds: float = SEND_SECONDS) -> None:
        self._host, self._send_seconds = host, send_seconds
        self._readers: set[web.WebSocketResponse] = set()
        self._reads = asyncio.Semaphore(_READS)
        self._news = asyncio.Event()
        self._ahead: asyncio.Future[None] | None = None
        self._recent: list[Event] = []
        self._from = -1
        """All events after this number are in `_recent`; -1 before anything was read."""
        self._size = 0
        self._thrown_away = 0
        """How often something was."""
        self._closing = False
        host.on(firehose.SIGNAL, lambda _: self._news.set())
        host.on(firehose.GONE, lambda _: self._forget())

    def streams(self) -> Iterable[web.RouteDef]:
        return [web.get(PATH, self._serve)]

    async def run(self) -> None:
        try:
            while True:
                self._news.clear()
                try:
                    more = await self._read_on()
                except Busy:
                    await asyncio.sleep(_AGAIN)
                    continue
                if not more:
                    await self._wait()
        finally:
            self._closing = True
            await asyncio.gather(*(_leave(reader) for reader in self._readers))

    async def _wait(self) -> None:
        """Until there is news, or what there is has its turn."""
        due = await self._page(lambda tx: firehose.next_due(tx, self._host.now()))
        try:
            async with asyncio.timeout(None if due is None else max(_SOON, due - self._host.now())):
                await self._news.wait()
        except TimeoutError:
            return

    def _forget(self) -> None:
        """Something at hand may be what was thrown away."""
        self._recent, self._size, self._from = [], 0, -1
        self._thrown_away += 1
        self._news.set()

    async def _read_on(self) -> bool:
        """Take what is new to hand. Whether there may be more."""
        first, before = self._from < 0, self._thrown_away
        start = await self._host.read(lambda tx: firehose.shown(tx, self._host.now())) if first else self._from
        tip = self._recent[-1].seq if self._recent else start
        found = await self._host.read(lambda tx: firehose.after(tx, tip, PAGE, self._host.now()))
        if before != self._thrown_away:
            return True  # what was read may be what is gone
        self._from = start
        if found:
            self._recent += found
            self._size += sum(len(event.frame) for event in found)
            while self._size > KEPT and len(self._recent) > PAGE:
                gone = self._recent[:PAGE]
                self._recent = self._recent[PAGE:]
                self._size -= sum(len(event.frame) for event in gone)
                self._from = gone[-1].seq
        if found or first:
            ahead, self._ahead = self._ahead, None
            if ahead is not None:
                ahead.set_result(None)
        return len(found) == PAGE

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self._closing or len(self._readers) >= MAX_READERS:
            return web.Response(status=503, text="no more readers now\n", headers={"Retry-After": "60"})
        # what readers say is of no use; the least limit keeps it short
        socket = web.WebSocketResponse(compress=False, heartbeat=PING, max_msg_size=1024, timeout=_GOODBYE)
        if not socket.can_prepare(request):
            said = {"error": "InvalidRequest", "message": "This is a stream: it is read over a websocket"}
            return web.json_response(said, status=400, headers={"Access-Control-Allow-Origin": "*"})
        await socket.prepare(request)
        self._readers.add(socket)
        listening = asyncio.ensure_future(_listen(socket))
        sending = asyncio.ensure_future(self._send_all(socket, request.query.get("cursor", "")))
        try:
            await asyncio.wait((listening, sending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._readers.discard(socket)
            for task in (listening, sending):
                task.cancel()
            await asyncio.gather(listening, sending, return_exceptions=True)
            try:
                await _leave(socket)
            finally:
                # who never reads our goodbye would keep the connection for as long as they like
                asyncio.get_running_loop().call_later(_GOODBYE, _cut, request)
        return socket

    async def _send_all(self, socket: web.WebSocketResponse, cursor: str) -> None:
        try:
            place = await self._begin(socket, cursor)
            while place is not None:
                ahead = self._more()  # asked for first, so that nothing new goes by unseen
                events = await self._after(place)
                for event in events:
                    await self._send(socket, event.frame)
                    place = event.seq
                if not events:
                    await asyncio.shield(ahead)
        except TimeoutError:
            self._host.dropped("firehose_slow_reader")
            # it may yet read so much, where only its own queue is full; nobody waits for that
            with contextlib.suppress(TimeoutError, ConnectionError, RuntimeError):
                error = firehose.error_frame("ConsumerTooSlow", "You have not kept up")
                async with asyncio.timeout(_GOODBYE):
                    await socket.send_frame(error, WSMsgType.BINARY)
        except (ConnectionError, RuntimeError):  # aiohttp's words for a connection that has gone
            return

    async def _begin(self, socket: web.WebSocketResponse, cursor: str) -> int | None:
        """The number after which a reader is served; None where it was told that there is none."""
        now = self._host.now()
        last, oldest = await self._page(lambda tx: (firehose.last(tx), firehose.oldest(tx)))
        if not cursor:
            return await self._page(lambda tx: firehose.shown(tx, now))
        if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
            await self._send(socket, firehose.error_frame("InvalidRequest", "cursor is a number"))
            return None
        place = int(cursor)
        if place > last:
            await self._send(socket, firehose.error_frame("FutureCursor", "There is no such event yet"))
            return None
        if place < (last if oldest is None else oldest - 1):
            outdated = {"name": "OutdatedCursor", "message": "Some of what followed is no longer kept"}
            await self._send(socket, firehose.frame("info", outdated))
        return place

    async def _after(self, place: int) -> list[Event]:
        if 0 <= self._from <= place:
            start = bisect_right(self._recent, place, key=lambda event: event.seq)
            return self._recent[start : start + PAGE]
        return await self._page(lambda tx: firehose.after(tx, place, PAGE, self._host.now()))

    async def _page(self, unit: Callable[[Tx], T]) -> T:
        while True:
            try:
                async with self._reads:
                    return await self._host.read(unit)
            except Busy:
                await asyncio.sleep(_AGAIN)

    def _more(self) -> "asyncio.Future[None]":
        """Done once there is something new. One serves all who wait."""
        if self._ahead is None:
            self._ahead = asyncio.get_running_loop().create_future()
        return self._ahead

    async def _send(self, socket: web.WebSocketResponse, frame: bytes) -> None:
        async with asyncio.timeout(self._send_seconds):
            await socket.send_frame(frame, WSMsgType.BINARY)


async def _listen(socket: web.WebSocketResponse) -> None:
    """Until the reader goes: without this its pongs would not be heard."""
    while (await socket.receive()).type not in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
        pass


def _cut(request: web.Request) -> None:
    if request.transport is not None:  # else they have read it, and are gone
        request.transport.abort()


async def _leave(socket: web.WebSocketResponse) -> None:
    try:
        async with asyncio.timeout(_GOODBYE):
            await socket.close(code=WSCloseCode.GOING_AWAY)
    except (TimeoutError, ConnectionError, RuntimeError):
        return
    except asyncio.CancelledError:
        # once a wait for room to write was ended, aiohttp says so to whoever waits next
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
