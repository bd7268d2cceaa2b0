"""Likes with a face: emoji, custom emoji, zaps."""

import json
from typing import Any

import pytest

from .bridge import Bridge
from .peers import Fedify, Nostr, NostrTools, NostrUser, Peer, Relay, emoji, ident, many, one, prop, tags
from .world import World, eventually

BLOB = "https://site.test/pixel.png"


@pytest.fixture(scope="module")
def post(fay: Fedify, alice: NostrUser) -> tuple[Any, str]:
    """A post of alice's: event and note."""
    event = alice.note("react to this")
    return event, fay.wait_note("react to this")["id"]


@pytest.fixture(scope="module")
def anas(ana: Fedify, relay: Relay) -> tuple[str, Any]:
    """A post of ana's: note and event."""
    return ana.post("ana likes reactions"), relay.wait_post("ana likes reactions")


@pytest.mark.parametrize(
    ("by", "kind", "content", "tag", "wanted"),
    [
        ("fay", "EmojiReact", "🔥", None, []),
        ("pubby", "EmojiReact", ":blob:", emoji("blob", BLOB), [["blob", BLOB]]),
        ("pubby", "Like", "🎉", None, []),
        ("fay", "Like", ":blob@fedify.test:", emoji("blob@fedify.test", BLOB), [["blob", BLOB]]),
    ],
)
def test_emoji_reaction_of_the_fediverse_is_kind_7(
    by: str,
    kind: str,
    content: str,
    tag: dict[str, Any] | None,
    wanted: list[list[str]],
    post: tuple[Any, str],
    alice_ap: str,
    relay: Relay,
    nostr: Nostr,
    request: pytest.FixtureRequest,
) -> None:
    """As Pleroma says it, and as Misskey does; taken back again."""
    peer: Peer = request.getfixturevalue(by)
    event, note = post
    sent = peer.react(note, alice_ap, content, tag, kind)
    got = one(nostr, relay, kinds=[7], _e=[event["id"]])
    assert got["content"] == (":blob:" if wanted else content)
    assert tags(got, "emoji") == wanted
    assert tags(got, "proxy") == [[sent["id"], "activitypub"]]
    peer.retract(sent)
    eventually(lambda: nostr.fetch(relay.url, kinds=[7], _e=[event["id"]]) == [])


def test_emoji_reaction_of_nostr_arrives(
    ana: Fedify, anas: tuple[str, Any], alice: NostrUser, alice_ap: str, tools: NostrTools, bridge: Bridge
) -> None:
    """Also one by nostr-tools at the bridge's own relay."""
    note, event = anas
    about = [["e", event["id"], alice.relay, event["pubkey"]], ["p", event["pubkey"]], ["k", "1"]]
    alice.publish(7, "🤙", about)
    tina = NostrUser(tools, "acts-tina", f"wss://{bridge.host}/relay")
    tina.publish(7, "🫂", about)
    eventually(lambda: [a for a in ana.received("Like", object=note) if a.get("content") == "🫂"])
    alice.publish(7, ":blob:", [*about, ["emoji", "blob", BLOB]])

    def look() -> dict[str, dict[str, Any]]:
        likes = {a["content"]: a for a in ana.received(object=note, actor=alice_ap) if "content" in a}
        assert likes.keys() == {"🤙", ":blob:"}
        return likes

    likes = eventually(look)
    assert {a["type"] for a in likes.values()} == {"Like"}
    assert likes["🤙"]["_misskey_reaction"] == "🤙"
    custom = [t for t in many(likes[":blob:"]["tag"]) if t["type"] == "Emoji"]
    assert [(t["name"], t["icon"]["url"]) for t in custom] == [(":blob:", BLOB)]


def test_zap_arrives_as_a_like_once_its_wallet_vouches(
    ana: Fedify,
    ana_key: str,
    anas: tuple[str, Any],
    bob: NostrUser,
    nostr: Nostr,
    tools: NostrTools,
    relay: Relay,
    world: World,
) -> None:
    """A receipt that ana's wallet did not sign is nothing."""
    note, event = anas
    wallet, forger = NostrUser(nostr, "acts-wallet", relay.url), NostrUser(nostr, "acts-forger", relay.url)
    answer = {
        "tag": "payRequest",
        "allowsNostr": True,
        "nostrPubkey": wallet.public,
        "callback": "https://site.test/pay",
    }
    world.site.pages["site.test", "/.well-known/lnurlp/ana"] = ("application/json", json.dumps(answer).encode())
    ana.profile(attachment=[prop("Lightning", "ana@site.test")])

    def paid() -> bool:
        profile = json.loads(nostr.fetch(relay.url, kinds=[0], authors=[ana_key])[0]["content"])
        return profile.get("lud16") == "ana@site.test"

    eventually(paid)
    about = [["e", event["id"]], ["p", ana_key]]
    asked = {"kind": 9734, "content": "great", "tags": [*about, ["amount", "21000"], ["relays", relay.url]]}
    wanted = tools.ask("publish", key=bob.key, relays=[], **asked)["event"]  # for the wallet alone
    receipt = [*about, ["P", bob.public], ["bolt11", "lnbc210n1pqqqq"], ["description", json.dumps(wanted)]]
    forger.publish(9735, "", receipt)
    wallet.publish(9735, "", receipt)
    likes = eventually(lambda: [a for a in ana.received("Like", object=note) if _is(ana, a, bob)])
    assert len(likes) == 1


def _is(ana: Fedify, activity: dict[str, Any], user: NostrUser) -> bool:
    return user.npub in ana.fetch(ident(activity["actor"]) or "")["preferredUsername"]
