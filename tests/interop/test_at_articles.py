"""Articles: ours as site.standard.document in repos that the reference library reads, theirs as articles elsewhere."""

import json
from typing import Any

import pytest

from .atproto import AtUser, Stack
from .bridge import Bridge
from .conftest import Ghosts, following
from .peers import Fedify, Nostr, NostrUser, Relay, now, tags
from .test_at_details import read_repo
from .world import World, eventually

pytestmark = pytest.mark.usefixtures("stella")
KIND = "site.standard.document"


def documents(read: dict[str, Any]) -> list[str]:
    return [path for path in read["records"] if path.startswith(KIND)]


def test_article_of_nostr_is_published_whole_beside_the_post_that_tells_of_it(
    world: World, stack: Stack, nora: NostrUser, ghosts: Ghosts
) -> None:
    told = [["d", "bees"], ["title", "On bees"], ["summary", "Why they matter"]]
    nora.publish(30023, "Bees buzz. " * 200, told)
    post = stack.said(ghosts.nora, "On bees")
    assert post["embed"]["external"]["title"] == "On bees"
    [path] = documents(read_repo(world, stack, ghosts.nora, "read-article"))
    query = f"repo={ghosts.nora}&collection={KIND}&rkey={path.partition('/')[2]}"
    record = world.get_json(f"https://sky.test/xrpc/com.atproto.repo.getRecord?{query}", "application/json")["value"]
    assert record["textContent"] == ("Bees buzz. " * 200).strip()
    assert record["bskyPostRef"] == {"uri": post["uri"], "cid": post["cid"]}
    assert stack.refusals() == []


def test_article_of_somebody_on_a_pds_arrives_as_one(
    stack: Stack, sky: Bridge, fred: Fedify, nora: NostrUser, nostr: Nostr, sky_relay: Relay
) -> None:
    bot = stack.profile("bridge.sky.test")["did"]
    anton = AtUser(stack, "anton")
    anton.follow(bot)
    following(fred, sky.actor_of(anton.handle))
    nora.follow(sky.key_of(anton.handle))
    site = anton.create("site.standard.publication", url="https://blog.test", name="Anton writes")["uri"]
    whole = {"title": "Of wasps", "textContent": "Wasps sting.", "publishedAt": now()}
    made = anton.create(KIND, site=site, path="/wasps", **whole)
    article = fred.wait_note("Wasps sting.")
    assert (article["type"], article["name"]) == ("Article", "Of wasps")
    assert "https://blog.test/wasps" in json.dumps(article["url"])
    event = eventually(lambda: sky_relay.posts("Wasps sting."))[0]
    assert (event["kind"], tags(event, "title")) == (30023, [["Of wasps"]])
    anton.delete(made)
    eventually(lambda: nostr.fetch(sky_relay.url, ids=[event["id"]]) == [])
