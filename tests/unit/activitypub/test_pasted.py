"""Addresses and ids of other networks, pasted into the search of a fediverse server under our domain."""

from urllib.parse import quote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bridged.api import Unreachable
from tests.unit.activitypub.fake import AS2, BASE, HOME
from tests.unit.activitypub.site import ACTOR, BROWSER, Site

# As Mastodon 4 asks when somebody pastes an address into its search.
MASTODON = f'{AS2}, application/ld+json; profile="https://www.w3.org/ns/activitystreams", text/html;q=0.1'


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/note1abc", "note1abc"),
        ("/nostr:nevent1abc", "nostr:nevent1abc"),
        ("/https://viewer.example/nevent1abc", "https://viewer.example/nevent1abc"),
        ("/https:/viewer.example/nevent1abc", "https://viewer.example/nevent1abc"),
        ("/https://viewer.example/show?id=1&x=%20", "https://viewer.example/show?id=1&x=%20"),
        (f"/r/{quote('https://viewer.example/show?id=1', safe='')}", "https://viewer.example/show?id=1"),
        ("/r/nostr%3Anote1abc", "nostr:note1abc"),
        ("/30023:aa:b%C3%BCrste", "30023:aa:bürste"),
    ],
)
async def test_server_ends_at_the_object_itself(site: Site, path: str, text: str):
    copy = site.post(1)
    assert copy.ref is not None
    site.host.places[text] = copy.ref
    async with site.client.get(path, headers={"Accept": MASTODON}, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, copy.ref.id)
    assert site.host.brought == [text]
    # The id must be where the server ends up.
    response, note = await site.get(copy.ref.id.removeprefix(BASE), MASTODON)
    assert (response.status, response.content_type, note["id"]) == (200, AS2, copy.ref.id)


async def test_browser_ends_at_the_original(site: Site):
    copy = site.post(1)
    assert copy.ref is not None
    site.host.places["note1abc"] = copy.ref
    response, _ = await site.get("/note1abc", BROWSER)
    response, _ = await site.get(response.headers["Location"].removeprefix(BASE), BROWSER)
    assert response.headers["Location"] == "https://njump.example/x"


async def test_profile_page_leads_to_the_actor(site: Site):
    for path in (f"/@{HOME.handle}", f"/r/@{HOME.handle}", "/@bridge", "/@bridge.test"):
        response, _ = await site.get(path)
        assert response.status == 302
    assert response.headers["Location"] == f"{BASE}/actor"
    for path in ("/@nobody", "/@", f"/@{HOME.handle}/x"):
        response, _ = await site.get(path)
        assert response.status == 404


async def test_what_is_not_found_is_explained(site: Site):
    response, said = await site.get("/note1nothing")
    assert (response.status, response.content_type) == (404, "text/plain")
    assert b"does not want to be bridged" in said
    site.host.places["note1silent"] = Unreachable("silent")
    response, said = await site.get("/note1silent")
    assert response.status == 503
    assert int(response.headers["Retry-After"]) > 0
    response, _ = await site.get("/" + "n" * 1500)
    assert response.status == 404
    assert len(site.host.brought) == 1 + 1


async def test_known_pages_stay_theirs(site: Site):
    for path in (ACTOR, f"{ACTOR}/outbox", "/actor", "/.well-known/nodeinfo", "/nodeinfo/2.0"):
        response, _ = await site.get(path)
        assert response.status == 200
    for path in ("/users/nostr/x", "/objects/nostr/x", "/nodeinfo/9"):
        response, _ = await site.get(path)
        assert response.status == 404
    assert site.host.brought == []


async def test_routes_of_other_adapters_come_first():
    """The rule is the core's: whatever the order of the adapters, who names a path gets it."""
    from bridged.web.app import _without_clashes  # pyright: ignore[reportPrivateUsage]

    async def ours(request: web.Request) -> web.Response:
        return web.Response(text="ours")

    async def theirs(request: web.Request) -> web.Response:
        return web.Response(text="theirs")

    named = [web.get("/{name}/inbox", theirs), web.get("/x/{y}", theirs), web.get("/{did:did:plc:[^/]+}/log", theirs)]
    routes = _without_clashes([("a", [web.get("/{text:.+}", ours)]), ("b", named)])
    app = web.Application()
    app.add_routes(routes)
    async with TestClient(TestServer(app)) as client:
        for path, whose in (
            ("/x/1", "theirs"),
            ("/x/1/2", "ours"),
            ("/did:plc:1/log", "theirs"),
            ("/me/inbox", "theirs"),
            ("/", ""),
        ):
            async with client.get(path) as response:
                assert (await response.text() if response.status == 200 else "") == whose
