"""`subscribeRepos`: from any place in the stream, in order, each once; who sleeps is sent away and holds nobody up."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer

from adapters.atproto.pds import firehose
from adapters.atproto.pds.firehose import Event
from adapters.atproto.pds.store import Repos, Write
from adapters.atproto.pds.subscription import PATH, Subscription
from bridged.store.engine import Store, Tx
from tests.unit.atproto.pds_kit import NOW, POST, Reader, did, key, opened, post, unpacked

ALICE = did(0)


class Stream:
    def __init__(self, db: Store, client: "TestClient[Any, Any]", drops: "asyncio.Queue[str]") -> None:
        self.db, self.client, self.drops, self.repos = db, client, drops, Repos()
        self.said = 0

    async def say(self, count: int = 1, at: float = NOW) -> None:
        """So many commits, told by as many events; the first time after the three of a new repository."""
        if not self.said:
            await self.db.write(lambda tx: self.repos.create(tx, ALICE, "alice.test", key(ALICE), NOW))
        for _ in range(count):
            self.said += 1
            writes = [Write(POST, "3jzfcijpj2z2a", post(str(self.said)))]
            await self.db.write(lambda tx, w=writes: self.repos.apply(tx, ALICE, key(ALICE), w, at))

    async def read(self, cursor: object = None) -> ClientWebSocketResponse:
        return await self.client.ws_connect(
            PATH, params={} if cursor is None else {"cursor": str(cursor)}, max_msg_size=0
        )


async def hear(socket: ClientWebSocketResponse) -> bytes:
    async with asyncio.timeout(60):
        message = await socket.receive()
    assert message.type is WSMsgType.BINARY, message
    return message.data


async def numbers(socket: ClientWebSocketResponse, count: int) -> list[int]:
    return [unpacked(Event(0, await hear(socket)))[1]["seq"] for _ in range(count)]


async def ended(socket: ClientWebSocketResponse) -> None:
    async with asyncio.timeout(60):
        assert (await socket.receive()).type in (WSMsgType.CLOSE, WSMsgType.CLOSED)


@pytest.fixture
async def stream(tmp_path: Path) -> AsyncIterator[Stream]:
    async with opened(tmp_path) as db:
        drops: asyncio.Queue[str] = asyncio.Queue()
        host: Any = SimpleNamespace(read=db.read, on=db.signals.on, dropped=drops.put_nowait, now=lambda: NOW + 1)
        subscription = Subscription(host, send_seconds=2)
        running = asyncio.create_task(subscription.run())
        app = web.Application()
        app.add_routes(subscription.streams())
        try:
            async with TestClient(TestServer(app)) as client:
                yield Stream(db, client, drops)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_question_without_a_websocket_is_told_so(stream: Stream):
    async with stream.client.get(PATH) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"] == "InvalidRequest"


async def test_replay_from_zero_is_all_there_was_and_goes_on(stream: Stream):
    await stream.say(250)
    socket = await stream.read(0)
    reader = Reader()
    for seq in range(1, 254):
        reader.hear(Event(seq, await hear(socket)))
    await stream.say(3)
    for seq in range(254, 257):
        reader.hear(Event(seq, await hear(socket)))
    repo = reader.heads[ALICE]
    assert len(reader.repos[ALICE]) == 1
    assert repo


async def test_without_a_cursor_only_what_is_new_is_sent(stream: Stream):
    await stream.say(5)
    socket = await stream.read()
    first = asyncio.create_task(hear(socket))
    while not first.done():  # its place is taken when it is served, not when it asks
        await stream.say(1)
    begun = unpacked(Event(0, await first))[1]["seq"]
    assert begun > 8
    await stream.say(1)
    rest = await numbers(socket, stream.said + 3 - begun)
    assert rest == list(range(begun + 1, stream.said + 4))


@pytest.mark.parametrize("cursor", [3, 7, 8])
async def test_cursor_is_where_it_goes_on(stream: Stream, cursor: int):
    await stream.say(5)
    socket = await stream.read(cursor)
    await stream.say(1)
    assert await numbers(socket, 9 - cursor) == list(range(cursor + 1, 10))


async def test_future_cursor_is_an_error(stream: Stream):
    await stream.say(1)
    socket = await stream.read(5)
    assert await hear(socket) == firehose.error_frame("FutureCursor", "There is no such event yet")
    await ended(socket)


async def test_cursor_that_is_no_number_is_an_error(stream: Stream):
    socket = await stream.read("x")
    assert b"InvalidRequest" in await hear(socket)
    await ended(socket)


async def test_outdated_cursor_is_told_of_and_served_from_what_is_left(stream: Stream):
    await stream.say(1)
    await stream.say(3, at=NOW + 100)
    await stream.db.write(lambda tx: firehose.expire(tx, NOW + 50))
    socket = await stream.read(1)
    kind, body = unpacked(Event(0, await hear(socket)))
    assert (kind, body["name"]) == ("#info", "OutdatedCursor")
    assert await numbers(socket, 3) == [5, 6, 7]
    newest = await stream.read(4)
    assert await numbers(newest, 3) == [5, 6, 7]


async def test_stream_that_is_all_outdated_says_so(stream: Stream):
    await stream.say(1)
    await stream.db.write(lambda tx: firehose.expire(tx, NOW + 1))
    socket = await stream.read(1)
    assert unpacked(Event(0, await hear(socket)))[1]["name"] == "OutdatedCursor"
    await stream.say(1)
    assert await numbers(socket, 1) == [5]


async def test_reader_that_sleeps_is_sent_away_and_holds_nobody_up(stream: Stream):
    await stream.say(1)
    server = stream.client.server
    _, sleeper = await asyncio.open_connection(server.host, server.port, limit=1024)
    sleeper.write(
        f"GET {PATH}?cursor=0 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    awake = await stream.read(0)
    heard = asyncio.create_task(numbers(awake, 44))

    def shout(tx: Tx) -> None:
        firehose.emit(tx, 1, "sync", {"blocks": bytes(500_000)}, NOW)

    for _ in range(40):
        await stream.db.write(shout)
    assert await heard == list(range(1, 45))
    async with asyncio.timeout(60):
        assert await stream.drops.get() == "firehose_slow_reader"
    await stream.say(1)
    assert await numbers(awake, 1) == [45]
    sleeper.close()


async def test_many_readers_hear_the_same(stream: Stream):
    await stream.say(1)
    sockets = [await stream.read(0) for _ in range(40)]
    await stream.say(5)
    for found in await asyncio.gather(*(numbers(socket, 9) for socket in sockets)):
        assert found == list(range(1, 10))


async def test_what_is_thrown_away_while_it_is_read_is_not_kept_at_hand(tmp_path: Path):
    """A read that was under way when a repository went brings back what was in it."""
    async with opened(tmp_path) as db:
        went = 0

        async def read(unit: Any) -> Any:
            nonlocal went
            found = await db.read(unit)
            if isinstance(found, list) and found and not went:
                went += 1
                await db.write(lambda tx: firehose.forget(tx, 1))
            return found

        host: Any = SimpleNamespace(read=read, on=db.signals.on, dropped=print, now=lambda: NOW + 1)
        subscription = Subscription(host)
        stream = Stream(db, SimpleNamespace(), asyncio.Queue())  # type: ignore[arg-type]
        assert not await subscription._read_on()  # pyright: ignore[reportPrivateUsage]
        await stream.say(2)
        while await subscription._read_on():  # pyright: ignore[reportPrivateUsage]
            pass
        assert went
        assert {unpacked(event)[0] for event in subscription._recent} <= {"#account"}  # pyright: ignore[reportPrivateUsage]
