"""Events in: from relays that are listened to, and from clients of the embedded relay; each until it is on disk."""

import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench import signed
from tests.bench.child import ROOT, Child
from tests.bench.daemon import Daemon, free_port
from tests.bench.frame import Figure, Run, at_least, reaching

RELAYS = 4
CLIENTS = 100
SLOPPY = Path(os.environ.get("BRIDGED_PEERS", ROOT / ".cache" / "interop")) / "bin" / "nostr-relay"


def bench(run: Run) -> Iterator[Figure]:
    count = run.size(16_000, 200)
    yield from _listening(run, count)
    yield from _embedded(run, min(count, CLIENTS * 90))


def _settled(daemon: Daemon) -> None:
    """Everybody of the bench is bridged: what they say is wanted."""
    daemon.stop()
    with sqlite3.connect(daemon.folder / "var" / "bridged.sqlite3") as db:
        rows = [("nostr", key, "in", "operator", time.time()) for key in signed.authors()]
        db.executemany("INSERT INTO members (network, id, state, by, at) VALUES (?,?,?,?,?)", rows)
    db.close()
    daemon.start(*ROLES)


ROLES: tuple[str, ...] = ()


def _stored(daemon: Daemon, signers: list[str]) -> int:
    marks = ",".join("?" * len(signers))
    with sqlite3.connect(daemon.folder / "var" / "bridged.sqlite3") as db:
        found = db.execute(f"SELECT count(*) FROM inbox WHERE channel != '' AND signer IN ({marks})", signers)
        number: int = found.fetchone()[0]
    db.close()
    return number


def _listening(run: Run, count: int) -> Iterator[Figure]:
    peer = run.enter(Child.module("tests.bench.peer_relay", port=0))
    port = peer.ready["port"]
    nostr = {"relays": [f"ws://127.0.0.1:{port}/{n}" for n in range(RELAYS)], "relay": {"enabled": False}}
    daemon = run.enter(
        Daemon(
            run.folder / "listening",
            egress={"allow": ["127.0.0.0/8"], "ports": [port]},
            adapters={"activitypub": {}, "nostr": nostr},
        )
    )
    _settled(daemon)
    peer.ask(count=RELAYS)
    time.sleep(0.5 if run.quick else 3)
    rounds = 0
    files = [signed.notes(count, n) for n in range(1)]

    def ceiling() -> float:
        return signed.checks_a_second(files[0])

    events = files[0]
    path = signed.write(run.folder / "notes", events)
    keys = signed.authors()
    before = _stored(daemon, keys)
    top = ceiling()
    began = time.perf_counter()
    peer.tell(count=RELAYS, file=str(path))
    while (got := _stored(daemon, keys)) < before + count:
        if time.perf_counter() - began > 120:
            raise RuntimeError(f"{got - before} of {count} events came in\n{daemon.log()}")
        time.sleep(0.01)
    speed = count / (time.perf_counter() - began)
    peer.hear()
    top = max(top, ceiling())
    yield Figure("events from relays, durable in the inbox", speed, "/s", top, "bare Schnorr checks", at_least(0.5))
    daemon.stop()
    daemon.start()


def _embedded(run: Run, count: int) -> Iterator[Figure]:
    load = run.enter(Child.module("tests.bench.load_relay"))
    events = signed.notes(count, 1)
    path = signed.write(run.folder / "published", events)
    daemon = run.enter(Daemon(run.folder / "embedded"))
    _settled(daemon)
    top = signed.checks_a_second(events)
    said = load.ask(url=f"ws://127.0.0.1:{daemon.port}/relay", file=str(path), clients=CLIENTS)
    if said["accepted"] != count:
        raise RuntimeError(f"{said}\n{daemon.log()}")
    speed = count / said["seconds"]
    yield Figure("events published to our relay, durable OK", speed, "/s", top, "bare Schnorr checks", at_least(0.3))
    daemon.stop()
    if SLOPPY.exists():
        port = free_port()
        state = run.folder / "sloppy"
        other = subprocess.Popen(
            ["bash", str(ROOT / "tests/interop/kit/sloppy_relay.sh")],
            env=os.environ | {"PORT": str(port), "NOSTR_RELAY": str(SLOPPY), "STATE": str(state)},
            stdout=subprocess.DEVNULL,
            stderr=(run.folder / "sloppy.log").open("wb"),
        )
        try:
            time.sleep(5)
            theirs = load.ask(url=f"ws://127.0.0.1:{port}", file=str(path), clients=CLIENTS)
        finally:
            other.terminate()
            other.wait()
        if theirs["accepted"] < count * 0.95:
            raise RuntimeError(f"nostr-relay: {theirs}")
        theirs_speed = theirs["accepted"] / theirs["seconds"]
        yield Figure("the same beside nostr-relay", speed, "/s", theirs_speed, "PyPI nostr-relay", at_least(10))
