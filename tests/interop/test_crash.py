"""SIGKILL of the real process between any two stations while posts cross both ways: none lost, none doubled.

The daemon lives through a row of short lives. In some it kills itself with SIGKILL at a named seam
(BRIDGED_CRASH="seam:count", the count-th passing), in others we kill it at a random moment; posts are written
while it lives and while it is down. The last life goes undisturbed. BRIDGED_SEED repeats a run.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from .bridge import Bridge
from .conftest import following
from .peers import Fedify, Nostr, NostrUser, Peer, Pubby, Relay
from .world import World, eventually

SEAMS = [
    "inbox.received",
    "bridge.prepared",
    "bridge.committed",
    "outbox.claimed",
    "outbox.delivered",
    "outbox.marked",
]
POSTGRES = os.environ.get("BRIDGED_POSTGRES", "postgres@127.0.0.1:5432")


@dataclass
class Run:
    """A finished run: what was written, what is where, and how each life ended."""

    relay: Relay
    fay: Fedify
    pat: Pubby
    alice_ap: str
    ghost: str
    events: list[dict[str, Any]] = field(default_factory=list)  # alice's, as published
    notes: list[str] = field(default_factory=list)  # fay's ids, as published
    deaths: list[tuple[str, int | None]] = field(default_factory=list)  # (seam or "random", exit code)

    def text(self, n: int, side: str) -> str:
        return f"crossing {side} number {n:03d}"


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A database of its own on the machine's PostgreSQL."""
    try:
        import asyncpg
    except ImportError:
        if os.environ.get("CI"):
            pytest.fail("asyncpg is not installed")
        pytest.skip("not run: asyncpg is not installed")
    name = f"bridged_interop_{os.getpid()}"

    async def say(statement: str) -> None:
        connection = await asyncpg.connect(f"postgresql://{POSTGRES}/postgres")
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    try:
        asyncio.run(say(f"CREATE DATABASE {name}"))
    except OSError as e:
        if os.environ.get("CI"):
            pytest.fail(f"no PostgreSQL at {POSTGRES}: {e}")
        pytest.skip(f"not run: no PostgreSQL at {POSTGRES}")
    try:
        yield f"postgresql+asyncpg://{POSTGRES}/{name}"
    finally:
        asyncio.run(say(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def run(request: pytest.FixtureRequest, world: World, nostr: Nostr) -> Iterator[Run]:
    if request.param == "sqlite":
        bridge_name, tag, store, posts = "crash.test", "crash", "sqlite", 100
    else:
        bridge_name, tag, store, posts = "crash-pg.test", "pg", request.getfixturevalue("database"), 48
    relay = Relay(world, f"relay-{tag}")
    bridge = Bridge(world, bridge_name, relay, store)
    fay, pat = Fedify(world, f"fedify.{tag}.test", patient=True), Pubby(world, f"pubby.{tag}.test")
    alice = NostrUser(nostr, f"interop-{tag}", relay.url)
    alice.profile(name="alice")
    bridge.start()
    alice_ap = bridge.actor_of(alice.npub)
    for peer in (fay, pat):
        following(peer, alice_ap)
    following(fay, bridge.bot)
    eventually(lambda: bridge.bot in fay.followers())
    fay.post("before the storm")
    ghost = relay.wait_post("before the storm")["pubkey"]
    run = Run(relay, fay, pat, alice_ap, ghost)
    _live_and_die(bridge, run, alice, posts)
    yield run
    assert bridge.stop() == 0


def _live_and_die(bridge: Bridge, run: Run, alice: NostrUser, posts: int) -> None:
    seed = int(os.environ.get("BRIDGED_SEED") or random.randrange(1 << 32))
    chance = random.Random(seed)
    print(f"BRIDGED_SEED={seed}")
    lives = [*SEAMS, *["random"] * (len(SEAMS) // 2)]
    chance.shuffle(lives)
    quota = posts // (len(lives) + 1)

    def write(n: int) -> None:
        for _ in range(n):
            number = len(run.notes)
            run.events.append(alice.note(run.text(number, "east")))
            run.notes.append(run.fay.post(run.text(number, "west")))
            time.sleep(0.03)

    write(1)
    bridge.kill()
    for life in lives:
        write(1)  # while it is down
        bridge.start("" if life == "random" else f"{life}:{chance.randint(1, 4)}")
        if life == "random":
            write(quota - 2)
            time.sleep(chance.uniform(0, 0.8))
            bridge.kill()
            run.deaths.append((life, -signal.SIGKILL))
        else:
            write(quota - 1)
            code = bridge.died(timeout=15)
            if code is None:
                bridge.kill()
            run.deaths.append((life, code))
        write(1 if life == "random" else 0)
    bridge.start()
    write(posts - len(run.notes))
    last = posts - 1
    for peer in (run.fay, run.pat):
        eventually(lambda peer=peer: _missing(peer, run) == [], timeout=90, every=0.5)
        peer.wait_note(run.text(last, "east"))
    eventually(lambda: _missing_events(run) == [], timeout=60, every=0.5)


def _missing(peer: Peer, run: Run) -> list[str]:
    here = " ".join(str(a["object"]) for a in peer.received("Create"))
    missing = [t for n in range(len(run.events)) if (t := run.text(n, "east")) not in here]
    assert missing == [], f"{len(missing)} posts not at {peer.host}: {missing[:5]}"
    return missing


def _missing_events(run: Run) -> list[str]:
    here = " ".join(e["content"] for e in run.relay.admitted())
    missing = [t for n in range(len(run.notes)) if (t := run.text(n, "west")) not in here]
    assert missing == [], f"{len(missing)} posts not on the relay: {missing[:5]}"
    return missing


def test_every_fault_fired(run: Run) -> None:
    """Each seam was passed and the process died there, by SIGKILL and nothing else."""
    assert [(seam, code) for seam, code in run.deaths if code != -signal.SIGKILL] == []
    assert {seam for seam, _ in run.deaths} == {*SEAMS, "random"}


@pytest.mark.parametrize("who", ["fay", "pat"])
def test_nostr_posts_arrived_exactly_once(run: Run, who: str) -> None:
    """One note and one activity for each event; a request that was sent again is the same to the byte."""
    peer: Peer = getattr(run, who)
    ids: dict[str, set[tuple[str, str]]] = defaultdict(set)
    bodies: dict[str, set[str]] = defaultdict(set)
    for x in peer.deliveries():
        if x.json["type"] == "Create" and "crossing east" in x.json["object"]["content"]:
            text = next(t for n in range(len(run.events)) if (t := run.text(n, "east")) in x.json["object"]["content"])
            ids[text].add((x.json["id"], x.json["object"]["id"]))
            bodies[x.json["id"]].add(x.text)
    assert len(ids) == len(run.events)
    assert {t: sorted(i) for t, i in ids.items() if len(i) != 1} == {}
    assert [i for i, b in bodies.items() if len(b) != 1] == []
    kept = Counter(a["id"] for a in peer.notes("crossing east"))
    assert kept.keys() == bodies.keys()
    if who == "fay":  # Fedify drops what it had before; pubby logs a request sent again twice
        assert max(kept.values()) == 1


@pytest.mark.parametrize("who", ["fay", "pat"])
def test_nostr_posts_arrived_in_order(run: Run, who: str) -> None:
    """By created_at; events of the same second have no order of their own."""
    peer: Peer = getattr(run, who)
    seen: dict[str, float] = {}
    for x in peer.deliveries():
        if x.status < 300 and x.json["type"] == "Create" and "crossing east" in x.json["object"]["content"]:
            note = x.json["object"]
            seen.setdefault(note["id"], datetime.fromisoformat(note["published"].replace("Z", "+00:00")).timestamp())
    times = list(seen.values())
    assert len(times) == len(run.events)
    assert times == sorted(times)


def test_fediverse_posts_are_on_the_relay_exactly_once(run: Run, nostr: Nostr) -> None:
    """One event for each note, from her one ghost, whatever was handed over twice."""
    ids: dict[str, set[str]] = defaultdict(set)
    for e in run.relay.admitted():
        if "crossing west" in e["content"] and e["kind"] == 1:
            assert e["pubkey"] == run.ghost
            ids[next(t[1] for t in e["tags"] if t[0] == "proxy")].add(e["id"])
    assert ids.keys() == set(run.notes)
    assert {n: sorted(i) for n, i in ids.items() if len(i) != 1} == {}
    stored = [e for e in nostr.fetch(run.relay.url, kinds=[1], authors=[run.ghost]) if "crossing west" in e["content"]]
    assert {e["id"] for e in stored} == set().union(*ids.values())
