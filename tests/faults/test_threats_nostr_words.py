"""Well signed, and false all the same: what bridged people on Nostr say of what is not theirs or is so no more.

Each is dropped with its reason in the ledger, since it is verified and about somebody who is bridged; and after each
what is true still crosses.
"""

import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from .kit import eventually
from .kit.daemon import Daemon
from .kit.fediverse import Actor, Peer
from .kit.nostr import Relay, as_object, key, npub, said

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Stage:
    """Alice follows nora and mallory."""

    daemon: Daemon
    peer: Peer
    relay: Relay
    alice: Actor
    nora: str

    async def says(self, who: str, kind: int, content: str, *tags: tuple[str, ...], at: int | None = None) -> str:
        event = as_object(said(who, kind, content, *tags, at=at))
        await self.relay.publish(event)
        return event["id"]

    async def post(self, who: str, words: str) -> str:
        event = await self.says(who, 1, words)
        await eventually(lambda: self.told(words))
        return event

    async def good(self) -> None:
        await self.post("nora", f"true words {time.time_ns()}")

    def told(self, words: str) -> list[Any]:
        return [got for got in self.peer.posts() if words in json.dumps(got.json)]

    async def dropped(self, event: str) -> str:
        """Why, says the ledger, nothing came of it."""

        async def rows() -> list[str]:
            found = await self.daemon.ledger(f"origin = '{event}' AND step = 'dropped'")
            return [row["reason"] for row in found]

        (why,) = await eventually(rows)
        return why


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with contextlib.AsyncExitStack() as stack:
        peer, relay = await stack.enter_async_context(Peer()), await stack.enter_async_context(Relay())
        for name in ("nora", "mallory"):
            await relay.publish(said(name, 0, json.dumps({"name": name}), at=int(time.time()) - 100))
        daemon = Daemon(tmp_path_factory.mktemp("words"), config={"adapters": {"nostr": {"relays": [relay.url]}}})
        await daemon.start()
        alice = peer.actor("alice")
        for name in ("nora", "mallory"):
            ghost = await daemon.actor_of(npub(name))
            assert await alice.send(alice.follow(ghost), f"{daemon.base}/inbox") == 202
        await eventually(lambda: len(peer.posts("Accept")) == 2)
        for name in ("nora", "mallory"):
            await eventually(lambda n=name: relay.asked("authors", key(n)))
        it = Stage(daemon, peer, relay, alice, await daemon.actor_of(npub("nora")))
        await it.good()
        yield it
        assert await daemon.stop() == 0


async def test_nobody_deletes_what_another_said(stage: Stage) -> None:
    theirs = await stage.post("nora", "to stay")
    assert await stage.dropped(await stage.says("mallory", 5, "", ("e", theirs), ("k", "1"))) == "not-yours"
    assert not stage.peer.posts("Delete")
    await stage.good()


async def test_profile_of_long_ago_is_not_gone_back_to(stage: Stage) -> None:
    await stage.says("nora", 0, json.dumps({"name": "nora", "about": "as of now"}), at=int(time.time()) - 10)
    await eventually(lambda: stage.told("as of now"))
    await stage.says("nora", 0, json.dumps({"name": "nora", "about": "as of then"}), at=int(time.time()) - 3600)
    await stage.good()  # said afterwards by the same person, so decided on afterwards
    assert not stage.told("as of then")


async def test_words_that_a_repost_puts_into_a_mouth_are_not_shown(stage: Stage) -> None:
    true = await stage.post("nora", "said so")
    forged = {**as_object(said("nora", 1, "never said so")), "id": true}
    await stage.says("mallory", 6, json.dumps(forged), ("e", true), ("p", key("nora")))
    await eventually(lambda: stage.peer.posts("Announce"))
    assert not stage.told("never said so")
    await stage.good()


async def test_what_another_bridge_brought_goes_no_further(stage: Stage) -> None:
    proxied = await stage.says("nora", 1, "from elsewhere", ("proxy", "https://elsewhere.example/1", "activitypub"))
    assert await stage.dropped(proxied) == "copy-of-another-bridge"
    assert not stage.told("from elsewhere")
    await stage.good()
