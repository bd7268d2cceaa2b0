"""Posts and what is done with them, through the three stations, on both databases."""

from dataclasses import replace
from typing import Any

import pytest

from bridged.store import acts, identity
from bridged.testing import FakeNetwork, Harness


class Scene:
    """Alice on red, followed by bob on blue; both networks are open."""

    def __init__(self, bridge_of: Any) -> None:
        self.red = FakeNetwork("red")
        self.blue = FakeNetwork("blue")
        self.red.join("alice", "rita")
        self.blue.join("bob", "ben")
        self._of = bridge_of
        self.bridge: Harness

    async def start(self, **settings: Any) -> "Scene":
        self.bridge = await self._of(self.red, self.blue, **settings)
        ghost = await self.bridge.ghost(self.red.ref("alice"), "blue")
        self.alice_there = ghost.ref.id
        self.follow = self.blue.say("Follow", "bob", target=ghost.ref.id)
        await self.bridge.hear(self.follow)
        return self


@pytest.fixture
async def scene(bridge_of: Any) -> Scene:
    return await Scene(bridge_of).start()


async def test_post_of_a_followed_account_reaches_the_follower_once(scene: Scene) -> None:
    post = scene.red.post("alice", "hello")
    assert await scene.bridge.hear(post) == 1
    assert await scene.bridge.hear(post) == 0
    assert [t for _, t in scene.blue.sent if t.kind == "Post"] == scene.blue.received("Post")
    assert scene.blue.texts() == ["hello"]
    steps = [step for step, _ in await scene.bridge.ledger(scene.red.ref(post.id))]
    assert steps == ["heard", "carried", "copied", "sent"]


async def test_post_of_an_account_nobody_follows_stays_where_it_is(scene: Scene) -> None:
    await scene.bridge.hear(scene.red.post("rita", "alone"))
    assert scene.blue.texts() == []


async def test_post_from_before_the_follow_is_kept_but_not_delivered(scene: Scene) -> None:
    scene.blue.hub = False
    old = scene.red.post("alice", "long ago", at=scene.red.now - 86400)
    await scene.bridge.hear(old)
    assert scene.blue.texts() == []
    assert await scene.bridge.copies(scene.red.ref(old.id), "blue")


async def test_reply_finds_the_copy_of_its_parent(scene: Scene) -> None:
    first = scene.red.post("alice", "first")
    await scene.bridge.hear(first)
    await scene.bridge.hear(scene.red.post("alice", "second", target=first.id))
    parent, reply = scene.blue.received("Post")
    assert reply.target == parent.id


async def test_reply_from_over_there_finds_the_original(scene: Scene) -> None:
    first = scene.red.post("alice", "first")
    await scene.bridge.hear(first)
    copy = scene.blue.received("Post")[0]
    await scene.bridge.hear(scene.blue.post("bob", "well said", target=copy.id))
    (reply,) = scene.red.received("Post")
    assert (reply.target, reply.text) == (first.id, "well said")


async def test_reply_brings_a_parent_not_heard_before(scene: Scene) -> None:
    parent = scene.red.post("alice", "unheard")
    await scene.bridge.hear(scene.red.post("alice", "answer", target=parent.id))
    assert scene.blue.texts() == ["unheard", "answer"]
    await scene.bridge.hear(parent)
    assert len([t for _, t in scene.blue.sent if t.text == "unheard"]) == 1


async def test_reply_goes_without_a_parent_that_cannot_be_had(scene: Scene) -> None:
    parent = scene.red.post("alice", "hidden", hidden=True)
    reply = scene.red.post("alice", "answer", target=parent.id)
    await scene.bridge.hear(reply)
    (told,) = scene.blue.received("Post")
    assert (told.text, told.target) == ("answer", "")
    assert ("lost", "goes without its parent") in await scene.bridge.ledger(scene.red.ref(reply.id))


async def test_reply_waits_for_a_parent_while_its_home_is_silent(scene: Scene) -> None:
    parent = scene.red.post("alice", "later")
    scene.red.silent = True
    await scene.bridge.hear(scene.red.post("alice", "answer", target=parent.id))
    assert scene.blue.texts() == []
    scene.red.silent = False
    await scene.bridge.wait(60)
    assert scene.blue.texts() == ["later", "answer"]


