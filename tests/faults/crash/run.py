"""One run: one daemon lives and dies a few times while people write both ways; then it is left in peace, and judged.

What a run does follows from its seed and the seams it is given; when exactly things meet is the machine's affair.
"""

import asyncio
import contextlib
import json
import random
import re
import signal
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bridged.seams import SEAMS

from ..kit import eventually
from ..kit.daemon import Daemon
from ..kit.fediverse import Actor, Answer, Got, Peer
from ..kit.nostr import Frame, Relay
from ..kit.nursery import Nursery
from ..power import Disk, intact
from .cast import Cast
from .history import FEDIVERSE, written
from .model import Verdict, judge

BIRTH = ("secret.written", "secret.placed", "store.migrating", "store.migrated", "key.made", "key.kept")
"""Passed when a bridge is started for the first time."""
ELSEWHERE = ("blob.placed", "blob.kept")
"""Passed where a network has to own its files, as none of this town has: `test_crash_repos.py` dies there."""
LATER = tuple(name for name in SEAMS if name not in BIRTH + ELSEWHERE)
EVERY_ACT = frozenset(
    {"inbox.storing", "inbox.received", "bridge.prepared", "bridge.deciding", "bridge.committed", "outbox.claimed"}
    | {"outbox.applying", "outbox.applied", "outbox.delivered", "outbox.marked"}
)
SELDOM = {"cursor.alone": 180.0}
"""Seams that are passed after a minute in which no connection was lost."""
SOON = 90.0
"""Seconds in which any other is passed."""
OFTEN = 4
"""A seam that every act passes is died at by this passing at the latest."""
ACTS = 7
"""Acts for each life."""
DRAIN = 180.0
_LAPSE = re.compile(r'^\{.*"event": "(lease_lost|taken_for_dead)"')
_UNHEARD = ("timeout", "the relay did not answer", "the connection was lost")
DAYS = 8 * 86400


@dataclass
class Outcome:
    seed: int
    store: str
    verdict: Verdict = field(default_factory=Verdict)
    acts: int = 0
    deaths: list[str] = field(default_factory=list[str])
    """The seam, or "random", that each life ended by."""
    unsynced: int = 0
    """Bytes that were written and not synced as the power was cut."""
    unfired: list[str] = field(default_factory=list[str])
    """Seams whose passing did not come."""
    wrong: list[str] = field(default_factory=list[str])
    """What else was not as it should be."""
    seconds: float = 0.0

    @property
    def faults(self) -> list[str]:
        return [*self.verdict.faults, *self.wrong]


async def run(
    seed: int,
    folder: Path,
    store: str,
    seams: Sequence[str],
    nursery: Nursery | None = None,
    *,
    deaths: int = 1,
    power_cuts: bool = False,
) -> Outcome:
    """A history of lives that end at each of `seams`, and `deaths` that end at a random moment, in a random order.

    With `power_cuts` the disk loses at each death what was not synced; the nursery is to have the shim preloaded.
    """
    began, outcome = time.monotonic(), Outcome(seed, "sqlite" if store == "sqlite" else "postgresql")
    try:
        disk = Disk(folder / "var", folder / "disk") if power_cuts else None
        await _run(random.Random(seed), folder, store, seams, nursery, deaths, disk, outcome)
    except Exception as e:
        causes = e.exceptions if isinstance(e, ExceptionGroup) else [e]
        outcome.wrong += [f"{type(cause).__name__}: {cause}" for cause in causes]
    outcome.seconds = time.monotonic() - began
    if outcome.faults:
        outcome.wrong.append(f"see {folder}")
    return outcome


