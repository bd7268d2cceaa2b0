"""Several processes of one bridge on one PostgreSQL, under load, of which one is killed every so often.

    python -m tests.faults.crew --processes 4 --seconds 60 --every 10 --seed 7

Both ways, several authors each; what a process acknowledged must arrive, once, in its author's order. A copy that came
twice counts as doubled unless it is the same bytes under the same id: that is how a send of uncertain end is repeated.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
from websockets.exceptions import WebSocketException

from .kit import eventually
from .kit.daemon import Daemon, database
from .kit.fediverse import Peer
from .kit.heard import until_heard
from .kit.nostr import Relay, client, npub, said

NOSTR = ("nora", "nils", "nell")
FEDI = ("alice", "albert")


def crew(folder: Path, store: str, roles: Sequence[str], config: Mapping[str, Any]) -> list[Daemon]:
    """Processes that are one bridge: each with its port and folder, and the domain and secret of the first."""
    found: list[Daemon] = []
    for number, role in enumerate(roles):
        shared: dict[str, Any] = {"secret": {"file": str(folder / "secret.key")}, **config}
        if found:
            shared |= {"domain": found[0].domain, "base_url": found[0].base}
        found.append(Daemon(folder / str(number), store, shared, roles=role))
    return found


async def holder(daemons: Sequence[Daemon], lease: str) -> tuple[Daemon, Daemon]:
    """Of two, the one that has this lease, and the other. On a slow machine it may have changed hands before."""

    async def look() -> tuple[Daemon, Daemon]:
        sql = f"SELECT p.pid FROM leases l JOIN processes p ON p.id = l.owner WHERE l.name = '{lease}'"
        (row,) = await daemons[0].rows(sql)
        mine, other = sorted(daemons, key=lambda daemon: daemon.pid != row["pid"])
        assert mine.pid == row["pid"]
        return mine, other

    return await eventually(look)


@dataclass
class Findings:
    """What became of a run: texts by what is wrong with them, kills, and sends that were repeated."""

    said: int = 0
    kills: int = 0
    resent: int = 0
    taken_for_dead: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.disordered)


@asynccontextmanager
async def bridge(folder: Path, processes: int) -> AsyncGenerator["Run"]:
    async with database("postgresql") as store, Peer() as peer, Relay() as relay:
        config = {"adapters": {"nostr": {"relays": [relay.url]}}}
        run = Run(crew(folder, store, [""] * processes, config), peer, relay)
        for name in NOSTR:
            await relay.publish(said(name, 0, json.dumps({"name": name})))
        # the first makes the secret and the tables
        await run.daemons[0].start()
        await asyncio.gather(*(d.start() for d in run.daemons[1:]))
        try:
            await run.join()
            yield run
        finally:
            for daemon in run.daemons:
                await daemon.stop()


class Run:
    def __init__(self, daemons: list[Daemon], peer: Peer, relay: Relay) -> None:
        self.daemons, self.peer, self.relay = daemons, peer, relay
        self.front = daemons[0].base
        self.acknowledged: dict[str, list[str]] = {name: [] for name in (*NOSTR, *FEDI)}
        self.kills = 0
        self._over = False

    async def join(self) -> None:
        """The people of the fediverse follow those of Nostr, and the bot."""
        first = self.daemons[0]
        whom = [await first.actor_of(n) for n in (*map(npub, NOSTR), "bridge")]
        for name in FEDI:
            actor = self.peer.actor(name)
            for each in whom:
                await eventually(lambda a=actor, e=each: self.post(a.name, a.follow(e), first))
        await eventually(lambda: len(self.peer.posts("Accept")) == len(FEDI) * len(whom))
        # an Accept may be there before every process knows whom to listen for
        for daemon in self.daemons:
            for name in FEDI:
                greeting = self.peer.actor(name).create(f"hello {name}")
                await until_heard(daemon, "activitypub", partial(self.post, name, greeting, daemon))

    async def post(self, name: str, activity: Mapping[str, Any], daemon: Daemon) -> bool:
        """To the inbox of one process, under the address of the first; whether it was taken."""
        actor, body = self.peer.actor(name), json.dumps(activity).encode()
        headers = {**actor.signed(f"{self.front}/inbox", body), "Host": self.daemons[0].domain}
        try:
            status, _, _ = await self.peer.post(f"{daemon.base}/inbox", body, headers)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
        return status == 202

    async def load(self, seconds: float, dice: random.Random, pause: float = 0.05) -> None:
        """Everybody says one thing after the other, each to whatever process lives, again until it is taken."""
        await asyncio.gather(*(self._speak(n, seconds, random.Random(dice.random()), pause) for n in self.acknowledged))
        self._over = True

    async def _speak(self, name: str, seconds: float, dice: random.Random, pause: float) -> None:
        end, number = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            number += 1
            text = f"{name} says {number:04d}"
            at = int(time.time())
            event = said(name, 1, text, at=at)
            activity = self.peer.actor(name).create(text) if name in FEDI else {}
            while True:
                daemon = dice.choice(self.daemons)
                if name in FEDI:
                    taken = await self.post(name, activity, daemon)
                else:
                    taken = await _publish(daemon, event)
                if taken:
                    break
                await asyncio.sleep(0.1)
            self.acknowledged[name].append(text)
            await asyncio.sleep(pause * dice.random() * 2)

    async def murder(self, every: float, dice: random.Random) -> None:
        """Kills one after the other while the load lasts; each is started again before the next dies."""
        while not self._over:
            await asyncio.sleep(every)
            if self._over:
                return
            victim = dice.choice(self.daemons)
            await victim.kill()
            self.kills += 1
            await asyncio.sleep(dice.random() * every / 2)
            await victim.start()

    async def findings(self, patience: float = 90) -> Findings:
        """Once all that was acknowledged has arrived, or nothing more does."""
        wanted = {name: set(texts) for name, texts in self.acknowledged.items()}

        def all_there() -> bool:
            return all(wanted[name] <= set(texts) for name, _, texts in self._arrived())

        try:
            await eventually(all_there, timeout=patience, every=0.5)
            await asyncio.sleep(2)  # for what should not come
        except AssertionError:
            pass
        found = Findings(sum(map(len, self.acknowledged.values())), self.kills)
        for name, where, got in self._arrived():
            found.lost += [f"{text} at {where}" for text in sorted(wanted[name] - set(got))]
            found.doubled += [f"{text} at {where}" for text, count in Counter(got).items() if count > 1]
            first = [text for text in dict.fromkeys(got) if text in wanted[name]]
            found.disordered += [f"{b} at {where}" for a, b in pairwise(first) if b < a]
        creates = self.peer.posts("Create")
        found.resent = len(creates) - len({(got.path, got.body) for got in creates})
        for daemon in self.daemons:
            found.taken_for_dead += daemon.log.count("taken_for_dead")
        return found

    def _arrived(self) -> list[tuple[str, str, list[str]]]:
        """(author, where, texts in the order of their first coming; the same bytes under the same id count once)."""
        found: dict[tuple[str, str], list[str]] = {(n, self.peer.actor(f).inbox): [] for n in NOSTR for f in FEDI}
        found |= {(name, self.relay.url): [] for name in FEDI}
        seen: set[tuple[str, str, bytes]] = set()
        for got in self.peer.posts("Create"):
            key = (got.path, got.json["id"], got.body)
            if key not in seen:
                seen.add(key)
                text = got.json["object"]["content"].removeprefix("<p>").removesuffix("</p>")
                found[text.split(" ")[0], self.peer.base + got.path].append(text)
        for event in self.relay.events(kinds=[1]):
            if not event["content"].startswith("hello"):
                found[event["content"].split(" ")[0], self.relay.url].append(event["content"])
        return [(name, where, texts) for (name, where), texts in found.items()]


async def _publish(daemon: Daemon, event: Any) -> bool:
    try:
        async with asyncio.timeout(60), client(daemon.relay_url) as c:
            return (await c.publish(event))[0]
    except (OSError, WebSocketException, TimeoutError, AssertionError):
        return False


async def series(folder: Path, processes: int, seconds: float, every: float, seed: int) -> Findings:
    dice = random.Random(seed)
    async with bridge(folder, processes) as run:
        await asyncio.gather(run.load(seconds, dice), run.murder(every, dice))
        return await run.findings()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--every", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bridged-crew-") as folder:
        found = asyncio.run(series(Path(folder), chosen.processes, chosen.seconds, chosen.every, chosen.seed))
    print(
        f"{chosen.processes} processes, seed {chosen.seed}: {found.said} posts acknowledged, {found.kills} kills,"
        f" {len(found.lost)} lost, {len(found.doubled)} doubled, {len(found.disordered)} out of order,"
        f" {found.resent} sent again with the same bytes, {found.taken_for_dead} living taken for dead"
    )
    for what in (found.lost, found.doubled, found.disordered):
        print(*what[:10], sep="\n")
    return 0 if found.clean else 1


if __name__ == "__main__":
    sys.exit(main())
