"""How many signed posts a second the inboxes take, alone and beside a flood of unsigned ones.

    python -m tests.faults.load [--seconds 60] [--good 300] [--bad 1000] [--store URL]

The real daemon, senders in a process of their own (sender.py), requests signed beforehand. First `good` signed posts
a second by bridged accounts; then the same, and beside them `bad` unsigned ones that name accounts at a canary.
After the last answer the daemon is killed: what it said 202 to must be in the database.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.kit.canary import canary
from tests.faults.kit.daemon import Daemon, database
from tests.faults.kit.fediverse import Actor, Peer
from tests.faults.kit.heard import until_heard
from tests.faults.kit.watch import scheduled
from tests.faults.sender import Stream, Tally, send
from tests.unit.activitypub.fake import AS2

ACTORS = 20


@dataclass
class Figures:
    alone: Tally
    beside: Tally
    flood: Tally
    lost: int
    """Posts that were answered with 202 and are not in the database after SIGKILL."""
    grown: int
    """Bytes of memory that the flood cost, at its worst."""
    egress: int
    """Connections to the canary, and requests to the peer, while the flood lasted."""
    refused: float
    """Unsigned requests, as /metrics counts them."""
    lag: float
    """Share of looks at the event loop, in the flood, that found it more than 100 ms late."""
    slowdown: float
    """How many times longer the daemon took in the flood because others used the processors: 1 on a quiet machine."""

    def lines(self) -> list[str]:
        def of(name: str, tally: Tally) -> str:
            return (
                f"{name}: p50 {tally.p50 * 1000:.0f} ms, p99 {tally.p99 * 1000:.0f} ms, worst {tally.worst * 1000:.0f}"
                f" ms, answers {tally.statuses}; sender late {tally.late * 1000:.1f} ms, {tally.cpu:.0%} of a core"
            )

        return [
            of("signed, alone", self.alone),
            of("signed, beside the flood", self.beside),
            of("unsigned", self.flood),
            f"acknowledged and lost: {self.lost}; memory +{self.grown / 1048576:.1f} MiB; egress {self.egress};"
            f" refused {self.refused:.0f}; loop more than 100 ms late {self.lag:.2%} of the time; slowed down"
            f" {self.slowdown:.1f} times by other processes",
        ]


async def measure(folder: Path, seconds: float, good: float, bad: float, store: str = "sqlite") -> Figures:
    """Raises AssertionError when the daemon does not come up, or nobody is bridged."""
    async with Peer() as peer, canary() as bird:
        daemon = Daemon(folder, store=store, config={"log": {"format": "json", "level": "warning"}})
        await daemon.start()
        try:
            return await _measure(daemon, peer, f"http://127.0.0.1:{bird.port}", bird.hits, seconds, good, bad)
        finally:
            if daemon.code is None:
                await daemon.stop()


async def _measure(
    daemon: Daemon, peer: Peer, stranger: str, hits: Sequence[bytes], seconds: float, good: float, bad: float
) -> Figures:
    bot = await daemon.actor_of("bridge")
    people = [peer.actor(f"person{n}") for n in range(ACTORS)]
    inbox = f"{daemon.base}/inbox"
    for person in people:
        assert await person.send(person.follow(bot), inbox) == 202
    for person in people:
        await until_heard(daemon, "activitypub", lambda p=person: p.send(p.create("hello"), inbox))
    count = int(good * seconds)
    made = [_signed(daemon, people[n % ACTORS], inbox, n) for n in range(2 * count)]
    ids, posts = [one[0] for one in made], [one[1] for one in made]
    unsigned = [_unsigned(daemon, stranger, n) for n in range(100)]

    def stream(name: str, requests: list[bytes], rate: float) -> Stream:
        return Stream(name, "127.0.0.1", daemon.port, requests, rate, seconds)

    alone = (await send([stream("good", posts[:count], good)], daemon.folder))["good"]
    watch = _Memory(daemon)
    sent, hit = len(peer.got), len(hits)
    before, late = await daemon.metric("bridged_refused_total", reason="signature_missing"), await _lags(daemon)
    both = [stream("good", posts[count:], good), stream("bad", unsigned, bad)]
    ran = scheduled(daemon.pid)
    async with watch:
        tallies = await send(both, daemon.folder)
    on, off = (b - a for a, b in zip(ran, scheduled(daemon.pid), strict=True))
    looks, lates = (b - a for a, b in zip(late, await _lags(daemon), strict=True))
    refused = await daemon.metric("bridged_refused_total", reason="signature_missing") - before
    egress = len(hits) - hit + sum(got.method == "GET" for got in peer.got[sent:])
    await daemon.kill()
    kept = {row["native_id"] for row in await daemon.rows("SELECT native_id FROM inbox WHERE network = 'activitypub'")}
    taken = [ids[n] for n in alone.taken] + [ids[count + n] for n in tallies["good"].taken]
    lost = sum(said not in kept for said in taken)
    late_share, slowdown = lates / max(1, looks), 1 + off / max(on, 0.001)
    return Figures(alone, tallies["good"], tallies["bad"], lost, watch.grown, egress, refused, late_share, slowdown)


async def _lags(daemon: Daemon) -> tuple[float, float]:
    """Looks at the loop so far, and those that found it more than 100 ms late."""
    all_of_them = await daemon.metric("bridged_loop_lag_seconds_count")
    return all_of_them, all_of_them - await daemon.metric("bridged_loop_lag_seconds_bucket", le="0.1")


class _Memory:
    """How much a process grows while this is entered, at its worst."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon, self._before = daemon, 0
        self.grown = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "_Memory":
        self._before = self._daemon.rss()
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task
        self._task.cancel()

    async def _watch(self) -> None:
        while True:
            self.grown = max(self.grown, self._daemon.rss() - self._before)
            await asyncio.sleep(0.1)


