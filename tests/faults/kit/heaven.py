"""A bridge that hears the AT network, and somebody on the fediverse who follows one of its people.

async with heaven(tmp_path) as here:
    async with here.refuses("signature"):
        await here.sky.frame(forged)
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from . import eventually
from .clock import Clock
from .daemon import Daemon, database
from .fediverse import Actor, Got, Peer
from .sky import Person, Sky, did_of

HANDLES = "bridge.test"
numbers = count()


@dataclass
class Heaven:
    """ada is a member, by following the bot; carol, on the fediverse, follows her and is one too."""

    daemon: Daemon
    sky: Sky
    peer: Peer
    ada: Person
    carol: Actor
    ghost: str
    """The actor that ada is on the fediverse."""
    clock: Clock
    ahead: float = 0.0
    waited: float = 0.0

    def copies(self, text: str) -> list[Got]:
        """What carol was sent of it."""
        return [got for got in self.peer.posts("Create") if text in got.json["object"].get("content", "")]

    async def good(self, wait: float = 90) -> None:
        """What ada says reaches carol, once."""
        text = f"good as ever {next(numbers)}"
        await self.sky.say(self.ada, self.ada.post(text))
        await eventually(lambda: self.copies(text), timeout=wait)
        assert len(self.copies(text)) == 1

    async def crosses(self, text: str, who: Person | None = None, **more: Any) -> str:
        """A post of hers, and that it came over; its path."""
        path = await self.sky.say(who or self.ada, (who or self.ada).post(text, **more))
        await eventually(lambda: self.copies(text))
        return path

    async def later(self) -> None:
        """A minute and more goes by: in steps, since a jump would be taken for a clock that was wrong."""
        for _ in range(2):
            self.ahead += 40.0
            self.clock.ahead(self.ahead)
            await asyncio.sleep(1.2)

    async def waits(self, seconds: float) -> None:
        """So long goes by for whatever the daemon waits for, and something wakes it; its time of day stays."""
        self.waited += seconds
        self.clock.waited(self.waited)
        await self.daemon.get("/healthz")

    async def rests(self) -> None:
        """A minute and more of nothing, as it thinks: a stream that stood so long is called again at once."""
        for _ in range(13):
            await self.waits(5)

    async def stream(self, figure: str) -> float:
        """A figure of the stream that it hears people on."""
        return await self.daemon.metric(f"bridged_atproto_stream_{figure}")

    async def of(self, reason: str, kind: str = "refused") -> float:
        return await self.daemon.metric(f"bridged_{kind}_total", network="atproto", reason=reason)

    @contextlib.asynccontextmanager
    async def refuses(self, *reasons: str, kind: str = "refused", good: bool = True) -> AsyncIterator[None]:
        """What is done inside is counted under one of the reasons and goes nowhere; then all is as ever."""
        before, sent = await self._sum(kind, reasons), len(self.peer.posts())
        yield

        async def counted() -> bool:
            now = await self._sum(kind, reasons)
            assert now > before, await self._reasons(kind)
            return True

        await eventually(counted)
        assert len(self.peer.posts()) == sent, self.peer.posts()[sent:]
        if good:
            await self.good()

    async def _sum(self, kind: str, reasons: tuple[str, ...]) -> float:
        return sum([await self.of(reason, kind) for reason in reasons])

    async def _reasons(self, kind: str) -> dict[str, float]:
        name, figures = f"bridged_{kind}_total", await self.daemon.metrics()
        found = {labels: n for (each, labels), n in figures.items() if each == name}
        return {dict(labels)["reason"]: n for labels, n in found.items() if ("network", "atproto") in labels}

    async def settled(self) -> None:
        """All that was heard is decided on, all that was queued tried."""
        await self.daemon.settled()

    async def did_of(self, handle: str) -> str:
        return await did_at(self.daemon, handle)

    async def join(self, name: str, **more: str) -> Person:
        """Somebody more who is a member, and whom carol follows."""
        who = self.sky.someone(name, **more)
        await self.sky.say(who, who.follow(await self.did_of(f"bridge.{HANDLES}")))
        await follow(self.daemon, self.peer, self.carol, who.did)
        await self.until_heard(who)
        return who

    async def until_heard(self, who: Person) -> None:
        """Says something until it comes over: of whom nobody has begun to listen to, nothing does."""

        said: list[str] = []

        async def heard() -> bool:
            said.append(f"first words {next(numbers)}.")
            await self.sky.say(who, who.post(said[-1]))
            await eventually(lambda: [text for text in said if self.copies(text)], timeout=3)
            return True

        await eventually(heard)


async def did_at(daemon: Daemon, handle: str) -> str:
    async def look() -> str:
        status, _, body = await daemon.get(f"/xrpc/com.atproto.identity.resolveHandle?handle={handle}")
        assert status == 200, body
        return json.loads(body)["did"]

    return await eventually(look)


async def follow(daemon: Daemon, peer: Peer, who: Actor, did: str) -> str:
    """`who` on the fediverse follows somebody of the AT network, and is told that it is so; the actor followed."""
    before = len(peer.posts("Accept"))
    ghost = await daemon.actor_of(did)
    assert await who.send(who.follow(ghost), f"{daemon.base}/inbox") == 202
    await eventually(lambda: len(peer.posts("Accept")) > before)
    return ghost


@contextlib.asynccontextmanager
async def heaven(
    folder: Path,
    config: Mapping[str, Any] | None = None,
    kind: str = "sqlite",
    *,
    moderated: bool = False,
    jetstream: bool = False,
    **at: Any,
) -> AsyncIterator[Heaven]:
    """`at` is laid over the sky's own `adapters.atproto`. `moderated`: reports go to the sky; `jetstream`:
    people are heard on one."""
    clock = Clock(folder)
    async with database(kind) as store, Peer() as peer, Sky() as sky:
        sky.jetstream = jetstream
        adapters = {"activitypub": {}, "atproto": {**sky.config, **at}}
        if moderated:
            adapters["atproto"]["moderation"] = {"url": sky.base, "did": did_of("moderation")}
        usual = {"handle_domain": HANDLES, "consent": {"atproto": "opt-in"}, "answers": {"atproto": "bridge"}}
        daemon = Daemon(folder, store, {**usual, **(config or {})}, clock.env)
        daemon.config["adapters"] = adapters
        await daemon.start()
        bot = await did_at(daemon, f"bridge.{HANDLES}")
        ada, carol = sky.someone("ada"), peer.actor("carol")
        await eventually(lambda: sky.hose.sockets)
        await sky.say(ada, ada.follow(bot))
        assert await carol.send(carol.follow(await daemon.actor_of("bridge")), f"{daemon.base}/inbox") == 202
        await eventually(lambda: peer.posts("Accept"))
        ghost = await follow(daemon, peer, carol, ada.did)
        here = Heaven(daemon, sky, peer, ada, carol, ghost, clock)
        await here.until_heard(ada)
        yield here
        assert await daemon.stop() == 0
        assert "Traceback" not in daemon.log, daemon.tail(60)
