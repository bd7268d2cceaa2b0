"""Our PDS under SIGKILL, read by the reference libraries: npm @atproto/sync and @atproto/repo verify all it ever said.

Twenty people of the fediverse, members of the bridge, post, edit, delete, like and rename themselves while the daemon
is killed; BRIDGED_SEED repeats what can be repeated of it. None of it needs the world of names and TLS: our own
directory knows all identities, and everybody is on 127.0.0.1.
"""

import asyncio
import json
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.faults.kit.daemon import database
from tests.faults.repos.run import Outcome, look, town

from .world import PEERS, unready

PEOPLE = 20
ACTS = {"sqlite": 600, "postgresql": 160}
DEATHS = ("random", "outbox.applying", "random", "outbox.applied", "random", "inbox.received", "random")


async def read_whole(base: str, last: int) -> Mapping[str, Any]:
    """What the reference libraries make of the PDS there: `counts` and `faults`."""
    node = await asyncio.create_subprocess_exec(
        PEERS / "bin" / "node",
        PEERS / "npm" / "atproto_reader.mjs",
        base,
        str(last),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(node.communicate(), 300)
    assert node.returncode == 0, err.decode()[-3000:]
    return json.loads(out)


@pytest.fixture(scope="module")
def reference() -> None:
    if why := unready():
        if os.environ.get("CI") or os.geteuid() == 0:
            pytest.fail(f"interop tests cannot run: {why}")
        pytest.skip(f"not run: {why}")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_all_that_was_said_over_deaths_verifies(reference: None, tmp_path: Path, kind: str) -> None:
    seed = int(os.environ.get("BRIDGED_SEED") or random.randrange(1 << 31))
    print(f"BRIDGED_SEED={seed}")
    outcome, chance, acts = Outcome(seed, kind), random.Random(seed), ACTS[kind]
    # what the dead had in hand on PostgreSQL is free after a while only
    deaths = DEATHS if kind == "sqlite" else DEATHS[:3]
    async with database(kind) as store, town(tmp_path, store, PEOPLE, chance) as (made, stream):
        daemon = made.daemon
        await daemon.start()
        await made.join()
        await made.settled()
        async with asyncio.TaskGroup() as group:
            group.create_task(made.act())
            await made.open(acts, last=True)
            for number, seam in enumerate(deaths, 1):
                await made.reached(acts * number // (len(deaths) + 1))
                await daemon.kill()
                outcome.deaths.append("random")
                if seam != "random":
                    await daemon.start(env={"BRIDGED_CRASH": f"{seam}:{chance.randint(1, 5)}"})
                    assert await daemon.died(30) == -9, f"{seam} was not passed"
                    outcome.deaths.append(seam)
                await daemon.start()
        await made.settled()
        await stream.until_all()

        read = await read_whole(daemon.base, stream.last)
        await look(made, stream, outcome)
        counts = read["counts"]
        print(json.dumps(counts), outcome.deaths, outcome.verdict.unsaid)
        assert read["faults"] == []
        assert made.wrong + outcome.faults == []
        assert await daemon.stop() == 0

    assert made.done == acts
    # what was deleted before it was said is in no commit; all else is
    assert counts["ops"] == outcome.verdict.changes >= acts * 5 // 6
    assert counts["authenticated"] == counts["ops"]
    assert counts["created"] > acts // 3
    assert min(counts["updated"], counts["deleted"]) > acts // 20
    assert counts["repos"] == PEOPLE + 1, "theirs and the bot's"
    assert counts["inverted"] == counts["commits"] >= counts["ops"]
    assert counts["events"] == stream.last == outcome.events
    assert counts["proofs"] == counts["records"] == outcome.verdict.records > acts // 3
    assert counts["absences"] > acts // 20
    assert len(outcome.deaths) == len(deaths) + sum(seam != "random" for seam in deaths)
    assert stream.connections > len(deaths)