async def test_reply_stops_waiting_for_a_home_that_stays_silent(scene: Scene) -> None:
    parent = scene.red.post("alice", "never")
    scene.red.silent = True
    await scene.bridge.hear(scene.red.post("alice", "answer", target=parent.id))
    for _ in range(8):
        await scene.bridge.wait(3600)
    assert scene.blue.texts() == ["answer"]


async def test_context_by_somebody_without_consent_is_not_shown(bridge_of: Any) -> None:
    red, blue = FakeNetwork("red"), FakeNetwork("blue")
    red.join("alice", "rita")
    blue.join("bob")
    bridge = await bridge_of(red, blue, consent={"red": "opt-in", "blue": "open"})
    await bridge.write(lambda tx: identity.set_standing(tx, red.ref("alice"), "in", "person", 0.0))
    bob_there = (await bridge.ghost(blue.ref("bob"), "red")).ref.id
    # an answer makes rita a ghost: no leave to show what else she says
    await bridge.hear(red.post("rita", "hi bob", mentions=(bob_there,)))
    private = red.post("rita", "for red only")
    await bridge.hear(red.post("alice", "I agree", target=private.id), red.say("Repost", "alice", target=private.id))
    assert blue.texts() == ["hi bob", "I agree"]
    assert blue.received("Repost") == []


async def test_post_that_was_shown_as_context_still_reaches_the_followers_when_heard(bridge_of: Any) -> None:
    scene = Scene(bridge_of)
    scene.blue.hub = False
    await scene.start()
    parent = scene.red.post("alice", "out of order")
    answer = scene.red.post("alice", "answer", target=parent.id)
    await scene.bridge.hear(answer, parent)
    assert sorted(scene.blue.texts("inbox:bob")) == ["answer", "out of order"]


async def test_edit_changes_the_copy(scene: Scene) -> None:
    post = scene.red.post("alice", "helo")
    await scene.bridge.hear(post)
    await scene.bridge.hear(scene.red.say("Edit", "alice", target=post.id, text="hello"))
    (copy,) = scene.blue.received("Post")
    (edit,) = scene.blue.received("Edit")
    assert (edit.target, edit.text) == (copy.id, "hello")
    (stored,) = await scene.bridge.copies(scene.red.ref(post.id), "blue")
    assert stored.version == 2


async def test_edit_by_another_is_dropped(scene: Scene) -> None:
    post = scene.red.post("alice", "mine")
    await scene.bridge.hear(post)
    forged = scene.red.say("Edit", "rita", target=post.id, text="ours")
    await scene.bridge.hear(forged)
    assert scene.blue.received("Edit") == []
    assert ("dropped", "not-yours") in await scene.bridge.ledger(scene.red.ref(forged.id))


async def test_like_unlike_and_like_again_are_three_things(scene: Scene) -> None:
    post = scene.blue.post("bob", "likeable")
    ghost = await scene.bridge.ghost(scene.blue.ref("bob"), "red")
    await scene.bridge.hear(scene.red.say("Follow", "alice", target=ghost.ref.id))
    await scene.bridge.hear(post)
    copy = scene.red.received("Post")[0]
    like = scene.red.say("React", "alice", target=copy.id)
    await scene.bridge.hear(like)
    await scene.bridge.hear(scene.red.say("Delete", "alice", target=like.id))
    await scene.bridge.hear(scene.red.say("React", "alice", target=copy.id))
    told = [t for t in scene.blue.received() if t.kind in ("React", "Delete")]
    assert [t.kind for t in told] == ["React", "Delete", "React"]
    assert len({t.id for t in told}) == 3
    assert told[1].target == told[0].id
    assert told[0].target == told[2].target == post.id


async def test_like_by_a_member_of_what_is_not_over_there_is_dropped(scene: Scene) -> None:
    native = scene.red.post("rita", "red only")
    like = scene.red.say("React", "alice", target=native.id)
    await scene.bridge.hear(native, like)
    assert scene.blue.received("React") == []


