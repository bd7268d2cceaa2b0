"""Several processes of one bridge on one PostgreSQL: what one does the others know; what one drops another takes up."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .crew import Run, bridge, crew, holder, series
from .kit import eventually
from .kit.daemon import Daemon, database
from .kit.fediverse import Peer
from .kit.heard import until_heard
from .kit.nostr import Relay, client, npub, said

SEED = int(os.environ.get("BRIDGED_SEED", "0")) or int(time.time())
PROMISED = 15.0
"""Seconds within which a dead process's work is taken over."""


async def test_processes_that_are_killed_under_load_lose_and_double_nothing(tmp_path: Path) -> None:
    print(f"BRIDGED_SEED={SEED}")
    found = await series(tmp_path, processes=2, seconds=16, every=5, seed=SEED)
    assert found.kills >= 1
    assert found.said > 10
    assert found.clean, found


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Run]:
    async with bridge(tmp_path, 2) as run:
        yield run


async def test_relay_socket_has_one_owner_and_is_taken_over_within_15_seconds(pair: Run) -> None:
    relay = pair.relay
    lease = f"nostr/relay {relay.url}"

    def listening() -> set[int]:
        """Connections that asked for what is new."""
        return {frame.connection for frame in relay.heard("REQ") if "since" in frame.text}

    await eventually(lambda: relay.asked_by("since") == 1)
    mine, other = await holder(pair.daemons, lease)
    before = listening()
    await mine.kill()
    died = time.monotonic()
    await eventually(lambda: listening() - before, timeout=PROMISED + 30)
    assert time.monotonic() - died < 2 * PROMISED  # the promise is for a machine that does nothing else
    await relay.publish(said("nora", 1, "said while nobody listened", at=int(time.time())))
    await eventually(lambda: [p for p in pair.peer.posts("Create") if b"while nobody listened" in p.body])
    assert relay.asked_by("since") == 1
    assert await holder([other, mine], lease) == (other, mine)


async def test_subscribers_on_every_process_hear_what_any_process_stores(pair: Run) -> None:
    """What a client sends to one, what the bridge itself says, and what is not kept at all."""
    one, two = pair.daemons
    async with client(one.relay_url) as here, client(two.relay_url) as there:
        for each in (here, there):
            await each.stored({"limit": 0})
        for daemon, kind, text in ((two, 1, "to one of two"), (one, 20001, "not kept")):
            async with client(daemon.relay_url) as writer:
                assert await writer.publish(said("nora", kind, text, at=int(time.time()))) == (True, "")
        assert await pair.post("alice", pair.peer.actor("alice").create("by the bridge"), two)
        for each in (here, there):
            heard: set[str] = set()
            while not {"to one of two", "not kept", "by the bridge"} <= heard:
                heard.add((await each.hear())[2]["content"])


async def test_process_that_was_asleep_does_nothing_twice(pair: Run) -> None:
    """It is taken for dead while it sleeps; when it wakes it sees that, and goes on under another number."""
    one, two = pair.daemons

    def texts() -> list[str]:
        return [e["content"] for e in pair.relay.events(kinds=[1]) if not e["content"].startswith("hello")]

    os.kill(one.pid, signal.SIGSTOP)
    try:
        await eventually(lambda: "processes_dead" in two.log)
        assert await pair.post("alice", pair.peer.actor("alice").create("while one slept"), two)
        await eventually(lambda: "while one slept" in texts())
    finally:
        os.kill(one.pid, signal.SIGCONT)
    await eventually(lambda: "taken_for_dead" in one.log)
    assert await pair.post("albert", pair.peer.actor("albert").create("awake again"), one)
    await eventually(lambda: "awake again" in texts())

    async def listed() -> bool:
        rows = await one.rows("SELECT pid FROM processes")
        return sorted(row["pid"] for row in rows) == sorted([one.pid, two.pid])

    await eventually(listed)  # a slow machine may have taken the other for dead as well
    assert texts() == ["while one slept", "awake again"]


async def test_each_role_in_a_process_of_its_own_makes_one_bridge(tmp_path: Path) -> None:
    async with database("postgresql") as store, Peer() as peer, Relay() as relay:
        config = {"adapters": {"nostr": {"relays": [relay.url]}}}
        web, embedded, ingest, bridging, deliver = daemons = crew(
            tmp_path, store, ["web", "relay", "ingest", "bridge", "deliver"], config
        )
        await relay.publish(said("nora", 0, json.dumps({"name": "nora"})))
        await web.start()
        await asyncio.gather(*(d.start() for d in daemons[1:]))
        alice = peer.actor("alice")
        for name in (npub("nora"), "bridge"):
            whom = await web.actor_of(name)
            assert await alice.send(alice.follow(whom), f"{web.base}/inbox") == 202
        await eventually(lambda: len(peer.posts("Accept")) == 2)
        greeting = alice.create("from the fediverse")
        await until_heard(web, "activitypub", lambda: alice.send(greeting, f"{web.base}/inbox"))
        await eventually(lambda: [e for e in relay.events(kinds=[1]) if e["content"] == "from the fediverse"])
        await relay.publish(said("nora", 1, "heard at a relay", at=int(time.time())))
        note = said("nora", 1, "sent to ours", at=int(time.time()))
        async with client(embedded.relay_url) as c:

            async def taken() -> bool:
                return await c.publish(note) == (True, "")

            await eventually(taken)  # that process may have to hear first that somebody follows her
            assert await c.stored({"kinds": [1], "search": "fediverse"})
        await eventually(lambda: len(peer.posts("Create")) == 2)

        # nobody does another's work
        assert (await embedded.get("/inbox"))[0] == 404
        assert (await web.get("/relay"))[0] == 404
        assert (await deliver.get("/healthz"))[0] == 200
        assert await ingest.metric("bridged_received_total", network="nostr") >= 1
        assert await deliver.metric("bridged_deliveries_total", outcome="sent") >= 3
        assert await bridging.metric("bridged_deliveries_total", outcome="sent") == 0
        status = await web.cli("status")
        assert {p["roles"] for p in status["processes"]} == {"web", "relay", "ingest", "bridge", "deliver"}
        assert [await d.stop() for d in reversed(daemons)] == [0] * 5
        assert await web.rows("SELECT * FROM processes") == []


async def test_second_process_on_one_sqlite_is_refused(tmp_path: Path) -> None:
    first = Daemon(tmp_path)
    await first.start()
    try:
        second = Daemon(tmp_path / "second", config={"data_dir": str(first.data)})
        await second.start(wait=False)
        assert await second.died(30) == 3
        assert "another bridge runs on" in second.log
        part = Daemon(tmp_path / "part", roles="web")
        await part.start(wait=False)
        assert await part.died(30) == 3
        assert "several processes need PostgreSQL" in part.log
    finally:
        assert await first.stop() == 0
