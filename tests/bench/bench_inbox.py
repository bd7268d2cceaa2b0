"""How many activities a second the inbox accepts: signature verified, on disk, only then 202."""

import os
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from tests.bench.child import Child
from tests.bench.daemon import Daemon, eventually, free_port
from tests.bench.fediverse import actor_of
from tests.bench.frame import Figure, Run, at_least

SENDERS = 20
CONNECTIONS = 100
PEERS = Path(os.environ.get("BRIDGED_PEERS", Path(__file__).parents[2] / ".cache" / "interop"))
PEER = Path(__file__).parents[1] / "interop" / "kit" / "fedify_peer.mjs"


def bench(run: Run) -> Iterator[Figure]:
    load = run.enter(Child.module("tests.bench.load"))
    pem = load.ready["pem"]
    fediverse = run.enter(Child.module("tests.bench.fediverse", servers=SENDERS, pem=pem))
    actors = [actor_of(n, fediverse.ready["port"]) for n in range(SENDERS)]
    daemon = run.enter(Daemon(run.folder / "daemon", accounts=[f"activitypub:{actor}" for actor in actors]))
    bare = run.enter(Child.module("tests.bench.bare_inbox", pem=pem))
    numbers = count()

    def accept(url: str, size: int) -> float:
        """Accepted per second."""
        load.ask(do="sign", url=url, actors=actors, marks=[f"i{next(numbers)}" for _ in range(size)])
        told = load.ask(do="hammer", connections=CONNECTIONS)
        assert told["statuses"] == {"202": size}, f"{url} answered {told['statuses']}"
        return size / told["seconds"]

    def ours(size: int) -> float:
        values: list[float] = []
        took = heard(daemon, lambda: values.append(accept(f"{daemon.base}/inbox", size)))
        assert took == size, f"{took} of {size} were stored"
        return values[0]

    eventually(lambda: heard(daemon, lambda: accept(f"{daemon.base}/inbox", SENDERS)) == SENDERS)
    whole = run.size(2000, 100)
    daemon.rest()
    beside = "bare aiohttp that verifies"

    def ceiling() -> float:
        return accept(f"http://127.0.0.1:{bare.ready['port']}/inbox", 3 * whole)

    def and_bridged() -> float:
        """While the other stations work on what came: it is counted when the inbox has it, not when it is sent."""
        try:
            return ours(whole // 4)
        finally:
            daemon.rest()

    value, top = run.beside(and_bridged, ceiling)
    yield Figure("inbox: accepted while all of it is bridged", value, "/s", top, beside)
    daemon.stop()
    daemon.start("tests.bench.accepting")
    value, top = run.beside(lambda: ours(whole), ceiling)
    yield Figure("inbox: accepted (verified, durable)", value, "/s", top, beside, at_least(0.5))
    if (PEERS / "bin" / "node").exists():
        origin = f"http://localhost:{free_port()}"
        run.enter(fedify(run.folder / "fedify", origin))
        value, top = run.beside(lambda: ours(whole), lambda: accept(f"{origin}/inbox", run.size(600, 30)))
        yield Figure("inbox: accepted, beside Fedify", value, "/s", top, "Fedify in memory", at_least(10))


def heard(daemon: Daemon, act: Callable[[], Any]) -> float:
    """How many envelopes it stored meanwhile: what nobody wants is answered with 202 as well."""

    def received() -> float:
        return daemon.metrics().get('bridged_received_total{network="activitypub"}', 0)

    before = received()
    act()
    return received() - before


def fedify(folder: Path, origin: str) -> Child:
    """npm @fedify/fedify: its inbox verifies, queues in memory, answers 202."""
    folder.mkdir()
    (folder / "node_modules").symlink_to(PEERS / "npm" / "node_modules")
    shutil.copy(PEER, folder)
    env = {"PORT": origin.rpartition(":")[2], "ORIGIN": origin}
    return Child(PEERS / "bin" / "node", PEER.name, env=env, cwd=folder)
