"""Our PDS: what a commit of one record costs, in memory and on disk, beside arroba; and a thousand who read along.

arroba, the other PDS in Python, keeps repositories in memory or in Google Cloud Datastore and nowhere else. It is
measured in memory, so that no disk and no network slows it: a commit of ours on disk is held against that.
"""

import asyncio
import itertools
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiohttp import web

from adapters.atproto import lexicon, tid
from adapters.atproto.cid import Cid
from adapters.atproto.pds import firehose
from adapters.atproto.pds.store import Repos, Write
from adapters.atproto.pds.subscription import PATH, SEND_SECONDS, Subscription
from adapters.atproto.repo import car, commit, mst, tree
from adapters.atproto.repo.mst import Nodes
from adapters.atproto.repo.proof import Op
from bridged.store.engine import Store, Tx
from tests.bench.child import ROOT, Child
from tests.bench.frame import Figure, Run, at_least, at_most
from tests.unit.atproto.pds_kit import NOW, POST, did, key, opened

FEW, MANY = 10_000, 100_000
AT_ONCE = 16
"""Repositories that change at one time, as when many people speak: their commits share what the disk takes."""
READERS = 1_000
ARROBA = Path(os.environ.get("BRIDGED_PEERS", ROOT / ".cache" / "interop")) / "arroba" / "bin" / "python"
_DID = did(0)
_KEY = key(_DID)
_REPOS = Repos()
"""One for all, as the daemon has it."""
_WORDS = "some words that people say " * 4
_UNHINDERED = (10_000, 10_000_000, 100_000_000)
"""Events a second, an hour and a day: no relay is waited for."""


def bench(run: Run) -> Iterator[Figure]:
    few, many = run.size(FEW, 400), run.size(MANY, 800)
    arroba = run.enter(Child(ARROBA, "-m", "tests.bench.peer_arroba")) if ARROBA.exists() else None
    yield from asyncio.run(_commits(run, arroba, few, many))
    yield from asyncio.run(_readers(run))


class Ours:
    """One repository as the daemon keeps it: a transaction of its own for every commit, on disk when it returns."""

    def __init__(self, db: Store, size: int, who: str = _DID) -> None:
        self._db, self._size = db, size
        self._did, self._key = who, key(who)
        self._next = itertools.count(size)

    async def fill(self) -> "Ours":
        await self._db.write(lambda tx: firehose.set_pace(tx, _UNHINDERED))
        await self._db.write(lambda tx: _REPOS.create(tx, self._did, "ours.test", self._key, NOW))
        posts = map(_write, range(self._size))
        while chunk := list(itertools.islice(posts, 200)):
            await self._apply(chunk)
        return self

    async def commits(self, count: int) -> tuple[float, float]:
        """Milliseconds that a commit of one post takes: by the clock, and of the processor; medians."""
        spent: list[tuple[float, float]] = []
        for write in [_write(number) for number in itertools.islice(self._next, count)]:
            wall, busy = time.perf_counter(), time.process_time()
            await self._apply([write])
            spent.append((time.perf_counter() - wall, time.process_time() - busy))
        return _medians(spent)

    async def say(self) -> float:
        """Commits one post; when it is on disk, by the clock of all processes."""
        await self._apply([_write(next(self._next))])
        return time.monotonic()

    async def _apply(self, writes: list[Write]) -> None:
        await self._db.write(lambda tx: _REPOS.apply(tx, self._did, self._key, writes, NOW))


async def _at_once(repos: Sequence[Ours], count: int) -> tuple[float, float]:
    """What of that a commit takes when each of these has one at the same time."""
    spent: list[tuple[float, float]] = []
    for _ in range(count):
        wall, busy = time.perf_counter(), time.process_time()
        await asyncio.gather(*(one.say() for one in repos))
        spent.append(((time.perf_counter() - wall) / len(repos), (time.process_time() - busy) / len(repos)))
    return _medians(spent)


