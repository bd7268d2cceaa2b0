"""The clock of the machine jumps, a year ahead and back: nothing storms, nothing ends, nothing is left waiting.

What waits for a peer that is away shows it: its next try comes in its own time, neither at once nor in a year.
"""

import time
from pathlib import Path

from tests.unit.activitypub.fake import PUBLIC

from .kit import eventually
from .kit.clock import Clock
from .kit.fediverse import Answer
from .kit.nostr import client, said
from .test_resources import staged

YEAR = 365 * 86400.0


async def test_clock_that_jumps_ends_nothing_and_leaves_nothing_waiting(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    async with staged(tmp_path / "bridge", env=clock.env) as stage:
        words = f"waits {time.time_ns()}"

        def tries() -> int:
            return sum(words in got.body.decode() for got in stage.peer.got if got.method == "POST")

        stage.peer.script = lambda got: Answer(503) if got.method == "POST" else None
        async with client(stage.daemon.relay_url) as c:
            assert await c.publish(said("nora", 1, words)) == (True, "")
        await eventually(lambda: tries() == 1)

        clock.ahead(YEAR)
        await eventually(lambda: "clock_jumped" in stage.daemon.log)
        await eventually(lambda: tries() == 2)
        assert await stage.daemon.metric("bridged_deliveries_total", outcome="dead") == 0, "given up for its age"
        assert tries() <= 3, "a storm"

        clock.ahead(0.0)
        await eventually(lambda: stage.daemon.log.count("clock_jumped") == 2)
        stage.peer.script = lambda got: None
        await eventually(lambda: [got for got in stage.peer.posts("Create") if words in got.body.decode()], timeout=90)
        await stage.all_is_well()


async def test_replaceable_events_only_ever_grow_younger(tmp_path: Path) -> None:
    """A profile that is changed while the clock goes back is the newer one all the same."""
    clock = Clock(tmp_path)
    async with staged(tmp_path / "bridge", env=clock.env) as stage:
        seen = 0
        for number, ahead in enumerate((0.0, 1800.0, -600.0, 0.0)):
            clock.ahead(ahead)
            name = f"Alice the {number}"
            update = stage.alice.activity("Update", stage.alice.show(name=name), to=[PUBLIC])
            assert await stage.alice.send(update, f"{stage.daemon.base}/inbox") == 202

            def dated(name: str = name) -> int:
                found = stage.relay.events(kinds=[0])
                return max((e["created_at"] for e in found if name in e["content"]), default=0)

            at = await eventually(dated)
            assert at > seen, "older than what it replaces"
            seen = at
