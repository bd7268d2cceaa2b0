"""Events in: from relays that are listened to, and from clients of our own relay; each until it is on disk."""

import contextlib
import os
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from adapters.nostr.event import Event
from tests.bench import signed
from tests.bench.child import ROOT, Child
from tests.bench.daemon import Daemon, eventually, free_port
from tests.bench.frame import Figure, Run, at_least

RELAYS = 4
CLIENTS = 50
"""A client may send a hundred events at once, then twenty a second."""
SLOPPY = Path(os.environ.get("BRIDGED_PEERS", ROOT / ".cache" / "interop")) / "sloppy" / "bin" / "nostr-relay"
PATIENCE = 120.0


def bench(run: Run) -> Iterator[Figure]:
    yield from _listening(run, run.size(8_000, 200))
    yield from _embedded(run, run.size(CLIENTS * 90, 200))


def _listening(run: Run, count: int) -> Iterator[Figure]:
    """Several relays, because from each no more than 500 events a second are taken for long."""
    peer = run.enter(Child.module("tests.bench.peer_relay"))
    nostr = {"relays": [f"ws://127.0.0.1:{peer.ready['port']}/{n}" for n in range(RELAYS)], "relay": {"enabled": False}}
    daemon = Daemon(
        run.folder / "listening",
        egress={"allow": ["127.0.0.0/8"], "ports": [peer.ready["port"]]},
        adapters={"activitypub": {}, "nostr": nostr},
    )
    with _with_members(daemon):
        time.sleep(0.5 if run.quick else 3)
        peer.ask(count=RELAYS)
        events = signed.notes(count)
        path = signed.write(run.folder / "notes", events)
        before, top, spent = _stored(daemon), signed.checks_a_second(events), daemon.cpu()
        peer.tell(count=RELAYS, file=str(path))
        speed = _speed(daemon, before, count)
        note = _cost(daemon.cpu() - spent, count)
        peer.hear()
    yield Figure(
        "events from relays, durable in the inbox", speed, "/s", top, "bare Schnorr checks", at_least(0.5), note
    )


def _cost(seconds: float, count: int) -> str:
    return f"{seconds / count * 1e6:.0f} µs of processor time each"


def _speed(daemon: Daemon, before: int, count: int) -> float:
    """Rows a second, until so many more are in the inbox."""
    began = time.perf_counter()
    while (came := _stored(daemon) - before) < count:
        if time.perf_counter() - began > PATIENCE:
            raise RuntimeError(f"{came} of {count} events came in\n{daemon.log()}")
        time.sleep(0.01)
    return count / (time.perf_counter() - began)


def _embedded(run: Run, count: int) -> Iterator[Figure]:
    load = run.enter(Child.module("tests.bench.load_relay"))
    events = signed.notes(count, 100)
    path = signed.write(run.folder / "published", events)
    with _with_members(Daemon(run.folder / "embedded")) as daemon:
        top, spent = signed.checks_a_second(events), daemon.cpu()
        speed = _published(load, f"ws://127.0.0.1:{daemon.port}/relay", path, events)
        note = _cost(daemon.cpu() - spent, count)
    yield Figure(
        "events published to our relay, durable OK", speed, "/s", top, "bare Schnorr checks", at_least(0.3), note
    )
    if SLOPPY.exists():
        with _sloppy(run.folder / "sloppy") as url:
            theirs = _published(load, url, path, events)
        yield Figure("the same beside another relay", speed, "/s", theirs, "PyPI nostr-relay", at_least(10))


def _published(load: Child, url: str, path: Path, events: list[Event]) -> float:
    said = load.ask(url=url, file=str(path), clients=CLIENTS)
    if said["accepted"] != len(events):
        raise RuntimeError(f"{url} accepted {said['accepted']} of {len(events)} events: {said['why']}")
    return len(events) / said["seconds"]


@contextlib.contextmanager
def _with_members(daemon: Daemon) -> Iterator[Daemon]:
    """All authors are bridged: what they say is wanted."""
    with daemon:
        daemon.stop()
        with contextlib.closing(_database(daemon)) as database, database:
            rows = [("nostr", key, "in", "operator", time.time()) for key in signed.authors()]
            database.executemany("INSERT INTO members (network, id, state, by, at) VALUES (?,?,?,?,?)", rows)
        daemon.start()
        yield daemon


def _stored(daemon: Daemon) -> int:
    """Envelopes of the authors."""
    keys = signed.authors()
    with contextlib.closing(_database(daemon)) as database:
        marks = ",".join("?" * len(keys))
        query = f"SELECT count(*) FROM inbox WHERE network = 'nostr' AND signer IN ({marks})"
        return database.execute(query, keys).fetchone()[0]


def _database(daemon: Daemon) -> sqlite3.Connection:
    return sqlite3.connect(daemon.folder / "var" / "bridged.sqlite3", timeout=30)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _sloppy(folder: Path) -> Iterator[str]:
    """PyPI nostr-relay, until the end of the block."""
    port = free_port()
    env = os.environ | {"PORT": str(port), "NOSTR_RELAY": str(SLOPPY), "STATE": str(folder)}
    script = ["bash", str(ROOT / "tests" / "interop" / "kit" / "sloppy_relay.sh")]
    process = subprocess.Popen(script, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: _listens(port))
        yield f"ws://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
