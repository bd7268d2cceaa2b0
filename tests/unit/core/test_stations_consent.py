"""What profiles say about being bridged, and the settings beside it, through the three stations, on both databases."""

from typing import Any

import pytest

from bridged.consent import join
from bridged.model import Ref
from bridged.store import identity
from bridged.testing import FakeNetwork, Harness


@pytest.fixture
def red() -> FakeNetwork:
    red = FakeNetwork("red", follows="request", hub=False)
    red.join("alice", "rita")
    return red


@pytest.fixture
def blue() -> FakeNetwork:
    blue = FakeNetwork("blue")
    blue.join("bob", "ben")
    return blue


async def _standing(bridge: Harness, ref: Ref) -> tuple[str | None, str | None]:
    return await bridge.read(lambda tx: (identity.standing(tx, ref), identity.decided_by(tx, ref)))


async def _follow_bot(bridge: Harness, network: FakeNetwork, who: str) -> str:
    follow = network.say("Follow", who, target=(await bridge.bot(network.name)).ref.id)
    await bridge.hear(follow)
    return follow.id


@pytest.mark.parametrize("word", ["operator", "config"])
async def test_who_refuses_is_not_bridged_on_anybody_elses_word(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork, word: str
) -> None:
    red.change("alice", refuses="#nobridge")
    bridge = await bridge_of(red, blue)
    alice = red.ref("alice")
    assert await bridge.bridge.ghosts.wanted(alice, "blue") is None
    assert await bridge.bridge.ghosts.lookup("alice", "blue") is None
    assert not await bridge.read(lambda tx: bridge.core.may(tx, alice))
    assert await bridge.write(lambda tx: join(bridge.core, tx, alice, word)) == "profile-says-no"
    await bridge.settle()
    assert await bridge.read(lambda tx: identity.ghosts_of(tx, alice)) == []


