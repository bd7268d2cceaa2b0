"""WebFinger, host-meta and NodeInfo, from outside."""

import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest

from bridged.api import Ghost, Ref, Unreachable
from tests.unit.activitypub.fake import AS2, BASE, BOT, GHOST, HOME
from tests.unit.activitypub.site import Site
from tests.vectors import vectors


def webfinger(resource: str) -> str:
    return f"/.well-known/webfinger?resource={quote(resource, safe='')}"


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


async def test_webfinger_leads_to_the_account_that_somebody_has_here_themselves(site: Site):
    own = Ghost(HOME.ref, Ref("activitypub", "https://peer.test/users/alice"), "alice@peer.test", "linked")
    site.host.elsewhere["new@nostr.example"] = (own, HOME)
    response, document = await site.get(webfinger("acct:new_at_nostr.example@bridge.test"))
    assert (response.status, document["subject"]) == (200, "acct:alice@peer.test")
    assert {"rel": "self", "type": AS2, "href": own.ref.id} in document["links"]
    assert "bridge.test" not in json.dumps(document)


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


async def test_webfinger_reads_ids_and_pages_of_other_networks(site: Site):
    for place in (f"nostr:{HOME.handle}", "https://viewer.example/nora", f"{BASE}/{HOME.handle}"):
        site.host.places[place] = GHOST.ref
        _, document = await site.get(webfinger(place))
        assert document["subject"] == f"acct:{HOME.handle}@bridge.test"
    _, document = await site.get(webfinger(f"{BASE}/@{HOME.handle}"))
    assert document["links"][0]["href"] == GHOST.ref.id
    site.host.places["nostr:note1x"] = Ref("activitypub", f"{BASE}/objects/nostr/x")
    response, _ = await site.get(webfinger("nostr:note1x"))
    assert response.status == 404, "a post is nobody"
    site.host.places["nostr:npub1x"] = Unreachable("silent")
    response, _ = await site.get(webfinger("nostr:npub1x"))
    assert response.status == 503


async def test_webfinger_gives_the_links_asked_for(site: Site):
    site.host.ghosts[GHOST.ref.id] = (GHOST, replace(HOME, avatar="https://files.example/nora.png"))
    _, whole = await site.get(webfinger(f"acct:{HOME.handle}@bridge.test"))
    assert whole["aliases"] == [GHOST.ref.id, HOME.url]
    assert [link["rel"].rpartition("/")[2] for link in whole["links"]] == ["self", "profile-page", "avatar"]
    _, some = await site.get(webfinger(f"acct:{HOME.handle}@bridge.test") + "&rel=self&rel=other")
    assert [link["rel"] for link in some["links"]] == ["self"]


async def test_webfinger_resource_is_bounded(site: Site):
    response, _ = await site.get(webfinger("nostr:" + "x" * 2000))
    assert response.status == 400
    assert site.host.brought == []


async def test_host_meta_says_where_webfinger_is(site: Site):
    template = f"{BASE}/.well-known/webfinger?resource={{uri}}"
    response, body = await site.get("/.well-known/host-meta", "*/*")
    assert response.content_type == "application/xrd+xml"
    (link,) = ElementTree.fromstring(body)
    assert (link.get("rel"), link.get("template")) == ("lrdd", template)
    for path, accept in (("/.well-known/host-meta.json", "*/*"), ("/.well-known/host-meta", "application/json")):
        response, document = await site.get(path, accept)
        assert response.content_type == "application/json"
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert document["links"][0]["template"] == template


def follows(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value is what a JSON schema says, in the words that NodeInfo's use."""
    kinds: dict[str, Any] = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    if isinstance(value, list):
        return all(follows(item, schema.get("items", {})) for item in value)
    if not isinstance(value, dict):
        return True
    known = schema.get("properties", {})
    if schema.get("additionalProperties", True) is False and not value.keys() <= known.keys():
        return False
    return set(schema.get("required", [])) <= value.keys() and all(
        follows(v, known.get(k, {})) for k, v in value.items()
    )


async def test_nodeinfo_follows_its_schema(site: Site):
    _, links = await site.get("/.well-known/nodeinfo")
    assert len(links["links"]) == 2
    for link in links["links"]:
        response, document = await site.get(link["href"].removeprefix(BASE))
        version = link["href"][-3:]
        assert response.status == 200
        assert f"schema/{version}#" in response.headers["Content-Type"]
        schema = json.loads((vectors() / "activitypub" / "nodeinfo" / f"{version}_schema.json").read_text())
        assert follows(document, schema)
        assert not follows({**document, "more": 1}, schema)
        assert document["version"] == version
        assert document["usage"] == {"users": {"total": 3}, "localPosts": 14}
        assert document["software"] == {"name": "bridged", "version": "1.2.3"}
        assert document["services"] == {"inbound": [], "outbound": []}
    response, _ = await site.get("/nodeinfo/1.0")
    assert response.status == 404


async def test_nodeinfo_is_counted_once_for_many(site: Site):
    for _ in range(50):
        await site.get("/nodeinfo/2.1")
    assert site.host.reads == 1
