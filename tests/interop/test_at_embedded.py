"""`plc: embedded`: a PDS and an AppView that know no other directory than ours, as on a network of one's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from .atproto import AtUser, Stack
from .bridge import Bridge
from .conftest import listening
from .peers import Nostr, NostrUser, Relay, tags
from .world import World, eventually


@dataclass(frozen=True)
class Isle:
    bridge: Bridge
    stack: Stack
    relay: Relay
    inga: NostrUser

    def relay_has(self, **flt: Any) -> list[dict[str, Any]]:
        return self.inga.nostr.fetch(self.relay.url, **flt)


@pytest.fixture(scope="module")
def isle(world: World, nostr: Nostr, stack_database: str) -> Iterator[Isle]:
    relay = Relay(world, "relay-isle")
    at = {"plc": "embedded", "ingest": {"firehose": "wss://pds.isle.test"}}
    bridge = Bridge(world, "isle.test", relay, more_adapters={"atproto": at})
    bridge.start()
    stack = Stack(world, "pds.isle.test", "isle.test", "isle.test", stack_database, own_plc=False)
    stack.profile("bridge.isle.test")  # which is all that there was to read of us
    # started anew once there is a PDS to listen to; what the directory was told is still there
    assert bridge.stop() == 0
    bridge.start()
    listening(bridge)
    inga = NostrUser(nostr, "interop-inga", relay.url)
    inga.profile(name="inga", about="lives on an isle")
    yield Isle(bridge, stack, relay, inga)
    assert stack.refusals() == []
    stack.process.stop()
    assert bridge.stop() == 0, f"not a clean end on SIGTERM:\n{bridge.tail()}"


def log_of(world: World, did: str) -> list[dict[str, Any]]:
    return world.get_json(f"https://isle.test/{did}/log", "application/json")


def test_identities_of_both_are_in_our_directory(isle: Isle, world: World) -> None:
    ivo = AtUser(isle.stack, "ivo")
    inga = isle.stack.find(f"{isle.inga.npub}.isle.test")
    for did, handle, home in (
        (ivo.did, "ivo.pds.isle.test", "https://pds.isle.test"),
        (inga, f"{isle.inga.npub}.isle.test", "https://isle.test"),
    ):
        document = world.get_json(f"https://isle.test/{did}", "application/did+ld+json")
        assert document["alsoKnownAs"] == [f"at://{handle}"]
        assert [s["serviceEndpoint"] for s in document["service"]] == [home]
        assert len(log_of(world, did)) == 1
        isle.stack.profile(did, lambda p, h=handle: p["handle"] == h)
    ivo.follow(inga)
    isle.stack.profile(inga, lambda p: p["followersCount"] == 1)
    ghost = isle.bridge.key_of(ivo.handle)
    eventually(lambda: isle.relay_has(kinds=[3], authors=[ghost]))
    isle.inga.note("inga from her isle")
    post = isle.stack.said(inga, "inga from her isle")
    ivo.reply("ivo from his", post)
    event = isle.relay.wait_post("ivo from his")
    assert [isle.inga.public] in [tag[:1] for tag in tags(event, "p")]
    change = {"handle": "ivor.pds.isle.test"}
    ivo.tell("com.atproto.identity.updateHandle", change)
    eventually(lambda: len(log_of(world, ivo.did)) == 2)
    isle.stack.profile(ivo.did, lambda p: p["handle"] == "ivor.pds.isle.test")
    # our side has heard of it as well: he is found under the new name
    name = "ivor.pds.isle.test"
    eventually(lambda: isle.bridge.nip05(name) == event["pubkey"])
