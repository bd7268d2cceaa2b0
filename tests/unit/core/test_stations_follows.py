"""Follows, follow lists and membership, through the three stations, on both databases."""

from typing import Any

import pytest

from bridged.model import BOT, Ref
from bridged.store import acts, follows, identity, inboxes
from bridged.testing import FakeNetwork, Harness


@pytest.fixture
def red() -> FakeNetwork:
    """Asks before it lets follow, is heard only by following, and has an inbox for everybody."""
    red = FakeNetwork("red", follows="request", hearing="push", hub=False)
    red.join("alice", "rita")
    return red


@pytest.fixture
def blue() -> FakeNetwork:
    """Follows freely, in lists."""
    blue = FakeNetwork("blue")
    blue.join("bob", "ben", *(f"b{n}" for n in range(8)))
    return blue


async def _there(bridge: Harness, owner: Ref, network: str) -> str:
    return (await bridge.ghost(owner, network)).ref.id


async def _standing(bridge: Harness, ref: Ref) -> str | None:
    return await bridge.read(lambda tx: identity.standing(tx, ref))


async def _followed(bridge: Harness, actor: Ref) -> set[str]:
    return await bridge.read(lambda tx: {t.id for t in follows.refs_of(tx, actor)})


async def test_follow_is_accepted_and_posts_follow(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await bridge_of(red, blue)
    follow = red.say("Follow", "alice", target=await _there(bridge, blue.ref("bob"), "red"))
    await bridge.hear(follow)
    (accept,) = red.received("Accept", "inbox:alice")
    assert accept.target == follow.id
    assert "bob" in bridge.core.ears.of("blue").full
    await bridge.hear(blue.post("bob", "news"))
    assert red.texts("inbox:alice") == ["news"]


async def test_follow_sent_out_is_live_once_accepted(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await bridge_of(red, blue)
    await bridge.hear(blue.say("Follow", "bob", target=await _there(bridge, red.ref("alice"), "blue")))
    (follow,) = red.received("Follow", "inbox:alice")
    assert follow.target == "alice"
    await bridge.hear(red.post("alice", "too early"))
    assert blue.texts() == []
    await bridge.hear(red.say("Accept", "alice", target=follow.id))
    await bridge.hear(red.post("alice", "hello"))
    assert blue.texts() == ["hello"]
    await bridge.hear(red.say("Reject", "alice", target=follow.id))
    await bridge.hear(red.post("alice", "not for you"))
    assert blue.texts() == ["hello"]


async def test_accept_by_somebody_else_grants_nothing(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await bridge_of(red, blue)
    await bridge.hear(blue.say("Follow", "bob", target=await _there(bridge, red.ref("alice"), "blue")))
    (follow,) = red.received("Follow")
    await bridge.hear(red.say("Accept", "rita", target=follow.id))
    state = await bridge.read(lambda tx: follows.state_of(tx, blue.ref("bob"), red.ref("alice")))
    assert state == "asked"


async def test_unfollow_ends_it_and_is_told(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await bridge_of(red, blue)
    follow = blue.say("Follow", "bob", target=await _there(bridge, red.ref("alice"), "blue"))
    await bridge.hear(follow)
    (asked,) = red.received("Follow")
    await bridge.hear(red.say("Accept", "alice", target=asked.id))
    await bridge.hear(blue.say("Delete", "bob", target=follow.id))
    (undo,) = red.received("Delete", "inbox:alice")
    assert undo.target == asked.id
    await bridge.hear(red.post("alice", "unheard"))
    assert blue.texts() == []
    assert "alice" not in bridge.core.ears.of("red").full


async def test_second_follow_is_another_than_the_first(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await bridge_of(red, blue)
    target = await _there(bridge, red.ref("alice"), "blue")
    first = blue.say("Follow", "bob", target=target)
    await bridge.hear(first)
    await bridge.hear(blue.say("Delete", "bob", target=first.id))
    await bridge.hear(blue.say("Follow", "bob", target=target))
    assert len({t.id for t in red.received("Follow")}) == 2


async def test_follow_of_somebody_without_consent_is_rejected(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await bridge_of(red, blue)
    target = await _there(bridge, blue.ref("bob"), "red")
    await bridge.write(lambda tx: identity.set_standing(tx, blue.ref("bob"), "out", "person", 0.0))
    follow = red.say("Follow", "alice", target=target)
    await bridge.hear(follow)
    assert [t.target for t in red.received("Reject", "inbox:alice")] == [follow.id]
    assert red.received("Accept") == []
    assert await _followed(bridge, red.ref("alice")) == set()


async def _list(bridge: Harness, red: FakeNetwork, blue: FakeNetwork, names: list[str], at: float) -> None:
    ghosts = [await _there(bridge, red.ref(n), "blue") for n in names]
    await bridge.hear(blue.say("FollowList", "bob", targets=tuple(ghosts), at=at))


async def test_list_becomes_the_difference_to_the_one_before(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await bridge_of(red, blue)
    await _list(bridge, red, blue, ["alice"], 1.0)
    await _list(bridge, red, blue, ["alice", "rita"], 2.0)
    assert [t.target for t in red.received("Follow")] == ["alice", "rita"]
    await _list(bridge, red, blue, ["rita"], 3.0)
    assert len(red.received("Delete", "inbox:alice")) == 1
    assert await _followed(bridge, blue.ref("bob")) == {"rita"}


async def test_older_list_is_ignored(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await bridge_of(red, blue)
    await _list(bridge, red, blue, ["alice"], 5.0)
    await _list(bridge, red, blue, ["rita"], 4.0)
    assert await _followed(bridge, blue.ref("bob")) == {"alice"}


async def test_list_that_loses_more_than_half_waits_for_confirmation(bridge_of: Any, blue: FakeNetwork) -> None:
    red = FakeNetwork("red")
    names = [f"r{n}" for n in range(6)]
    red.join(*names)
    bridge = await bridge_of(red, blue)
    await _list(bridge, red, blue, names, 1.0)
    await _list(bridge, red, blue, [], 2.0)
    assert len(await _followed(bridge, blue.ref("bob"))) == 6
    await _list(bridge, red, blue, names, 3.0)
    await bridge.wait(3600)
    assert len(await _followed(bridge, blue.ref("bob"))) == 6, "the empty list was a mistake, taken back in time"
    await _list(bridge, red, blue, names[:1], 4.0)
    await bridge.wait(3600)
    assert await _followed(bridge, blue.ref("bob")) == {"r0"}


async def _joined(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork, **settings: Any) -> Harness:
    """Alice of red has followed the bot; bob of blue follows her."""
    consent = {"red": "opt-in", "blue": "open", **settings.pop("consent", {})}
    bridge = await bridge_of(red, blue, consent=consent, **settings)
    await bridge.hear(red.say("Follow", "alice", id="join", target=(await bridge.bot("red")).ref.id))
    return bridge


async def test_following_the_bot_makes_a_member(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await _joined(bridge_of, red, blue)
    assert await _standing(bridge, red.ref("alice")) == "in"
    assert [t.target for t in red.received("Accept", "inbox:alice")] == ["join"]
    (back,) = red.received("Follow", "inbox:alice")
    assert back.by == (await bridge.bot("red")).ref.id
    await bridge.hear(red.post("alice", "to everybody"))
    assert blue.texts() == ["to everybody"]
    await bridge.hear(red.post("rita", "to red"))
    assert blue.texts() == ["to everybody"]


async def test_nobody_joins_where_members_are_listed(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await _joined(bridge_of, red, blue, consent={"red": "listed"})
    assert await _standing(bridge, red.ref("alice")) is None
    assert [t.target for t in red.received("Reject", "inbox:alice")] == ["join"]


@pytest.mark.parametrize("how", ["Delete", "Block", "account"])
async def test_leaving_deletes_all_copies(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork, how: str) -> None:
    bridge = await _joined(bridge_of, red, blue)
    posts = [red.post("alice", str(n)) for n in range(60)]
    await bridge.hear(*posts)
    assert len(blue.texts()) == 60
    bot = (await bridge.bot("red")).ref.id
    target = {"Delete": "join", "Block": bot, "account": "alice"}[how]
    await bridge.hear(red.say("Block" if how == "Block" else "Delete", "alice", target=target))
    assert blue.texts() == []
    ghost = (await bridge.read(lambda tx: identity.last_ghost(tx, red.ref("alice"), "blue"))).ref.id
    assert ghost in {t.target for t in blue.received("Delete")}
    assert await bridge.read(lambda tx: identity.ghosts_of(tx, red.ref("alice"))) == []
    assert await _standing(bridge, red.ref("alice")) == "out"
    await bridge.hear(red.post("alice", "never again"))
    assert blue.texts() == []


async def test_leaving_stops_what_is_queued(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await _joined(bridge_of, red, blue)
    before = len(blue.sent)
    await bridge.hear(red.post("alice", "queued"), settle=False)
    await bridge.decide()
    await bridge.hear(red.say("Delete", "alice", target="join"), settle=False)
    await bridge.settle()
    later = [t.kind for _, t in blue.sent[before:]]
    assert "Post" not in later
    assert set(later) == {"Delete"}


async def test_consent_is_checked_again_when_sending(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await _joined(bridge_of, red, blue)
    post = red.post("alice", "queued")
    await bridge.hear(post, settle=False)
    await bridge.decide()
    # decided elsewhere, say by a command beside the daemon, before the chore is begun
    await bridge.write(lambda tx: identity.set_standing(tx, red.ref("alice"), "out", "operator", 0.0))
    await bridge.settle()
    assert blue.texts() == []
    assert ("cancelled", "consent-withdrawn") in await bridge.ledger(red.ref(post.id))


async def test_who_left_can_come_back(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await _joined(bridge_of, red, blue)
    handle = (await bridge.ghost(red.ref("alice"), "blue")).handle
    await bridge.hear(red.say("Delete", "alice", target="join"))
    await bridge.hear(red.say("Follow", "alice", target=(await bridge.bot("red")).ref.id))
    await bridge.hear(red.post("alice", "back again"))
    assert blue.texts() == ["back again"]
    assert (await bridge.ghost(red.ref("alice"), "blue")).handle == handle
    assert len({t.id for t in red.received("Follow", "inbox:alice")}) == 2


async def test_who_comes_back_at_once_is_in_when_all_is_done(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await _joined(bridge_of, red, blue)
    await bridge.hear(*(red.post("alice", str(n)) for n in range(60)))
    bot = (await bridge.bot("red")).ref.id
    await bridge.hear(red.say("Delete", "alice", target="join"), red.say("Follow", "alice", target=bot))
    assert blue.texts() == []
    await bridge.hear(red.post("alice", "still here"))
    assert blue.texts() == ["still here"]


async def test_whom_the_operator_removed_cannot_come_back(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await _joined(bridge_of, red, blue)
    await bridge.write(lambda tx: identity.set_standing(tx, red.ref("alice"), "out", "operator", 0.0))
    await bridge.hear(red.say("Follow", "alice", target=(await bridge.bot("red")).ref.id))
    assert await _standing(bridge, red.ref("alice")) == "out"


async def test_a_list_with_the_bot_joins_and_one_without_leaves(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await bridge_of(red, blue, consent={"red": "open", "blue": "opt-in"})
    bot = (await bridge.bot("blue")).ref.id
    alice = await _there(bridge, red.ref("alice"), "blue")

    async def publish(*targets: str, at: float) -> None:
        await bridge.hear(blue.say("FollowList", "bob", targets=targets, at=at))

    await publish(bot, at=1.0)
    assert await _standing(bridge, blue.ref("bob")) == "in"
    await publish(at=2.0)
    assert await _standing(bridge, blue.ref("bob")) == "out"
    await publish(bot, alice, at=3.0)
    assert await _standing(bridge, blue.ref("bob")) == "in"
    assert await _followed(bridge, blue.ref("bob")) == {"bot", "alice"}


async def test_leaving_unfollows_in_the_name_of_all_over_there(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await _joined(bridge_of, red, blue)
    await bridge.hear(blue.say("Follow", "bob", target=await _there(bridge, red.ref("alice"), "blue")))
    asked = red.received("Follow", "inbox:alice")
    assert len(asked) == 2
    await bridge.hear(red.say("Delete", "alice", target="join"))
    assert {t.id for t in asked} <= {t.target for t in red.received("Delete", "inbox:alice")}
    assert await bridge.read(lambda tx: follows.followers(tx, red.ref("alice"), "blue")) == []


async def test_bot_is_no_origin_of_posts(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await bridge_of(red, blue)
    await bridge.hear(red.post((await bridge.bot("red")).ref.id, "forged"))
    assert blue.texts() == []
    assert await bridge.read(lambda tx: acts.origins_with_copies(tx, BOT, "blue", 10)) == []


async def test_follow_by_somebody_who_never_answers_is_given_up_in_the_end(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await bridge_of(red, blue)
    alice = await _there(bridge, red.ref("alice"), "blue")
    blue.silent = True
    await bridge.hear(blue.say("Follow", "zed", target=alice))
    assert await bridge.read(lambda tx: inboxes.backlog(tx, float("inf"))) != (0, None)
    for _ in range(2):
        await bridge.wait(8 * 86400)
    assert await bridge.read(lambda tx: inboxes.backlog(tx, float("inf"))) == (0, None)
    assert await _followed(bridge, blue.ref("zed")) == set()
