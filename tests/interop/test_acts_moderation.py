"""Reports, blocks and mutes."""

from typing import Any

import pytest

from .bridge import Bridge
from .peers import Fedify, Nostr, NostrUser, Relay, ident, one, tags
from .world import eventually


@pytest.fixture(scope="module")
def ulf(nostr: Nostr, relay: Relay) -> NostrUser:
    """Somebody one can have enough of."""
    ulf = NostrUser(nostr, "acts-ulf", relay.url)
    ulf.profile(name="ulf")
    return ulf


@pytest.fixture(scope="module")
def ulf_ap(ulf: NostrUser, bridge: Bridge) -> str:
    return bridge.actor_of(ulf.npub)


def test_report_of_the_fediverse_is_passed_on_by_the_bot(
    fay: Fedify, ulf: NostrUser, ulf_ap: str, ana: Fedify, bridge: Bridge, relay: Relay, nostr: Nostr
) -> None:
    """Whom and what about, but neither who complained nor their words: those are for the operator."""
    post = ana.post("ana asks ulf")
    event = relay.wait_post("ana asks ulf")
    answer = ulf.reply(event, "ulf is rude to ana")
    note = ana.wait_note("ulf is rude to ana")
    assert note["inReplyTo"] == post
    fay.flag(ulf_ap, note["id"], comment="he is rude, says fay")
    report = one(nostr, relay, kinds=[1984], _p=[ulf.public])
    assert report["pubkey"] == bridge.nip05("bridge")
    assert tags(report, "e") == [[answer["id"], "other"]]
    assert tags(report, "p") == [[ulf.public, "other"]]
    assert "fay" not in str(report)
    mine = [r for r in bridge.cli("reports")["reports"] if r["about"]["name"] == ulf.npub]
    assert [(r["by"]["handle"], r["text"]) for r in mine] == [(fay.acct, "he is rude, says fay")]


def test_report_of_nostr_arrives_as_a_flag_by_the_bot(
    ana: Fedify, ana_key: str, ulf: NostrUser, relay: Relay, bridge: Bridge
) -> None:
    note = ana.post("ulf will complain about this")
    event = relay.wait_post("ulf will complain about this")
    ulf.publish(1984, "that is spam", [["e", event["id"], "spam"], ["p", ana_key, "spam"]])
    flag = eventually(lambda: ana.received("Flag"))[0]
    assert [ident(each) for each in flag["object"]] == [ana.actor, note]
    assert (ident(flag["actor"]), flag["content"]) == (bridge.bot, "spam: that is spam")
    assert ulf.npub not in str(flag)


def blocked(nostr: Nostr, relay: Relay, key: str) -> list[str]:
    return [t[0] for e in nostr.fetch(relay.url, kinds=[10000], authors=[key])[-1:] for t in tags(e, "p")]


def test_block_by_the_fediverse_is_a_mute_that_counts(
    ana: Fedify, ana_key: str, ulf: NostrUser, ulf_ap: str, bob: NostrUser, relay: Relay, nostr: Nostr
) -> None:
    note = ana.post("ana has enough of ulf")
    event = relay.wait_post("ana has enough of ulf")
    block = ana.block(ulf_ap)
    eventually(lambda: blocked(nostr, relay, ana_key) == [ulf.public])
    ulf.reply(event, "ulf is not heard any more")
    bob.reply(event, "bob is heard by ana")
    ana.wait_note("bob is heard by ana")
    assert not ana.notes("ulf is not heard any more")
    ana.retract(block)
    eventually(lambda: blocked(nostr, relay, ana_key) == [])
    ulf.reply(event, "ulf is heard again")
    assert ana.wait_note("ulf is heard again")["inReplyTo"] == note


def test_mute_list_of_nostr_arrives_as_blocks(
    ana: Fedify, ana_key: str, ulf: NostrUser, ulf_ap: str, bob: NostrUser
) -> None:
    first: Any = ulf.publish(10000, "", [["p", bob.public], ["p", ana_key]])
    block = eventually(lambda: ana.received("Block", actor=ulf_ap))[0]
    assert ident(block["object"]) == ana.actor
    ulf.publish(10000, "", [["p", bob.public]], at=first["created_at"] + 1)
    undo = eventually(lambda: ana.received("Undo", actor=ulf_ap))[0]
    assert ident(undo["object"]) == block["id"]
