"""Peers that fail in every way, and restarts in the midst of it: order in each lane, nothing lost, nothing doubled."""

import asyncio
import os
import time
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bridged.adapter import Delivery, Rejected, Retry, Sent
from bridged.testing import FakeNetwork, Harness

POSTS = 6
READERS = 4
RUNS = 5
EVERY = {"taken", "busy", "later", "lost", "slow", "refused"}


class Peers:
    """Answers each attempt by chance, and remembers what it did with it."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.refused: set[tuple[str, str]] = set()
        self.uncertain = Counter[tuple[str, str]]()
        self.outcomes = Counter[str]()
        self.calm = False

    def of(self, network: FakeNetwork) -> type[Any]:
        """The network's adapter with these peers behind it."""
        peers, plain = self, network.adapter

        async def deliver(adapter: Any, item: Delivery) -> Sent:
            kinds = ("taken", "taken", "busy", "later", "lost", "slow", "refused")
            what = "taken" if peers.calm else peers.chance.choice(kinds)
            peers.outcomes[what] += 1
            said = (item.endpoint, item.key)
            if what == "busy":
                raise Retry("503")
            if what == "later":
                raise Retry("429", after=peers.chance.uniform(1, 100))
            if what == "refused" and peers.chance.random() < 0.5:
                peers.refused.add(said)
                raise Rejected("410")
            if what == "slow":
                await asyncio.sleep(0.002)
            peers.uncertain[said] += 1
            sent = await plain.deliver(adapter, item)
            if what == "lost":
                raise Retry("the answer was lost")
            if what == "slow":
                await asyncio.sleep(0.002)
            peers.uncertain[said] -= 1
            return sent

        return type("Faulty", (plain,), {"deliver": deliver})


async def play(store: str, folder: Path, seed: int) -> Peers:
    chance, peers = Random(seed), Peers(seed)
    red, blue = FakeNetwork("red"), FakeNetwork("blue", hub=False)
    red.join("alice", "rita")
    readers = [f"reader{n}" for n in range(READERS)]
    blue.join(*readers)
    async with Harness([red.adapter, peers.of(blue)], store=store, data_dir=folder) as bridge:
        peers.calm = True
        for who in ("alice", "rita"):
            ghost = await bridge.ghost(red.ref(who), "blue")
            await bridge.hear(*(blue.say("Follow", name, target=ghost.ref.id) for name in readers))
        blue.sent.clear()
        peers.calm = False
        waiting = [
            red.post(who, f"{who} {n}", at=bridge.clock() + n) for n in range(POSTS) for who in ("alice", "rita")
        ]
        restarts = 0
        while waiting:
            heard, waiting = waiting[:3], waiting[3:]
            await bridge.hear(*heard, settle=False)
            await bridge.decide()
            for _ in range(chance.randint(0, 3)):
                await bridge.outbox.step()
                bridge.clock.move(chance.choice((1.0, 10.0, 200.0)))
            if chance.random() < 0.5:
                await bridge.outbox.start()
                await asyncio.sleep(chance.uniform(0, 0.01))
                await bridge.restart()
                restarts += 1
        peers.calm = True
        for _ in range(8):
            await bridge.wait(4000)
    where = f"BRIDGED_SEED={seed}, {restarts} restarts, {dict(peers.outcomes)}"
    lanes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for endpoint, told in blue.sent:
        if told.kind == "Post":
            lanes[endpoint, told.by].append(told.text)
    gone = 0
    for name in readers:
        for who in ("alice", "rita"):
            arrived = lanes[f"inbox:{name}", f"ghost/red:{who}"]
            first = list(dict.fromkeys(arrived))
            assert first == sorted(first, key=lambda text: int(text.split()[1])), f"{where}: {first}"
            gone += POSTS - len(first)
            # what comes again comes before anything else does: the head of the lane is sent until it is known to be
            assert [t for n, t in enumerate(arrived) if n == 0 or arrived[n - 1] != t] == first, f"{where}: {arrived}"
    arrivals = Counter(endpoint for endpoint, told in blue.sent if told.kind == "Post")
    assert gone <= len(peers.refused), f"{where}: {gone} never came, {len(peers.refused)} were refused"
    once = READERS * 2 * POSTS - gone
    assert sum(arrivals.values()) <= once + sum(peers.uncertain.values()), f"{where}: more came than had to"
    return peers


@pytest.mark.slow
async def test_deliveries_keep_their_order_and_come_once(store_url: str, tmp_path: Path) -> None:
    seed = int(os.environ.get("BRIDGED_SEED") or time.time_ns() // 1000 % 10**12)
    print(f"BRIDGED_SEED={seed}")
    if store_url != "sqlite":  # one database, one play: some of what peers do happens in it
        assert len((await play(store_url, tmp_path, seed)).outcomes.keys() & EVERY) > 2
        return
    outcomes = Counter[str]()
    for run in range(RUNS):
        outcomes += (await play(store_url, tmp_path / str(run), seed + run)).outcomes
    assert outcomes.keys() >= EVERY
