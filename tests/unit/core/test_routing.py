from dataclasses import replace

import pytest

from bridged.model import Account, Activity, Block, Delete, Edit, Post, PostBody, Profile, React, Ref, Repost, Text
from bridged.policy import Facts
from bridged.routing import destinations

ALICE, POST = Ref("red", "alice"), Ref("red", "1")
BODY = PostBody(POST, ALICE, Text("hi"), 1.0)
SINKS = frozenset({"blue", "green"})


def _facts(act: object, **more: object) -> Facts:
    named = {k: frozenset(v) if isinstance(v, set) else v for k, v in more.items()}
    return replace(Facts(Activity(POST, ALICE, 1.0, act), sinks=SINKS), **named)  # type: ignore[arg-type]


def test_member_post_goes_everywhere() -> None:
    assert destinations(_facts(Post(BODY), standing="in")) == {"blue": "member", "green": "member"}


def test_open_post_goes_where_it_is_followed() -> None:
    assert destinations(_facts(Post(BODY), consent="open", audience={"blue"})) == {"blue": "followed"}


def test_followed_is_not_enough_without_consent() -> None:
    assert destinations(_facts(Post(BODY), consent="opt-in", audience={"blue"})) == {}


@pytest.mark.parametrize(("answers", "where"), [("bridge", {"blue": "answer"}), ("drop", {}), ("digest", {})])
def test_strangers_answer_goes_by_setting(answers: str, where: dict[str, str]) -> None:
    assert destinations(_facts(Post(BODY), answers=answers, aimed={"blue"})) == where


def test_members_answer_goes_whatever_the_setting() -> None:
    assert destinations(_facts(Post(BODY), answers="drop", aimed={"blue"}, standing="in")).keys() == SINKS


def test_nothing_new_goes_where_the_actor_has_an_account_of_their_own() -> None:
    own = {"consent": "open", "audience": {"blue", "green"}, "aimed": {"blue"}, "own": {"blue"}}
    assert destinations(_facts(Post(BODY), **own)) == {"green": "followed"}
    assert destinations(_facts(Delete(POST), present={"blue"}, **own)) == {"blue": "copies"}


@pytest.mark.parametrize("act", [Edit(BODY), Delete(POST)])
def test_change_goes_where_the_copies_are(act: object) -> None:
    assert destinations(_facts(act, present={"green"}, standing="in")) == {"green": "copies"}
    assert destinations(_facts(act, standing="in")) == {}


def test_profile_goes_where_the_ghosts_are() -> None:
    assert destinations(_facts(Profile(Account(ALICE, "alice")), ghosts={"blue"})) == {"blue": "copies"}


@pytest.mark.parametrize("act", [React(Ref("blue", "9")), Block(Ref("blue", "bob"))])
def test_reaction_goes_where_its_target_is(act: object) -> None:
    assert destinations(_facts(act, present={"blue", "red"}, standing="in")) == {"blue": "member"}


def test_repost_brings_its_target_along() -> None:
    assert destinations(_facts(Repost(Ref("red", "2")), standing="in")).keys() == SINKS


def test_nothing_goes_home() -> None:
    acts = (Post(BODY), Edit(BODY), Delete(POST), React(POST), Repost(POST))
    every = {"red", "blue", "green"}
    for act in acts:
        facts = _facts(act, standing="in", audience=every, aimed=every, present=every, ghosts=every)
        assert "red" not in destinations(facts)
