from dataclasses import replace

import pytest

from bridged.model import (
    BOT,
    Account,
    Activity,
    Audience,
    Block,
    Delete,
    Edit,
    Follow,
    FollowList,
    Message,
    Post,
    PostBody,
    Profile,
    React,
    Ref,
    Text,
)
from bridged.policy import RULES, Facts, refuse

ALICE, POST = Ref("red", "alice"), Ref("red", "1")


def _post(audience: Audience = "public", mark: str = "") -> Post:
    return Post(PostBody(POST, ALICE, Text("hi"), 1.0, audience=audience, mark=mark))


def _facts(act: object = None, mark: str = "", **more: object) -> Facts:
    activity = Activity(POST, ALICE, 1.0, act or _post(), mark)  # type: ignore[arg-type]
    return replace(Facts(activity), **more)  # type: ignore[arg-type]


def test_plain_post_is_carried() -> None:
    assert refuse(_facts()) is None


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (_facts(ours=True), "own-copy"),
        (_facts(mark="green:1"), "copy-of-another-bridge"),
        (_facts(_post(mark="green:1")), "copy-of-another-bridge"),
        (_facts(_post("followers")), "not-public"),
        (_facts(_post("direct")), "not-public"),
        (_facts(seen="deleted"), "deleted-before"),
        (_facts(React(POST), seen="live"), "known"),
        (_facts(_post("unlisted"), unlisted="drop"), "unlisted"),
        (_facts(Message((Ref("blue", "bob"),), Text("psst"))), "not-public"),
        (_facts(refuses=True), "profile-says-no"),
        (_facts(own=frozenset({"blue"}), sinks=frozenset({"blue"})), "has-own-account-there"),
        (_facts(standing="out"), "opted-out"),
        (_facts(Follow(Ref("blue", "bob")), standing="out"), "opted-out"),
        (_facts(blocked=True), "blocked"),
        (_facts(echoes=True), "same-words"),
    ],
)
def test_reason_to_refuse_is_named(facts: Facts, why: str) -> None:
    assert refuse(facts) == why


def test_first_rule_that_applies_gives_the_reason() -> None:
    assert refuse(_facts(ours=True, standing="out", blocked=True)) == "own-copy"
    assert len(set(RULES)) == len(RULES)


@pytest.mark.parametrize("state", [{"standing": "out"}, {"blocked": True}, {"seen": "deleted"}, {"mark": "green:1"}])
def test_taking_back_is_always_heard(state: dict[str, object]) -> None:
    mark = str(state.pop("mark", ""))
    assert refuse(_facts(Delete(Ref("red", "0")), mark, **state)) is None


@pytest.mark.parametrize("act", [_post(), Edit(_post().body), Profile(Account(ALICE, "alice"))])
def test_what_can_be_said_again_is_not_known(act: object) -> None:
    assert refuse(_facts(act, seen="live")) is None


@pytest.mark.parametrize("act", [Follow(BOT), FollowList((BOT, Ref("blue", "bob")))])
def test_following_the_bot_is_the_way_back(act: object) -> None:
    assert refuse(_facts(act, standing="out")) is None


@pytest.mark.parametrize("state", [{"standing": "out"}, {"refuses": True}])
def test_writing_to_the_bot_is_always_heard(state: dict[str, object]) -> None:
    assert refuse(_facts(Message((BOT,), Text("start")), **state)) is None


def test_unlisted_post_is_carried_unless_the_setting_says_no() -> None:
    assert refuse(_facts(_post("unlisted"))) is None


def test_own_account_on_one_network_leaves_the_others() -> None:
    assert refuse(_facts(own=frozenset({"blue"}), sinks=frozenset({"blue", "green"}))) is None


def test_blocking_is_refused_to_one_of_our_ghosts() -> None:
    assert refuse(_facts(Block(Ref("blue", "bob")), ours=True)) == "own-copy"
