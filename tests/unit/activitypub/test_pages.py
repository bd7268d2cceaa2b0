"""What we serve, from outside."""

import json
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from adapters.activitypub.adapter import ActivityPub, Config
from bridged.api import (
    HOME as BRIDGE,
)
from bridged.api import (
    Account,
    Activity,
    Copy,
    Ghost,
    Post,
    PostBody,
    Profile,
    Ref,
    Repost,
    Text,
    There,
    Unreachable,
    View,
)
from tests.unit.activitypub.fake import AS2, BASE, BOT, GHOST, HOME, NOW, PUBLIC, FakeHost
from tests.vectors import vectors

ACTOR = f"/users/nostr/{'ab' * 32}"


class Site:
    def __init__(self, host: FakeHost, adapter: ActivityPub, client: TestClient[Any, Any]) -> None:
        self.host, self.adapter, self.client = host, adapter, client

    async def get(self, path: str, accept: str = AS2, **headers: str) -> tuple[ClientResponse, Any]:
        wanted = {"Accept": accept, **headers}
        async with self.client.get(path, headers=wanted, allow_redirects=False) as response:
            body = await response.read()
            return response, json.loads(body) if body and body.startswith(b"{") else body

    def post(self, number: int) -> Copy:
        ref = Ref("nostr", f"{number:064x}")
        post = Post(PostBody(ref, HOME.ref, Text(f"post {number}"), NOW, url="https://njump.example/x"))
        return self._said(ref, post)

    def repost(self, number: int) -> Copy:
        target = Ref("activitypub", "https://peer.test/notes/1")
        there = {target: There(target, target, Ref("activitypub", "https://peer.test/users/bob"))}
        return self._said(Ref("nostr", f"{number:064x}"), Repost(target), there=there)

    def _said(self, ref: Ref, act: Any, **more: Any) -> Copy:
        out = self.adapter.encode(Activity(ref, HOME.ref, NOW, act), View(NOW, GHOST, HOME, **more))
        part = out.parts[0]
        copy = Copy(ref, "activitypub", 0, part.ref, part.served)
        assert part.ref is not None
        self.host.copies[part.ref.id] = copy
        self.host.outbox.append(copy)
        return copy


@pytest.fixture
async def site():
    host = FakeHost()
    host.ghosts[BOT.ref.id] = (BOT, Account(Ref(BRIDGE, "bot"), "bridge", name="The bridge", bot=True))
    adapter = ActivityPub(Config(), host)
    await adapter.start()
    app = web.Application()
    app.add_routes(adapter.routes())
    async with TestClient(TestServer(app)) as client:
        yield Site(host, adapter, client)


def webfinger(resource: str) -> str:
    return f"/.well-known/webfinger?resource={resource}"


@pytest.mark.parametrize(
    "resource", [f"acct:{HOME.handle}@bridge.test", f"acct:{HOME.handle.upper()}@BRIDGE.test", GHOST.ref.id]
)
async def test_webfinger_finds_a_ghost(site: Site, resource: str):
    response, document = await site.get(webfinger(resource))
    assert response.status == 200
    assert response.content_type == "application/jrd+json"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert document["subject"] == f"acct:{HOME.handle}@bridge.test"
    assert {"rel": "self", "type": AS2, "href": GHOST.ref.id} in document["links"]


async def test_webfinger_makes_a_ghost_by_the_name_on_its_own_network(site: Site):
    ghost = Ghost(Ref("nostr", "cd" * 32), Ref("activitypub", f"{BASE}/users/nostr/cd"), "new_at_nostr.example")
    site.host.elsewhere["new@nostr.example"] = (ghost, replace(HOME, ref=ghost.owner))
    response, document = await site.get(webfinger("acct:new_at_nostr.example@bridge.test"))
    assert response.status == 200
    assert document["links"][0]["href"] == ghost.ref.id


async def test_webfinger_finds_the_instance_actor_and_the_bot(site: Site):
    _, instance = await site.get(webfinger("acct:bridge.test@bridge.test"))
    assert instance["links"][0]["href"] == f"{BASE}/actor"
    _, bot = await site.get(webfinger("acct:bridge@bridge.test"))
    assert bot["links"][0]["href"] == BOT.ref.id


@pytest.mark.parametrize(
    ("resource", "status"),
    [
        ("", 400),
        ("acct:nobody@bridge.test", 404),
        (f"acct:{HOME.handle}@elsewhere.test", 404),
        ("https://elsewhere.test/users/x", 404),
        (f"{BASE}/users/nostr/nobody", 404),
        ("acct:a@b@c", 404),
        ("mailto:x", 404),
    ],
)
async def test_webfinger_of_nobody(site: Site, resource: str, status: int):
    response, _ = await site.get(webfinger(resource))
    assert response.status == status


async def test_webfinger_asks_to_come_back_when_nothing_was_learnt(site: Site):
    site.host.elsewhere["new@down.example"] = Unreachable("down")
    response, _ = await site.get(webfinger("acct:new_at_down.example@bridge.test"))
    assert response.status == 503
    assert int(response.headers["Retry-After"]) > 0


