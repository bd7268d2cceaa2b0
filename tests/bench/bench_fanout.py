"""One post to many inboxes, each on a server of its own: deliveries a second, and what servers that hang cost."""

from collections.abc import Iterator

from tests.bench.child import Child
from tests.bench.frame import Figure, Run, at_least, reaching
from tests.bench.world import World

PATIENCE = 60.0
"""Seconds after which a delivery counts as lost."""


def bench(run: Run) -> Iterator[Figure]:
    servers = run.size(500, 20)
    world = World(run, servers=servers)
    world.follow()
    bare = run.enter(Child.module("tests.bench.bare_client"))
    body = "x" * 1500  # about what a Create of ours has

    def said() -> float:
        world.fediverse.ask(do="forget")
        return next(iter(world.relay.ask(do="say", marks=world.marks(1), rate=None).values()))

    def ours() -> float:
        """Deliveries a second, from the relay's word to the last inbox."""
        at = said()
        came = world.fediverse.ask(do="wait", count=servers, within=PATIENCE)
        assert came == servers, f"{came} of {servers} inboxes within {PATIENCE:.0f} s"
        rate = servers / (world.fediverse.ask(do="last") - at)
        world.daemon.rest()
        return rate

    def ceiling() -> float:
        return servers / bare.ask(do="send", urls=world.inboxes, body=body)

    value, top = run.beside(ours, ceiling)
    beside = "bare aiohttp that signs (RSA-2048)"
    yield Figure(f"fan-out: one post to {servers} inboxes", value, "/s", top, beside, at_least(0.6), "aim 0.80")
    hanging = max(1, servers // 50)
    world.fediverse.ask(do="hang", servers=list(range(hanging)))
    said()
    came = world.fediverse.ask(do="wait", count=servers - hanging, within=10)
    what = f"fan-out: of {servers} inboxes with {hanging} hanging, within 10 s"
    yield Figure(what, 100 * came / servers, "%", bar=reaching(98 if not run.quick else 95))