async def _run(
    chance: random.Random,
    folder: Path,
    store: str,
    seams: Sequence[str],
    nursery: Nursery | None,
    deaths: int,
    disk: Disk | None,
    outcome: Outcome,
) -> None:
    lives = [s for s in seams if s in LATER] + ["random"] * deaths
    chance.shuffle(lives)
    history = written(chance.getrandbits(32), ACTS * (len(lives) + 1))
    outcome.acts = len(history)
    async with contextlib.AsyncExitStack() as stack:
        homes = {who: await stack.enter_async_context(Peer(f"127.0.0.{n}")) for n, who in enumerate(FEDIVERSE, 2)}
        relay = await stack.enter_async_context(Relay())
        config = {"adapters": {"nostr": {"relays": [relay.url]}}}
        daemon = Daemon(folder, store, config, disk.env if disk else None, nursery=nursery)
        cast = Cast(daemon, relay, homes, history)
        stage = _Stage(chance, daemon, cast, outcome, disk)
        stack.push_async_callback(cast.close)
        if disk is not None:
            disk.begin()
        for seam in (s for s in seams if s in BIRTH):
            await stage.life(seam, 0)
        await daemon.start()
        await cast.introduce()
        await stage.settled()
        await stage.die("random")
        stage.mishaps()
        async with _beside(cast.act()) as acting:
            for n, seam in enumerate(lives):
                await stage.life(seam, ACTS * (n + 1))
                await asyncio.sleep(chance.choice((0, 0, 0.2)))
            await daemon.start()
            await cast.open(len(history))
            await acting
        await stage.drained()
        cast.world.in_vain = await stage.in_vain()
        outcome.verdict = judge(cast.world)
        outcome.wrong += cast.wrong
        if (code := await daemon.stop()) != 0:
            outcome.wrong.append(f"it ended with {code} when told to stop")