async def test_repost_brings_its_target(scene: Scene) -> None:
    native = scene.red.post("rita", "worth reading")
    await scene.bridge.hear(scene.red.say("Repost", "alice", target=native.id))
    (copy,) = scene.blue.received("Post")
    (repost,) = scene.blue.received("Repost")
    assert (copy.text, repost.target) == ("worth reading", copy.id)


async def test_post_deleted_before_it_came_is_not_carried(scene: Scene) -> None:
    post = scene.red.post("alice", "regretted")
    await scene.bridge.hear(scene.red.say("Delete", "alice", target=post.id))
    await scene.bridge.hear(post)
    assert scene.blue.texts() == []


async def test_delete_by_somebody_else_before_it_came_silences_nobody(scene: Scene) -> None:
    post = scene.red.post("alice", "still here")
    await scene.bridge.ghost(scene.red.ref("rita"), "blue")
    await scene.bridge.hear(scene.red.say("Delete", "rita", target=post.id))
    await scene.bridge.hear(post)
    assert scene.blue.texts() == ["still here"]


async def test_delete_of_a_strangers_post_is_dropped(scene: Scene) -> None:
    post = scene.red.post("alice", "mine")
    await scene.bridge.hear(post)
    await scene.bridge.hear(scene.red.say("Delete", "rita", target=post.id))
    assert scene.blue.texts() == ["mine"]


async def test_delete_cancels_what_was_not_sent(scene: Scene) -> None:
    post = scene.red.post("alice", "oops")
    await scene.bridge.hear(post, settle=False)
    await scene.bridge.decide()
    await scene.bridge.hear(scene.red.say("Delete", "alice", target=post.id))
    assert scene.blue.received("Post") == []


async def test_delete_reaches_every_endpoint_the_post_went_to(bridge_of: Any) -> None:
    scene = Scene(bridge_of)
    scene.blue.hub = False
    await scene.start()
    await scene.bridge.hear(scene.blue.say("Follow", "ben", target=scene.alice_there))
    post = scene.red.post("alice", "to two")
    await scene.bridge.hear(post)
    assert (scene.blue.texts("inbox:bob"), scene.blue.texts("inbox:ben")) == (["to two"], ["to two"])
    await scene.bridge.hear(scene.blue.say("Delete", "ben", target="follow2"))
    await scene.bridge.hear(scene.red.say("Delete", "alice", target=post.id))
    assert (scene.blue.texts("inbox:bob"), scene.blue.texts("inbox:ben")) == ([], [])


async def test_profile_is_told_where_there_is_a_ghost(scene: Scene) -> None:
    scene.red.join("alice", bio=scene.bridge.core.bot().bio, bot=True)
    await scene.bridge.hear(scene.red.say("Profile", "alice", text="Alice A."))
    assert [t.kind for t in scene.blue.received() if t.by == scene.alice_there][-1] == "Profile"
    account = await scene.bridge.read(lambda tx: identity.account(tx, scene.red.ref("alice")))
    assert account is not None
    assert account.bot


async def test_own_copy_coming_back_is_dropped(scene: Scene) -> None:
    await scene.bridge.hear(scene.red.post("alice", "echo"))
    copy = scene.blue.received("Post")[0]
    await scene.bridge.hear(scene.blue.post(copy.by, "echo", id=copy.id))
    assert scene.red.received("Post") == []
    # nor anything else that one of our own ghosts is said to have done
    await scene.bridge.hear(scene.blue.post(copy.by, "made up"))
    assert scene.red.received("Post") == []


async def test_copy_made_by_another_bridge_is_dropped(scene: Scene) -> None:
    post = scene.red.post("alice", "from elsewhere", mark="green:1")
    await scene.bridge.hear(post)
    assert scene.blue.texts() == []


async def test_post_not_meant_for_everybody_is_dropped(scene: Scene) -> None:
    for audience in ("followers", "direct"):
        await scene.bridge.hear(scene.red.post("alice", "quiet", audience=audience))
    assert scene.blue.texts() == []


