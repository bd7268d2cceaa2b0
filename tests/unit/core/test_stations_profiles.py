"""Accounts looked at again, and ghosts that are called after them, on both databases."""

from dataclasses import replace
from typing import Any

import pytest

from bridged.model import Account, Ref
from bridged.refresh import backoff
from bridged.store import identity, looks
from bridged.testing import FakeNetwork, Harness

DAY = 86400.0


@pytest.fixture
def red() -> FakeNetwork:
    red = FakeNetwork("red")
    red.join("alice", "rita")
    return red


@pytest.fixture
def blue() -> FakeNetwork:
    blue = FakeNetwork("blue")
    blue.join("bob")
    return blue


async def _looked(bridge: Harness, seconds: float = 0.0) -> int:
    """Looks at all that is due after so long; how many looks that were."""
    bridge.clock.move(seconds)
    looks = 0
    while count := await bridge.refresh.step():
        looks += count
    await bridge.settle()
    return looks


async def _account(bridge: Harness, ref: Ref) -> Account:
    found = await bridge.read(lambda tx: identity.account(tx, ref))
    assert found is not None
    return found


def _shown(network: FakeNetwork) -> list[str]:
    return [t.text for t in network.received("Profile")]


async def test_account_with_a_ghost_is_looked_at_weekly_and_its_change_is_shown(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await bridge_of(red, blue)
    await bridge.ghost(red.ref("alice"), "blue")
    await bridge.bridge.ghosts.account(red.ref("rita"))  # known, but without a ghost
    await bridge.settle()
    before = len(_shown(blue))
    assert await _looked(bridge) == 0
    assert await _looked(bridge, 7 * DAY) == 1
    assert len(_shown(blue)) == before, "nothing has changed"
    red.change("alice", name="Alice the Second")
    assert await _looked(bridge, 3 * DAY) == 0
    assert await _looked(bridge, 4 * DAY) == 1
    assert _shown(blue)[before:] == ["Alice the Second"]


async def test_account_heard_of_is_looked_at_earlier(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await bridge_of(red, blue)
    ghost = await bridge.ghost(red.ref("alice"), "blue")
    await bridge.hear(blue.say("Follow", "bob", target=ghost.ref.id))
    red.change("alice", name="New")
    await bridge.hear(red.post("alice", "at once"))
    assert await _looked(bridge) == 0
    bridge.clock.move(2 * DAY)
    await bridge.hear(red.post("alice", "two days later"))
    assert await _looked(bridge) == 1
    assert _shown(blue)[-1] == "New"


async def test_profile_that_was_announced_is_shown_once(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    bridge = await bridge_of(red, blue)
    await bridge.ghost(red.ref("alice"), "blue")
    await bridge.settle()
    before = len(_shown(blue))
    red.change("alice", name="New")
    await bridge.hear(red.say("Profile", "alice", text="New"))
    await bridge.hear(red.say("Profile", "alice", text="New"))
    await _looked(bridge, 7 * DAY)
    assert _shown(blue)[before:] == ["New"]


async def test_looks_in_vain_are_repeated_ever_later_and_forgotten_by_one_that_is_not(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await bridge_of(red, blue)
    await bridge.ghost(red.ref("alice"), "blue")
    red.silent = True
    assert await _looked(bridge, 7 * DAY) == 1
    assert await _looked(bridge, 599) == 0
    assert await _looked(bridge, 2) == 1
    assert await _looked(bridge, 2300) == 0
    assert await _looked(bridge, 200) == 1
    for _ in range(6):
        assert await _looked(bridge, DAY) == 1
    red.silent = False
    red.change("alice", name="New")
    assert await _looked(bridge, DAY) == 1
    assert (await _account(bridge, red.ref("alice"))).name == "New"
    assert await _looked(bridge, DAY) == 0


def test_backoff_grows_to_a_day() -> None:
    waits = [backoff(n) for n in range(50)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (600.0, DAY)


async def test_profile_that_shows_nothing_at_all_is_not_believed(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await bridge_of(red, blue)
    await bridge.ghost(red.ref("alice"), "blue")
    red.change("alice", name="")
    await _looked(bridge, 7 * DAY)
    assert (await _account(bridge, red.ref("alice"))).name == "Alice"


async def test_account_gone_for_two_weeks_is_let_go_of_and_welcome_when_back(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await bridge_of(red, blue)
    alice = red.ref("alice")
    ghost = await bridge.ghost(alice, "blue")
    await bridge.hear(blue.say("Follow", "bob", target=ghost.ref.id))
    await bridge.hear(red.post("alice", "something"))
    gone = red.people.pop("alice")
    await _looked(bridge, 7 * DAY)
    for _ in range(3):
        await _looked(bridge, 4 * DAY)
        assert blue.texts() == ["something"]
    await _looked(bridge, 4 * DAY)
    assert blue.texts() == []
    assert await bridge.read(lambda tx: identity.ghosts_of(tx, alice)) == []
    assert ("left", "gone from its home for two weeks") in await bridge.ledger(alice)
    red.people["alice"] = gone
    assert await bridge.bridge.ghosts.wanted(alice, "blue") is not None


async def test_account_that_is_back_within_two_weeks_was_never_gone(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await bridge_of(red, blue)
    await bridge.ghost(red.ref("alice"), "blue")
    for _ in range(3):
        gone = red.people.pop("alice")
        await _looked(bridge, 7 * DAY)
        await _looked(bridge, 4 * DAY)
        red.people["alice"] = gone
        await _looked(bridge, 4 * DAY)
    assert len(await bridge.read(lambda tx: identity.ghosts_of(tx, red.ref("alice")))) == 1


# --- handles ---


async def _handles(bridge: Harness, ref: Ref) -> list[str]:
    return [g.handle for g in await bridge.read(lambda tx: identity.ghosts_of(tx, ref))]


async def test_handle_follows_a_verified_name_and_the_old_one_goes_on_leading_there(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await bridge_of(red, blue)
    ghost = await bridge.ghost(red.ref("alice"), "blue")
    await bridge.settle()
    before = len(_shown(blue))
    red.change("alice", alias="alice.example")
    await bridge.hear(red.say("Profile", "alice", text="Alice"))
    assert await _handles(bridge, red.ref("alice")) == ["alice.example@red"]
    red.change("alice", alias="ally.example")
    await _looked(bridge, 7 * DAY)
    assert await _handles(bridge, red.ref("alice")) == ["ally.example@red"]
    assert len(_shown(blue)) == before + 2
    for handle in ("alice@red", "alice.example@red", "ally.example@red"):
        found = await bridge.hosts["blue"].ghost_named(handle)
        assert found is not None
        assert (found[0].ref, found[0].custody, found[0].generation) == (ghost.ref, "hosted", 0)
        assert found[0].handle == "ally.example@red"


async def test_former_handle_is_nobody_elses(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    red.change("alice", alias="star.example")
    bridge = await bridge_of(red, blue)
    ghost = await bridge.ghost(red.ref("alice"), "blue")
    red.change("alice", alias="other.example")
    await _looked(bridge, 7 * DAY)
    red.change("rita", alias="star.example")
    await bridge.ghost(red.ref("rita"), "blue")
    assert await _handles(bridge, red.ref("rita")) == ["rita.star.example@red"]
    found = await bridge.hosts["blue"].ghost_named("star.example@red")
    assert found is not None
    assert found[0].ref == ghost.ref
    # but its first owner may have it back
    red.change("alice", alias="star.example")
    await _looked(bridge, 7 * DAY)
    assert await _handles(bridge, red.ref("alice")) == ["star.example@red"]


async def test_name_somebody_else_has_is_not_taken_over(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    red.change("rita", alias="star.example")
    bridge = await bridge_of(red, blue)
    await bridge.ghost(red.ref("rita"), "blue")
    await bridge.ghost(red.ref("alice"), "blue")
    red.change("alice", alias="star.example")
    await _looked(bridge, 7 * DAY)
    assert await _handles(bridge, red.ref("alice")) == ["alice.star.example@red"]
    assert await _handles(bridge, red.ref("rita")) == ["star.example@red"]


async def test_name_no_longer_verified_is_given_up_at_the_third_look(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    red.change("alice", alias="alice.example")
    bridge = await bridge_of(red, blue)
    await bridge.ghost(red.ref("alice"), "blue")
    red.change("alice", alias="")
    assert await _looked(bridge, 7 * DAY) == 1
    assert await _looked(bridge, DAY) == 1
    assert await _handles(bridge, red.ref("alice")) == ["alice.example@red"]
    assert (await _account(bridge, red.ref("alice"))).alias == "alice.example"
    assert await _looked(bridge, DAY) == 1
    assert await _handles(bridge, red.ref("alice")) == ["alice@red"]
    assert (await bridge.hosts["blue"].ghost_named("alice.example@red")) is not None


async def test_name_verified_again_in_time_is_kept(bridge_of: Any, red: FakeNetwork, blue: FakeNetwork) -> None:
    red.change("alice", alias="alice.example")
    bridge = await bridge_of(red, blue)
    await bridge.ghost(red.ref("alice"), "blue")
    for _ in range(3):
        red.change("alice", alias="")
        await _looked(bridge, 7 * DAY)
        await _looked(bridge, DAY)
        red.change("alice", alias="alice.example")
        await _looked(bridge, DAY)
    assert await _handles(bridge, red.ref("alice")) == ["alice.example@red"]


async def test_former_handle_goes_along_when_a_ghost_changes_hands(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await bridge_of(red, blue)
    ghost = await bridge.ghost(red.ref("alice"), "blue")
    red.change("alice", alias="alice.example")
    await _looked(bridge, 7 * DAY)
    rita = red.ref("rita")
    await bridge.bridge.ghosts.account(rita)
    await bridge.write(lambda tx: identity.hand_over(tx, ghost, rita))
    found = await bridge.hosts["blue"].ghost_named("alice@red")
    assert found is not None
    assert replace(found[0], handle="") == replace(ghost, handle="", owner=rita, first=red.ref("alice"))


async def test_ghost_that_changed_hands_is_named_as_whom_it_was_made_for(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a network that keeps identities would make one that is nobody's."""
    bridge = await bridge_of(red, blue)
    ghost = await bridge.ghost(red.ref("alice"), "blue")
    rita = red.ref("rita")
    await bridge.bridge.ghosts.account(rita)
    await bridge.write(lambda tx: identity.hand_over(tx, ghost, rita))
    made: list[Ref] = []
    adapter = bridge.bridge.core.adapters["blue"]
    mint = adapter.mint

    async def minting(account: Account, taken: Any) -> Any:
        made.append(account.ref)
        return await mint(account, taken)

    monkeypatch.setattr(adapter, "mint", minting)
    await bridge.hear(red.say("Profile", "rita", text="Rita"))
    assert made == [red.ref("alice")]
    assert await _handles(bridge, rita) == ["rita@red"]


async def test_address_of_a_ghost_is_its_handle_alone_where_that_is_a_host(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge = await bridge_of(red, blue)
    ghost = await bridge.ghost(red.ref("alice"), "blue")
    core = bridge.bridge.core
    assert core.address(ghost) == f"alice@red@{core.settings.domain}"
    assert core.address(replace(ghost, custody="linked")) == "alice@red"
    adapter = core.adapters["blue"]
    monkeypatch.setattr(adapter, "capabilities", replace(adapter.capabilities, handles="host"))
    assert core.address(ghost) == "alice@red"


async def test_accounts_without_a_ghost_do_not_stand_before_those_with_one(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    """Many are seen once and never again; they are passed over, and thought of again days later."""
    bridge = await bridge_of(red, blue)
    await bridge.ghost(red.ref("alice"), "blue")
    await bridge.settle()
    alice = await _account(bridge, red.ref("alice"))
    strangers = [replace(alice, ref=red.ref(f"stranger{number}")) for number in range(250)]
    await bridge.write(lambda tx: [identity.save_account(tx, a, 0.0, due_at=1.0) for a in strangers])
    assert await _looked(bridge, 8 * DAY) == 1
    found, others = await bridge.read(lambda tx: looks.due(tx, ["red", "blue"], bridge.clock(), 1000))
    assert (found, others) == ([], [])
    found, others = await bridge.read(lambda tx: looks.due(tx, ["red", "blue"], bridge.clock() + 4 * DAY, 1000))
    assert len(others) >= 250
