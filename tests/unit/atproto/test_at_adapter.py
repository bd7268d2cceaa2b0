"""How the rooms are joined: what goes along in the background, what is served, and what is told to the outside."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from adapters.atproto import adapter as glue
from adapters.atproto import feeds, ids, tid, writes
from adapters.atproto.adapter import Atproto
from adapters.atproto.config import AtprotoConfig
from adapters.atproto.feeds import BOT
from adapters.atproto.pds import firehose
from bridged.api import LOCAL, Account, Busy, Delivery, EgressFailed, Ghost, Heard, Part, Ref
from bridged.testing.fakehost import FakeHost

OWNER = Account(Ref("nostr", "ab" * 32), "npub1x")
SHY = Account(Ref("activitypub", "https://a.example/shy"), "shy@a.example", discoverable=False)


async def nobody(_: str) -> bool:
    return False


class Place:
    def __init__(self, host: FakeHost, adapter: Atproto) -> None:
        self.host, self.adapter = host, adapter

    async def join(self, account: Account) -> Ghost:
        """The account gets its ghost, with a profile and a post."""
        ghost = await self.adapter.mint(account, nobody)
        self.host.ghosts[ghost.ref] = (ghost, account)
        at = "2026-09-21T10:00:00.000Z"
        profile = {"$type": ids.PROFILE, "displayName": account.handle, "createdAt": at}
        post = {"$type": ids.POST, "text": f"by {account.handle}", "createdAt": at}
        await self._apply(ghost, writes.put(account.ref, ids.record_ref(ghost.ref.id, ids.PROFILE, "self"), profile))
        where = ids.record_ref(ghost.ref.id, ids.POST, tid.make(int(self.host.now() * 1e6), 0))
        await self._apply(ghost, writes.put(account.ref, where, post))
        return ghost

    async def _apply(self, ghost: Ghost, part: Part) -> None:
        item = Delivery("key", LOCAL, part.body, ghost, part.ref, 0)
        await self.host.write(lambda tx: self.adapter.apply(tx, item))


def built(host: FakeHost, **config: Any) -> Atproto:
    return Atproto(AtprotoConfig.model_validate({"plc": "embedded", **config}), host)


@pytest.fixture
async def place() -> Place:
    host = FakeHost()
    assert Atproto.migrations is not None
    host.migrate(Atproto.migrations)
    adapter = built(host)
    await adapter.start()
    return Place(host, adapter)


@pytest.fixture
async def client(place: Place) -> AsyncIterator["TestClient[Any, Any]"]:
    app = web.Application()
    app.add_routes([*place.adapter.routes(), *place.adapter.streams()])
    async with TestClient(TestServer(app)) as client:
        yield client


async def stopped(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_all_that_others_ask_for_is_served(place: Place) -> None:
    paths = {route.path for route in (*place.adapter.routes(), *place.adapter.streams())}
    for method in (
        "sync.subscribeRepos", "sync.getRepo", "sync.getRecord", "sync.getBlob", "sync.listRepos", "sync.getRepoStatus",
        "sync.getLatestCommit", "repo.describeRepo", "repo.getRecord", "repo.listRecords", "identity.resolveHandle",
        "server.describeServer",
    ):  # fmt: skip
        assert f"/xrpc/com.atproto.{method}" in paths
    assert {"/.well-known/atproto-did", "/.well-known/did.json"} <= paths
    assert {"/xrpc/app.bsky.feed.getFeedSkeleton", "/xrpc/app.bsky.feed.describeFeedGenerator"} <= paths


async def test_bridge_is_a_server_of_feeds_by_its_own_name(client: "TestClient[Any, Any]") -> None:
    async with client.get("/.well-known/did.json", headers={"Host": "bridge.test"}) as answer:
        document = await answer.json()
    assert document["id"] == feeds.service_did("bridge.test")
    assert [service["type"] for service in document["service"]] == ["BskyFeedGenerator"]


async def test_feed_leaves_out_who_asks_not_to_be_shown_around(place: Place, client: "TestClient[Any, Any]") -> None:
    bot = await place.join(Account(BOT, "bridge"))
    shown, shy = await place.join(OWNER), await place.join(SHY)
    query = {"feed": f"at://{bot.ref.id}/{feeds.COLLECTION}/everyone"}
    async with client.get("/xrpc/app.bsky.feed.getFeedSkeleton", params=query) as answer:
        uris = [item["post"] for item in (await answer.json())["feed"]]
    assert [uri.split("/")[2] for uri in uris] == [shown.ref.id]
    query = {"repo": shy.ref.id, "collection": ids.POST}
    async with client.get("/xrpc/com.atproto.repo.listRecords", params=query) as answer:
        assert len((await answer.json())["records"]) == 1, "who knows them finds them"


async def test_pace_and_what_is_left_of_it_are_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await place.join(OWNER)
    told: asyncio.Queue[tuple[str, float, dict[str, str]]] = asyncio.Queue()
    monkeypatch.setattr(place.host, "gauge", lambda name, value, **more: told.put_nowait((name, value, more)))
    serving = asyncio.create_task(place.adapter.serve())
    try:
        async with asyncio.timeout(60):
            (name, waiting, _), *left = [await told.get() for _ in range(4)]
    finally:
        await stopped(serving)
    assert (name.endswith("events_waiting"), waiting) == (True, 0)
    assert [more["per"] for _, _, more in left] == ["second", "hour", "day"]
    assert all(0 < value < most for (_, value, _), most in zip(left, (50, 2_500, 20_000), strict=True))


async def test_job_that_finds_the_store_busy_is_done_again_and_stops_nothing_else(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What tidies up meets a full disk; who listens goes on."""
    monkeypatch.setattr(glue, "AGAIN", 0.0)
    met, tidied = [Busy("full", 0.0), Busy("full", 0.0)], asyncio.Event()
    expire = firehose.expire

    def failing(tx: Any, before: float) -> None:
        if met:
            raise met.pop()
        expire(tx, before)
        tidied.set()

    monkeypatch.setattr(firehose, "expire", failing)
    running = asyncio.create_task(place.adapter.run())
    try:
        async with asyncio.timeout(60):
            await tidied.wait()
        assert not running.done()
    finally:
        await stopped(running)
    told = [values for _, event, values in place.host.log.lines if event == "atproto_job_waits_for_store"]
    assert [values["job"] for values in told] == ["tidy", "tidy"]


