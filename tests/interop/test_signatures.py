"""Which signatures passed the wire, both ways."""

import json

from .bridge import Bridge
from .conftest import Talk
from .peers import Fedify, ident
from .world import AS2, Exchange


def _accepted(bridge: Bridge, sender: str) -> list[Exchange]:
    return [x for x in bridge.received() if x.status < 300 and f"https://{sender}/" in x.key_id]


def test_both_schemes_are_accepted(talk: Talk, bridge: Bridge) -> None:
    """Fedify as shipped knocks with RFC 9421, and need not fall back; the others sign by draft-cavage."""
    wanted = "rfc9421" if talk.peer.host == "fedify.test" else "cavage"
    assert {x.scheme for x in _accepted(bridge, talk.peer.host)} == {wanted}


def test_deliveries_are_signed_as_every_peer_reads_them(talk: Talk) -> None:
    ours = [x for x in talk.peer.deliveries() if "https://bridge.test/" in x.headers.get("signature", "")]
    assert ours
    assert {(x.scheme, x.status < 300) for x in ours} == {("cavage", True)}
    for x in ours:
        assert x.headers["content-type"].split(";")[0] in ("application/activity+json", "application/ld+json")
        assert x.headers["digest"].startswith("SHA-256=")
        for part in ("(request-target)", "host", "date", "digest"):
            assert part in x.headers["signature"]
        assert "#main-key" in x.headers["signature"]


def test_unsigned_delivery_is_refused(fedify: Fedify, alice_ap: str, bridge: Bridge) -> None:
    actor = bridge.world.get_json(alice_ap)
    follow = {
        "@context": "https://www.w3.org/ns/activitystreams",
        "id": "https://fedify.test/forged/1",
        "type": "Follow",
        "actor": fedify.actor,
        "object": alice_ap,
    }
    for inbox in (actor["inbox"], actor["endpoints"]["sharedInbox"]):
        status, _, _ = bridge.world.request("POST", inbox, {"Content-Type": AS2}, json.dumps(follow).encode())
        assert status == 401
    assert follow["id"] not in [ident(a["object"]) for a in fedify.received("Accept")]
