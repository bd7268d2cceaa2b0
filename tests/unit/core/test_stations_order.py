"""What is heard the wrong way round ends as if it had been heard in order: each fault that histories have shown."""

from typing import Any

import pytest

from bridged.store import follows
from tests.unit.core.test_stations_acts import Scene


@pytest.fixture
async def scene(bridge_of: Any) -> Scene:
    return await Scene().start(bridge_of)


def texts_there(scene: Scene) -> list[str]:
    """What alice's posts read in the end: the fake network shows edits as what was told last."""
    texts = {t.id: t.text for t in scene.blue.received("Post")}
    for told in scene.blue.received("Edit"):
        texts[told.target] = told.text
    return [*texts.values()]


async def test_edit_heard_before_its_post_is_what_the_post_reads(scene: Scene) -> None:
    post = scene.red.post("alice", "first")
    later = scene.red.say("Edit", "alice", target=post.id, text="third", at=scene.red.now + 2)
    earlier = scene.red.say("Edit", "alice", target=post.id, text="second", at=scene.red.now + 1)
    await scene.bridge.hear(later)
    await scene.bridge.hear(earlier)
    assert scene.blue.received("Post") == []
    await scene.bridge.hear(post)
    assert texts_there(scene) == ["third"]


async def test_edit_of_somebody_elses_post_heard_before_it_changes_nothing(scene: Scene) -> None:
    post = scene.red.post("alice", "mine")
    await scene.bridge.hear(scene.red.say("Edit", "rita", target=post.id, text="hers", at=scene.red.now + 1))
    await scene.bridge.hear(post)
    assert texts_there(scene) == ["mine"]


async def test_edit_heard_before_a_post_that_is_shown_first_counts_all_the_same(scene: Scene) -> None:
    post = scene.red.post("alice", "first")
    answer = scene.red.post("rita", "yes", target=post.id, mentions=("alice",))
    await scene.bridge.hear(scene.red.say("Edit", "alice", target=post.id, text="second", at=scene.red.now + 1))
    await scene.bridge.hear(scene.blue.say("Follow", "ben", target=(await _ghost(scene, "rita"))))
    await scene.bridge.hear(answer)
    assert "second" in texts_there(scene), "brought as context, as it reads"
    await scene.bridge.hear(post)
    assert "first" not in texts_there(scene)


async def _ghost(scene: Scene, who: str) -> str:
    return (await scene.bridge.ghost(scene.red.ref(who), "blue")).ref.id


async def test_post_shown_as_it_was_edited_reads_so_when_it_is_heard_at_last(scene: Scene) -> None:
    """Its home had the edit when it was fetched; the edit itself never came here."""
    post = scene.red.post("alice", "first")
    scene.red._count -= 1
    scene.red.post("alice", "edited since")
    await scene.bridge.hear(scene.blue.say("Follow", "ben", target=(await _ghost(scene, "rita"))))
    await scene.bridge.hear(scene.red.post("rita", "yes", target=post.id))
    await scene.bridge.hear(post)
    assert sorted(texts_there(scene)) == ["edited since", "yes"]


async def test_what_a_stranger_took_back_before_it_came_stays_away(scene: Scene) -> None:
    answer = scene.red.post("rita", "never mind", mentions=(scene.bob_there,))
    await scene.bridge.hear(scene.red.say("Delete", "rita", target=answer.id))
    await scene.bridge.hear(answer)
    assert scene.blue.received("Post") == []


async def test_like_that_comes_before_its_post_is_told_once_the_post_is_here(scene: Scene) -> None:
    post = scene.blue.post("bob", "hello")
    await scene.bridge.hear(scene.blue.say("React", "bob", target=post.id))
    assert scene.red.received("React") == []
    await scene.bridge.hear(post)
    await scene.bridge.wait(61)
    assert [t.kind for t in scene.red.received("React")] == ["React"]


@pytest.mark.parametrize("kind", ["React", "Repost"])
async def test_second_like_heard_before_the_first_was_taken_back_stands(scene: Scene, kind: str) -> None:
    post = scene.red.post("alice", "hello")
    await scene.bridge.hear(post)
    copy = scene.blue.received("Post")[0].id
    first = scene.blue.say(kind, "bob", target=copy)
    second = scene.blue.say(kind, "bob", target=copy, at=scene.blue.now + 5)
    await scene.bridge.hear(first)
    await scene.bridge.hear(second)
    assert len(scene.red.received(kind)) == 1, "liking twice is liking once"
    await scene.bridge.hear(scene.blue.say("Delete", "bob", target=first.id))
    told = [t for _, t in scene.red.sent if t.kind in (kind, "Delete")]
    assert [t.kind for t in told] == [kind, "Delete", kind]
    await scene.bridge.hear(scene.blue.say("Delete", "bob", target=second.id))
    assert [t.kind for _, t in scene.red.sent if t.kind in (kind, "Delete")] == [kind, "Delete", kind, "Delete"]


@pytest.mark.parametrize("order", ["new-first", "old-first"])
async def test_who_follows_anew_goes_on_following_when_the_old_end_comes_late(scene: Scene, order: str) -> None:
    ben, alice = scene.blue.ref("ben"), scene.red.ref("alice")
    old = scene.blue.say("Follow", "ben", target=scene.alice_there)
    new = scene.blue.say("Follow", "ben", target=scene.alice_there, at=scene.blue.now + 5)
    await scene.bridge.hear(*((old, new) if order == "old-first" else (new, old)))
    await scene.bridge.hear(scene.blue.say("Delete", "ben", target=old.id))
    assert alice in await scene.bridge.read(lambda tx: follows.refs_of(tx, ben))
    assert scene.red.received("Delete") == []
    await scene.bridge.hear(scene.blue.say("Delete", "ben", target=new.id))
    assert await scene.bridge.read(lambda tx: follows.refs_of(tx, ben)) == {}


async def test_undoing_the_newest_of_two_follows_ends_both(scene: Scene) -> None:
    """Some servers follow again without a word about the follow before."""
    ben = scene.blue.ref("ben")
    old = scene.blue.say("Follow", "ben", target=scene.alice_there)
    new = scene.blue.say("Follow", "ben", target=scene.alice_there, at=scene.blue.now + 5)
    await scene.bridge.hear(old, new)
    await scene.bridge.hear(scene.blue.say("Delete", "ben", target=new.id))
    assert await scene.bridge.read(lambda tx: follows.refs_of(tx, ben)) == {}


async def test_older_profile_is_ignored_also_while_its_home_is_silent(scene: Scene) -> None:
    newer = scene.red.say("Profile", "alice", text="Alice the second", at=scene.red.now + 5)
    older = scene.red.say("Profile", "alice", text="Alice the first", at=scene.red.now + 1)
    scene.red.silent = True
    await scene.bridge.hear(newer)
    await scene.bridge.hear(older)
    assert [t.text for t in scene.blue.received("Profile") if t.by == scene.alice_there][-1] == "Alice the second"
