"""Outboxes, pins and replies elsewhere, read within bounds and believed no further than they may be."""

import asyncio
import json
from typing import Any

import pytest

from adapters.activitypub import client as client_room
from adapters.activitypub import reader
from adapters.activitypub.adapter import ActivityPub, Config
from bridged.api import EgressFailed, Envelope, Pin, Post, Ref, Unreachable
from tests.unit.activitypub.fake import FakeHost, Peer


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
async def adapter(host: FakeHost) -> ActivityPub:
    made = ActivityPub(Config(), host)
    await made.start()
    return made


def ref(url: str) -> Ref:
    return Ref("activitypub", url)


class Shelf:
    """Alice with an outbox and pins, and what stands in them."""

    def __init__(self, host: FakeHost) -> None:
        self.host, self.alice = host, Peer(host)
        self.outbox, self.featured = f"{self.alice.id}/outbox", f"{self.alice.id}/featured"
        host.http.serve(self.alice.id, self.alice.actor(outbox=self.outbox, featured=self.featured))
        self.fill([])

    def note(self, number: int, **more: Any) -> dict[str, Any]:
        note = self.alice.note(number, published=f"2026-09-{number % 28 + 1:02}T10:00:00Z", **more)
        self.host.http.serve(note["id"], note)
        return note

    def create(self, note: dict[str, Any]) -> dict[str, Any]:
        return {"id": f"{note['id']}/create", "type": "Create", "actor": self.alice.id, "object": note}

    def fill(self, items: list[Any], pins: list[Any] | None = None) -> None:
        collection(self.host, self.outbox, items)
        self.host.http.serve(self.featured, {"type": "OrderedCollection", "orderedItems": pins or []})


def collection(host: FakeHost, url: str, *pages: list[Any], kind: str = "OrderedCollection") -> None:
    members = "orderedItems" if kind == "OrderedCollection" else "items"
    host.http.serve(url, {"id": url, "type": kind, "first": f"{url}?page=1"})
    for number, items in enumerate(pages, 1):
        page: dict[str, Any] = {"id": f"{url}?page={number}", "type": f"{kind}Page", members: items}
        if number < len(pages):
            page["next"] = f"{url}?page={number + 1}"
        host.http.serve(page["id"], page)


def ids(envelopes: Any) -> list[str]:
    return [envelope.id for envelope in envelopes]


def added(envelopes: Any) -> list[str]:
    documents = [json.loads(envelope.body) for envelope in envelopes]
    return [document["object"] for document in documents if document["type"] == "Add"]


async def test_recent_are_own_public_posts_oldest_first(host: FakeHost, adapter: ActivityPub):
    shelf = Shelf(host)
    one, two, three, four = (shelf.note(n) for n in (1, 2, 3, 4))
    private = shelf.note(5, to=[f"{shelf.alice.id}/followers"], cc=[])
    boost = shelf.alice.activity("Announce", "https://other.test/notes/1", 6)
    shelf.fill(
        [boost, shelf.create(private), four["id"], shelf.create(three), {**shelf.create(two), "object": two["id"]}, one]
    )
    found = await adapter.recent(ref(shelf.alice.id))
    assert ids(found) == [one["id"], two["id"], three["id"], four["id"]]
    for envelope in found:
        (activity,) = adapter.decode(envelope)
        assert isinstance(activity.act, Post)
        assert activity.actor == ref(shelf.alice.id)
    assert three["id"] not in host.http.asked, "what the account's own outbox holds whole is not asked for again"


async def test_recent_names_pins_the_latest_last(host: FakeHost, adapter: ActivityPub):
    shelf = Shelf(host)
    one, two, other = shelf.note(1), shelf.note(2), Peer(host, "bob", "other.test").note(3)
    host.http.serve(other["id"], other)
    shelf.fill([], [two, one["id"], other["id"], {"type": "Hashtag", "name": "#x"}])
    found = await adapter.recent(ref(shelf.alice.id))
    assert ids(found)[:2] == [one["id"], two["id"]]
    assert added(found) == [one["id"], two["id"]]
    adds = found[2:]
    assert len({envelope.id for envelope in adds}) == 2
    assert adds[0].received_at < adds[1].received_at
    for envelope in adds:
        add = json.loads(envelope.body)
        assert (add["target"], add["actor"], envelope.signer) == (shelf.featured, shelf.alice.id, ref(shelf.alice.id))
        assert envelope.id.startswith(f"{shelf.featured}#")
        (activity,) = adapter.decode(envelope)
        assert activity.act == Pin(ref(add["object"]))
    again = await adapter.recent(ref(shelf.alice.id))
    assert ids(again) == ids(found)


