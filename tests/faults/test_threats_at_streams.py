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


async def test_stream_that_is_no_good_is_left_and_nothing_is_missed(here: Heaven) -> None:
    """One connection after the other: each begins well, goes bad, and has to be given up for the next."""
    sky, ended = here.sky, list[str]()

    def bad(name: str, turn: Turn) -> Turn:
        async def whole(socket: ServerConnection, cursor: str) -> None:
            await sky.say(here.ada, here.ada.post(f"before {name}"))
            for seq, said in sky.hose.kept:
                if seq > int(cursor):
                    await socket.send(said)
            await eventually(lambda: here.copies(f"before {name}"), timeout=30)
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
        await eventually(lambda: sky.hose.sockets, timeout=30)
        await here.good()
    for word in ("misbehaves", "too_big"):
        assert f'"why": "{word}"' in here.daemon.log
    for name in BROKEN:
        assert len(here.copies(f"before {name}")) == 1
