"""One bridge that several tests attack: a member on the fediverse, somebody on Nostr, and what must stay as it was.

async with scene(tmp_path) as here:
    async with here.refuses(401, "signature_missing"):
        assert await here.post(body, headers) == 401
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import eventually
from .daemon import Daemon, database
from .fediverse import Actor, Peer
from .nostr import Relay, npub, said


@dataclass
class Scene:
    """alice is a member, at `peer`, and follows nora; mallory is at `other`, another host, and unknown."""

    daemon: Daemon
    peer: Peer
    other: Peer
    relay: Relay
    alice: Actor
    mallory: Actor
    nora: str
    """The actor that nora is on the fediverse."""
    bot: str
    said: list[str]
    """What alice said between attacks: all of it must have crossed in the end."""

    @property
    def inbox(self) -> str:
        return f"{self.daemon.base}/inbox"

    async def post(self, body: bytes, headers: Mapping[str, str], url: str = "") -> int:
        return (await self.peer.post(url or self.inbox, body, headers))[0]

    async def raw(self, request: bytes, *more: bytes, wait: float = 5.0) -> bytes:
        """Bytes as they are, and all that is answered until the daemon hangs up, or has said no more for `wait`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.daemon.port)
        answered, patience = b"", 60.0
        try:
            with contextlib.suppress(ConnectionError):
                for part in (request, *more):
                    writer.write(part)
                    await writer.drain()
            with contextlib.suppress(TimeoutError, ConnectionError):
                while part := await asyncio.wait_for(reader.read(1 << 16), patience):
                    answered, patience = answered + part, wait
        finally:
            writer.close()
        return answered

    async def settled(self) -> None:
        """All that was heard is decided on, all that was queued tried."""
        await self.daemon.settled()

    async def counts(self) -> dict[str, int]:
        """Rows of every table."""
        if self.daemon.store == "sqlite":
            names = await self.daemon.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
        else:
            names = await self.daemon.rows("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
        # which signatures a host takes is learnt by asking it, whoever made us ask
        left_out = ("sqlite_", "activitypub_hosts")
        tables = [row["name"] for row in names if not row["name"].startswith(left_out)]
        union = " UNION ALL ".join(f"SELECT '{name}' AS name, count(*) AS n FROM {name}" for name in tables)
        return {row["name"]: row["n"] for row in await self.daemon.rows(union)}

    async def good(self) -> None:
        """alice is heard as ever."""
        self.said.append(f"good as ever {len(self.said)}")
        assert await self.alice.send(self.alice.create(self.said[-1]), self.inbox) == 202
        assert await self.daemon.rows(
            f"SELECT id FROM inbox WHERE native_id = '{self.alice.id}/activities/{self.alice.number}'"
        )

    async def crossed(self) -> None:
        """All that alice said so far is on Nostr, once."""

        def all_there() -> bool:
            there = [event["content"] for event in self.relay.events(kinds=[1])]
            assert sorted(text for text in there if text in self.said) == sorted(self.said)
            return True

        await eventually(all_there)

    @contextlib.asynccontextmanager
    async def refuses(self, *reasons: str, kind: str = "refused") -> AsyncIterator[None]:
        """What is done inside is counted under one of the reasons, changes no row, and harms nobody."""
        await self.settled()
        rows, before = await self.counts(), await self._counted(kind, reasons)
        yield
        changed = {name: n - rows[name] for name, n in (await self.counts()).items() if n != rows[name]}
        assert not changed, f"more rows than before: {changed}"
        assert await self._counted(kind, reasons) == before + 1, await self._reasons(kind)
        await self.good()

    async def _counted(self, kind: str, reasons: tuple[str, ...]) -> float:
        name = f"bridged_{kind}_total"
        return sum([await self.daemon.metric(name, network="activitypub", reason=reason) for reason in reasons])

    async def _reasons(self, kind: str) -> dict[str, float]:
        figures = await self.daemon.metrics()
        return {dict(labels)["reason"]: n for (name, labels), n in figures.items() if name == f"bridged_{kind}_total"}


@contextlib.asynccontextmanager
async def scene(folder: Path, kind: str = "sqlite", config: Mapping[str, Any] | None = None) -> AsyncIterator[Scene]:
    async with database(kind) as store, Peer() as peer, Peer("127.0.0.2") as other, Relay() as relay:
        adapters = {"nostr": {"relays": [relay.url]}}
        daemon = Daemon(folder, store, {"adapters": adapters, **(config or {})})
        await relay.publish(said("nora", 0, json.dumps({"name": "nora"})))
        await daemon.start()
        nora, bot = await daemon.actor_of(npub("nora")), await daemon.actor_of("bridge")
        alice = peer.actor("alice")
        here = Scene(daemon, peer, other, relay, alice, other.actor("mallory"), nora, bot, [])
        for whom in (bot, nora):
            assert await alice.send(alice.follow(whom), here.inbox) == 202
        await eventually(lambda: len(peer.posts("Accept")) == 2)
        await here.settled()
        yield here
        await here.crossed()
        assert await daemon.stop() == 0
        assert "Traceback" not in daemon.log, daemon.tail(60)
