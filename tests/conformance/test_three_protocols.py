"""ActivityPub, Nostr and AT in one process: what is done on one arrives on the two others as one of their own acts."""

import json
from itertools import permutations
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from adapters.atproto import ids as at_ids
from adapters.nostr.ids import npub
from bridged.api import Edit, Post, React, Ref, Repost, Text
from bridged.store import identity
from tests.conformance.square import ANNA, MAYA, Side, Square, square_of

NETWORKS = ("activitypub", "nostr", "atproto")


@pytest.fixture
async def square(bridge_of: Any) -> Square:
    return await square_of(bridge_of)


def text_of(act: object) -> Text:
    assert isinstance(act, Post | Edit)
    return act.body.text


async def at_home_or_ghost(square: Square, side: Side, network: str) -> Ref:
    return side.me if side.network == network else (await square.bridge.ghost(side.me, network)).ref


@pytest.mark.parametrize("home", NETWORKS)
async def test_post_reaches_both_others_and_its_delete_too(square: Square, home: str) -> None:
    others = [side for network, side in square.sides.items() if network != home]
    post = await square.sides[home].post("hello from home")
    for side in others:
        (told,) = await side.said(post)
        assert "hello from home" in text_of(told.act).plain
    await square.sides[home].delete(post)
    for side in others:
        assert list(await side.said(post)) == []


@pytest.mark.parametrize("home", ["fediverse", "sky"])
async def test_edit_reaches_both_others(square: Square, home: str) -> None:
    mine = square.fediverse if home == "fediverse" else square.sky
    post = await mine.post("as it was first")
    await mine.edit(post, "as it is now")
    for side in square.sides.values():
        if side is not mine:
            (told,) = await side.said(post)
            assert "as it is now" in text_of(told.act).plain


@pytest.mark.parametrize(("by", "at"), list(permutations(NETWORKS, 2)))
async def test_whatever_one_does_about_a_post_of_another_is_done_there(square: Square, by: str, at: str) -> None:
    author, other = square.sides[at], square.sides[by]
    third = next(side for network, side in square.sides.items() if network not in (by, at))
    post = await author.post("what is done about it")
    here = await square.here(post, by)

    answer = await other.post("an answer", to=here)
    (told,) = await author.said(answer)
    assert isinstance(told.act, Post)
    assert told.act.body.reply_to == post
    (seen,) = await third.said(answer)
    assert isinstance(seen.act, Post)
    assert seen.act.body.reply_to == await square.here(post, third.network)

    quote = await other.post("look at this", quote=here)
    told, *_ = await author.said(quote)  # on the fediverse leave is asked for beside it
    assert isinstance(told.act, Post)
    assert told.act.body.quote == post

    like, repost = await other.like(here), await other.repost(here)
    assert [told.act for told in await author.said(like)] == [React(post)]
    assert [told.act for told in await author.said(repost)] == [Repost(post)]
    (shown,) = await third.said(repost)
    assert shown.act == Repost(await square.here(post, third.network))

    for done in (like, repost, answer, quote):
        await other.delete(done)
        assert list(await author.said(done)) == [], done


async def test_thread_over_three_networks_stays_one_thread(square: Square) -> None:
    first = await square.sky.post("first")
    second = await square.fediverse.post("second", to=await square.here(first, "activitypub"))
    third = await square.notes.post("third", to=await square.here(second, "nostr"))
    (told,) = await square.fediverse.said(third)
    assert isinstance(told.act, Post)
    assert told.act.body.reply_to == second
    record = await square.sky.record(await square.here(third, "atproto"))
    assert record is not None
    assert record["reply"]["root"]["uri"] == first.id
    assert record["reply"]["parent"]["uri"] == (await square.here(second, "atproto")).id


async def test_long_note_is_a_thread_of_posts_that_is_edited_and_deleted_whole(square: Square) -> None:
    words = " ".join(f"word{n}" for n in range(150))
    post = await square.fediverse.post(words)
    told = await square.sky.said(post)
    assert len(told) > 3
    assert all(isinstance(each.act, Post) for each in told)
    answers = [each.act.body.reply_to for each in told if isinstance(each.act, Post)]
    assert answers == [None, *(each.ref for each in told[:-1])]
    answer = await square.fediverse.post("more of it", to=post)
    (more,) = await square.sky.said(answer)
    assert isinstance(more.act, Post)
    assert more.act.body.reply_to == told[-1].ref, "behind the last"
    await square.fediverse.edit(post, words[:500])
    assert 1 < len(await square.sky.said(post)) < len(told)
    await square.fediverse.delete(post)
    assert list(await square.sky.said(post)) == []
    assert list(await square.notes.said(post)) == []


