"""Quotes (FEP-044f and the older forms, NIP-18), and leave to quote."""

from typing import Any

import pytest

from adapters.nostr import ids
from bridged.model import Ref

from .bridge import Bridge
from .peers import (
    ANYONE_MAY_QUOTE,
    NOBODY_MAY_QUOTE,
    Fedify,
    Nostr,
    NostrUser,
    Peer,
    Pubby,
    Relay,
    ident,
    many,
    tags,
)
from .world import World, eventually


def quote(user: NostrUser, event: dict[str, Any], text: str) -> Any:
    where = ids.post_uri(Ref("nostr", event["id"]), author=event["pubkey"], kind=event["kind"], relay=user.relay)
    return user.note(f"{text} {where}", [["q", event["id"], user.relay, event["pubkey"]], ["p", event["pubkey"]]])


@pytest.fixture(scope="module", params=["ana", "pubby"])
def quoted(request: pytest.FixtureRequest, alice: NostrUser, alice_ap: str, relay: Relay) -> tuple[Peer, str, Any]:
    """A reader of alice's, and a note of theirs that may be quoted (a member's, a stranger's answer); its event."""
    peer: Peer = request.getfixturevalue(request.param)
    text = f"worth a quote, says {peer.host}"
    if isinstance(peer, Fedify):
        note = peer.publish(content=f"<p>{text}</p>", interactionPolicy=ANYONE_MAY_QUOTE)
    else:
        if alice_ap not in peer.following():
            peer.follow(alice_ap)
            eventually(lambda: alice_ap in peer.following())
        alice.note(f"to be quoted, {peer.host}?")
        note = peer.reply(text, peer.wait_note(f"to be quoted, {peer.host}?")["id"], alice_ap)
    return peer, note, relay.wait_post(text)


def test_quote_by_nostr_asks_leave_and_shows_it(
    quoted: tuple[Peer, str, Any], alice: NostrUser, alice_ap: str, world: World
) -> None:
    peer, note, event = quoted
    text = f"alice quotes {peer.host}"
    quote(alice, event, text)
    quoting = peer.wait_note(text)
    assert {quoting[name] for name in ("quote", "quoteUrl", "quoteUri", "_misskey_quote")} == {note}
    links = [t for t in many(quoting["tag"]) if t["type"] == "Link"]
    assert [link["href"] for link in links] == [note]
    assert "nostr:" not in quoting["content"]
    request = eventually(lambda: peer.received("QuoteRequest", object=note, actor=alice_ap))[0]
    assert ident(request["instrument"]) == quoting["id"]
    update = eventually(lambda: peer.received("Update", object=quoting["id"], actor=alice_ap))[0]
    proof = world.get_json(ident(update["object"]["quoteAuthorization"]) or "")
    assert (proof["type"], ident(proof["attributedTo"])) == ("QuoteAuthorization", peer.actor)
    assert (ident(proof["interactingObject"]), ident(proof["interactionTarget"])) == (quoting["id"], note)
    assert world.get_json(quoting["id"])["quoteAuthorization"] == proof["id"]


def test_quote_without_leave_stays_without(
    ana: Fedify, alice: NostrUser, relay: Relay, world: World, bridge: Bridge
) -> None:
    note = ana.publish(content="<p>not for quoting</p>", interactionPolicy=NOBODY_MAY_QUOTE)
    quote(alice, relay.wait_post("not for quoting"), "alice quotes in vain")
    quoting = ana.wait_note("alice quotes in vain")["id"]
    request = eventually(lambda: ana.received("QuoteRequest", object=note))[0]
    eventually(lambda: [x for x in bridge.received() if '"Reject"' in x.text and request["id"] in x.text])
    alice.note("a sign of life after the refusal")
    ana.wait_note("a sign of life after the refusal")
    assert "quoteAuthorization" not in world.get_json(quoting)


@pytest.mark.parametrize("name", ["ana", "pubby"])
def test_quote_of_a_nostr_post_is_granted(
    name: str, request: pytest.FixtureRequest, fay: Fedify, alice: NostrUser, alice_ap: str, relay: Relay, nostr: Nostr
) -> None:
    peer: Peer = request.getfixturevalue(name)
    event = alice.note(f"quote me, {peer.host}")
    note = fay.wait_note(f"quote me, {peer.host}")
    assert many(note["interactionPolicy"]["canQuote"]["automaticApproval"])
    quoting = peer.quote(f"as alice says, {peer.host}", note["id"], alice_ap)
    asked = peer.request_quote(quoting, note["id"], alice_ap)
    answer = eventually(lambda: peer.quote_answer(asked))
    assert (answer["type"], answer["actor"]) == ("Accept", alice_ap)
    proof = peer.fetch(ident(answer["result"]) or "")
    assert (proof["type"], proof["attributedTo"]) == ("QuoteAuthorization", alice_ap)
    assert (proof["interactingObject"], proof["interactionTarget"]) == (quoting, note["id"])
    if isinstance(peer, Pubby):
        return  # a stranger's own post, which does not cross
    said = relay.wait_post(f"as alice says, {peer.host}")
    assert [q[0] for q in tags(said, "q")] == [event["id"]]
    assert alice.public in [p[0] for p in tags(said, "p")]
    assert "nostr:nevent1" in said["content"]
    assert note["id"] not in said["content"]
