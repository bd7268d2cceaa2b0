"""A fediverse user pastes an address of the other network, under our domain, into the search."""

from adapters.nostr import ids
from bridged.model import Ref

from .bridge import Bridge
from .peers import Fedify, NostrUser
from .world import World, eventually


def test_note_is_found_by_its_id_under_our_domain(fedify: Fedify, bob: NostrUser, bridge: Bridge, world: World) -> None:
    """Nobody follows bob, and nobody has seen this post."""
    event = bob.note("only for those who search")
    name = ids.names(Ref("nostr", event["id"]))
    assert name.startswith("note1")
    for path in (name, f"nostr:{name}", f"r/https%3A%2F%2Fbridge.test%2F{name}"):
        found = eventually(lambda p=path: fedify.lookup(f"https://bridge.test/{p}"))
        assert (found["type"], found["id"]) == ("Note", f"https://bridge.test/objects/nostr/{event['id']}")
        assert "only for those who search" in found["content"]
    note = fedify.fetch(f"https://bridge.test/{name}")
    assert note["id"] == found["id"]


def test_account_is_found_by_its_id_under_our_domain(fedify: Fedify, bob: NostrUser, bridge: Bridge) -> None:
    actor = bridge.actor_of(bob.npub)
    for path in (bob.npub, f"nostr:{bob.npub}", f"@{bob.npub}"):
        assert fedify.lookup(f"https://bridge.test/{path}")["id"] == actor
    assert fedify.collection(fedify.fetch(actor)["featured"])["items"] == []


def test_browser_is_sent_to_the_original(bob: NostrUser, bridge: Bridge, world: World) -> None:
    status, headers, _ = world.get(f"https://bridge.test/{bob.npub}", "text/html")
    assert status in (200, 302, 303), headers
    for path in ("favicon.ico", "wp-login.php", "note1nothing"):
        assert world.get(f"https://bridge.test/{path}", "text/html")[0] == 404
