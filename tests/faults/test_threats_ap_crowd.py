"""Two hundred accounts that nobody saw before: what they say alike is cut off, what they follow is bounded."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.unit.activitypub.fake import rsa_key

from .kit.fediverse import Actor
from .kit.scene import Scene, scene

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = 200
SPAM = "Have you heard of these most wonderful coins?"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(tmp_path_factory.mktemp("crowd"), config={"same_words": 5}) as made:
        yield made


async def _all(here: Scene, crowd: list[Actor], what: str) -> None:
    slots = asyncio.Semaphore(8)

    async def one(who: Actor) -> None:
        mention = [{"type": "Mention", "href": here.nora, "name": "@nora"}]
        said = who.follow(here.nora) if what == "follow" else who.create(f"{SPAM}", tag=mention, cc=[here.nora])
        async with slots:
            assert await who.send(said, here.inbox) == 202

    await asyncio.gather(*map(one, crowd))
    await here.settled()


async def test_same_words_of_many_new_accounts_are_cut_off(here: Scene) -> None:
    crowd = [here.other.actor(f"new{n}", rsa_key("mallory")) for n in range(MANY)]
    before = here.daemon.rss()
    await _all(here, crowd, "say")
    spam = [event for event in here.relay.stored.values() if event["kind"] == 1 and SPAM in event["content"]]
    assert len(spam) == 5
    assert await here.daemon.metric("bridged_dropped_total", network="activitypub", reason="same-words") == MANY - 5
    rows = await here.daemon.ledger("reason = 'same-words'")
    assert len({row["actor"] for row in rows}) == MANY - 5, "each is in the ledger: it was aimed at somebody bridged"
    assert len(await here.daemon.rows("SELECT ref FROM ghosts WHERE handle LIKE '%new%'")) == 5, "no ghost for the rest"
    assert here.daemon.rss() - before < 64 << 20
    await here.good()


async def test_members_and_other_words_are_not_cut_off(here: Scene) -> None:
    here.said.append(SPAM)
    assert await here.alice.send(here.alice.create(SPAM), here.inbox) == 202
    who = here.other.actors[f"new{MANY - 1}"]
    mention = [{"type": "Mention", "href": here.nora, "name": "@nora"}]
    assert await who.send(who.create("An honest question, all my own", tag=mention), here.inbox) == 202
    await here.settled()
    assert [e for e in here.relay.stored.values() if "all my own" in e["content"]]
    here.said.remove(SPAM)
    await here.good()


async def test_follows_of_many_new_accounts_are_borne(here: Scene) -> None:
    """Each is somebody who may follow; what it costs is bounded, and nobody else waits for long."""
    crowd = [here.other.actor(f"follower{n}", rsa_key("mallory")) for n in range(MANY // 2)]
    before = here.daemon.rss()
    await _all(here, crowd, "follow")
    assert len(here.other.posts("Accept")) == len(crowd)
    assert here.daemon.rss() - before < 64 << 20
    await here.good()