async def test_malformed_bytes_are_set_aside(scene: Scene) -> None:
    bad = replace(scene.red.post("alice", "x", hidden=True), body=b"\x00{")
    await scene.bridge.hear(bad, scene.red.post("alice", "next"))
    assert scene.blue.texts() == ["next"]
    assert scene.bridge.core.metrics.dropped.labels("red", "not_told")._value.get() == 1


async def test_strangers_answer_crosses_by_setting(bridge_of: Any) -> None:
    scene = await Scene(bridge_of).start(consent={"red": "open", "blue": "opt-in"})
    await scene.bridge.hear(scene.red.post("alice", "ask me"))
    copy = scene.blue.received("Post")[0]
    await scene.bridge.hear(scene.blue.post("ben", "a question", target=copy.id))
    await scene.bridge.hear(scene.blue.say("React", "ben", target=copy.id))
    await scene.bridge.hear(scene.blue.post("ben", "something else"))
    assert scene.red.texts() == ["a question"]
    assert len(scene.red.received("React")) == 1


async def test_strangers_answer_stays_away_when_answers_are_dropped(bridge_of: Any) -> None:
    scene = await Scene(bridge_of).start(consent={"red": "open", "blue": "opt-in"}, answers={"blue": "drop"})
    await scene.bridge.hear(scene.red.post("alice", "ask me"))
    assert scene.blue.texts() == ["ask me"]
    copy = scene.blue.received("Post")[0]
    await scene.bridge.hear(scene.blue.post("ben", "a question", target=copy.id))
    await scene.bridge.hear(scene.blue.say("React", "ben", target=copy.id))
    assert scene.red.received("Post") == scene.red.received("React") == []


async def test_block_is_told_and_stops_answers_and_posts(scene: Scene) -> None:
    await scene.bridge.hear(scene.red.post("alice", "one"))
    copy = scene.blue.received("Post")[0]
    bob_there = (await scene.bridge.ghost(scene.blue.ref("bob"), "red")).ref.id
    block = scene.red.say("Block", "alice", target=bob_there)
    await scene.bridge.hear(block)
    assert [t.target for t in scene.blue.received("Block")] == ["bob"]
    await scene.bridge.hear(scene.blue.post("bob", "hey", target=copy.id))
    assert scene.red.texts() == []
    await scene.bridge.hear(scene.red.post("alice", "two"))
    assert scene.blue.texts() == ["one"]
    await scene.bridge.hear(scene.red.say("Delete", "alice", target=block.id))
    await scene.bridge.hear(scene.blue.post("bob", "hey again", target=copy.id))
    assert scene.red.texts() == ["hey again"]


async def test_one_post_makes_us_fetch_only_so_many(scene: Scene) -> None:
    chain = [scene.red.post("alice", "0")]
    for number in range(1, 60):
        chain.append(scene.red.post("alice", str(number), target=chain[-1].id))
    await scene.bridge.hear(scene.red.post("alice", "last", target=chain[-1].id))
    assert 10 <= len(scene.blue.texts()) <= 21
    assert await scene.bridge.read(lambda tx: acts.find(tx, scene.red.ref(chain[0].id))) is None


async def test_strangers_answers_are_told_in_one_digest_an_hour(bridge_of: Any) -> None:
    scene = await Scene(bridge_of).start(consent={"red": "open", "blue": "opt-in"}, answers={"blue": "digest"})
    await scene.bridge.hear(scene.red.post("alice", "ask me"))
    copy = scene.blue.received("Post")[0]
    await scene.bridge.hear(scene.blue.post("ben", "a question", target=copy.id))
    like = scene.blue.say("React", "ben", target=copy.id)
    await scene.bridge.hear(like)
    await scene.bridge.hear(like)
    assert scene.red.texts() == []
    assert scene.red.received("React") == []
    scene.bridge.clock.move(3600)
    await scene.bridge.settle()
    told = [t.text for t in scene.red.received("Message")]
    assert len(told) == 1
    assert "2 times" in told[0]
    assert told[0].count("ben") >= 2
    assert scene.blue.texts() == ["ask me"]