async def test_member_by_the_operators_word_is_out_once_the_profile_is_seen(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    red.change("alice", refuses="#nobot")
    bridge = await bridge_of(red, blue, consent={"red": "opt-in"})
    await bridge.write(lambda tx: join(bridge.core, tx, red.ref("alice"), "operator"))
    await bridge.settle()
    assert await _standing(bridge, red.ref("alice")) == ("out", "profile")
    await bridge.hear(red.post("alice", "not for blue"))
    assert blue.texts() == []


async def test_strangers_answer_is_not_carried_when_the_stranger_refuses(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    blue.change("ben", refuses="#nobridge")
    bridge = await bridge_of(red, blue, consent={"red": "open", "blue": "opt-in"})
    alice = await bridge.ghost(red.ref("alice"), "blue")
    await bridge.hear(blue.post("ben", "hello alice", mentions=(alice.ref.id,)))
    await bridge.hear(blue.say("Follow", "ben", target=alice.ref.id))
    assert [t for _, t in red.sent if t.kind in ("Post", "Follow", "Profile")] == []


async def test_following_the_bot_is_refused_and_explained_until_the_word_is_gone(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    red.change("alice", refuses="#nobridge")
    bridge = await bridge_of(red, blue, consent={"red": "opt-in"})
    follow = await _follow_bot(bridge, red, "alice")
    assert [t.target for t in red.received("Reject", "inbox:alice")] == [follow]
    await _follow_bot(bridge, red, "alice")
    (said,) = red.messages("alice")
    assert "#nobridge" in said
    red.change("alice", refuses="")
    await _follow_bot(bridge, red, "alice")
    assert await _standing(bridge, red.ref("alice")) == ("in", "person")
    await bridge.hear(red.post("alice", "here I am"))
    assert blue.texts() == ["here I am"]


@pytest.mark.parametrize("home", ["answers", "silent"])
async def test_profile_that_starts_to_refuse_ends_it_and_deletes_all(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork, home: str
) -> None:
    bridge = await bridge_of(red, blue, consent={"red": "opt-in"})
    await _follow_bot(bridge, red, "alice")
    await bridge.hear(red.post("alice", "one"), red.post("alice", "two"))
    assert len(blue.texts()) == 2
    red.silent = home == "silent"
    red.change("alice", refuses="#nobridge")
    await bridge.hear(red.say("Profile", "alice", text="Alice", refuses="#nobridge"))
    assert blue.texts() == []
    assert await _standing(bridge, red.ref("alice")) == ("out", "profile")
    assert await bridge.read(lambda tx: identity.ghosts_of(tx, red.ref("alice"))) == []


async def test_once_the_word_is_gone_open_consent_counts_again(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    red.change("alice", refuses="#nobridge")
    bridge = await bridge_of(red, blue)
    alice = red.ref("alice")
    assert await bridge.bridge.ghosts.wanted(alice, "blue") is None
    red.change("alice", refuses="")
    bridge.clock.move(2 * 86400)
    assert await bridge.bridge.ghosts.lookup("alice", "blue") is not None
    assert await _standing(bridge, alice) == (None, None)


async def test_refusing_is_found_out_by_looking_again_and_so_is_its_end(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await bridge_of(red, blue)
    await bridge.ghost(red.ref("alice"), "blue")
    red.change("alice", refuses="#nobridge")
    bridge.clock.move(7 * 86400)
    await bridge.refresh.step()
    await bridge.settle()
    assert await _standing(bridge, red.ref("alice")) == ("out", "profile")
    assert await bridge.read(lambda tx: identity.ghosts_of(tx, red.ref("alice"))) == []
    red.change("alice", refuses="")
    bridge.clock.move(7 * 86400)
    await bridge.refresh.step()
    assert await _standing(bridge, red.ref("alice")) == (None, None)


async def test_delivery_of_who_refuses_meanwhile_is_cancelled(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await bridge_of(red, blue, consent={"red": "opt-in"})
    await _follow_bot(bridge, red, "alice")
    post = red.post("alice", "queued")
    await bridge.hear(post, settle=False)
    await bridge.decide()
    account = red.people["alice"]
    red.change("alice", refuses="#nobridge")
    # as it would be if another process had looked, without the consequences drawn here
    await bridge.write(lambda tx: identity.save_account(tx, red.people["alice"], 0.0))
    await bridge.settle()
    assert account.refuses == ""
    assert blue.texts() == []
    assert ("cancelled", "consent-withdrawn") in await bridge.ledger(red.ref(post.id))


async def test_person_who_left_stays_out_when_a_word_comes_and_goes(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await bridge_of(red, blue)
    alice = red.ref("alice")
    await bridge.write(lambda tx: identity.set_standing(tx, alice, "out", "person", 0.0))
    for word in ("#nobridge", ""):
        red.change("alice", refuses=word)
        await bridge.bridge.ghosts.account(alice, fresh=True)
    assert await _standing(bridge, alice) == ("out", "person")


async def test_who_asks_not_to_be_shown_around_is_bridged_only_on_asking(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    red.change("alice", discoverable=False)
    bridge = await bridge_of(red, blue)
    assert await bridge.bridge.ghosts.lookup("alice", "blue") is None
    assert await bridge.bridge.ghosts.wanted(red.ref("alice"), "blue") is None
    assert await bridge.bridge.ghosts.wanted(red.ref("rita"), "blue") is not None
    await _follow_bot(bridge, red, "alice")
    await bridge.hear(red.post("alice", "I asked for it"))
    assert blue.texts() == ["I asked for it"]


async def test_who_asks_not_to_be_found_by_search_is_hidden(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    red.change("alice", indexable=False)
    bridge = await bridge_of(red, blue)
    ghost = await bridge.ghost(red.ref("alice"), "blue")
    await bridge.ghost(red.ref("rita"), "blue")
    await bridge.settle()
    assert bridge.core.ears.of("blue").hidden == {ghost.ref.id}
    red.change("alice", indexable=True)
    await bridge.hear(red.say("Profile", "alice", text="Alice"))
    assert bridge.core.ears.of("blue").hidden == set()


async def test_unlisted_posts_are_dropped_where_the_setting_says_so(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork
) -> None:
    bridge = await bridge_of(red, blue, unlisted={"red": "drop"})
    await _follow_bot(bridge, red, "alice")
    await _follow_bot(bridge, blue, "bob")
    quiet = red.post("alice", "quiet", audience="unlisted")
    await bridge.hear(quiet, red.post("alice", "loud"), blue.post("bob", "quiet too", audience="unlisted"))
    assert blue.texts() == ["loud"]
    assert len(red.received("Post")) == 0
    assert ("dropped", "unlisted") in await bridge.ledger(red.ref(quiet.id))
    assert await bridge.copies(blue.ref("post4"), "red") or await bridge.copies(blue.ref("post2"), "red")


@pytest.mark.parametrize("on", [True, False])
async def test_who_is_bridged_unasked_is_told_once_if_the_setting_says_so(
    bridge_of: Any, red: FakeNetwork, blue: FakeNetwork, on: bool
) -> None:
    bridge = await bridge_of(red, blue, notice=on)
    await _follow_bot(bridge, red, "rita")
    for _ in range(2):
        await bridge.bridge.ghosts.lookup("alice", "blue")
        await bridge.settle()
    said = red.messages("alice")
    assert len(said) == (1 if on else 0)
    assert all("stop" in text and "#nobridge" in text for text in said)
    assert red.messages("rita") == []