@pytest.mark.parametrize(
    ("ingest", "asked"),
    [
        ({"jetstream": "wss://jet.test/subscribe"}, "wss://jet.test/subscribe"),
        ({"firehose": "wss://relay.test"}, "wss://relay.test/xrpc/com.atproto.sync.subscribeRepos"),
    ],
)
async def test_stream_that_is_set_is_listened_to(place: Place, ingest: dict[str, str], asked: str) -> None:
    urls: asyncio.Queue[str] = asyncio.Queue()

    class Outside:
        async def websocket(self, url: str, *, max_size: int) -> Any:
            urls.put_nowait(url)
            raise EgressFailed("nobody there")

    await place.host.hear(Heard(full=frozenset({f"did:plc:{'a' * 24}"})))
    place.host.http = Outside()  # type: ignore[assignment]
    running = asyncio.create_task(built(place.host, ingest=ingest).run())
    try:
        async with asyncio.timeout(60):
            assert (await urls.get()).startswith(asked)
    finally:
        await stopped(running)


async def test_pace_of_the_settings_holds_from_the_next_start(place: Place) -> None:
    await built(place.host, pace={"second": 7, "hour": 8, "day": 9}).start()
    budget = await place.host.read(lambda tx: firehose.budget(tx, place.host.now()))
    assert budget.most == (7, 8, 9)


async def test_hints_name_the_bot_and_how_others_are_found(place: Place) -> None:
    said = " ".join(place.adapter.hints())
    assert "bridge.bridge.test" in said
    assert "alice-at-mastodon-social.bridge.test" in said
