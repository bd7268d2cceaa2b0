"""Forged claims, leaks, long ids and long lists, through the stations, on both databases."""

from typing import Any

import pytest

from bridged import agenda
from bridged.bot import write_to
from bridged.model import Ref, Text
from bridged.store import follows, identity, inboxes, pins
from tests.unit.core.test_stations_acts import Scene, poll


@pytest.fixture
async def scene(bridge_of: Any) -> Scene:
    return await Scene().start(bridge_of)


async def test_private_vote_taken_back_does_not_show_whose_it_was(scene: Scene) -> None:
    _, copy = await poll(scene, scene.red, "alice")
    vote = scene.blue.say("Vote", "bob", target=copy, choices=("coffee",), named=True)
    await scene.bridge.hear(vote)
    await scene.bridge.hear(scene.blue.say("Delete", "bob", target=vote.id))
    assert [t.by for t in scene.red.received("Delete")] == []


async def test_report_taken_back_does_not_show_whose_it_was(scene: Scene) -> None:
    report = scene.blue.say("Report", "bob", target=scene.alice_there)
    await scene.bridge.hear(report)
    await scene.bridge.hear(scene.blue.say("Delete", "bob", target=report.id))
    assert [t.by for t in scene.red.received("Delete")] == []


async def test_who_is_blocked_can_still_complain(scene: Scene) -> None:
    await scene.bridge.hear(scene.red.say("Block", "alice", target=scene.bob_there))
    await scene.bridge.hear(scene.blue.say("Report", "bob", target=scene.alice_there))
    assert len(scene.red.received("Report")) == 1


async def test_report_names_only_posts_of_whom_it_is_about(scene: Scene) -> None:
    mine, others = scene.red.post("alice", "mine"), scene.red.post("rita", "another's")
    await scene.bridge.hear(mine)
    await scene.bridge.hear(others)
    targets = [
        t.ref.id for p in (mine, others) for t in await scene.bridge.copies(scene.red.ref(p.id), "blue") if t.ref
    ]
    await scene.bridge.hear(scene.blue.say("Report", "bob", target=scene.alice_there, targets=tuple(targets)))
    (told,) = scene.red.received("Report")
    assert told.targets == (mine.id,)


async def test_report_of_another_bridges_ghost_is_not_one_of_whom_it_claims_to_be(scene: Scene) -> None:
    scene.blue.join("false_rita", mark="red://rita")
    await scene.bridge.hear(scene.blue.post("bob", "hello", mentions=("false_rita",)))
    await scene.bridge.bridge.threads._unmask(scene.blue.ref("false_rita"))
    await scene.bridge.hear(scene.blue.say("Report", "bob", target="false_rita"))
    assert scene.red.received("Report") == []


async def test_what_is_not_to_be_shown_around_is_not_brought_as_context(bridge_of: Any) -> None:
    scene = await Scene().start(bridge_of, unlisted={"red": "drop"})
    quiet = scene.red.post("rita", "quietly", audience="unlisted")
    await scene.bridge.hear(scene.red.post("alice", "an answer", target=quiet.id))
    assert scene.blue.texts() == ["an answer"]


async def test_message_of_the_bot_is_said_once_for_each_name(scene: Scene) -> None:
    bob = scene.blue.ref("bob")
    for _ in range(2):
        await scene.bridge.write(lambda tx: write_to(scene.bridge.core, tx, bob, "the-same", Text("hello")))
        await scene.bridge.wait(5)
    assert [t.text for _, t in scene.blue.sent if t.kind == "Message"] == ["hello"]


async def test_another_bridges_ghost_is_nobodys_own_account(scene: Scene) -> None:
    scene.red.join("carol", same_as=("blue://carol_elsewhere",))
    scene.blue.join("carol_elsewhere", mark="red://carol", same_as=("red://carol",))
    await scene.bridge.bridge.ghosts.account(scene.red.ref("carol"))
    assert (await scene.bridge.ghost(scene.red.ref("carol"), "blue")).custody == "hosted"


async def test_address_that_is_none_is_no_page(scene: Scene) -> None:
    ref = Ref("red", "https://red.example/1")
    for url in ("https://[red.example/1", "https://red.example/" + "ü" * 990):
        await scene.bridge.write(lambda tx, u=url: identity.note_page(tx, u, ref))
        assert await scene.bridge.read(lambda tx, u=url: identity.at_page(tx, u)) is None


async def test_only_so_many_pins_are_taken_up(scene: Scene) -> None:
    posts = [scene.red.post("alice", f"post {n}") for n in range(30)]
    await scene.bridge.hear(*posts)
    await scene.bridge.hear(scene.red.say("PinList", "alice", targets=tuple(p.id for p in posts)))
    kept = await scene.bridge.read(lambda tx: pins.of(tx, scene.red.ref("alice")))
    assert [r.id for r in kept] == [p.id for p in posts[:20]]


async def test_long_ids_fit_the_agenda(scene: Scene) -> None:
    ref = Ref("red", "€" * 400)
    await scene.bridge.write(lambda tx: agenda.order(tx, "answers", ref, scene.bridge.clock()))


async def test_list_of_long_ids_is_taken_up(scene: Scene) -> None:
    long = "x" * 990
    scene.blue.join(long)
    there = (await scene.bridge.ghost(scene.blue.ref(long), "red")).ref.id
    await scene.bridge.hear(scene.red.say("BlockList", "alice", id="y" * 990, targets=(there,)))
    assert list(await scene.bridge.read(lambda tx: follows.blocks_of(tx, scene.red.ref("alice")))) == [
        scene.blue.ref(long)
    ]


async def test_inbox_backlog_counts_what_waits_and_not_what_is_to_come(scene: Scene) -> None:
    await poll(scene, scene.red, "alice", ends=scene.bridge.clock() + 86400)
    assert (await scene.bridge.read(lambda tx: inboxes.backlog(tx, scene.bridge.clock())))[0] == 0
