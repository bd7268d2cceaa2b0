"""What people write to the bot, and what it answers: direct notes, and gift-wrapped letters (NIP-17)."""

import pytest

from .bridge import Bridge
from .conftest import following
from .peers import Fedify, Nostr, NostrTools, NostrUser, Peer, Pubby, Relay, is_public, one, tags
from .world import AS2, World, eventually


@pytest.fixture(scope="module")
def bot_key(bridge: Bridge) -> str:
    return bridge.key_of("bridge")


@pytest.fixture(scope="module")
def dan(world: World) -> Fedify:
    """Somebody who asks by letter."""
    return Fedify(world, "letters.test", "dan")


def ask(peer: Peer, bridge: Bridge, word: str, answer: str) -> str:
    """Writes to the bot; the content of the new letter that has these words."""
    before = len(peer.dms(answer))
    peer.dm(f'<a href="{bridge.bot}">@bridge</a> {word}', bridge.bot)
    letter = eventually(lambda: peer.dms(answer)[before:])[0]
    assert letter["attributedTo"] == bridge.bot
    assert not is_public(letter)
    return letter["content"]


def test_life_by_letters_on_the_fediverse(dan: Fedify, bridge: Bridge, relay: Relay, nostr: Nostr) -> None:
    assert "start" in ask(dan, bridge, "help", "a bridge between networks")
    ask(dan, bridge, "status", "You are not bridged")
    ask(dan, bridge, "Start!", "You are bridged from now on")
    eventually(lambda: bridge.bot in dan.followers())  # from then on his posts are heard
    dan.post("dan is here")
    event = relay.wait_post("dan is here")
    assert event["pubkey"] == bridge.key_of("dan_at_letters.test")
    assert "dan_at_letters.test" in ask(dan, bridge, "status", "You are bridged since")
    ask(dan, bridge, "frobnicate", "I do not know the word")
    ask(dan, bridge, "stop", "You are bridged no longer")
    one(nostr, relay, kinds=[5], _e=[event["id"]])
    assert nostr.fetch(relay.url, ids=[event["id"]]) == []
    ask(dan, bridge, "status", "because you ended it")


def test_stranger_on_another_server_gets_an_answer(pubby: Pubby, bridge: Bridge) -> None:
    ask(pubby, bridge, "status", "You are not bridged")


def test_member_is_told_of_followers(ana: Fedify, bridge: Bridge) -> None:
    assert "followed by" in ask(ana, bridge, "status", "You are bridged since")


def test_letters_to_others_go_nowhere(
    ana: Fedify, alice_ap: str, tools: NostrTools, alice: NostrUser, relay: Relay
) -> None:
    ana.dm("not for the bot, alice", alice_ap)
    ana.post("after the letter to alice")
    relay.wait_post("after the letter to alice")
    assert "not for the bot" not in str(tools.dms(alice.key, relay.url))


@pytest.fixture(scope="module", params=["relay", "bridge"])
def tilly(request: pytest.FixtureRequest, tools: NostrTools, relay: Relay, bridge: Bridge) -> NostrUser:
    """Somebody who writes and reads letters at a strange relay, or at the bridge's own."""
    url = relay.url if request.param == "relay" else f"wss://{bridge.host}/relay"
    tilly = NostrUser(tools, f"acts-tilly-{request.param}", url)
    tilly.publish(0, '{"name": "tilly"}', relay=relay.url)
    tilly.publish(10050, "", [["relay", url]], relay=relay.url)
    return tilly


def write(user: NostrUser, bot_key: str, word: str, answer: str) -> str:
    """The same over Nostr."""
    assert isinstance(user.nostr, NostrTools)
    tools = user.nostr
    before = len([x for x in tools.dms(user.key, user.relay) if answer in x["content"]])
    assert tools.dm(user.key, bot_key, word, user.relay)["ok"]
    found = eventually(
        lambda: [x for x in tools.dms(user.key, user.relay) if answer in x["content"]][before:], every=0.3
    )
    assert (found[0]["from"], found[0]["kind"]) == (bot_key, 14)
    return found[0]["content"]


def test_life_by_letters_on_nostr(
    tilly: NostrUser, bot_key: str, bridge: Bridge, ana: Fedify, relay: Relay, world: World
) -> None:
    """Nostr is open: she is bridged unasked, and may end it."""
    assert "start" in write(tilly, bot_key, "help", "a bridge between networks")
    actor = bridge.actor_of(tilly.npub)
    following(ana, actor)
    tilly.publish(1, f"{tilly.key} is here", relay=relay.url)
    note = ana.wait_note(f"{tilly.key} is here")["id"]
    assert tilly.npub in write(tilly, bot_key, "status", "You are bridged")
    write(tilly, bot_key, "stop", "You are bridged no longer")
    eventually(lambda: ana.received("Delete", object=actor))
    eventually(lambda: world.get(note, AS2)[0] == 410)
    # in other words: within one second, the same words would be the same message (NIP-17)
    write(tilly, bot_key, "status now", "because you ended it")
    write(tilly, bot_key, "start", "You are bridged from now on")
    assert bridge.actor_of(tilly.npub)


def test_who_is_bridged_unasked_is_told_once(
    fedify: Fedify, open_bridge: Bridge, open_relay: Relay, nostr: Nostr
) -> None:
    key = open_bridge.key_of("fay_at_fedify.test")
    letter = eventually(lambda: fedify.dms("Somebody on another network looked you up"))[0]
    assert letter["attributedTo"] == open_bridge.bot
    assert not is_public(letter)
    assert open_bridge.key_of("fay_at_fedify.test") == key
    ask(fedify, open_bridge, "status", "You are bridged")
    assert len(fedify.dms("Somebody on another network looked you up")) == 1


def test_person_with_an_account_on_both_networks_is_not_doubled(
    pubby: Pubby, cavage: Fedify, open_bridge: Bridge, open_relay: Relay, nostr: Nostr
) -> None:
    """Both sides say so: found by name she is her own key, and looked up by her key she has no other actor."""
    cleo = NostrUser(nostr, "acts-cleo", open_relay.url)
    cleo.publish(0, '{"name": "cleo"}')
    cleo.publish(10011, "", [["i", f"activitypub:{cavage.actor}", ""]])
    cavage.profile(alsoKnownAs=[f"nostr:{cleo.npub}"])
    try:
        assert open_bridge.key_of("cat_at_cavage.test") == cleo.public
        ghosts = [e for e in nostr.fetch(open_relay.url, kinds=[0]) if "cavage.test" in str(tags(e, "proxy"))]
        assert ghosts == []
    finally:
        cavage.profile(alsoKnownAs=[])
