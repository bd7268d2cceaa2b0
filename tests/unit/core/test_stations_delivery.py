"""Station 3: order, retries, endings; and nothing lost or doubled when the process dies at a seam."""

from typing import Any

import pytest

from bridged.adapter import Rejected, Retry
from bridged.retry import GIVE_UP
from bridged.store import queued
from bridged.testing import FakeNetwork, Harness


class Crash(BaseException):
    """The process dies here."""


@pytest.fixture
def red() -> FakeNetwork:
    red = FakeNetwork("red")
    red.join("alice", "rita")
    return red


@pytest.fixture
def blue() -> FakeNetwork:
    blue = FakeNetwork("blue", hub=False)
    blue.join("bob", "ben")
    return blue


async def _followed(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> Harness:
    """Bob and ben follow alice; bob follows rita."""
    bridge = await bridge_of(red, blue)
    for follower, target in (("bob", "alice"), ("ben", "alice"), ("bob", "rita")):
        ghost = await bridge.ghost(red.ref(target), "blue")
        await bridge.hear(blue.say("Follow", follower, target=ghost.ref.id))
    blue.sent.clear()
    return bridge


async def test_head_of_a_lane_blocks_it_until_it_is_sent(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await _followed(bridge_of, red, blue)
    blue.broken["inbox:bob"] = Retry("down")
    await bridge.hear(red.post("alice", "one"))
    await bridge.hear(red.post("alice", "two"))
    assert blue.texts("inbox:ben") == ["one", "two"]
    assert blue.texts("inbox:bob") == []
    blue.broken.clear()
    await bridge.wait(5)
    assert blue.texts("inbox:bob") == ["one", "two"]
    assert blue.texts("inbox:ben") == ["one", "two"]


async def test_lanes_of_other_actors_do_not_wait(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await _followed(bridge_of, red, blue)
    blue.broken["inbox:bob"] = Retry("busy", after=60)
    await bridge.hear(red.post("alice", "stuck"))
    blue.broken.clear()
    await bridge.hear(red.post("rita", "passes"))
    assert blue.texts("inbox:bob") == ["passes"]


async def test_wish_of_the_other_side_to_wait_is_honoured(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await _followed(bridge_of, red, blue)
    blue.broken["inbox:bob"] = Retry("slow down", after=600)
    await bridge.hear(red.post("alice", "one"))
    blue.broken.clear()
    await bridge.wait(598)
    assert blue.texts("inbox:bob") == []
    await bridge.wait(2)
    assert blue.texts("inbox:bob") == ["one"]


async def test_delivery_that_fails_for_a_week_is_dead_with_its_reason(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await _followed(bridge_of, red, blue)
    blue.broken["inbox:bob"] = Retry("no route\x00")
    post = red.post("alice", "one")
    await bridge.hear(post)
    for _ in range(int(GIVE_UP / 21600) + 12):
        await bridge.wait(21600)
    assert (("dead", "no route")) in await bridge.ledger(red.ref(post.id))
    blue.broken.clear()
    await bridge.hear(red.post("alice", "two"))
    assert blue.texts("inbox:bob") == ["two"]


async def test_refusal_is_dead_at_once_and_the_next_goes(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await _followed(bridge_of, red, blue)
    blue.trouble.append(Rejected("not wanted"))
    post, other = red.post("rita", "one"), red.post("rita", "two")
    await bridge.hear(post)
    await bridge.hear(other)
    assert blue.texts("inbox:bob") == ["two"]
    assert ("dead", "not wanted") in await bridge.ledger(red.ref(post.id))


async def test_mistake_in_an_adapter_counts_as_an_attempt(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await _followed(bridge_of, red, blue)
    blue.trouble.append(KeyError("oops"))
    post = red.post("rita", "one")
    with pytest.raises(AssertionError, match="delivery_failed"):
        await bridge.hear(post)
    bridge.log.lines.clear()
    assert ("retry", "internal error: KeyError") in await bridge.ledger(red.ref(post.id))
    await bridge.wait(5)
    assert blue.texts("inbox:bob") == ["one"]


async def test_timeout_is_tried_again_under_the_same_id(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await _followed(bridge_of, red, blue)
    blue.trouble.append(TimeoutError())
    await bridge.hear(red.post("rita", "one"))
    await bridge.wait(5)
    assert blue.texts("inbox:bob") == ["one"]


async def test_lane_of_an_adapter_that_was_switched_off_waits(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await _followed(bridge_of, red, blue)
    await bridge.hear(red.post("rita", "one"), settle=False)
    await bridge.decide()
    bridge.classes = [red.adapter]
    await bridge.restart()
    await bridge.settle()
    bridge.classes = [red.adapter, blue.adapter]
    await bridge.restart()
    await bridge.wait(3600)
    assert blue.texts("inbox:bob") == ["one"]


def _die_at(monkeypatch: pytest.MonkeyPatch, name: str, count: int) -> list[str]:
    """Passings of seams; the `count`-th of `name` raises Crash, and so does all that comes after."""
    passed: list[str] = []

    def seam(here: str) -> None:
        passed.append(here)
        if passed.count(name) >= count:
            raise Crash

    for room in ("bridge", "inbox", "outbox"):
        monkeypatch.setattr(f"bridged.{room}.seam", seam)
    return passed


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    "name",
    # those between transactions; tests/faults kills the real process at all of them
    [
        "inbox.received",
        "bridge.prepared",
        "bridge.committed",
        "outbox.claimed",
        "outbox.delivered",
        "outbox.marked",
    ],
)
async def test_crash_at_a_seam_loses_and_doubles_nothing(
    bridge_of: Any,
    red: FakeNetwork,
    blue: FakeNetwork,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    count: int,
) -> None:
    bridge = await _followed(bridge_of, red, blue)
    texts = [str(n) for n in range(6)]
    posts = [red.post("alice", text) for text in texts]
    gone = red.say("Delete", "alice", target=posts[2].id)
    passed = _die_at(monkeypatch, name, count)
    stopped = None
    for envelope in (*posts, gone):
        try:
            await bridge.hear(envelope, settle=False)
        except Crash:
            stopped = envelope
            break
    if stopped is None:
        # what dies is a task of its own; whatever else it had in hand dies with it
        await bridge.bridge.start()
        await bridge.bridge.drain()
        for _ in range(3):
            if passed.count(name) >= count:
                break
            await bridge.outbox.start()
            await bridge.outbox.drain()
    assert passed.count(name) >= count, "the seam was not passed"
    monkeypatch.undo()
    await bridge.restart()
    # whoever got no thanks sends again, and all that comes after
    await bridge.hear(*posts, gone)
    await bridge.wait(60)
    kept = [t for n, t in enumerate(texts) if n != 2]
    assert blue.texts("inbox:bob") == blue.texts("inbox:ben") == kept
    attempts = [t.id for where, t in blue.sent if where == "inbox:bob" and t.kind == "Post"]
    assert len(attempts) - len(set(attempts)) <= (1 if name == "outbox.delivered" else 0)
    assert len({t.text for t in blue.received("Post", "inbox:bob")}) == len(blue.received("Post", "inbox:bob"))
    assert await bridge.read(queued.depth) == {}


async def test_taking_back_is_not_stopped_by_an_adapter_that_was_switched_off(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await _followed(bridge_of, red, blue)
    post = red.post("rita", "one")
    await bridge.hear(post)
    bridge.classes = [red.adapter]
    await bridge.restart()
    gone = red.say("Delete", "rita", target=post.id)
    await bridge.hear(gone)
    assert ("lost", "the adapter for blue is switched off") in await bridge.ledger(red.ref(gone.id))