async def test_mentions_are_of_the_person_where_they_live_and_of_the_ghost_elsewhere(square: Square) -> None:
    bridge = square.bridge
    anna, nora = [await bridge.ghost(side.me, "activitypub") for side in (square.sky, square.notes)]
    tags = [{"type": "Mention", "href": ghost.ref.id, "name": f"@{ghost.handle}"} for ghost in (anna, nora)]
    links = " ".join(f'<a href="{g.ref.id}" class="u-url mention">@{g.handle}</a>' for g in (anna, nora))
    post = await square.fediverse.post(f"hi {links}", tag=tags)
    for side in (square.sky, square.notes):
        (told,) = await side.said(post)
        people = [await at_home_or_ghost(square, who, side.network) for who in (square.sky, square.notes)]
        assert list(text_of(told.act).mentions()) == people

    ghost = await bridge.ghost(square.fediverse.me, "atproto")
    text = f"hello @{ghost.handle}"
    facet = {
        "index": {"byteStart": 6, "byteEnd": len(text)},
        "features": [{"$type": "app.bsky.richtext.facet#mention", "did": ghost.ref.id}],
    }
    post = await square.sky.post(text, facets=[facet])
    (told,) = await square.fediverse.said(post)
    assert text_of(told.act).mentions() == (Ref("activitypub", MAYA),)
    (told,) = await square.notes.said(post)
    assert text_of(told.act).mentions() == ((await bridge.ghost(square.fediverse.me, "nostr")).ref,)


async def test_person_with_accounts_on_two_networks_is_mentioned_by_the_one_that_is_there(bridge_of: Any) -> None:
    """Maya of the fediverse and Anna of AT name each other: they are one, and need no ghost where the other is."""
    square = await square_of(bridge_of, joined=False)
    bridge, outside = square.bridge, square.outside
    page = '<a href="https://bsky.app/profile/anna.test" rel="me">anna.test</a>'
    outside.actor["attachment"] = [{"type": "PropertyValue", "name": "Bluesky", "value": page}]
    outside.serve(MAYA, json.dumps(outside.actor).encode(), type="application/activity+json")
    outside.profile(displayName="Anna", website=MAYA)
    await bridge.write(lambda tx: identity.set_standing(tx, square.notes.me, "in", "operator", 0.0))
    await bridge.bridge.ghosts.profiles.look(square.fediverse.me)
    ghost = (await bridge.ghost(square.fediverse.me, "nostr")).ref
    post = await square.notes.event(1, f"hi nostr:{npub(ghost.id)}", ["p", ghost.id])
    (told,) = await square.sky.said(post)
    assert text_of(told.act).mentions() == (square.sky.me,)
    assert "@anna.test" in text_of(told.act).plain


async def test_gate_shows_on_the_fediverse_whichever_comes_first(square: Square) -> None:
    rules = {"post": "", "allow": [{"$type": f"{at_ids.THREADGATE}#followerRule"}]}
    for gate_first in (True, False):
        rkey = f"3lgate22222{'ab'[gate_first]}2"
        where = at_ids.record_ref(ANNA, at_ids.POST, rkey)
        said = [
            square.sky.changed(at_ids.POST, rkey, text="answer me, friends"),
            square.sky.changed(at_ids.THREADGATE, rkey, **{**rules, "post": where.id}),
        ]
        await square.bridge.hear(*(reversed(said) if gate_first else said))
        (told,) = await square.fediverse.said(where)
        assert isinstance(told.act, Post | Edit)
        assert told.act.body.answers == ("followers", "mentioned")
    await square.sky.change(at_ids.THREADGATE, rkey, "delete")
    (told,) = await square.fediverse.said(where)
    assert isinstance(told.act, Edit)
    assert told.act.body.answers is None


async def test_everybody_is_found_on_every_other_network_by_name(square: Square) -> None:
    app = web.Application()
    for adapter in square.bridge.core.adapters.values():
        app.add_routes(adapter.routes())
    async with TestClient(TestServer(app)) as client:

        async def ask(path: str, host: str = "bridge.test", **query: str) -> tuple[int, Any]:
            async with client.get(path, params=query, headers={"Host": host}) as answer:
                return answer.status, await (answer.json() if "json" in answer.content_type else answer.text())

        anna = (await square.bridge.ghost(square.sky.me, "activitypub")).ref.id
        for name in ("anna.test@bridge.test", "ANNA.test@bridge.test"):
            status, found = await ask("/.well-known/webfinger", resource=f"acct:{name}")
            assert status == 200
            assert [link["href"] for link in found["links"] if link["rel"] == "self"] == [anna]
        key = (await square.bridge.ghost(square.sky.me, "nostr")).ref.id
        assert (await ask("/.well-known/nostr.json", name="anna.test"))[1]["names"] == {"anna.test": key}
        did = (await square.bridge.ghost(square.fediverse.me, "atproto")).ref.id
        handle = "maya-at-peer-example.bridge.test"
        assert await ask("/.well-known/atproto-did", handle) == (200, did)
        assert await ask("/xrpc/com.atproto.identity.resolveHandle", handle=handle) == (200, {"did": did})
        assert (await ask("/.well-known/webfinger", resource="acct:nobody.test@bridge.test"))[0] == 404