@pytest.mark.parametrize("how", ["foreign id", "foreign author", "foreign outbox", "foreign actor"])
async def test_what_an_outbox_says_of_others_is_not_believed(host: FakeHost, adapter: ActivityPub, how: str):
    shelf = Shelf(host)
    bob = Peer(host, "bob", "other.test")
    forged = {**bob.note(1), "content": "forged"}
    if how == "foreign author":
        forged["id"] = f"{shelf.alice.id}/notes/9"
    create = shelf.create(forged)
    if how == "foreign outbox":
        shelf.outbox = "https://other.test/outbox"
        host.http.serve(shelf.alice.id, shelf.alice.actor(outbox=shelf.outbox))
        create = shelf.create(shelf.note(1))
    if how == "foreign actor":
        create["actor"] = bob.id
    shelf.fill([create])
    assert await adapter.recent(ref(shelf.alice.id)) == []


async def test_an_account_without_collections_said_nothing(host: FakeHost, adapter: ActivityPub):
    alice = Peer(host)
    assert await adapter.recent(ref(alice.id)) == []
    host.http.serve(alice.id, alice.actor(outbox=None, featured=["x", 3]))
    assert await adapter.recent(ref(alice.id)) == []
    host.http.serve(alice.id, {}, status=410)
    assert await adapter.recent(ref(alice.id)) == []
    host.http.pages[alice.id] = EgressFailed("timeout")
    with pytest.raises(Unreachable):
        await adapter.recent(ref(alice.id))


async def test_an_outbox_is_read_within_bounds(host: FakeHost, adapter: ActivityPub):
    shelf = Shelf(host)
    notes = [shelf.note(n) for n in range(60)]
    collection(host, shelf.outbox, *([n["id"] for n in notes[k : k + 10]] for k in range(0, 60, 10)))
    found = await adapter.recent(ref(shelf.alice.id))
    # Besides the collection itself, two pages.
    assert len(found) == 20
    host.http.asked.clear()
    collection(host, shelf.outbox, [n["id"] for n in notes])
    assert len(await adapter.recent(ref(shelf.alice.id))) == reader.MAX_RECENT
    assert len(host.http.asked) <= 5 + reader.MAX_FETCHES


async def answered(host: FakeHost, *pages: list[Any]) -> tuple[Peer, dict[str, Any]]:
    alice = Peer(host)
    note = alice.note(1, replies=f"{alice.id}/notes/1/replies")
    host.http.serve(note["id"], note)
    collection(host, note["replies"], *pages, kind="Collection")
    return alice, note


async def test_answers_are_read_at_their_origins(host: FakeHost, adapter: ActivityPub):
    bob, alice = Peer(host, "bob", "other.test"), Peer(host)
    parent = f"{alice.id}/notes/1"
    good = bob.note(1, inReplyTo=parent)
    own = alice.note(7, inReplyTo=parent)
    private = bob.note(2, inReplyTo=parent, to=[alice.id], cc=[])
    stray = bob.note(3, inReplyTo=f"{alice.id}/notes/99")
    for note in (good, private, stray, own):
        host.http.serve(note["id"], note)
    forged = {**good, "content": "forged"}
    _, note = await answered(
        host, [forged, private["id"], stray["id"], None], [own["id"], good["id"], {"type": "Link"}]
    )
    found = await adapter.answers(ref(note["id"]))
    assert sorted(ids(found)) == sorted([good["id"], own["id"]])
    assert all(b"forged" not in envelope.body for envelope in found)


async def test_answers_stand_in_the_post_as_mastodon_has_it(host: FakeHost, adapter: ActivityPub):
    alice = Peer(host)
    url = f"{alice.id}/notes/1/replies"
    answer = alice.note(2, inReplyTo=f"{alice.id}/notes/1")
    host.http.serve(answer["id"], answer)
    first = {"type": "CollectionPage", "partOf": url, "next": f"{url}?page=1", "items": []}
    note = alice.note(1, replies={"id": url, "type": "Collection", "first": first})
    host.http.serve(note["id"], note)
    host.http.serve(f"{url}?page=1", {"id": f"{url}?page=1", "type": "CollectionPage", "items": [answer["id"]]})
    assert ids(await adapter.answers(ref(note["id"]))) == [answer["id"]]