class InMemory:
    """A commit without a database: checked, put into the tree, signed, packed, and made an event."""

    def __init__(self, size: int) -> None:
        self._blocks: dict[Cid, bytes] = {}
        self._nodes = Nodes(self._blocks.get)
        self._next = itertools.count(size)
        self._rev = ""
        self._seq = 0
        self._root = self._nodes.write(mst.empty(), self._blocks)
        posts = map(_write, range(size))
        while chunk := list(itertools.islice(posts, 200)):
            self._commit(chunk)

    def commits(self, count: int) -> tuple[float, float]:
        spent: list[tuple[float, float]] = []
        for write in [_write(number) for number in itertools.islice(self._next, count)]:
            wall, busy = time.perf_counter(), time.process_time()
            self._commit([write])
            spent.append((time.perf_counter() - wall, time.process_time() - busy))
        return _medians(spent)

    def _commit(self, writes: list[Write]) -> None:
        blocks = {w.path: lexicon.validate(w.collection, w.rkey, w.record) for w in writes}
        ops = [Op(path, Cid.of(body), None) for path, body in blocks.items()]
        changed = tree.change(self._nodes, self._root, ops)
        made = commit.sign(_KEY, _DID, tid.after(self._rev or None, int(NOW * 1e6), 0), changed.root)
        head = made.block()
        cid = Cid.of(head)
        sent = {cid: head, **changed.covering}
        sent |= {op.cid: blocks[op.path] for op in ops if op.cid is not None}
        fields = firehose.commit_fields(
            _DID,
            commit=cid,
            rev=made.rev,
            since=self._rev,
            prev_data=self._root,
            blocks=car.write(cid, sent.items()),
            ops=ops,
        )
        self._seq += 1
        firehose.frame("commit", {**fields, "seq": self._seq, "time": "2023-11-14T22:13:20.000Z"})
        for gone in changed.gone:
            del self._blocks[gone]
        self._blocks.update(changed.new)
        self._root, self._rev = changed.root, made.rev


def _write(number: int) -> Write:
    """Posts a minute apart, as they are made one after the other."""
    record = {"$type": POST, "text": f"{_WORDS}{number}", "createdAt": "2023-11-14T22:13:20.000Z", "langs": ["en"]}
    return Write(POST, tid.make(1_600_000_000_000_000 + number * 60_000_000, 5), record)


def _medians(spent: list[tuple[float, float]]) -> tuple[float, float]:
    walls, busy = zip(*spent, strict=True)
    return statistics.median(walls) * 1000, statistics.median(busy) * 1000


