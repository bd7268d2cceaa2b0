"""End to end: from a POST to our inbox to the relay, and from a relay's EVENT to an inbox, at a steady pace."""

import statistics
from collections.abc import Iterator
from typing import Any

from tests.bench.child import Child
from tests.bench.daemon import eventually
from tests.bench.frame import Figure, Run, within
from tests.bench.world import World

PEOPLE = 20
"""On either side, who write in turn: what one person says is kept in order, so that it waits for itself."""


def bench(run: Run) -> Iterator[Figure]:
    people = run.size(PEOPLE, 4)
    world = World(run, servers=people, people=people, listed=True)
    world.follow()
    inbox = f"{world.daemon.base}/inbox"

    def west(rate: float, size: int) -> list[float]:
        """Seconds from each POST to its EVENT at the relay."""
        marks = world.marks(size)
        world.load.ask(do="sign", url=inbox, actors=world.actors, marks=marks)
        told = world.load.ask(do="pace", rate=rate)
        assert told["statuses"] == {"202": size}, told["statuses"]
        return _took(world, told["sent"], world.relay)

    def east(rate: float, size: int) -> list[float]:
        """Seconds from each EVENT to its POST at the follower's inbox."""
        return _took(world, world.relay.ask(do="say", marks=world.marks(size), rate=rate), world.fediverse)

    eventually(lambda: _is_bridged(world, inbox))
    for name, way in (("POST to EVENT at the relay", west), ("EVENT to POST at the inbox", east)):
        for rate in (20,) if run.quick else (50, 300):
            # as many posts at either pace, more or less: what is not kept up with has to be worked off
            seconds = run.size(10 if rate == 50 else 4, 1)
            way(rate, rate)  # to warm up
            rounds = [sorted(way(rate, rate * seconds)) for _ in range(run.rounds)]
            middle = statistics.median(1000 * each[len(each) // 2] for each in rounds)
            p99 = statistics.median(1000 * each[int(len(each) * 0.99)] for each in rounds)
            bar = within(50) if rate == 50 else None
            yield Figure(f"latency: {name}, {rate}/s, p99", p99, "ms", bar=bar, note=f"median {middle:.0f} ms")


def _took(world: World, sent: dict[str, float], there: Child) -> list[float]:
    came: dict[str, Any] = {}

    def is_there() -> bool:
        came.update(there.ask(do="came"))
        return sent.keys() <= came.keys()

    eventually(is_there, within=300)
    twice = [name for name in sent if came[name][0] != 1]
    assert not twice, f"came more than once: {twice[:5]}"
    world.daemon.rest()
    there.ask(do="forget")
    return [came[name][1] - at for name, at in sent.items()]


def _is_bridged(world: World, inbox: str) -> bool:
    """A note by each of the actors has come to the relay."""
    world.relay.ask(do="forget")
    marks = world.marks(len(world.actors))
    world.load.ask(do="sign", url=inbox, actors=world.actors, marks=marks)
    world.load.ask(do="hammer", connections=4)
    world.daemon.rest()
    return world.relay.ask(do="came").keys() == set(marks)
