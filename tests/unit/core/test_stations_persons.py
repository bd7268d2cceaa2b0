"""People with an account of their own on two networks, through the three stations, on both databases."""

from typing import Any

import pytest

from bridged.model import Ref
from bridged.store import follows, identity, persons
from bridged.testing import FakeNetwork, Harness


@pytest.fixture
def red() -> FakeNetwork:
    red = FakeNetwork("red")
    red.join("alice", "rita")
    return red


@pytest.fixture
def blue() -> FakeNetwork:
    """Alyx is alice, and bob follows whom he likes."""
    blue = FakeNetwork("blue")
    blue.join("alyx", "bob", "ben")
    return blue


def _claim(red: FakeNetwork, blue: FakeNetwork) -> None:
    red.change("alice", same_as=("https://elsewhere.example/", "blue://nobody", "blue://alyx"))
    blue.change("alyx", same_as=("red://alice",))


async def _paired(bridge: Harness, ref: Ref) -> dict[str, Ref]:
    return await bridge.read(lambda tx: persons.of(tx, ref))


async def _ghosts(bridge: Harness, ref: Ref) -> list[Any]:
    return await bridge.read(lambda tx: identity.ghosts_of(tx, ref))


async def test_who_claims_each_other_is_one_person_and_gets_no_ghost(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    _claim(red, blue)
    bridge = await bridge_of(red, blue)
    found = await bridge.bridge.ghosts.lookup("alice", "blue")
    assert found is not None
    ghost, account = found
    assert (ghost.ref, ghost.handle, ghost.custody) == (blue.ref("alyx"), "alyx", "linked")
    assert (ghost.owner, account.ref) == (red.ref("alice"), red.ref("alice"))
    assert await _ghosts(bridge, red.ref("alice")) == []
    assert await _paired(bridge, red.ref("alice")) == {"blue": blue.ref("alyx")}
    assert await _paired(bridge, blue.ref("alyx")) == {"red": red.ref("alice")}
    assert await bridge.bridge.ghosts.wanted(blue.ref("alyx"), "red") is not None
    assert await _ghosts(bridge, blue.ref("alyx")) == []


@pytest.mark.parametrize("side", ["red", "blue"])
async def test_claim_of_one_side_alone_proves_nothing(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork, side: str
) -> None:
    _claim(red, blue)
    if side == "red":
        blue.change("alyx", same_as=("red://rita",))
    else:
        red.change("alice", same_as=())
    bridge = await bridge_of(red, blue)
    assert (await bridge.ghost(red.ref("alice"), "blue")).custody == "hosted"
    assert await _paired(bridge, red.ref("alice")) == {}


async def test_name_that_one_host_vouches_for_on_both_networks_is_one_person(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    red.change("alice", handle="key1", alias="alice@host.example")
    blue.change("alyx", handle="alice@host.example")
    bridge = await bridge_of(red, blue)
    assert (await bridge.ghost(red.ref("alice"), "blue")).ref == blue.ref("alyx")
    # from the other side it is found once the named one is known
    assert (await bridge.ghost(blue.ref("alyx"), "red")).ref == red.ref("alice")


async def test_name_is_found_from_the_other_side_among_those_we_know(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    blue.change("alyx", handle="alice@host.example")
    bridge = await bridge_of(red, blue)
    await bridge.bridge.ghosts.account(red.ref("alice"))
    red.change("alice", handle="key1", alias="alice@host.example")
    await bridge.write(lambda tx: identity.save_account(tx, red.people["alice"], bridge.clock()))
    assert (await bridge.ghost(blue.ref("alyx"), "red")).ref == red.ref("alice")


async def test_our_own_ghost_is_nobodys_own_account(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await bridge_of(red, blue)
    ghost = await bridge.ghost(red.ref("alice"), "blue")
    blue.join(ghost.ref.id, same_as=("red://alice",))
    red.change("alice", same_as=(f"blue://{ghost.ref.id}",))
    await bridge.bridge.ghosts.account(red.ref("alice"), fresh=True)
    assert await _paired(bridge, red.ref("alice")) == {}


async def test_mention_reaches_the_account_that_the_person_has_there(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    _claim(red, blue)
    bridge = await bridge_of(red, blue)
    rita = await bridge.ghost(red.ref("rita"), "blue")
    await bridge.hear(blue.say("Follow", "bob", target=rita.ref.id))
    await bridge.hear(red.post("rita", "ask alice", mentions=("alice",)))
    (post,) = blue.received("Post")
    assert post.mentions == ("alyx",)
    assert await _ghosts(bridge, red.ref("alice")) == []


async def test_posts_of_who_has_an_account_there_are_not_doubled(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await bridge_of(red, blue)
    ghost = await bridge.ghost(red.ref("alice"), "blue")
    await bridge.hear(blue.say("Follow", "bob", target=ghost.ref.id))
    await bridge.hear(red.post("alice", "before"))
    _claim(red, blue)
    await bridge.hear(red.say("Profile", "alice", text="Alice"))
    after = red.post("alice", "after")
    await bridge.hear(after)
    assert blue.texts() == ["before"]
    assert ("dropped", "has-own-account-there") in await bridge.ledger(red.ref(after.id))
    # what stands is still corrected and taken back
    first = blue.received("Post")[0].mark.removeprefix("red:")
    await bridge.hear(red.say("Delete", "alice", target=first))
    assert blue.texts() == []


async def test_context_is_not_shown_in_the_name_of_who_has_an_account_there(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    _claim(red, blue)
    bridge = await bridge_of(red, blue)
    rita = await bridge.ghost(red.ref("rita"), "blue")
    await bridge.hear(blue.say("Follow", "bob", target=rita.ref.id))
    parent = red.post("alice", "the parent")
    await bridge.hear(red.post("rita", "an answer", target=parent.id))
    assert blue.texts() == ["an answer"]
    assert await bridge.copies(red.ref(parent.id), "blue") == ()


async def test_follow_by_who_has_an_account_there_is_kept_and_not_told(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    _claim(red, blue)
    bridge = await bridge_of(red, blue)
    ben = await bridge.ghost(blue.ref("ben"), "red")
    await bridge.hear(red.say("Follow", "alice", target=ben.ref.id))
    assert blue.received("Follow") == []
    assert await bridge.read(lambda tx: follows.state_of(tx, red.ref("alice"), blue.ref("ben"))) == "live"
    await bridge.hear(blue.post("ben", "news"))
    assert red.texts() == ["news"]


async def test_who_asked_to_be_bridged_is_bridged_all_the_same(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    _claim(red, blue)
    bridge = await bridge_of(red, blue)
    await bridge.hear(red.say("Follow", "alice", target=(await bridge.bot("red")).ref.id))
    await bridge.hear(red.post("alice", "on purpose"))
    assert blue.texts() == ["on purpose"]
    assert (await bridge.ghost(red.ref("alice"), "blue")).custody == "hosted"
    assert await _paired(bridge, red.ref("alice")) == {"blue": blue.ref("alyx")}


async def test_pair_is_dropped_once_one_side_takes_it_back(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    _claim(red, blue)
    bridge = await bridge_of(red, blue)
    await bridge.bridge.ghosts.account(red.ref("alice"))
    blue.change("alyx", same_as=())
    blue.silent = True
    await bridge.bridge.ghosts.account(red.ref("alice"), fresh=True)
    assert await _paired(bridge, red.ref("alice")) == {"blue": blue.ref("alyx")}, "no answer proves nothing"
    blue.silent = False
    await bridge.bridge.ghosts.account(red.ref("alice"), fresh=True)
    assert await _paired(bridge, red.ref("alice")) == {}
    assert await _paired(bridge, blue.ref("alyx")) == {}
    assert (await bridge.ghost(red.ref("alice"), "blue")).custody == "hosted"
