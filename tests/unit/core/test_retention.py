"""What is kept long enough goes, a little at a time; what later acts need stays."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select

from bridged import trace
from bridged.adapter import Envelope, Retry
from bridged.config import Settings
from bridged.model import Ref
from bridged.retention import Retention
from bridged.store import follows, inboxes, ledger, pruning, queue
from bridged.store.engine import Tx
from bridged.store.schema import copies, inbox, outbox
from bridged.store.schema import ledger as ledger_table
from bridged.testing import FakeNetwork, Harness
from bridged.web.health import refresh

DAY = 86_400.0
Bridge = Callable[..., Awaitable[Harness]]


async def prune(bridge: Harness) -> Retention:
    """One pass."""
    retention = Retention(bridge.core)
    while await retention.step():
        pass
    return retention


async def count(bridge: Harness, table: Any, *where: Any) -> int:
    return await bridge.read(lambda tx: tx.execute(select(func.count()).select_from(table).where(*where)).scalar())


class Village:
    """Bob of blue, and whoever else, follows ann of red."""

    def __init__(self, bridge: Harness, red: FakeNetwork, blue: FakeNetwork) -> None:
        self.bridge, self.red, self.blue = bridge, red, blue

    async def start(self, *followers: str) -> "Village":
        self.red.join("ann")
        self.blue.join("bob", *followers)
        ghost = await self.bridge.ghost(self.red.ref("ann"), "blue")
        for name in ("bob", *followers):
            await self.bridge.hear(self.blue.say("Follow", name, target=ghost.ref.id))
        return self

    async def later(self, days: float) -> None:
        self.bridge.clock.move(days * DAY)
        self.red.now = self.blue.now = self.bridge.clock()


@pytest.fixture
async def village(bridge_of: Bridge) -> Village:
    red, blue = FakeNetwork("red"), FakeNetwork("blue", hub=False)
    bridge = await bridge_of(red, blue)
    return await Village(bridge, red, blue).start()


async def test_each_kind_of_row_goes_when_its_time_is_over(village: Village) -> None:
    bridge, red = village.bridge, village.red
    await bridge.hear(red.post("ann", "hello"))
    made = [await count(bridge, t) for t in (inbox, outbox, ledger_table)]
    await prune(bridge)
    assert [await count(bridge, t) for t in (inbox, outbox, ledger_table)] == made
    await village.later(14.1)
    await prune(bridge)
    assert await count(bridge, inbox) == 0
    assert [await count(bridge, t) for t in (outbox, ledger_table)] == made[1:]
    await village.later(16)
    await prune(bridge)
    assert (await count(bridge, outbox), await count(bridge, ledger_table)) == (0, made[2])
    await village.later(60)
    await prune(bridge)
    assert await count(bridge, ledger_table) == 0
    assert await count(bridge, copies) > 0


async def test_delete_and_edit_go_wherever_the_post_went_long_ago(village: Village) -> None:
    """Also to those who follow no more."""
    bridge, red, blue = village.bridge, village.red, village.blue
    post = red.post("ann", "hello")
    await bridge.hear(post)
    assert blue.received("Post", "inbox:bob")
    follow = next(t for t in blue.said.values()) if blue.said else None
    assert follow is None
    await village.later(40)
    await prune(bridge)
    assert await count(bridge, outbox) == 0
    await bridge.write(lambda tx: follows.forget(tx, blue.ref("bob")))
    await bridge.hear(red.say("Edit", "ann", target=post.id, text="hello, changed"))
    assert [t.text for t in blue.received("Edit", "inbox:bob")] == ["hello, changed"]
    await village.later(40)
    await prune(bridge)
    await bridge.hear(red.say("Delete", "ann", target=post.id))
    assert len(blue.received("Delete", "inbox:bob")) == 1
    await village.later(40)
    await prune(bridge)
    # it came back late: it stays deleted, and a repetition goes nowhere
    sent = len(blue.sent)
    assert await bridge.hear(post) == 1
    await bridge.hear(red.say("Delete", "ann", target=post.id))
    assert len(blue.sent) == sent


async def test_what_arrives_again_after_it_is_forgotten_is_not_said_again(village: Village) -> None:
    bridge, red, blue = village.bridge, village.red, village.blue
    said = [red.post("ann", "hello")]
    said.append(red.say("React", "ann", target=said[0].id))
    for envelope in said:
        await bridge.hear(envelope)
    await village.later(100)
    await prune(bridge)
    assert await count(bridge, inbox) == 0
    sent = len(blue.sent)
    for envelope in said:
        assert await bridge.hear(envelope) == 1
    assert len(blue.sent) == sent
    assert blue.texts() == ["hello"]


async def test_copy_that_went_somewhere_is_not_queued_there_again(village: Village) -> None:
    bridge, red = village.bridge, village.red
    await bridge.hear(red.post("ann", "hello"))
    row = await bridge.read(lambda tx: tx.execute(select(outbox).where(outbox.c.act == "Post")).one())
    await village.later(40)
    await prune(bridge)

    def again(tx: Tx) -> int:
        to = ["inbox:bob"]
        return queue.enqueue(tx, "blue", to, red.ref("ann"), row.copy, "Post", row.body, (), 0.0, bridge.clock())

    assert not await bridge.write(again)


async def test_what_still_waits_or_was_said_to_the_bot_stays_whatever_its_age(village: Village) -> None:
    bridge, red, blue = village.bridge, village.red, village.blue
    blue.broken["inbox:bob"] = Retry("away")
    await bridge.hear(red.post("ann", "hello"))

    def odd(tx: Tx) -> None:
        ref = Ref("red", "ann")
        for name, body, state in (("told", b"", "done"), ("waits", b"x", "new"), ("bad", b"x", "dead")):
            inboxes.add(tx, Envelope("red", name, body, "live", ref, bridge.clock()))
            tx.execute(inbox.update().where(inbox.c.native_id == name).values(state=state, due_at=1e12))

    await bridge.write(odd)
    await village.later(80)
    await prune(bridge)
    names = await bridge.read(lambda tx: set(tx.execute(select(inbox.c.native_id)).scalars()))
    assert names == {"told", "waits", "bad"}
    assert await count(bridge, outbox, outbox.c.state == "ready") == 1
    await village.later(20)
    await prune(bridge)
    names = await bridge.read(lambda tx: set(tx.execute(select(inbox.c.native_id)).scalars()))
    assert names == {"told", "waits"}
    assert await count(bridge, outbox, outbox.c.state == "ready") == 1


async def test_trace_says_that_older_steps_are_gone_and_where_it_went(village: Village) -> None:
    bridge, red = village.bridge, village.red
    post = red.post("ann", "hello")
    await bridge.hear(post)
    await village.later(100)
    await prune(bridge)
    await bridge.hear(red.post("ann", "new"))
    story = await trace.trace(bridge.core, f"red://{post.id}")
    assert story is not None
    lines = trace.lines(story)
    assert any("are kept no longer (keep.ledger)" in line for line in lines)
    assert "    to inbox:bob: sent; more is kept no longer (keep.sent)" in lines
    new = await trace.trace(bridge.core, "red://post2")
    assert new is not None
    assert new.since is None


async def test_never_keeps_for_ever(bridge_of: Bridge) -> None:
    red, blue = FakeNetwork("red"), FakeNetwork("blue")
    keep = {"input": "never", "sent": "never", "dead": "never", "ledger": "never"}
    bridge = await bridge_of(red, blue, keep=keep)
    village = await Village(bridge, red, blue).start()
    await bridge.hear(red.post("ann", "hello"))
    made = [await count(bridge, t) for t in (inbox, outbox, ledger_table)]
    await village.later(50_000)
    await prune(bridge)
    assert [await count(bridge, t) for t in (inbox, outbox, ledger_table)] == made


async def test_old_versions_lead_to_the_newest_but_keep_no_words(village: Village) -> None:
    bridge, red = village.bridge, village.red
    post = red.post("ann", "first words")
    await bridge.hear(post)
    before = (await bridge.copies(red.ref(post.id), "blue"))[0]
    await bridge.hear(red.say("Edit", "ann", target=post.id, text="second words"))
    served = await bridge.read(
        lambda tx: list(tx.execute(select(copies.c.served).where(copies.c.origin_id == post.id)).scalars())
    )
    assert [b"first" in s for s in served] == [False, False]
    assert before.ref is not None
    newest = await bridge.hosts["blue"].copy(before.ref)
    assert newest is not None
    assert b"second words" in newest.served


async def test_figures_tell_what_went_and_how_big_the_database_is(village: Village) -> None:
    bridge, red = village.bridge, village.red
    await bridge.hear(red.post("ann", "hello"))
    await village.later(100)
    await prune(bridge)
    await refresh(bridge.core)
    text = bridge.core.metrics.render().decode()
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(figures['bridged_pruned_total{table="inbox"}']) >= 1
    assert float(figures["bridged_store_bytes"]) > 10_000


async def test_nobody_waits_long_for_a_big_clearance_and_the_file_shrinks(tmp_path: Path) -> None:
    """Steps stay small whatever there is to do, and the room comes back."""
    red, blue = FakeNetwork("red"), FakeNetwork("blue")
    async with Harness([red.adapter, blue.adapter], data_dir=tmp_path / "var") as bridge:
        ref = Ref("red", "ann")

        def many(tx: Tx) -> None:
            for number in range(2000):
                ledger.write(tx, bridge.clock(), "heard", Ref("red", f"x{number}"), reason="y" * 400)
                inboxes.add(tx, Envelope("red", f"x{number}", b"z" * 2000, "live", ref, bridge.clock()))

        await bridge.write(many)
        await bridge.write(lambda tx: tx.execute(inbox.update().values(state="done")))
        bridge.clock.move(100 * DAY)
        before = await bridge.read(pruning.size)
        retention, took = Retention(bridge.core), list[float]()
        inner = pruning.throw_away

        def measured(tx: Tx, sweep: pruning.Sweep, ids: Any) -> int:
            begun = time.thread_time()  # of this thread alone: the machine may be busy
            gone = inner(tx, sweep, ids)
            took.append(time.thread_time() - begun)
            return gone

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pruning, "throw_away", measured)
            patch.setattr("bridged.retention.PAUSE", 0.0)
            while await retention.step():
                pass
        assert await count(bridge, inbox) == 0
        assert sorted(took)[len(took) // 2] < 0.05
        assert len(took) >= 4000 / 500
        assert await bridge.read(pruning.size) < before / 2


async def test_step_takes_fewer_rows_where_the_machine_is_slow(
    village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    retention, now = Retention(village.bridge.core), 0.0
    monkeypatch.setattr("bridged.retention.time", SimpleNamespace(perf_counter=lambda: now))

    def slow(_tx: Tx) -> int:
        nonlocal now
        now += 0.02
        return 0

    before = retention.size
    await retention._measured(slow)
    assert retention.size == before // 2
    await retention._measured(lambda _: 0)
    assert retention.size == before


@pytest.mark.parametrize(("text", "days"), [("14d", 14), ("4w", 28), ("1y", 365), ("never", float("inf"))])
def test_durations_are_read_as_people_write_them(text: str, days: float) -> None:
    settings = Settings.model_validate({"domain": "x.test", "keep": {"input": text}})
    assert settings.keep.input == days * DAY


@pytest.mark.parametrize("text", ["14", "0", "0d", "forever", "-3d", "1.5d", 14, None, "14 hours"])
def test_what_is_no_duration_is_refused_with_what_is(text: object) -> None:
    with pytest.raises(ValueError, match="must be days, weeks or years, like 14d, 4w or 1y, or never"):
        Settings.model_validate({"domain": "x.test", "keep": {"input": text}})
