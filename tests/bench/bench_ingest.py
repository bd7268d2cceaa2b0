"""What it costs to listen to the AT Protocol: Jetstream in both dialects, and the raw firehose with all it checks.

The streams are served by a process of its own, from frames made before. Host and database are the daemon's, on a real
disk, with nobody to decide on what comes: what is measured is reading, sorting out, checking, look-ups, and rows. Who
somebody is comes from a script.
"""

import asyncio
import json
import multiprocessing
import random
import time
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_network
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from websockets.asyncio.server import ServerConnection, serve

from adapters.atproto import jetstream
from adapters.atproto.adapter import Atproto
from adapters.atproto.firehose import Firehose
from adapters.atproto.intake import Intake
from adapters.atproto.stream import Stream
from bridged.api import Heard, Host, Tx
from bridged.egress import Egress
from bridged.testing import Harness
from bridged.testing.harness import Clock
from tests.bench.frame import Figure, Run, within
from tests.unit.atproto.firehose_kit import Directory
from tests.unit.atproto.scripted_repo import ScriptedRepo, frame
from tests.unit.atproto.scripted_streams import CID, NSID, REV, commit1, commit2
from tests.unit.atproto.stream_host import FakePeople

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
        share = _share(run.folder / name, partial(_jetstream_frames, name), path, count)
        yield Figure(f"Jetstream {name}, {RATE:,.0f} events/s", share, "% of a core", bar=within(10.0))
    share = _share(run.folder / "raw", _firehose_frames, "", count)
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


def _share(folder: Path, make: Any, path: str, count: int) -> float:
    """Per cent of a core that listening takes."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(make, count, theirs), daemon=True)
    server.start()
    try:
        return asyncio.run(_listen(folder, f"ws://127.0.0.1:{ours.recv()}{path}", -(-count // ONE_IN)))
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


async def _listen(folder: Path, url: str, wanted: int) -> float:
    seed = random.Random(2)
    full, known, ghosts = (frozenset(_did(seed) for _ in range(HEARD)) for _ in range(3))
    http: Any = Egress(user_agent="bench", count=lambda _: None, allow=[ip_network("127.0.0.0/8")])
    plc = {"atproto": {"plc": "embedded"}}
    async with Harness([Atproto], data_dir=folder, http=http, configs=plc, clock=Clock(time.time())) as bridge:
        heard = Heard(full=full | {_mine()}, known=known, ghosts=ghosts)
        bridge.core.ears._heard["atproto"] = heard  # pyright: ignore[reportPrivateUsage]
        task = asyncio.create_task(_client(url, bridge.hosts["atproto"]))
        cpu = time.process_time()
        while await bridge.read(_stored) < wanted:
            assert not task.done(), task
            await asyncio.sleep(0.2)
        # of the time that so many events take to happen: on a machine that does other things they may come more slowly
        share = (time.process_time() - cpu) / (wanted * ONE_IN / RATE) * 100
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return share


def _stored(tx: Tx) -> int:
    return int(tx.execute(sa.text("SELECT count(*) FROM inbox")).scalar_one())


async def _client(url: str, host: Host) -> None:
    people = FakePeople()
    if "subscribe" in url:
        await Stream(host, jetstream.dialect(url, host), Intake(host, people).store).run()
    else:
        key = ScriptedRepo(_mine(), 0.0)
        await Firehose(host, url, Directory(key), people).run()  # type: ignore[arg-type]
