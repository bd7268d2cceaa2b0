"""Streams that flood, stall and break: they are left for a new connection, and nothing is missed over it.

No relay installs: `kit/sky.py` stands in. What a websocket can do beside is in test_threats_nostr_relay.py: the door
to the outside is the same.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from adapters.atproto import cbor

from .kit import eventually
from .kit.heaven import Heaven, heaven
from .kit.raw import BINARY, frame
from .kit.sky import Turn, did_of, raw
from .kit.watch import calm

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Heaven]:
    async with heaven(tmp_path_factory.mktemp("streams")) as made:
        yield made


def strangers(count: int) -> bytes:
    """So many commits of somebody whom nobody here has heard of."""
    body = {"seq": 0, "repo": did_of("stranger"), "rev": "3kznmn7xqxl22", "ops": [], "blocks": bytes(300)}
    return frame(BINARY, cbor.encode({"op": 1, "t": "#commit"}) + cbor.encode(body)) * count


async def floods(socket: ServerConnection, _cursor: str) -> None:
    for _ in range(80):
        socket.transport.write(strangers(500))
        await asyncio.sleep(0.02)
    await asyncio.sleep(2)


async def garbage(socket: ServerConnection, _cursor: str) -> None:
    with contextlib.suppress(ConnectionClosed):
        for n in range(1000):
            await socket.send(bytes([n % 256]) * (n % 300))
    await socket.wait_closed()


BROKEN: dict[str, Turn] = {
    "40,000 commits of strangers": floods,
    "garbage without end": garbage,
    "a frame of 100 MiB": raw(bytes([0x82, 127]) + (100 << 20).to_bytes(8, "big") + bytes(1 << 20)),
}


async def begins(here: Heaven, socket: ServerConnection, cursor: str, text: str) -> None:
    """A stream that is good so far: what follows the cursor is sent, and what ada says comes over."""
    await here.sky.say(here.ada, here.ada.post(text))
    for seq, said in here.sky.hose.kept:
        if seq > int(cursor):
            await socket.send(said)
    await eventually(lambda: here.copies(text))


async def half_open(here: Heaven) -> None:
    """The other side takes a stream, says something, and is gone without a word: nothing is read there any more, so
    no ping answered, and no connection ended. What is said then is only kept."""
    sky, before, cursors = here.sky, await here.stream("losses"), len(here.sky.hose.cursors)
    gone, back = asyncio.Event(), asyncio.Event()

    async def goes(socket: ServerConnection, cursor: str) -> None:
        await begins(here, socket, cursor, f"said {before} times before silence")
        socket.transport.pause_reading()  # type: ignore[attr-defined]
        gone.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(back.wait(), 60)
        socket.transport.abort()

    sky.hose.turns = [goes]
    await sky.hose.drop()
    await asyncio.wait_for(gone.wait(), 60)
    assert await here.stream("connected") == 1
    read = sky.seq
    await sky.say(here.ada, here.ada.post(f"said {before} times into silence"))
    for _ in range(3):  # 15 s are not too long yet
        await here.waits(5)
    assert await here.stream("losses") == before + 1
    for _ in range(7):
        await here.waits(5)
    await eventually(lambda: len(sky.hose.cursors) == cursors + 2)
    back.set()
    assert '"why": "silent"' in here.daemon.log
    assert await here.stream("losses") == before + 2
    assert int(sky.hose.cursors[-1]) <= read, "from where it was"
    await eventually(lambda: here.copies(f"said {before} times into silence"))
    await here.good()
    for when in ("before", "into"):
        assert len(here.copies(f"said {before} times {when} silence")) == 1
    assert await here.stream("connected") == 1
    await here.rests()


async def test_stream_that_is_silent_without_an_end_is_left_within_a_minute(here: Heaven) -> None:
    await half_open(here)


async def test_figures_tell_of_a_stream_that_lets_nobody_in(here: Heaven) -> None:
    async def connected(figure: float) -> bool:
        return await here.stream("connected") == figure

    before = await here.stream("losses")
    here.sky.hose.shut = True
    await here.sky.hose.drop()
    await eventually(lambda: connected(0))
    await here.sky.say(here.ada, here.ada.post("said before a shut door"))
    assert await connected(0)
    here.sky.hose.shut = False
    await eventually(lambda: connected(1))
    assert await here.stream("losses") > before
    await eventually(lambda: here.copies("said before a shut door"))
    await here.good()
    await here.rests()


async def test_stream_that_is_no_good_is_left_and_nothing_is_missed(here: Heaven) -> None:
    """One connection after the other: each begins well, goes bad, and has to be given up for the next."""
    sky, ended = here.sky, list[str]()

    def bad(name: str, turn: Turn) -> Turn:
        async def whole(socket: ServerConnection, cursor: str) -> None:
            await begins(here, socket, cursor, f"before {name}")
            sky.next()  # what is wrong has a number too
            try:
                await turn(socket, cursor)
            finally:
                ended.append(name)

        return whole

    sky.hose.turns = [bad(*each) for each in BROKEN.items()]
    async with calm(here.daemon):
        await sky.hose.drop()
        await eventually(lambda: ended == list(BROKEN), timeout=90)
        await eventually(lambda: sky.hose.sockets)
        await here.good()
    for word in ("misbehaves", "too_big"):
        assert f'"why": "{word}"' in here.daemon.log
    for name in BROKEN:
        assert len(here.copies(f"before {name}")) == 1