async def test_answers_are_read_within_bounds(host: FakeHost, adapter: ActivityPub):
    """Endless pages, pages that lead back, pages elsewhere, more members than anybody wants."""
    alice = Peer(host)
    notes = [alice.note(n, inReplyTo=f"{alice.id}/notes/1") for n in range(2, 90)]
    for note in notes:
        host.http.serve(note["id"], note)
    _, post = await answered(host, *([note["id"]] for note in notes))
    found = await adapter.answers(ref(post["id"]))
    assert len(found) == reader.ANSWER_FETCHES - 1
    await answered(host, [note["id"] for note in notes])
    host.http.asked.clear()
    assert len(await adapter.answers(ref(post["id"]))) == reader.MAX_FETCHES
    assert len(host.http.asked) <= reader.MAX_FETCHES + 3
    url = post["replies"]
    host.http.serve(url, {"type": "Collection", "first": url, "items": [notes[0]["id"]]})
    assert len(await adapter.answers(ref(post["id"]))) == 1
    host.http.serve(url, {"type": "Collection", "first": "https://other.test/page"})
    host.http.serve("https://other.test/page", {"type": "CollectionPage", "items": [notes[0]["id"]]})
    assert await adapter.answers(ref(post["id"])) == []
    assert "https://other.test/page" not in host.http.asked


async def test_one_silent_answer_does_not_hide_the_others(host: FakeHost, adapter: ActivityPub):
    alice = Peer(host)
    good = alice.note(2, inReplyTo=f"{alice.id}/notes/1")
    host.http.serve(good["id"], good)
    host.http.pages["https://down.test/1"] = EgressFailed("timeout")
    _, post = await answered(host, ["https://down.test/1", good["id"]])
    assert ids(await adapter.answers(ref(post["id"]))) == [good["id"]]
    host.http.pages[post["replies"]] = EgressFailed("timeout")
    with pytest.raises(Unreachable):
        await adapter.answers(ref(post["id"]))


class Slow:
    """Answers of some hosts never come; how many wait for them is counted."""

    def __init__(self, host: FakeHost, *servers: str) -> None:
        self.inner, self.servers = host.http, servers
        self.waiting = 0
        host.http = self

    async def get(self, url: str, **more: Any) -> Any:
        if url.partition("://")[2].partition("/")[0] in self.servers:
            self.waiting += 1
            await asyncio.Event().wait()
        return await self.inner.get(url, **more)


async def test_what_came_in_time_is_what_there_is(
    host: FakeHost, adapter: ActivityPub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reader, "WITHIN", 0.05)
    alice = Peer(host)
    good = alice.note(2, inReplyTo=f"{alice.id}/notes/1")
    host.http.serve(good["id"], good)
    _, post = await answered(host, ["https://slow.test/1", good["id"]])
    slow = Slow(host, "slow.test")
    assert ids(await adapter.answers(ref(post["id"]))) == [good["id"]]
    assert slow.waiting == 1
    slow.servers = ("peer.test",)
    with pytest.raises(Unreachable):
        await adapter.answers(ref(post["id"]))


async def test_one_slow_host_leaves_room_for_others(host: FakeHost, adapter: ActivityPub):
    alice = Peer(host)
    note = alice.note()
    host.http.serve(note["id"], note)
    slow = Slow(host, "slow.test")
    stuck = [asyncio.create_task(adapter.fetch(ref(f"https://slow.test/{n}"))) for n in range(300)]
    await asyncio.sleep(0.01)
    assert slow.waiting == client_room.MAX_AT_HOST
    assert isinstance((await adapter.fetch(ref(note["id"])))[0], Envelope)
    refused = [task for task in stuck if task.done()]
    assert len(refused) == 300 - client_room.MAX_WAITING_AT_HOST
    assert all(isinstance(task.exception(), Unreachable) for task in refused)
    for task in stuck:
        task.cancel()
    await asyncio.gather(*stuck, return_exceptions=True)
    client: Any = adapter._ready.client  # pyright: ignore[reportPrivateUsage]
    assert (client._gates, client._waiting) == ({}, 0)


async def test_address_that_no_parser_reads_is_nobody(host: FakeHost, adapter: ActivityPub):
    shelf = Shelf(host)
    good = shelf.note(1)
    shelf.fill(["https://[#x", good["id"]])
    assert ids(await adapter.recent(ref(shelf.alice.id))) == [good["id"]]
    assert await adapter.fetch(ref("https://[#x")) == []
