"""An adapter from outside, found by its entry point alone, joined to a network in memory."""

import json
from pathlib import Path
from typing import Any

import pytest
from pigeon.server import LIMIT, PigeonServer

from bridged import registry
from bridged.api import Envelope, Ref
from bridged.testing import FakeNetwork, Harness

CORE = Path(registry.__file__).parent


class Loft:
    """Alice on red and a bird called piet, each following the other."""

    def __init__(self, bridge: Harness, red: FakeNetwork, server: PigeonServer) -> None:
        self.bridge, self.red, self.server = bridge, red, server
        self.piet = Ref("pigeon", server.bird("piet"))
        self.number = 0

    async def start(self) -> "Loft":
        alice = await self.bridge.ghost(self.red.ref("alice"), "pigeon")
        self.alice = alice.ref.id
        await self.event("flock", alice.ref.id)
        piet = await self.bridge.ghost(self.piet, "red")
        await self.bridge.hear(self.red.say("Follow", "alice", target=piet.ref.id))
        return self

    async def event(self, kind: str, target: str) -> None:
        await self.hear(self.server.event(kind, self.piet.id, target))

    async def coo(self, text: str, to: str = "") -> str:
        made = self.server.coo(self.piet.id, text, to)
        await self.hear(made)
        return made["id"]

    async def hear(self, said: dict[str, Any]) -> None:
        envelope = Envelope("pigeon", said["id"], json.dumps(said).encode(), "test", self.piet, self.bridge.clock())
        await self.bridge.hear(envelope)

    def coos(self) -> list[tuple[str, str]]:
        """What alice's bird says: (text, id of what it answers)."""
        return self.server.flying("alice.red")


@pytest.fixture
async def loft(bridge_of: Any) -> Loft:
    red, server = FakeNetwork("red"), PigeonServer()
    red.join("alice")
    bridge = await bridge_of(red, registry.load("pigeon"), http=server)
    return await Loft(bridge, red, server).start()


def test_outside_adapter_is_found_by_its_entry_point() -> None:
    assert "pigeon" in registry.networks()
    assert registry.load("pigeon").network == "pigeon"


def test_core_does_not_know_the_outside_network() -> None:
    assert [p for p in CORE.rglob("*.py") if "pigeon" in p.read_text().lower()] == []


async def test_post_reply_and_delete_cross_both_ways(loft: Loft) -> None:
    first = loft.red.post("alice", "hello birds")
    await loft.bridge.hear(first)
    ((text, to),) = loft.coos()
    assert (text, to) == ("hello birds", "")
    (copy,) = await loft.bridge.copies(loft.red.ref(first.id), "pigeon")
    assert copy.ref is not None
    answer = await loft.coo("hello alice", copy.ref.id)
    (told,) = loft.red.received("Post")
    assert (told.text, told.target) == ("hello alice", first.id)
    await loft.bridge.hear(loft.red.post("alice", "thanks", target=told.id))
    assert loft.coos()[-1] == ("thanks", answer)
    await loft.event("drop", answer)
    assert loft.red.texts() == []
    await loft.bridge.hear(loft.red.say("Delete", "alice", target=first.id))
    assert [text for text, _ in loft.coos()] == ["thanks"]


async def test_long_post_becomes_a_chain_and_is_answered_at_its_end(loft: Loft) -> None:
    words = " ".join(f"word{n}" for n in range(60))
    post = loft.red.post("alice", words)
    await loft.bridge.hear(post)
    texts = [text for text, _ in loft.coos()]
    assert len(texts) > 2
    assert all(len(text) <= LIMIT for text in texts)
    assert " ".join(texts) == words
    ids = [c.ref.id for c in await loft.bridge.copies(loft.red.ref(post.id), "pigeon") if c.ref]
    assert [to for _, to in loft.coos()] == ["", *ids[:-1]]
    await loft.bridge.hear(loft.red.post("alice", "and so on", target=post.id))
    assert loft.coos()[-1] == ("and so on", ids[-1])
    await loft.bridge.hear(loft.red.say("Delete", "alice", target=post.id))
    assert [text for text, _ in loft.coos()] == ["and so on"]


