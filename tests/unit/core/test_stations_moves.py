"""What becomes of posts, queues and followers when somebody goes on as another account, on both databases."""

from typing import Any

import pytest

from bridged.store import follows
from tests.unit.core.test_stations_acts import Scene


@pytest.fixture
async def scene(bridge_of: Any) -> Scene:
    return await Scene().start(bridge_of)


async def moved(scene: Scene) -> str:
    """Alice has posted, then moved to alice2; the post's id."""
    post = scene.red.post("alice", "before")
    await scene.bridge.hear(post)
    scene.red.join("alice2", same_as=("alice",))
    await scene.bridge.hear(scene.red.say("Move", "alice", target="alice2"))
    return post.id


async def test_post_from_before_a_move_can_be_deleted(scene: Scene) -> None:
    post = await moved(scene)
    await scene.bridge.hear(scene.red.say("Delete", "alice", target=post))
    assert scene.blue.texts() == []


async def test_account_that_moved_and_is_deleted_takes_its_posts_along(scene: Scene) -> None:
    await moved(scene)
    await scene.bridge.hear(scene.red.say("Delete", "alice", target="alice"))
    assert scene.blue.texts() == []
    assert (await scene.bridge.ghost(scene.red.ref("alice2"), "blue")).ref.id == scene.alice_there


async def test_who_moved_and_leaves_takes_the_older_posts_along(scene: Scene) -> None:
    await moved(scene)
    await scene.bridge.hear(scene.red.say("Block", "alice2", target=(await scene.bridge.bot("red")).ref.id))
    assert scene.blue.texts() == []


async def test_what_was_queued_before_a_move_is_sent(scene: Scene) -> None:
    scene.red.join("alice2", same_as=("alice",))
    await scene.bridge.hear(scene.red.post("alice", "before"), settle=False)
    await scene.bridge.decide()
    await scene.bridge.hear(scene.red.say("Move", "alice", target="alice2"), settle=False)
    await scene.bridge.decide()
    await scene.bridge.settle()
    assert scene.blue.texts() == ["before"]


async def test_account_that_moved_says_nothing_more_and_is_not_tried_for_ever(scene: Scene) -> None:
    await moved(scene)
    again = scene.red.post("alice", "still here", mentions=(scene.bob_there,))
    await scene.bridge.hear(again)
    assert scene.blue.texts() == ["before"]
    assert await scene.reasons(scene.red.ref(again.id)), "decided on"


async def test_move_to_an_account_that_had_a_ghost_before(scene: Scene) -> None:
    scene.red.join("alice2", same_as=("alice",))
    had = await scene.bridge.ghost(scene.red.ref("alice2"), "blue")
    scene.red.change("alice2", refuses="#nobridge")
    await scene.bridge.bridge.ghosts.profiles.look(scene.red.ref("alice2"))
    await scene.bridge.settle()
    scene.red.change("alice2", refuses="")
    await scene.bridge.hear(scene.red.say("Move", "alice", target="alice2"))
    await scene.bridge.hear(scene.red.post("alice2", "here now"))
    assert scene.blue.texts() == ["here now"]
    assert (await scene.bridge.ghost(scene.red.ref("alice2"), "blue")).ref in (
        had.ref,
        scene.blue.ref(scene.alice_there),
    )


async def test_followers_come_along_however_often_somebody_moves(scene: Scene) -> None:
    await moved(scene)
    scene.red.change("alice", same_as=("alice2",))
    await scene.bridge.hear(scene.red.say("Move", "alice2", target="alice"))
    await scene.bridge.hear(scene.red.say("Move", "alice", target="alice2"))
    bob, alice2 = scene.blue.ref("bob"), scene.red.ref("alice2")
    assert await scene.bridge.read(lambda tx: follows.state_of(tx, bob, alice2)) == "live"


async def test_followers_with_long_names_all_come_along(scene: Scene) -> None:
    old, new = "é" * 480, "ü" * 480
    scene.red.join(old, new)
    scene.red.change(new, same_as=(old,))
    ghost = await scene.bridge.ghost(scene.red.ref(old), "blue")
    for who in ("bob", "ben"):
        await scene.bridge.hear(scene.blue.say("Follow", who, target=ghost.ref.id))
    await scene.bridge.hear(scene.red.say("Move", old, target=new))
    found = await scene.bridge.read(lambda tx: follows.followers(tx, scene.red.ref(new), "blue"))
    assert {r.id for r in found} == {"bob", "ben"}
