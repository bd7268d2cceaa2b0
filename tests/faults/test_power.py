"""What was acknowledged outlives a power cut: SQLite on a disk that forgets what was not synced (power.py).

The longer series is `python -m tests.faults.series --power-loss --runs 50`.
"""

import asyncio
import json
import os
import random
import re
import shutil
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from .kit import eventually
from .kit.daemon import Daemon
from .kit.fediverse import Actor, Peer
from .kit.nostr import Client, Event, Relay, client, npub, said
from .power import Deaf, Disk, intact, shim
from .series import series, summary

RUNS = 5


def test_power_cuts_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("BRIDGED_SEED") or random.randrange(1 << 31))
    print(f"BRIDGED_SEED={seed}")
    outcomes = asyncio.run(series(range(RUNS), "sqlite", seed, tmp_path, jobs=3, power_cuts=True))
    print(summary(outcomes))
    assert len(outcomes) == RUNS
    assert {outcome.seed: outcome.faults for outcome in outcomes if outcome.faults} == {}


@dataclass
class Thanked:
    """What was taken with 202 or OK true before the cut: ids as the inbox has them."""

    activities: list[str]
    events: list[str]

    async def by(self, daemon: Daemon, alice: Actor, count: int) -> None:
        async with client(daemon.relay_url) as c:
            for _ in range(count):
                event = said("nick", 1, f"number {len(self.events)}", at=int(time.time()) + len(self.events))
                # right after a follow the relay may not have heard of it yet
                await eventually(lambda e=event: _taken(c, e))
                self.events.append(event.id)
                activity = alice.create(f"number {len(self.activities)}")
                assert await alice.send(activity, f"{daemon.base}/inbox") == 202
                self.activities.append(activity["id"])

    def missing(self, database: Path) -> list[str]:
        """Those that are not in the inbox; all of them when there is no database that can be read."""
        all = [*self.activities, *self.events]
        if not database.exists() or intact(database) != "ok":
            return all
        with sqlite3.connect(database) as db:
            try:
                known = {row[0] for row in db.execute("SELECT native_id FROM inbox")}
            except sqlite3.DatabaseError:
                return all
        return [each for each in all if not any(each == k or each in k for k in known)]


async def _taken(c: Client, event: Event) -> bool:
    return await c.publish(event) == (True, "")


async def _daemon(folder: Path, relay: Relay, env: dict[str, str]) -> Daemon:
    await relay.publish(said("nick", 0, json.dumps({"name": "nick"})))
    return Daemon(folder, config={"adapters": {"nostr": {"relays": [relay.url]}}}, env=env)


async def _introduced(daemon: Daemon, alice: Actor) -> None:
    for name in ("bridge", npub("nick")):
        ghost = await daemon.actor_of(name)
        assert await alice.send(alice.follow(ghost), f"{daemon.base}/inbox") == 202
    await eventually(lambda: len(alice.peer.posts("Accept")) == 2)
    await eventually(lambda: alice.peer.posts("Follow"))


@pytest.mark.parametrize("keep", [0.0, 0.5])
async def test_acknowledged_is_on_disk_unless_the_disk_lies(keep: float, tmp_path: Path) -> None:
    """One record of writes and syncs, two disks: on the honest one all is there, on one that ignores syncs it is not.

    The second is what `synchronous=OFF` would be: it shows that the shim bites.
    """
    chance = random.Random(int(os.environ.get("BRIDGED_SEED") or 1))
    disk = Disk(tmp_path / "var", tmp_path / "disk")
    disk.begin()
    async with Peer() as peer, Relay() as relay:
        env = {"LD_PRELOAD": str(shim(tmp_path)), **disk.env}
        daemon, thanked = await _daemon(tmp_path, relay, env), Thanked([], [])
        await daemon.start()
        await _introduced(daemon, peer.actor("alice"))
        await thanked.by(daemon, peer.actor("alice"), 20)
        await daemon.kill()

        lies: list[Deaf] = [lambda path: True, lambda path: path.name.endswith("-wal")]
        for deaf in lies:
            disk.cut(chance, keep, deaf)
            assert thanked.missing(daemon.data / "bridged.sqlite3") != []
        disk.cut(chance, keep)
        assert thanked.missing(daemon.data / "bridged.sqlite3") == []
        assert (daemon.data / "secret.key").stat().st_size == 65
        disk.begin()
        await daemon.start()  # with the same secret, on what is left
        await eventually(lambda: len({g.json["id"] for g in peer.posts("Create")}) == 20)
        assert await daemon.stop() == 0