async def test_reply_decided_before_its_parent_was_sent_waits_for_its_hash(loft: Loft) -> None:
    first = loft.red.post("alice", "first")
    await loft.bridge.hear(first, settle=False)
    await loft.bridge.hear(loft.red.post("alice", "second", target=first.id), settle=False)
    await loft.bridge.decide()
    await loft.bridge.settle()
    (one, _), (two, to) = loft.coos()
    (copy,) = await loft.bridge.copies(loft.red.ref(first.id), "pigeon")
    assert copy.ref is not None
    assert (one, two, to) == ("first", "second", copy.ref.id)


async def test_reply_by_another_waits_for_the_parent_in_another_lane(loft: Loft) -> None:
    loft.red.join("rita")
    first = loft.red.post("alice", "first")
    loft.server.mishaps = ["refuse"]
    await loft.bridge.hear(first)
    await loft.bridge.hear(loft.red.post("rita", "reply", target=first.id, mentions=(
        (await loft.bridge.ghost(loft.piet, "red")).ref.id,)))  # fmt: skip
    assert loft.server.flying("rita.red") == []
    await loft.bridge.wait(10)
    (copy,) = await loft.bridge.copies(loft.red.ref(first.id), "pigeon")
    assert copy.ref is not None
    assert loft.server.flying("rita.red") == [("reply", copy.ref.id)]


async def test_delete_decided_before_the_post_was_sent_waits_for_its_id(loft: Loft) -> None:
    post = loft.red.post("alice", "soon gone")
    loft.server.mishaps = ["lose"]
    await loft.bridge.hear(post)
    assert [text for text, _ in loft.coos()] == ["soon gone"]
    await loft.bridge.hear(loft.red.say("Delete", "alice", target=post.id))
    await loft.bridge.wait(10)
    assert loft.coos() == []
    assert ("dead", "it was never sent") not in await loft.bridge.ledger(loft.red.ref(post.id))


@pytest.mark.parametrize("forget", [False, True])
async def test_lost_answer_makes_no_second_post(loft: Loft, forget: bool) -> None:
    loft.server.mishaps = ["lose"]
    post = loft.red.post("alice", "only once")
    await loft.bridge.hear(post)
    if forget:
        loft.server.forget_keys()
    await loft.bridge.wait(10)
    assert loft.coos() == [("only once", "")]
    (copy,) = await loft.bridge.copies(loft.red.ref(post.id), "pigeon")
    assert copy.ref is not None
    assert copy.detail["hash"]


async def test_crash_after_sending_makes_no_second_post(loft: Loft, monkeypatch: pytest.MonkeyPatch) -> None:
    class Crash(BaseException):
        pass

    def seam(name: str) -> None:
        if name == "outbox.delivered":
            raise Crash

    monkeypatch.setattr("bridged.outbox.seam", seam)
    post = loft.red.post("alice", "only once")
    await loft.bridge.hear(post, settle=False)
    await loft.bridge.decide()
    await loft.bridge.outbox.start()
    await loft.bridge.outbox.drain()
    assert loft.server.posts == 1
    monkeypatch.undo()
    loft.server.forget_keys()
    await loft.bridge.restart()
    await loft.bridge.wait(10)
    assert loft.coos() == [("only once", "")]
    (copy,) = await loft.bridge.copies(loft.red.ref(post.id), "pigeon")
    assert copy.ref is not None


async def test_like_and_follow_reach_the_server(loft: Loft) -> None:
    coo = await loft.coo("like me")
    (copy,) = loft.red.received("Post")
    await loft.bridge.hear(loft.red.say("React", "alice", target=copy.id))
    assert [(e["kind"], e["target"]) for e in loft.server.events if e["by"] == loft.alice] == [
        ("flock", loft.piet.id),
        ("clap", coo),
    ]


async def test_leaving_drops_every_coo(loft: Loft) -> None:
    words = " ".join(f"word{n}" for n in range(60))
    await loft.bridge.hear(loft.red.post("alice", words), loft.red.post("alice", "more"))
    bot = await loft.bridge.bot("red")
    await loft.bridge.hear(loft.red.say("Block", "alice", target=bot.ref.id))
    assert loft.coos() == []
