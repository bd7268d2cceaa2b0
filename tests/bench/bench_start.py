"""From the start of the program until it is ready, and what it holds in memory when nothing happens."""

import contextlib
import hashlib
import sqlite3
import time
from collections.abc import Iterator

from tests.bench.daemon import Daemon
from tests.bench.frame import Figure, Run, within

SECONDS = 2.0
MEGABYTES = 120.0
_NETWORKS: dict[str, object] = {"activitypub": {}, "nostr": {"relays": []}, "atproto": {"plc": "embedded"}}
"""All there are."""


def bench(run: Run) -> Iterator[Figure]:
    with Daemon(run.folder / "start", adapters=_NETWORKS, consent=dict.fromkeys(_NETWORKS, "open")) as daemon:
        time.sleep(1 if run.quick else 10)
        yield Figure("memory when idle, first start", daemon.memory(), "MB", bar=within(MEGABYTES))
        yield _start(run, daemon, "start to ready")
        time.sleep(1 if run.quick else 10)
        yield Figure("memory when idle, later starts", daemon.memory(), "MB", bar=within(MEGABYTES))
        rows = run.size(100_000, 1_000)
        daemon.stop()
        _fill(daemon, rows)
        daemon.start()
        yield _start(run, daemon, f"start to ready, {rows:,} envelopes and as many deliveries waiting")
        time.sleep(1 if run.quick else 20)
        yield Figure("memory with those in work", daemon.memory(), "MB")


def _start(run: Run, daemon: Daemon, what: str) -> Figure:
    """The median of some starts; on a machine that does other things, the processor time says more."""
    took: list[tuple[float, float]] = []
    for _ in range(run.rounds):
        daemon.stop()
        took.append((daemon.start(), daemon.cpu()))
    seconds, busy = sorted(took)[len(took) // 2]
    return Figure(what, seconds, "s", bar=within(SECONDS), note=f"{busy:.1f} s of processor time")


def _fill(daemon: Daemon, rows: int) -> None:
    """Things that wait: nothing in the inbox is wanted by anybody, nobody is to be reached just now."""
    now = time.time()
    keys = [hashlib.sha256(f"waiting {number}".encode()).hexdigest() for number in range(rows)]
    with (
        contextlib.closing(sqlite3.connect(daemon.folder / "var" / "bridged.sqlite3", timeout=30)) as database,
        database,
    ):
        database.executemany(
            "INSERT INTO inbox (network, native_id, signer, channel, body, received_at, state, attempt, due_at)"
            " VALUES ('nostr', ?, ?, 'wss://relay.example', ?, ?, 'new', 0, 0)",
            [(key, keys[number % 100], b"{}" + b" " * 600, now) for number, key in enumerate(keys)],
        )
        lane = database.execute(
            "INSERT INTO lanes (network, endpoint, host, actor_network, actor_id, due_at)"
            " VALUES ('activitypub', 'https://127.0.0.1/inbox', '127.0.0.1', 'nostr', ?, ?)",
            (keys[0], now + 3600),
        ).lastrowid
        database.executemany(
            "INSERT INTO outbox (lane, copy, act, body, waits, after_until, state, attempt, queued_at, reason)"
            " VALUES (?, ?, 'Post', ?, '', 0, 'ready', 0, ?, '')",
            [(lane, number, b" " * 600, now) for number in range(rows)],
        )
