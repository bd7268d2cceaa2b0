"""The bridge's own relay and names, by another client library: npm nostr-tools over TLS."""

import pytest

from .bridge import Bridge
from .conftest import following
from .peers import Fedify, NostrTools, NostrUser, Relay, ident
from .world import eventually


@pytest.fixture(scope="module")
def url(bridge: Bridge) -> str:
    return f"wss://{bridge.host}/relay"


@pytest.fixture(scope="module")
def tess(tools: NostrTools, relay: Relay) -> NostrUser:
    tess = NostrUser(tools, "interop-tess", relay.url)
    tess.profile(name="tess", about="writes JavaScript")
    return tess


@pytest.fixture(scope="module")
def tess_ap(tess: NostrUser, bridge: Bridge, fedify: Fedify) -> str:
    """Her actor, followed by fay."""
    actor = bridge.actor_of(tess.npub)
    following(fedify, actor)
    return actor


@pytest.fixture(scope="module")
def answer(tess: NostrUser, tess_ap: str, fedify: Fedify, relay: Relay) -> tuple[str, dict]:
    """Fay's answer to a post of tess's: the note's id, the ghost's event."""
    tess.note("tess asks")
    note = fedify.reply("fay answers tess", fedify.wait_note("tess asks")["id"], tess_ap)
    return note, relay.wait_post("fay answers tess")


def test_what_a_bridged_account_writes_here_crosses(url: str, tess: NostrUser, tess_ap: str, fedify: Fedify) -> None:
    # she is followed since a moment: the relay may not have heard of that yet
    event = eventually(lambda: tess.publish(1, "tess at the bridge's relay", relay=url))
    assert ident(fedify.wait_note("tess at the bridge's relay")["attributedTo"]) == tess_ap
    assert event in tess.nostr.fetch(url, authors=[tess.public], kinds=[1])


def test_answer_to_a_ghost_crosses_from_anybody(
    url: str, answer: tuple[str, dict], tools: NostrTools, relay: Relay, fedify: Fedify, bridge: Bridge
) -> None:
    theo = NostrUser(tools, "interop-theo", relay.url)
    theo.profile(name="theo")
    theo.reply(answer[1], "theo answers fay", url)
    note = fedify.wait_note("theo answers fay")
    assert (note["inReplyTo"], note["attributedTo"]) == (answer[0], bridge.actor_of(theo.npub))
    theo.publish(7, "+", [["e", answer[1]["id"]], ["p", answer[1]["pubkey"]]], relay=url)
    eventually(lambda: fedify.received("Like", object=answer[0], actor=note["attributedTo"]))


def test_subscription_hears_ghosts(
    url: str, answer: tuple[str, dict], tools: NostrTools, tess: NostrUser, tess_ap: str, fedify: Fedify
) -> None:
    watch = tools.watch(url, kinds=[1], _p=[tess.public])
    eventually(lambda: watch.seen()["eose"])
    assert watch.events("fay answers tess") == [answer[1]]
    fedify.reply("fay again", fedify.wait_note("tess asks")["id"], tess_ap)
    event = eventually(lambda: watch.events("fay again"))[0]
    assert event["pubkey"] == answer[1]["pubkey"]
    assert watch.seen()["closed"] == []
    watch.close()


def test_events_are_counted(url: str, answer: tuple[str, dict], tools: NostrTools) -> None:
    ghost = answer[1]["pubkey"]
    assert tools.count(url, authors=[ghost], kinds=[0]) == 1
    assert tools.count(url, authors=[ghost]) == len(tools.fetch(url, authors=[ghost]))
    assert tools.count(url, authors=["0" * 64]) == 0


def test_client_may_authenticate(url: str, tools: NostrTools, tess: NostrUser) -> None:
    assert isinstance(tools.auth(url, tess.key), str)
    assert tess.publish(1, "tess, authenticated", relay=url)


def test_forged_and_unrelated_events_are_refused(
    url: str, answer: tuple[str, dict], tools: NostrTools, bridge: Bridge
) -> None:
    ghost_event = answer[1]
    assert tools.send(ghost_event | {"content": "forged"}, url)["failed"][url].startswith("invalid:")
    assert tools.send(ghost_event | {"sig": "0" * 128}, url)["failed"][url].startswith("invalid:")
    stranger = NostrUser(tools, "interop-stranger", url)
    assert stranger.try_publish(1, "buy my things")["failed"][url].startswith("restricted:")


def test_ghosts_are_found_by_name(answer: tuple[str, dict], tools: NostrTools, bridge: Bridge, url: str) -> None:
    found = tools.nip05(f"fay_at_fedify.test@{bridge.host}")
    assert found
    assert found["pubkey"] == answer[1]["pubkey"]
    assert tools.nip05(f"nobody_at_fedify.test@{bridge.host}") is None
    assert {1, 11, 42, 45} <= set(tools.info(url)["supported_nips"])
