import pytest

from bridged.model import (
    Accept,
    Activity,
    Block,
    Delete,
    Edit,
    Follow,
    FollowList,
    Post,
    PostBody,
    React,
    Ref,
    Reject,
    Repost,
    Span,
    Text,
)
from bridged.words import body_of, canonical, people_in, posts_in

ALICE, GHOST, BOB = Ref("red", "alice"), Ref("red", "ghost"), Ref("blue", "bob")
COPY, ORIGIN = Ref("red", "copy"), Ref("blue", "origin")


def person(ref: Ref) -> Ref:
    return BOB if ref == GHOST else ref


def thing(ref: Ref) -> Ref:
    return ORIGIN if ref == COPY else ref


def _canonical(act: object) -> object:
    return canonical(Activity(Ref("red", "1"), ALICE, 1.0, act), person, thing).act  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [Accept, Reject, React, Repost])
def test_copies_become_what_they_stand_for(kind: type) -> None:
    assert _canonical(kind(COPY)) == kind(ORIGIN)


@pytest.mark.parametrize("kind", [Follow, Block])
def test_ghosts_become_whom_they_stand_for(kind: type) -> None:
    assert _canonical(kind(GHOST)) == kind(BOB)
    assert _canonical(kind(ALICE)) == kind(ALICE)


def test_list_names_each_account_once() -> None:
    assert _canonical(FollowList((GHOST, ALICE, BOB))) == FollowList((BOB, ALICE))


def test_delete_keeps_its_target() -> None:
    assert _canonical(Delete(COPY)) == Delete(COPY)


@pytest.mark.parametrize("kind", [Post, Edit])
def test_body_is_rewritten_throughout(kind: type) -> None:
    text = Text("@x and #y", (Span(0, 2, "mention", GHOST), Span(7, 9, "tag", "y")))
    body = PostBody(Ref("red", "1"), ALICE, text, 1.0, reply_to=COPY, root=COPY, quote=COPY, mentions=(GHOST, BOB))
    act = _canonical(kind(body))
    assert isinstance(act, Post | Edit)
    assert (act.body.reply_to, act.body.root, act.body.quote) == (ORIGIN, ORIGIN, ORIGIN)
    assert act.body.mentions == (BOB,)
    assert act.body.text == Text("@x and #y", (Span(0, 2, "mention", BOB), Span(7, 9, "tag", "y")))


def test_posts_and_people_are_named_once_nearest_first() -> None:
    text = Text("@x", (Span(0, 2, "mention", BOB),))
    body = PostBody(Ref("red", "1"), ALICE, text, 1.0, reply_to=COPY, quote=ORIGIN, root=COPY, mentions=(GHOST, BOB))
    activity = Activity(body.ref, ALICE, 1.0, Post(body))
    assert posts_in(activity) == (COPY, ORIGIN)
    assert people_in(activity) == (BOB, GHOST)
    assert body_of(activity) == body


def test_what_has_no_body_names_no_posts() -> None:
    activity = Activity(Ref("red", "1"), ALICE, 1.0, Follow(BOB))
    assert (posts_in(activity), people_in(activity), body_of(activity)) == ((), (BOB,), None)