async def test_first_start_that_is_cut_short_can_be_repeated(tmp_path: Path) -> None:
    """Folder, secret and database: whatever is left of them after a power cut, the next start goes well."""
    chance = random.Random(int(os.environ.get("BRIDGED_SEED") or 1))
    disk = Disk(tmp_path / "var", tmp_path / "disk")
    env = {"LD_PRELOAD": str(shim(tmp_path)), **disk.env}
    daemon = Daemon(tmp_path, env=env)
    for seam in ("secret.written", "secret.placed", "store.migrated", "key.kept"):
        for keep in (0.0, 0.5):
            shutil.rmtree(daemon.data, ignore_errors=True)
            disk.begin()
            await daemon.start(env={"BRIDGED_CRASH": seam}, wait=False)
            assert await daemon.died(30) == -9
            disk.cut(chance, keep)
            if seam in ("secret.placed", "store.migrated", "key.kept"):
                assert (daemon.data / "secret.key").read_text().strip()
            disk.begin()
    await daemon.start()
    assert await daemon.stop() == 0


WATCHED = "recvfrom,sendto,pwrite64,fdatasync,fsync,rename,link,linkat,unlink,mkdir"


@pytest.mark.skipif(not shutil.which("strace") and not os.environ.get("CI"), reason="not run: strace is not installed")
async def test_sync_of_the_log_comes_before_the_thanks(tmp_path: Path) -> None:
    """By the system calls themselves: a write to the log, its sync, and only then the 202 or the relay's OK."""
    trace = tmp_path / "trace"
    async with Peer() as peer, Relay() as relay:
        daemon, thanked = await _daemon(tmp_path, relay, {}), Thanked([], [])
        await daemon.start(prefix=["strace", "-D", "-f", "-y", "-s", "200", "-e", f"trace={WATCHED}", "-o", str(trace)])
        await _introduced(daemon, peer.actor("alice"))
        await thanked.by(daemon, peer.actor("alice"), 5)
        assert await daemon.stop() == 0
    await eventually(lambda: "+++ exited with 0 +++" in trace.read_text(errors="replace").splitlines()[-1])
    calls = list(_calls(trace.read_text(errors="replace").splitlines()))
    asked = [n for n, call in enumerate(calls) if call.startswith("recvfrom") and "POST /inbox" in call]
    thanks = [n for n, call in enumerate(calls) if call.startswith("sendto") and "HTTP/1.1 202" in call]
    assert len(asked) == len(thanks) >= 5
    for begin, end in zip(asked, thanks, strict=True):
        assert _synced(calls[begin:end]), calls[begin:end]
    for event in thanked.events:
        # its OK is the one place where the id stands beside true
        ok = 'OK\\",\\"' + event + '\\",true'
        end = next(n for n, call in enumerate(calls) if call.startswith("sendto") and ok in call)
        begin = max([n for n, call in enumerate(calls[:end]) if call.startswith("sendto") and "202" in call] or [0])
        assert _synced(calls[begin:end]), calls[begin:end]
    # and what was born is there for good: the folder, the secret in it, the files of the database
    folder = [n for n, call in enumerate(calls) if re.match(r"fsync\(\d+<.*/var>\)", call)]
    born = [n for n, call in enumerate(calls) if call.startswith(("link", "mkdir")) and "/var" in call]
    assert folder
    assert born
    assert max(born) < max(folder)


def _synced(calls: list[str]) -> bool:
    """Whether a write to the log is followed by a sync of it."""
    written = [n for n, call in enumerate(calls) if call.startswith("pwrite64") and "-wal>" in call]
    return bool(written) and any(re.match(r"(fdatasync|fsync)\(.*-wal>\) += 0", call) for call in calls[written[0] :])


def _calls(lines: Iterable[str]) -> Iterable[str]:
    """Calls in the order in which they ended, those put together that strace tells in two parts."""
    begun: dict[str, str] = {}
    for line in lines:
        thread, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[thread] = call.removesuffix("<unfinished ...>").rstrip()
        elif call.startswith("<... "):
            yield begun.pop(thread, "") + call.partition("resumed>")[2]
        else:
            yield call
