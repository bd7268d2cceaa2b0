"""`did_method: web`: ghosts that no directory knows, as the reference AppView finds them at their own names."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

import pytest

from .atproto import WANDA, WIM, AtUser, Stack
from .bridge import Bridge
from .conftest import listening, member_of
from .peers import Fedify, Nostr, NostrUser, Relay, tags
from .world import World, eventually


@dataclass(frozen=True)
class Web:
    bridge: Bridge
    stack: Stack
    relay: Relay
    wanda: NostrUser
    wim: Fedify


@pytest.fixture(scope="module")
def web(world: World, nostr: Nostr, stack_database: str) -> Iterator[Web]:
    """A daemon whose ghosts are did:web, and a stack of its own that reads it."""
    relay = Relay(world, "relay-web")
    stack = Stack(world, "pds.web.test", "web.test", "plc.web.test", stack_database)
    at = {"did_method": "web", "plc": stack.plc, "ingest": {"firehose": "wss://pds.web.test"}}
    bridge = Bridge(world, "web.test", relay, more_adapters={"atproto": at})
    bridge.start()
    listening(bridge)
    wanda = NostrUser(nostr, "interop-wanda", relay.url)
    wanda.profile(name="wanda", display_name="Wanda of Nostr", about="lives at a name")
    wim = member_of(bridge, Fedify(world, "wim.test", "wim"))
    yield Web(bridge, stack, relay, wanda, wim)
    assert stack.refusals() == []
    stack.process.stop()
    assert bridge.stop() == 0, f"not a clean end on SIGTERM:\n{bridge.tail()}"


def test_ghosts_are_found_at_their_names(web: Web, world: World) -> None:
    wolf, dids = AtUser(web.stack, "wolf"), [f"did:web:{handle}" for handle in (WANDA, WIM)]
    for handle, did, name in zip((WANDA, WIM), dids, ("Wanda of Nostr", "Fedify peer"), strict=True):
        assert web.stack.find(handle) == did
        web.stack.profile(did, lambda p, n=name, h=handle: (p["displayName"], p["handle"]) == (n, h))
        wolf.follow(did)
        web.stack.profile(did, lambda p: p["followersCount"] == 1)
    actor, key = web.bridge.actor_of(wolf.handle), web.bridge.key_of(wolf.handle)
    eventually(lambda: web.wanda.nostr.fetch(web.relay.url, kinds=[3], authors=[key]))
    eventually(lambda: actor in web.wim.followers())
    web.wanda.note("wanda at her name")
    web.wim.post("wim at his name")
    for did, text in zip(dids, ("wanda at her name", "wim at his name"), strict=True):
        wolf.reply(f"wolf answers {text}", web.stack.said(did, text))
    event = web.relay.wait_post("wolf answers wanda")
    assert event["pubkey"] == key
    assert [web.wanda.public] in [tag[:1] for tag in tags(event, "p")]
    assert web.wim.wait_note("wolf answers wim")["attributedTo"] == actor
    # the directory has heard of the AppView and of wolf alone; the documents of the others are at their hosts
    told = {unquote(exchange.path) for exchange in world.wire("plc.web.test", "POST")}
    assert (len(told), f"/{wolf.did}" in told) == (2, True), told
    for handle in (WANDA, WIM):
        asked = [x.status for x in world.wire(handle, "GET") if x.path == "/.well-known/did.json"]
        assert set(asked) == {200}
