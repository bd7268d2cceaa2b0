"""Who of the AT Protocol is bridged, and how they end it: the real adapters, with Anna's host scripted."""

from typing import Any

import pytest

from adapters.atproto import ids
from bridged.api import Activity, Post, Ref
from bridged.store import identity
from tests.conformance.square import Square, square_of

OPT_IN = {"activitypub": "opt-in", "nostr": "open", "atproto": "opt-in"}


@pytest.fixture
async def square(bridge_of: Any) -> Square:
    """Maya and Nora are bridged; Anna has not asked."""
    square = await square_of(bridge_of, joined=False, consent=OPT_IN)
    for side in (square.fediverse, square.notes):
        await square.bridge.write(lambda tx, r=side.me: identity.set_standing(tx, r, "in", "operator", 0.0))
    return square


async def join(square: Square) -> Ref:
    """Anna follows the bot; the follow."""
    follow = await square.sky.follow((await square.bridge.bot("atproto")).ref)
    ghost = await square.bridge.ghost(square.sky.me, "activitypub")
    await square.fediverse.follow(ghost.ref)
    return follow


async def standing(square: Square) -> str | None:
    return await square.bridge.read(lambda tx: identity.standing(tx, square.sky.me))


async def shown(square: Square, post: Ref) -> list[Activity]:
    """What of it is to be read elsewhere."""
    return [*await square.fediverse.said(post), *await square.notes.said(post)]


def texts(told: list[Activity]) -> list[str]:
    return [each.act.body.text.plain for each in told if isinstance(each.act, Post)]


async def test_who_did_not_ask_is_not_bridged(square: Square) -> None:
    post = await square.sky.post("not for elsewhere")
    assert await shown(square, post) == []


async def test_following_the_bot_opts_in(square: Square) -> None:
    await join(square)
    post = await square.sky.post("hello elsewhere")
    assert texts(await shown(square, post)) == ["hello elsewhere"] * 2


async def test_blocking_the_bot_ends_it_and_deletes_what_was_made(square: Square) -> None:
    await join(square)
    post = await square.sky.post("for a while")
    assert len(await shown(square, post)) == 2
    await square.sky.block((await square.bridge.bot("atproto")).ref)
    assert await standing(square) == "out"
    assert await shown(square, post) == []
    later = await square.sky.post("after that")
    assert await shown(square, later) == []
    gone = [a for a in square.outside.inbox() if a["type"] == "Delete"]
    ghost = gone[-1]["actor"]
    assert ghost in [a["object"] for a in gone], "the actor itself is gone"


async def test_unfollowing_the_bot_ends_it_too(square: Square) -> None:
    follow = await join(square)
    post = await square.sky.post("for a while")
    await square.sky.delete(follow)
    assert await standing(square) == "out"
    assert await shown(square, post) == []


async def test_who_left_comes_back_by_following_again_as_the_same(square: Square) -> None:
    await join(square)
    before = await square.bridge.ghost(square.sky.me, "activitypub")
    await square.sky.block((await square.bridge.bot("atproto")).ref)
    await square.sky.follow((await square.bridge.bot("atproto")).ref)
    assert (await square.bridge.ghost(square.sky.me, "activitypub")).ref == before.ref
    assert await standing(square) == "in"


async def test_post_that_is_not_for_strangers_stays(square: Square) -> None:
    await join(square)
    labels = {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "!no-unauthenticated"}]}
    post = await square.sky.post("for who is signed in", labels=labels)
    assert await shown(square, post) == []
    assert texts(await shown(square, await square.sky.post("for all"))) == ["for all"] * 2


@pytest.mark.parametrize(
    "fields",
    [
        {"description": "please #nobridge"},
        {
            "labels": {
                "$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "!no-unauthenticated"}],
            }
        },
    ],
    ids=["nobridge", "not-for-strangers"],
)  # fmt: skip
async def test_profile_that_says_no_ends_it_and_counts_for_more_than_the_follow(square: Square, fields: Any) -> None:
    await join(square)
    post = await square.sky.post("for a while")
    square.outside.profile(displayName="Anna", **fields)
    await square.sky.change(ids.PROFILE, "self", "update", displayName="Anna", **fields)
    assert await standing(square) == "out"
    assert await shown(square, post) == []
    await square.sky.follow((await square.bridge.bot("atproto")).ref)
    assert await standing(square) == "out"
    assert await shown(square, await square.sky.post("still here alone")) == []


async def test_profile_that_says_no_from_the_start_is_not_bridged(square: Square) -> None:
    square.outside.profile(displayName="Anna", description="#nobridge")
    await square.sky.follow((await square.bridge.bot("atproto")).ref)
    assert await standing(square) == "out"
    assert await shown(square, await square.sky.post("mine alone")) == []


@pytest.mark.parametrize("status", ["deactivated", "takendown", "suspended", "deleted"])
async def test_account_that_is_not_to_be_shown_is_taken_back_elsewhere(square: Square, status: str) -> None:
    await join(square)
    post = await square.sky.post("for a while")
    await square.sky.stands(active=False, status=status)
    assert await standing(square) == "out"
    assert await shown(square, post) == []


async def test_account_that_is_only_slow_stays(square: Square) -> None:
    await join(square)
    post = await square.sky.post("still here")
    await square.sky.stands(active=False, status="throttled")
    assert await standing(square) == "in"
    assert len(await shown(square, post)) == 2


async def test_account_that_is_active_again_is_bridged_once_it_follows_the_bot_again(square: Square) -> None:
    await join(square)
    before = await square.bridge.ghost(square.sky.me, "activitypub")
    await square.sky.stands(active=False, status="deactivated")
    await square.sky.stands(active=True)
    assert await standing(square) == "out"
    assert await shown(square, await square.sky.post("back again")) == []
    await join(square)
    assert (await square.bridge.ghost(square.sky.me, "activitypub")).ref == before.ref
    assert texts(await shown(square, await square.sky.post("asked again"))) == ["asked again"] * 2
