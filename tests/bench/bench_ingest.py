"""What it costs to listen to the AT Protocol: Jetstream in both dialects, and the raw firehose with all it checks.

The streams are served by a process of its own, from frames made before; the host is the one of the unit tests, so that
what is measured is the client: reading, sorting out, checking, look-ups, and rows in a database in memory.
"""

import asyncio
import json
import multiprocessing
import random
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from adapters.atproto import jetstream
from adapters.atproto.firehose import Firehose
from adapters.atproto.intake import Intake
from adapters.atproto.stream import Stream
from bridged.api import Heard
from tests.bench.frame import Figure, Run, within
from tests.unit.atproto.firehose_kit import Directory, new_host
from tests.unit.atproto.scripted_repo import ScriptedRepo, frame
from tests.unit.atproto.scripted_streams import CID, NSID, REV, commit1, commit2
from tests.unit.atproto.stream_host import FakePeople, StreamHost

RATE = 2000.0
ONE_IN = 100
"""Of so many events one is of somebody we listen for."""
HEARD = 5000
"""Accounts of each kind that are listened for."""
_AT = "2026-11-26T02:00:00Z"
_TEXT = "some words that people say " * 6


def bench(run: Run) -> Iterator[Figure]:
    count = run.size(20_000, 600)
    for name, path in (("v1", "/subscribe"), ("v2", f"/xrpc/{NSID}")):
        share = _share(partial(_jetstream_frames, name), path, count)
        yield Figure(f"Jetstream {name}, {RATE:,.0f} events/s", share, "% of a core", bar=within(10.0))
    share = _share(_firehose_frames, "", count)
    yield Figure(f"raw firehose with verification, {RATE:,.0f} events/s", share, "% of a core", bar=within(35.0))


def _did(seed: random.Random) -> str:
    return "did:plc:" + "".join(seed.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(24))


def _mine() -> str:
    return _did(random.Random("mine"))


def _jetstream_frames(dialect: str, count: int) -> list[bytes]:
    seed, now = random.Random(1), int(time.time() * 1_000_000) - 3_600_000_000
    frames: list[bytes] = []
    for number in range(count):
        did = _mine() if number % ONE_IN == 0 else _did(seed)
        record, key = _record(seed), f"r{number}"
        said = commit1(did, now + number, record, key)
        if dialect == "v2":
            said = commit2(did, number + 1, now + number, record, key)
        frames.append(json.dumps(said, separators=(",", ":")).encode())
    return frames


def _record(seed: random.Random) -> dict[str, Any]:
    """About as often as it is seen: mostly likes, some follows, some answers."""
    chance, other = seed.random(), _did(seed)
    strong = {"cid": CID, "uri": f"at://{other}/app.bsky.feed.post/{REV}"}
    if chance < 0.6:
        return {"$type": "app.bsky.feed.like", "createdAt": _AT, "subject": strong}
    if chance < 0.75:
        return {"$type": "app.bsky.graph.follow", "createdAt": _AT, "subject": other}
    return {**_post(), "reply": {"root": strong, "parent": strong}}


def _post() -> dict[str, Any]:
    return {"$type": "app.bsky.feed.post", "createdAt": _AT, "langs": ["en"], "text": _TEXT}


def _firehose_frames(count: int) -> list[bytes]:
    began = time.time() - 100_000
    mine, *others = (
        ScriptedRepo(did, began) for did in (_mine(), *(_did(random.Random(f"other {n}")) for n in range(10)))
    )
    for repo in (mine, *others):
        repo.change(0, {f"app.bsky.feed.post/old{n}": _post() for n in range(200)})
    bodies = [others[n % 10].change(0, {f"app.bsky.feed.post/n{n}": _post()}) for n in range(200)]
    frames: list[bytes] = []
    for seq in range(1, count + 1):
        if seq % ONE_IN == 1:
            frames.append(mine.say(seq, {f"app.bsky.feed.post/n{seq}": _post()}))
        else:
            frames.append(frame("#commit", {**bodies[seq % 200], "seq": seq}))
    return frames


def _share(make: Any, path: str, count: int) -> float:
    """Per cent of a core that listening takes."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(make, count, theirs), daemon=True)
    server.start()
    try:
        return asyncio.run(_listen(f"ws://127.0.0.1:{ours.recv()}{path}", -(-count // ONE_IN)))
    finally:
        server.terminate()
        server.join()


def _serve(make: Any, count: int, told: Connection) -> None:
    frames = make(count)

    async def handle(socket: ServerConnection) -> None:
        began = time.monotonic()
        for number, said in enumerate(frames):
            await socket.send(said, text=said.startswith(b"{"))
            if number % 20 == 19:
                await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
        await socket.wait_closed()

    async def run() -> None:
        async with serve(handle, "127.0.0.1", 0, compression=None, max_size=None) as server:
            told.send(next(iter(server.sockets)).getsockname()[1])
            await asyncio.Event().wait()

    asyncio.run(run())


async def _listen(url: str, wanted: int) -> float:
    seed = random.Random(2)
    full, known, ghosts = (frozenset(_did(seed) for _ in range(HEARD)) for _ in range(3))
    host = new_host(Heard(full=full | {_mine()}, known=known, ghosts=ghosts))
    host.at = time.time()
    task = asyncio.create_task(_client(url, host))
    cpu, wall = time.process_time(), time.monotonic()
    while len(host.received) < wanted:
        assert not task.done(), task
        await asyncio.sleep(0.05)
    share = (time.process_time() - cpu) / (time.monotonic() - wall) * 100
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return share


async def _client(url: str, host: StreamHost) -> None:
    people = FakePeople()
    if "subscribe" in url:
        await Stream(host, jetstream.dialect(url, host), Intake(host, people).store).run()
    else:
        key = ScriptedRepo(_mine(), 0.0)
        await Firehose(host, url, Directory(key), people).run()  # type: ignore[arg-type]