async def _commits(run: Run, arroba: Child | None, few: int, many: int) -> list[Figure]:
    count, rounds = run.size(100, 5), run.size(7, 1)
    async with AsyncExitStack() as stack:
        stores: list[Ours] = []
        for size in (few, many):
            folder = run.folder / f"repo{size}"
            folder.mkdir()
            stores.append(await Ours(await stack.enter_async_context(opened(folder)), size).fill())
        (folder := run.folder / "repos").mkdir()
        db = await stack.enter_async_context(opened(folder))
        together = [await Ours(db, few, did(number)).fill() for number in range(AT_ONCE)]
        memories = [InMemory(few), InMemory(many)]
        numbers = itertools.count(few)
        if arroba:
            arroba.ask(do="fill", posts=[_post(number) for number in range(few)])
        found: list[dict[str, tuple[float, float]]] = []
        for _ in range(rounds + 1):
            once = {"durable": await stores[0].commits(count), "durable, many": await stores[1].commits(count)}
            once["at once"] = await _at_once(together, count // 5)
            once |= {"memory": memories[0].commits(count), "memory, many": memories[1].commits(count)}
            if arroba:
                posts = [_post(number) for number in itertools.islice(numbers, max(5, count // 5))]
                once["arroba"] = tuple(arroba.ask(do="commit", posts=posts))
            found.append(once)
    return list(_judged(found[1:], few, many))


def _post(number: int) -> tuple[str, Any]:
    write = _write(number)
    return write.rkey, write.record


def _judged(found: list[dict[str, tuple[float, float]]], few: int, many: int) -> Iterator[Figure]:
    def middle(one: str, other: str, which: int) -> tuple[float, float]:
        """Those of the round with the median ratio."""
        pairs = [(once[one][which], once[other][which]) for once in found]
        return sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]

    disk, memory = "on disk", "in memory"
    for kind, where, factor in (
        ("durable", disk, 10),
        ("at once", f"{disk}, {AT_ONCE} at once", 10),
        ("memory", memory, 40),
    ):
        if "arroba" in found[0]:
            ours, theirs = middle(kind, "arroba", 0)
            busy, theirs_busy = middle(kind, "arroba", 1)
            what = f"commit of one record {where}, {few:,} in the repository"
            note = f"processor time {busy:.2f} ms, ratio {theirs_busy / busy:.0f}"
            yield Figure(what, 1000 / ours, "/s", 1000 / theirs, "arroba in memory", at_least(factor), note)
    for kind, where in (("durable", disk), ("memory", memory)):
        large, small = middle(f"{kind}, many", kind, 1)
        beside = f"with {few:,}"
        what = f"processor time of a commit {where}, {many:,} in the repository"
        yield Figure(what, large, "ms", small, beside, at_most(2.0))


async def _readers(run: Run) -> list[Figure]:
    """Commits one after the other, while many read; then some at their ease, for how long the last reader waits."""
    count, burst, calm = run.size(READERS, 20), run.size(100, 20), run.size(100, 5)
    folder = run.folder / "readers"
    folder.mkdir()
    dropped: asyncio.Queue[str] = asyncio.Queue()
    async with opened(folder) as db, AsyncExitStack() as stack:
        ours = await Ours(db, run.size(FEW, 200)).fill()
        host: Any = SimpleNamespace(read=db.read, on=db.signals.on, dropped=dropped.put_nowait, now=time.time)
        subscription = Subscription(host, send_seconds=run.size(int(SEND_SECONDS), 1))
        app = web.Application()
        app.add_routes(subscription.streams())
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        serving = asyncio.create_task(subscription.run())
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=2 * READERS)
        await site.start()
        child = run.enter(Child.module("tests.bench.readers", port=runner.addresses[0][1], path=PATH))

        async def ask(**question: Any) -> Any:
            return await asyncio.to_thread(lambda: child.ask(**question))

        last = await db.read(firehose.last)
        await ask(do="read", readers=count, cursor=last)
        said = [await ours.say() for _ in range(burst)]
        await ask(do="wait", events=burst)
        spaced: list[float] = []
        pause = min(0.5, 2 * (max(await ask(do="heard")) - said[0]) / burst)
        for _ in range(calm):
            spaced.append(await ours.say())
            await asyncio.sleep(pause)
        while dropped.empty():  # the sleeper's queues may be long
            said.append(await ours.say())
            await asyncio.sleep(pause)
        told = await ask(do="wake")
        events = await db.read(lambda tx: _frames(tx, last))
        heard = await ask(do="wait", events=len(events), frames=[frame.hex() for frame in events])
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    assert dropped.qsize() == 1, "none but the sleeper is sent away"
    assert told["word"] == "ConsumerTooSlow", told
    assert told["events"] < len(events)
    assert heard["alike"] == count, f"{heard['alike']} of {count} readers heard every event in order"
    rate = burst / (heard["at"][burst - 1] - said[0])
    waits = [at - began for at, began in zip(heard["at"][burst : burst + calm], spaced, strict=True)]
    p99 = sorted(waits)[int(0.99 * (len(waits) - 1))] * 1000
    asleep = f"{count:,} readers, and one asleep"
    return [
        Figure(f"events to {asleep}", rate, "/s", note=f"{rate * count:,.0f} frames a second"),
        Figure(f"from commit to the last of {asleep}, 99 of 100", p99, "ms"),
    ]


def _frames(tx: Tx, last: int) -> list[bytes]:
    return [event.frame for event in firehose.after(tx, last, 1_000_000, time.time())]