async def test_nodeinfo_follows_its_schema(site: Site):
    _, links = await site.get("/.well-known/nodeinfo")
    assert len(links["links"]) == 2
    for link in links["links"]:
        response, document = await site.get(link["href"].removeprefix(BASE))
        version = link["href"][-3:]
        assert response.status == 200
        schema = json.loads((vectors() / "activitypub" / "nodeinfo" / f"{version}_schema.json").read_text())
        assert set(document) == set(schema["required"])
        assert document["version"] == version
        assert document["usage"] == {"users": {"total": 3}, "localPosts": 14}
        assert document["software"] == {"name": "bridged", "version": "1.2.3"}
    response, _ = await site.get("/nodeinfo/1.0")
    assert response.status == 404


async def test_actor_is_served(site: Site):
    response, actor = await site.get(ACTOR)
    assert response.status == 200
    assert response.content_type == AS2
    assert actor["id"] == GHOST.ref.id
    assert actor["type"] == "Person"
    assert actor["preferredUsername"] == HOME.handle
    assert actor["summary"] == "<p>hello</p>"
    assert actor["publicKey"]["publicKeyPem"].startswith("-----BEGIN PUBLIC KEY-----")
    for name in ("inbox", "outbox", "followers", "following"):
        assert actor[name] == f"{GHOST.ref.id}/{name}"
    assert actor["url"] == [
        {"type": "Link", "mediaType": "text/html", "href": HOME.url},
        {"type": "Link", "rel": "canonical", "href": HOME.uri},
    ]


async def test_actor_is_served_as_it_was_last_said(site: Site):
    act = Profile(replace(HOME, name="Newer"))
    out = site.adapter.encode(Activity(Ref("nostr", "99"), HOME.ref, NOW, act), View(NOW, GHOST, HOME))
    site.host.copies[GHOST.ref.id] = Copy(HOME.ref, "activitypub", 0, GHOST.ref, out.parts[0].served)
    _, actor = await site.get(ACTOR)
    assert actor["name"] == "Newer"


async def test_actor_for_pubby_has_a_plain_url(site: Site):
    response, actor = await site.get(ACTOR, **{"User-Agent": "pubby/0.6.2 (+https://pubby.test/ap/actor)"})
    assert actor["url"] == HOME.url
    assert response.headers["Vary"] == "Accept, User-Agent"


async def test_content_type_follows_accept(site: Site):
    response, _ = await site.get(ACTOR, 'application/ld+json; profile="https://www.w3.org/ns/activitystreams"')
    assert response.headers["Content-Type"].startswith("application/ld+json; profile=")
    for accept in ("*/*", "application/json", f"{AS2}, text/html"):
        response, _ = await site.get(ACTOR, accept)
        assert (response.status, response.content_type) == (200, AS2)
    response, _ = await site.get(ACTOR, "text/html,application/xhtml+xml,*/*;q=0.8")
    assert (response.status, response.headers["Location"]) == (303, HOME.url)
    assert response.headers["Vary"] == "Accept"


async def test_head_and_etag(site: Site):
    async with site.client.head(ACTOR, headers={"Accept": AS2}) as response:
        assert response.status == 200
        assert await response.read() == b""
        assert int(response.headers["Content-Length"]) > 0
    again, body = await site.get(ACTOR, **{"If-None-Match": response.headers["ETag"]})
    assert (again.status, body) == (304, b"")


async def test_actor_gone_is_a_tombstone_and_unknown_is_not_found(site: Site):
    site.host.withdrawn.add(f"{BASE}/users/nostr/left")
    response, document = await site.get("/users/nostr/left")
    assert (response.status, document["type"]) == (410, "Tombstone")
    response, _ = await site.get("/users/nostr/left/outbox")
    assert response.status == 410
    for path in ("/users/nostr/x", "/users/nostr/x/followers", "/objects/nostr/x", "/activities/nostr/x/create"):
        response, _ = await site.get(path)
        assert response.status == 404


async def test_instance_actor_needs_no_signature(site: Site):
    response, actor = await site.get("/actor", "*/*")
    assert (response.status, actor["type"], actor["id"]) == (200, "Application", f"{BASE}/actor")
    assert actor["publicKey"]["id"] == f"{BASE}/actor#main-key"
    _, outbox = await site.get("/actor/outbox")
    assert outbox["totalItems"] == 0


async def test_object_and_its_create_are_served(site: Site):
    copy = site.post(1)
    assert copy.ref is not None
    response, note = await site.get(copy.ref.id.removeprefix(BASE))
    assert (response.status, note["id"], note["content"]) == (200, copy.ref.id, "<p>post 1</p>")
    _, create = await site.get(f"/activities/nostr/{1:064x}/create")
    assert create["id"] == f"{BASE}/activities/nostr/{1:064x}/create"
    assert (create["type"], create["object"]["id"]) == ("Create", note["id"])
    assert create["to"] == [PUBLIC]
    response, _ = await site.get(copy.ref.id.removeprefix(BASE), "text/html")
    assert (response.status, response.headers["Location"]) == (303, "https://njump.example/x")


async def test_withdrawn_object_is_gone(site: Site):
    copy = site.post(1)
    assert copy.ref is not None
    site.host.copies[copy.ref.id] = replace(copy, served=b"", gone=True)
    for path in (copy.ref.id.removeprefix(BASE), f"/activities/nostr/{1:064x}/create"):
        response, document = await site.get(path)
        assert (response.status, document["type"], document["id"]) == (410, "Tombstone", f"{BASE}{path}")


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