def _signed(daemon: Daemon, person: Actor, inbox: str, number: int) -> tuple[str, bytes]:
    said = person.create(f"post number {number} of {person.name}, as long as most of them are and no longer than that")
    body = json.dumps(said).encode()
    return said["id"], _request(daemon, body, person.signed(inbox, body))


def _unsigned(daemon: Daemon, stranger: str, number: int) -> bytes:
    actor = f"{stranger}/users/{number}"
    note: dict[str, Any] = {"id": f"{actor}/note", "type": "Note", "attributedTo": actor, "content": "x" * 500}
    body = json.dumps({"id": f"{actor}/create", "type": "Create", "actor": actor, "object": note}).encode()
    return _request(daemon, body, {"Host": daemon.domain, "Content-Type": AS2})


def _request(daemon: Daemon, body: bytes, headers: dict[str, str]) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /inbox HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--seconds", type=float, default=60)
    words.add_argument("--good", type=float, default=300)
    words.add_argument("--bad", type=float, default=1000)
    words.add_argument("--store", default="sqlite", choices=["sqlite", "postgresql"])
    given = words.parse_args()

    async def run() -> Figures:
        with tempfile.TemporaryDirectory() as folder:
            async with database(given.store) as store:
                return await measure(Path(folder), given.seconds, given.good, given.bad, store)

    found = asyncio.run(run())
    print(*found.lines(), sep="\n")
    bars = {
        "signed alone: p99 at most 250 ms": found.alone.p99 <= 0.25,
        "signed beside the flood: p99 at most 1 s": found.beside.p99 <= 1,
        "every signed post taken": set(found.alone.statuses) | set(found.beside.statuses) <= {"202", "unanswered"}
        and not found.alone.statuses["unanswered"] + found.beside.statuses["unanswered"],
        "every unsigned one refused": set(found.flood.statuses) <= {"401", "unanswered"},
        "nothing acknowledged and lost": found.lost == 0,
        "memory at most 64 MiB more": found.grown <= 64 << 20,
        "no egress": found.egress == 0,
    }
    for bar, met in bars.items():
        print("met   " if met else "MISSED", bar)
    return 0 if all(bars.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
