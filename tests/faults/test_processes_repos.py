"""Repositories kept by several processes on one PostgreSQL: readers of any hear one order of events."""

import contextlib
import random
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve
from websockets.protocol import State

from .crew import crew, holder
from .kit import eventually
from .kit.daemon import database
from .kit.fediverse import Peer
from .kit.heard import until_heard
from .repos import served
from .repos.judge import judge
from .repos.run import CONFIG, watched
from .repos.stream import Stream
from .repos.town import Town
from .test_processes import PROMISED

ACTS = 60
MORE = 20


@contextlib.asynccontextmanager
async def jetstream() -> AsyncGenerator[tuple[str, list[ServerConnection]]]:
    """One that says nothing: its address, and who connected."""
    connected: list[ServerConnection] = []

    async def keep(socket: ServerConnection) -> None:
        connected.append(socket)
        await socket.wait_closed()

    async with serve(keep, "127.0.0.1", 0, close_timeout=0.2) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/subscribe", connected


async def test_every_process_shows_every_event_once_in_one_order(tmp_path: Path) -> None:
    async with database("postgresql") as store, Peer("127.0.0.2") as peer, jetstream() as (url, connected):
        pair = crew(tmp_path, store, ["", ""], {"handle_domain": "bridge.test"})
        atproto = {**CONFIG, "plc": "embedded", "ingest": {"jetstream": url}}
        for daemon in pair:
            daemon.config["adapters"] = {"activitypub": {}, "atproto": atproto}
            await daemon.start()
        made = Town(pair[0], peer, 4, random.Random(3))
        streams = [watched(made), Stream(pair[1])]
        async with streams[0].read(), streams[1].read():
            await made.join()
            await made.settled()
            for life in made.lives.values():  # this process may not know yet whom the other let in
                await until_heard(pair[0], "activitypub", lambda actor=life.actor: made.renames(actor))
            async with made.acting():
                await made.open(ACTS)
                await made.reached(ACTS)
                await made.settled()
                await eventually(lambda: _standing(connected) == 1)
                mine, other = await holder(pair, "atproto/ingest")
                applied = [await d.metric("bridged_deliveries_total", outcome="sent") for d in pair]
                assert all(applied), "both had their part in it"

                before = len(connected)
                await mine.kill()
                died = time.monotonic()
                await eventually(lambda: len(connected) > before, timeout=PROMISED + 30)
                assert time.monotonic() - died < 2 * PROMISED  # the promise is for a machine that does nothing else
                await eventually(lambda: "atproto_stream_connected" in other.log)  # said once it is let in
                await mine.start()
                await made.open(ACTS + MORE, last=True)
            await made.settled()
            for stream in streams:
                await stream.until_all()
        assert _standing(connected) == 1, "one listens, whoever it is"
        one, two = streams
        assert one.events == two.events
        dids = [row["did"] for row in await pair[0].rows("SELECT did FROM atproto_repos")]
        keys = {did: await served.key_of(pair[1], did) for did in dids}
        verdict, _ = judge(made, one.events, keys)
        assert verdict.faults + made.wrong == []
        assert verdict.changes + verdict.unsaid >= (ACTS + MORE) * 9 // 10
        assert len(dids) == 5
        for daemon in pair:
            assert await daemon.stop() == 0


def _standing(connected: Sequence[ServerConnection]) -> int:
    return sum(socket.state is State.OPEN for socket in connected)
