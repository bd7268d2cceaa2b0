"""One run: one daemon with repositories lives and dies a few times while people write; then it is left, and judged."""

import asyncio
import contextlib
import json
import random
import signal
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..kit.daemon import Daemon
from ..kit.fediverse import Peer
from ..kit.nursery import Nursery
from . import served
from .judge import Verdict, judge
from .stream import Stream, from_the_start
from .town import MARK, Town

SEAMS = ("blob.placed", "blob.kept", "outbox.applying", "outbox.applied", "ghost.minting", "ghost.minted")
"""What is passed on the way into a repository."""
FIRE = 120.0
"""Seconds in which a seam must be passed: on PostgreSQL what the dead had in hand is free only after some of them."""
CONFIG = {
    # what is shown later is not what is looked at here
    "pace": {"second": 10_000, "hour": 1_000_000, "day": 1_000_000},
}


@dataclass
class Outcome:
    seed: int
    store: str
    verdict: Verdict = field(default_factory=Verdict)
    acts: int = 0
    deaths: list[str] = field(default_factory=list[str])
    events: int = 0
    repos: int = 0
    connections: int = 0
    wrong: list[str] = field(default_factory=list[str])
    seconds: float = 0.0

    @property
    def faults(self) -> list[str]:
        return [*self.verdict.faults, *self.wrong]


@contextlib.asynccontextmanager
async def town(
    folder: Path, store: str, people: int, chance: random.Random, nursery: Nursery | None = None, plc: str = "embedded"
) -> AsyncGenerator[tuple[Town, Stream]]:
    """People of one server, a daemon that has not been started, and who reads its firehose over all its lives.

    `plc` is the address of a directory, if it is not the daemon's own.
    """
    async with Peer("127.0.0.2") as peer:
        daemon = Daemon(folder, store, nursery=nursery)
        daemon.config |= {
            "handle_domain": "bridge.test",
            "adapters": {"activitypub": {}, "atproto": {**CONFIG, "plc": plc}},
        }
        made = Town(daemon, peer, people, chance)
        async with watched(made).read() as stream:
            yield made, stream


def watched(made: Town) -> Stream:
    """A reader of their firehose; what it has shown they have seen."""
    standing: set[int] = set()
    made.seen = lambda act: act.number in standing
    return Stream(made.daemon, lambda event: standing.update(int(m[4:-1]) for m in MARK.findall(str(event.frame))))


async def run(
    seed: int,
    folder: Path,
    store: str,
    seams: Sequence[str],
    nursery: Nursery | None = None,
    *,
    people: int = 4,
    each: int = 12,
    deaths: int = 1,
) -> Outcome:
    """Lives that end at each of `seams`, and `deaths` that end at a random moment; `each` acts for each of them."""
    began, outcome = time.monotonic(), Outcome(seed, "sqlite" if store == "sqlite" else "postgresql")
    chance = random.Random(seed)
    try:
        async with town(folder, store, people, chance, nursery) as (made, stream):
            await _live(made, stream, chance, seams, each, deaths, outcome)
    except Exception as e:
        causes = e.exceptions if isinstance(e, ExceptionGroup) else [e]
        outcome.wrong += [f"{type(cause).__name__}: {cause}" for cause in causes]
    outcome.seconds = time.monotonic() - began
    if outcome.faults:
        outcome.wrong.append(f"see {folder}")
    return outcome


async def _live(
    made: Town, stream: Stream, chance: random.Random, seams: Sequence[str], each: int, deaths: int, outcome: Outcome
) -> None:
    births = [seam for seam in seams if seam.startswith("ghost.")]
    lives = [seam for seam in seams if seam not in births] + ["random"] * deaths
    chance.shuffle(lives)
    daemon = made.daemon
    joining = asyncio.create_task(made.join())
    for seam in births:
        await daemon.start(env={"BRIDGED_CRASH": f"{seam}:{chance.randint(1, 3)}"})
        await _dies(made, seam, outcome)
    await daemon.start()
    await joining
    await made.settled()
    await daemon.kill()
    acting = asyncio.create_task(made.act())
    try:
        for number, seam in enumerate(lives, 1):
            await _life(made, seam, number * each, chance, outcome)
            await asyncio.sleep(chance.choice((0, 0, 0.2)))
        await daemon.start()
        await made.open(each * (len(lives) + 1), last=True)
        await acting
    finally:
        acting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await acting
    outcome.acts = made.done
    await made.settled()
    await stream.until_all()
    outcome.wrong += made.wrong
    await look(made, stream, outcome)
    if (code := await daemon.stop()) != 0:
        outcome.wrong.append(f"it ended with {code} when told to stop")


async def _life(made: Town, seam: str, gate: int, chance: random.Random, outcome: Outcome) -> None:
    """From start to death."""
    daemon = made.daemon
    if seam == "random":
        await daemon.start(wait=chance.random() < 0.75)
        await made.open(gate)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await made.reached(gate - chance.randint(0, 3))
        await asyncio.sleep(chance.random() / 2)
        await daemon.kill()
        outcome.deaths.append(seam)
        return
    made.wanted = "picture" if seam.startswith("blob.") else ""
    await made.open(gate)
    await daemon.start(env={"BRIDGED_CRASH": f"{seam}:{1 if made.wanted else chance.randint(1, 6)}"})
    await _dies(made, seam, outcome)
    made.wanted = ""


async def _dies(made: Town, seam: str, outcome: Outcome) -> None:
    """At the seam; if it comes to that only after more was done, more is done."""
    daemon, end = made.daemon, time.monotonic() + FIRE
    while (code := await daemon.died(0.5)) is None and time.monotonic() < end:
        if made.begun:
            await made.open(made.begun + 1)
    if code == -signal.SIGKILL:
        outcome.deaths.append(seam)
        return
    outcome.wrong.append(f"it ended with {code} at {seam}: {daemon.tail()}")
    if code is None:
        await daemon.kill()


async def look(made: Town, stream: Stream, outcome: Outcome) -> None:
    """The verdict, once all is done: on the stream as it was read over all lives, which must be what is kept."""
    daemon = made.daemon
    again = await from_the_start(daemon)
    if again != stream.events:
        first = next((a.seq for a, b in zip(again, stream.events, strict=False) if a != b), "none")
        outcome.wrong.append(f"what was shown is not what is kept: {len(again)} events, {first} is another")
    outcome.events, outcome.connections = len(again), stream.connections
    repos = json.loads((await daemon.get("/xrpc/com.atproto.sync.listRepos?limit=1000"))[2])["repos"]
    outcome.repos = len(repos)
    keys = {repo["did"]: await served.key_of(daemon, repo["did"]) for repo in repos}
    outcome.verdict, reader = judge(made, again, keys)
    for repo in repos:
        did = repo["did"]
        outcome.wrong += await served.repo(daemon, repo, reader.heads[did], reader.repos[did])
    outcome.wrong += [wrong for did, cid in outcome.verdict.pictures for wrong in await served.blob(daemon, did, cid)]
