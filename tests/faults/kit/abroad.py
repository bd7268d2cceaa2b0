"""A bridge on the internet of a test: operators' own guard, names, certificates, honest hosts and canaries.

with internet():
    async with abroad(folder) as world:
        await world.send(world.alice.create("hello"))
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from . import eventually
from .canary import Canary
from .daemon import Daemon
from .fediverse import Actor, Script
from .internet import EVIL, FAR, GOOD, Authority, Names, Site, canary_everywhere, inside
from .nostr import Relay, npub, said

RELAY = "192.5.5.241"
numbers = count()


@dataclass
class World:
    """alice, at good.example, is a member."""

    daemon: Daemon
    names: Names
    bird: Canary
    good: Site
    far: Site
    evil: Site
    relay: Relay
    alice: Actor
    listed: list[str] = field(default_factory=list[str])
    """Paths at far.example at which the settings' own accounts were looked for."""

    @property
    def inbox(self) -> str:
        return f"{self.daemon.base}/inbox"

    async def settled(self) -> None:
        """Nothing waits any more: all that was heard is decided on, all that was queued tried."""

        async def idle() -> bool:
            # what is postponed waits for something else, and the bridge's own chores for nobody
            soon = time.time() + 1
            due = f"state = 'new' AND network <> 'bridge' AND due_at < {soon}"
            heard = await self.daemon.rows(f"SELECT native_id FROM inbox WHERE {due}")
            queued = await self.daemon.rows("SELECT id, act, lane FROM outbox WHERE state = 'ready' AND attempt = 0")
            assert not heard + queued, f"waits: {heard[:3]} {queued[:3]}"
            return True

        await eventually(idle, every=0.1)

    async def each(self, hosts: Sequence[str], one: Callable[[str], Awaitable[Any]]) -> None:
        """A few at a time: look-ups for strangers have few slots."""
        slots = asyncio.Semaphore(6)

        async def in_turn(host: str) -> None:
            async with slots:
                await one(host)

        await asyncio.gather(*map(in_turn, hosts))

    async def send(self, activity: dict[str, Any], by: Actor | None = None) -> None:
        assert await (by or self.alice).send(activity, self.inbox) == 202, activity

    async def someone(self, name: str = "nora", **profile: Any) -> str:
        """Somebody on Nostr with this profile, as their ghost."""
        await self.relay.publish(said(name, 0, json.dumps({"name": name, **profile})))
        return await self.daemon.actor_of(npub(name))

    async def still_good(self) -> None:
        """A post by alice still crosses."""
        text = f"all is well {next(numbers)}"
        await self.send(self.alice.create(text))
        await eventually(lambda: [e for e in self.relay.events(kinds=[1]) if e["content"] == text])


@contextlib.asynccontextmanager
async def abroad(
    folder: Path,
    names: Mapping[str, Sequence[str]] | None = None,
    config: Mapping[str, Any] | None = None,
    script: Script | None = None,
) -> AsyncIterator[World]:
    """`names` are more names than those of the three hosts, `config` is laid over that of the bridge, and `script` is
    good.example's from the first on."""
    authority = Authority(folder)
    mine = {
        "egress": {"allow": [], "ports": [80, 443, 8080]},
        "adapters": {"nostr": {"relays": [f"ws://{RELAY}:8080"]}},
        **(config or {}),
    }
    async with (
        Names() as dns,
        canary_everywhere() as bird,
        Site(authority, "good.example", GOOD) as good,
        Site(authority, "far.example", FAR, "far.test", "afar.test") as far,
        Site(authority, "evil.example", EVIL, "mixed.example", "slow.test") as evil,
        Relay(RELAY, 8080) as relay,
    ):
        dns.answers |= {name: [list(found)] for name, found in (names or {}).items()}
        dns.answers |= {"good.example": [[GOOD]], "evil.example": [[EVIL]], "slow.test": [[EVIL]]}
        dns.answers |= {name: [[FAR]] for name in ("far.example", "far.test", "afar.test")}
        good.script = script or good.script
        daemon = Daemon(folder, config=mine, env=authority.env)
        await daemon.start(prefix=inside(folder))
        made = World(daemon, dns, bird, good, far, evil, relay, good.actor("alice"))
        far.script = lambda got: made.listed.append(got.path) if "listed" in got.path else None
        await made.send(made.alice.follow(await daemon.actor_of("bridge")))
        await eventually(lambda: good.posts("Accept"))
        await made.settled()
        yield made
        assert await daemon.stop() == 0
        assert bird.hits == []
