"""Outboxes, followers and the rest, and what a flood of requests for them costs."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from adapters.activitypub import serving
from adapters.activitypub.serving import FRESH, Memory
from bridged.api import Ref, Span, Text, Unreachable
from tests.unit.activitypub.fake import BASE, GHOST, HOME
from tests.unit.activitypub.site import ACTOR, BROWSER, Site


async def test_outbox_is_paged(site: Site):
    for number in range(1, 46):
        _ = site.repost(number) if number == 45 else site.post(number)
    _, outbox = await site.get(f"{ACTOR}/outbox")
    assert (outbox["type"], outbox["totalItems"]) == ("OrderedCollection", 45)
    assert "orderedItems" not in outbox
    url, pages, seen = outbox["first"], 0, []
    while url:
        _, page = await site.get(url.removeprefix(BASE))
        assert page["id"] == url
        assert (page["type"], page["partOf"]) == ("OrderedCollectionPage", outbox["id"])
        assert len(page["orderedItems"]) <= 20
        seen += page["orderedItems"]
        url, pages = page.get("next"), pages + 1
    assert pages == 3
    assert len({item["id"] for item in seen}) == 45
    assert seen[0]["type"] == "Announce"
    assert all(item["type"] == "Create" and item["object"]["type"] == "Note" for item in seen[1:])


async def test_followers_are_paged(site: Site):
    site.host.followed_by = [Ref("activitypub", f"https://peer.test/users/{n}") for n in range(41)]
    _, followers = await site.get(f"{ACTOR}/followers")
    assert (followers["totalItems"], followers["id"]) == (41, f"{GHOST.ref.id}/followers")
    url, seen = followers["first"], []
    while url:
        _, page = await site.get(url.removeprefix(BASE))
        seen += page["orderedItems"]
        url = page.get("next")
    assert seen == [ref.id for ref in site.host.followed_by]
    for odd in ("0", "x", "99999999999999999"):
        response, _ = await site.get(f"{ACTOR}/followers?page={odd}")
        assert response.status == 404
    _, following = await site.get(f"{ACTOR}/following")
    assert following["totalItems"] == 0


async def test_featured_are_the_pinned_posts_whole(site: Site):
    site.host.pins = [site.post(1), site.post(2)]
    _, featured = await site.get(f"{ACTOR}/collections/featured")
    assert (featured["type"], featured["id"]) == ("OrderedCollection", f"{GHOST.ref.id}/collections/featured")
    assert featured["totalItems"] == 2
    assert [note["content"] for note in featured["orderedItems"]] == ["<p>post 1</p>", "<p>post 2</p>"]
    assert all("@context" not in note for note in featured["orderedItems"])


async def test_tags_are_those_of_the_profile(site: Site):
    bio = Text("I grow #Roses", (Span(7, 13, "tag", "Roses"),))
    site.host.ghosts[GHOST.ref.id] = (GHOST, replace(HOME, bio=bio))
    _, tags = await site.get(f"{ACTOR}/collections/tags")
    assert (tags["type"], tags["totalItems"]) == ("Collection", 1)
    assert tags["items"] == [{"type": "Hashtag", "href": f"{BASE}/?tag=Roses", "name": "#Roses"}]


async def test_replies_of_an_object_are_paged(site: Site):
    copy = site.post(1)
    assert copy.ref is not None
    path = copy.ref.id.removeprefix(BASE)
    _, note = await site.get(path)
    assert note["replies"]["first"]["items"] == [], "nobody who is sent the post comes back for its replies"
    site.host.replies[copy.ref.id] = [Ref("activitypub", f"https://peer.test/notes/{n}") for n in range(25)]
    _, replies = await site.get(f"{path}/replies")
    assert (replies["id"], replies["type"], replies["totalItems"]) == (note["replies"]["id"], "Collection", 25)
    assert replies["first"] == note["replies"]["first"]["next"]
    url, seen = replies["first"], []
    while url:
        _, page = await site.get(url.removeprefix(BASE))
        assert (page["type"], page["partOf"]) == ("CollectionPage", replies["id"])
        seen += page["items"]
        url = page.get("next")
    assert seen == [f"https://peer.test/notes/{n}" for n in range(25)]
    site.host.copies[copy.ref.id] = replace(copy, gone=True)
    site.host.clock += FRESH + 1
    response, _ = await site.get(f"{path}/replies")
    assert response.status == 404


async def test_what_is_taken_back_leaves_the_collections_within_seconds(site: Site):
    site.post(1)
    site.host.pins = [*site.host.outbox]
    paths = (f"{ACTOR}/outbox?page=true", f"{ACTOR}/collections/featured")
    for path in paths:
        _, listed = await site.get(path)
        assert len(listed["orderedItems"]) == 1
    site.host.outbox.clear()
    site.host.pins.clear()
    site.host.clock += FRESH + 1
    for path in paths:
        _, listed = await site.get(path)
        assert listed["orderedItems"] == []


async def test_browser_is_sent_from_a_collection_to_whose_it_is(site: Site):
    response, _ = await site.get(f"{ACTOR}/collections/featured", BROWSER)
    assert (response.status, response.headers["Location"]) == (303, GHOST.ref.id)


async def test_collections_of_nobody_are_not_there(site: Site):
    site.host.withdrawn.add(f"{BASE}/users/nostr/left")
    for end in ("outbox", "followers", "collections/featured", "collections/tags"):
        for who, status in (("left", 410), ("nobody", 404)):
            response, _ = await site.get(f"/users/nostr/{who}/{end}")
            assert response.status == status
    response, _ = await site.get("/objects/nostr/none/replies")
    assert response.status == 404


@pytest.mark.parametrize("end", ["collections/featured", "collections/tags", "outbox", "outbox?page=true", "followers"])
async def test_flood_costs_one_look_at_the_store(site: Site, end: str):
    """More than a million requests in a day for one collection have been seen."""
    site.host.pins = [site.post(n) for n in range(20)]
    path, tag = f"{ACTOR}/{end}", ""

    async def ask(number: int) -> None:
        nonlocal tag
        # what the query says beside is no way past the memory
        more = f"{'&' if '?' in path else '?'}cache={number}"
        response, _ = await site.get(path + more, **({"If-None-Match": tag} if number % 2 and tag else {}))
        assert response.status in (200, 304)
        tag = response.headers["ETag"]

    for start in range(0, 400, 50):
        await asyncio.gather(*(ask(number) for number in range(start, start + 50)))
    # the owner, and what is listed
    assert site.host.reads <= 2


async def test_ten_thousand_requests_for_featured_cost_two_reads(site: Site):
    site.host.pins = [site.post(1)]
    collections = site.adapter._ready.pages._collections  # pyright: ignore[reportPrivateUsage]
    asked: Any = site.request(f"{ACTOR}/collections/featured")
    for _ in range(10_000):
        assert (await collections.featured(asked)).status == 200
    assert site.host.reads == 2


class Maker:
    def __init__(self) -> None:
        self.now, self.calls, self.body = 1000.0, 0, b"one"
        self.memory = Memory(lambda: self.now)
        self.fail: Exception | None = None

    async def __call__(self) -> bytes | None:
        self.calls += 1
        await asyncio.sleep(0)
        if self.fail:
            raise self.fail
        return self.body or None

    async def get(self, key: str = "key") -> bytes | None:
        kept = await self.memory.get(key, self)
        return kept.body if kept else None


async def test_many_at_once_are_one_look():
    maker = Maker()
    assert set(await asyncio.gather(*(maker.get() for _ in range(100)))) == {b"one"}
    assert maker.calls == 1


async def test_body_is_given_for_a_while_and_never_longer():
    maker = Maker()
    await maker.get()
    maker.body = b"two"
    maker.now += FRESH
    assert await maker.get() == b"one"
    maker.now += 1
    assert (await maker.get(), maker.calls) == (b"two", 2)


async def test_failed_look_is_told_and_tried_again():
    maker = Maker()
    await maker.get()
    maker.now += FRESH + 1
    maker.fail = Unreachable("down")
    with pytest.raises(Unreachable):
        await maker.get()
    maker.fail = None
    assert await maker.get() == b"one"


async def test_same_body_keeps_its_date():
    maker = Maker()
    first = await maker.memory.get("key", maker)
    maker.now += FRESH + 1
    again = await maker.memory.get("key", maker)
    assert first is not None
    assert again is not None
    assert (again.changed, again.at) == (first.changed, maker.now)


async def test_what_is_not_there_is_not_remembered():
    maker = Maker()
    maker.body = b""
    assert await maker.get() is None
    maker.body = b"now"
    assert await maker.get() == b"now"


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(serving, "MAX_ENTRIES", 3)
    monkeypatch.setattr(serving, "MAX_BYTES", 25)
    maker = Maker()
    for key in "abca":
        await maker.get(key)
    assert maker.calls == 3
    await maker.get("d")  # b goes: it is the longest unused
    await maker.get("c")
    await maker.get("a")
    assert maker.calls == 4
    await maker.get("b")
    assert maker.calls == 5
    maker.body = b"x" * 20
    await maker.get("big")
    await maker.get("b")
    assert maker.calls == 6
    maker.body = b"x" * 30
    await maker.get("bigger")
    assert await maker.get("bigger") == maker.body