@contextlib.asynccontextmanager
async def _beside(job: object) -> AsyncGenerator[asyncio.Task[None]]:
    task: asyncio.Task[None] = asyncio.create_task(job)  # type: ignore[arg-type]
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class _Stage:
    def __init__(self, chance: random.Random, daemon: Daemon, cast: Cast, outcome: Outcome, disk: Disk | None) -> None:
        self.chance, self.daemon, self.cast, self.outcome, self.disk = chance, daemon, cast, outcome, disk
        self._newcomers: list[Actor] = []
        self._silent: dict[str, int] = {}
        """path of a document -> how often it is not to be had; below 0 until somebody has read the key in it."""
        self._seam = ""

    async def life(self, seam: str, gate: int) -> None:
        """From start to death; acts up to `gate` are done meanwhile, more if the seam is waited for."""
        await self._before(seam)
        self._seam = seam
        if seam == "random":
            # one in four while it starts
            await self.daemon.start(wait=self.chance.random() < 0.75)
            await self.cast.open(gate)
            await asyncio.sleep(self.chance.choice((0.1, 1.0, 2.0)) * self.chance.random())
            await self.die("random")
            return
        count = self.chance.randint(1, OFTEN) if seam in EVERY_ACT else 1
        await self.cast.open(gate)
        await self.daemon.start(env={"BRIDGED_CRASH": f"{seam}:{count}"})
        trouble = asyncio.create_task(self._during(seam))
        end = time.monotonic() + SELDOM.get(seam, SOON)
        while (code := await self.daemon.died(0.5)) is None and time.monotonic() < end:
            if seam in EVERY_ACT:
                gate += 1
                await self.cast.open(gate)
        trouble.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await trouble
        if code is None:
            self.outcome.unfired.append(seam)
            await self.die("random")
            return
        if code != -signal.SIGKILL:
            self.outcome.wrong.append(f"it ended with {code} at {seam}: {self.daemon.tail()}")
        self._dead(seam)

    async def die(self, how: str) -> None:
        await self.daemon.kill()
        self._dead(how)

    def _dead(self, how: str) -> None:
        self._seam = ""
        self.outcome.deaths.append(how)
        self.cast.world.deaths.append(time.time())
        if self.disk is not None:
            self.outcome.unsynced += self.disk.cut(self.chance, self.chance.choice((0.0, 0.5, 0.9)))
            database = self.daemon.data / "bridged.sqlite3"
            if database.exists() and (state := intact(database)) != "ok":
                self.outcome.wrong.append(f"the database after {how}: {state}")
            self.disk.begin()

    async def _before(self, seam: str) -> None:
        """Sees to it that the seam can be passed."""
        match seam:
            case "bridge.dead":
                # somebody whose server went silent, a week ago
                await self.daemon.start()
                await self.cast.send(*self._silent_stranger(999))
                await eventually(lambda: self._waits())
                await self.die("random")
                await self.daemon.rows(
                    f"UPDATE inbox SET received_at = received_at - {DAYS}, due_at = 0"
                    " WHERE state = 'new' AND attempt > 0 RETURNING id"
                )
            case _:
                pass

    async def _during(self, seam: str) -> None:
        """Gives it occasion to pass the seam, if people do not."""
        if seam == "bridge.postponed":
            self.cast.later(self.cast.send(*self._silent_stranger(1)))
        elif seam == "outbox.passed":
            await self.cast.comes_and_goes(self._newcomer())
        elif seam in ("outbox.dead", "outbox.postponed"):
            while True:
                await self.cast.aside()
                await asyncio.sleep(3)
        elif seam in EVERY_ACT or seam in ("cursor.moved", "bridge.worked", "ghost.minting", "ghost.minted"):
            await asyncio.sleep(0 if seam in ("bridge.worked", "ghost.minting", "ghost.minted") else 5)
            while True:
                actor = self._newcomer()
                self.cast.later(self.cast.send(actor, actor.follow(self.cast.world.ghosts["bridge"])))
                await asyncio.sleep(2)

    def _newcomer(self) -> Actor:
        self._newcomers.append(self.cast.world.homes["bob"].actor(f"newcomer{len(self._newcomers)}"))
        return self._newcomers[-1]

    def _silent_stranger(self, times: int) -> tuple[Actor, dict[str, object]]:
        """Somebody new who follows nora; their server tells their key, then fails `times` times."""
        actor = self.cast.world.homes["bob"].actor(f"stranger{len(self._silent)}")
        self._silent[f"/users/{actor.name}"] = -times
        return actor, actor.follow(self.cast.world.ghosts["nora"])

    async def _waits(self) -> bool:
        return bool(await self.daemon.rows("SELECT id FROM inbox WHERE state = 'new' AND attempt > 0"))

    def mishaps(self) -> None:
        """From now on one request in thirty is refused or its answer lost, one event in thirty not answered."""
        for home in set(self.cast.world.homes.values()):
            home.script = self._mishap
        self.cast.relay.script = self._lost_answer

    def _mishap(self, got: Got) -> Answer | None:
        if got.method == "GET":
            failures = self._silent.get(got.path)
            if failures is None:
                return None
            # the first look is for the key
            self._silent[got.path] = abs(failures) - (0 if failures < 0 else 1)
            return Answer(503) if failures > 0 else None
        if got.json.get("type") == "Create":
            if got.path.startswith("/users/carol/"):
                return Answer(400)
            if self._seam == "outbox.postponed" and "aside" in got.text:
                return Answer(503)
        return self.chance.choice((Answer(503), Answer(how="drop"))) if self.chance.random() < 1 / 30 else None

    def _lost_answer(self, frame: Frame) -> str | None:
        if self._seam in SELDOM:
            return None
        if self._seam == "outbox.passed" and "aside" in frame.text:
            return "drop"
        return "taken" if frame.json[0] == "EVENT" and self.chance.random() < 1 / 30 else None

    async def settled(self) -> None:
        """Nothing is on its way inside."""
        await eventually(self._idle, timeout=DRAIN, every=0.2)

    async def _idle(self) -> bool:
        now = time.time()
        waiting = await self.daemon.rows(
            f"SELECT id FROM inbox WHERE state = 'new' AND due_at < {now + 60} UNION ALL"
            " SELECT id FROM outbox WHERE state = 'ready'"
        )
        return not waiting

    async def in_vain(self) -> list[tuple[float, str]]:
        """As `World` has it."""
        lapses = [json.loads(line)["at"] for line in self.daemon.log.splitlines() if _LAPSE.search(line)]
        tries = await self.daemon.ledger("step = 'retry'")
        return [
            *((datetime.fromisoformat(at).timestamp(), "") for at in lapses),
            *((row["at"], row["endpoint"]) for row in tries if row["reason"].startswith(_UNHEARD)),
        ]

    async def drained(self) -> None:
        """Until all that was to arrive has, or DRAIN is over."""

        async def quiet() -> bool:
            if self.cast.busy or not await self._idle():
                return False
            self.cast.world.own = await self.cast.own()
            return not judge(self.cast.world).lost

        with contextlib.suppress(AssertionError):
            await eventually(quiet, timeout=DRAIN, every=0.5)
        for actor in self._newcomers:
            if len(self.cast.accepted(actor)) != 1:
                self.outcome.wrong.append(f"{actor.name} was accepted under {self.cast.accepted(actor)}")
