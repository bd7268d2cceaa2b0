"""The peers among themselves: where these fail it is the harness; elsewhere it is the bridge."""

from collections.abc import Callable

import pytest

from .conftest import following
from .peers import Fedify, NostrUser, Peer, Pubby, Relay
from .world import eventually

Pair = tuple[Peer, Peer]


@pytest.fixture(params=["fedify to pubby", "pubby to fedify"])
def pair(request: pytest.FixtureRequest, fedify: Fedify, pubby: Pubby) -> Pair:
    """Who acts, and who receives."""
    return (fedify, pubby) if request.param == "fedify to pubby" else (pubby, fedify)


def _post_of(them: Peer, us: Peer) -> str:
    """A post of theirs that we have, since we follow them."""
    following(us, them.actor)
    note = them.post("for those who follow")
    eventually(lambda: [a for a in us.notes("for those who follow") if a["object"]["id"] == note])
    return note


def test_answer_is_edited_and_deleted(pair: Pair) -> None:
    us, them = pair
    answer = us.reply("an anwser", _post_of(them, us), them.actor)
    assert them.wait_note("an anwser")["id"] == answer
    us.edit(answer, "an answer", them.actor)
    eventually(lambda: [u for u in them.received("Update", object=answer) if "an answer" in u["object"]["content"]])
    us.delete(answer, them.actor)
    eventually(lambda: them.received("Delete", object=answer))
    assert len(them.notes("an anwser")) == 1


def test_like_and_boost_are_undone(pair: Pair) -> None:
    us, them = pair
    note = _post_of(them, us)
    acts: list[tuple[str, Callable[[str, str], dict]]] = [("Like", us.like), ("Announce", us.boost)]
    for kind, act in acts:
        sent = act(note, them.actor)
        eventually(lambda kind=kind: them.received(kind, object=note))
        us.undo(sent, them.actor)
        eventually(lambda sent=sent: them.received("Undo", object=sent["id"]))


def test_unfollow_is_understood(pair: Pair) -> None:
    us, them = pair
    following(us, them.actor)
    us.unfollow(them.actor)
    eventually(lambda: us.actor not in them.followers())


def test_wire_log_tells_signature_schemes_apart(fedify: Fedify, pubby: Pubby) -> None:
    """pubby refuses RFC 9421; Fedify remembers what worked."""
    following(fedify, pubby.actor)
    knocks = [(x.scheme, x.status < 300) for x in pubby.deliveries() if f"https://{fedify.host}/" in x.key_id]
    assert knocks[:2] == [("rfc9421", False), ("cavage", True)]
    assert set(knocks[2:]) <= {("cavage", True)}


def test_relay_keeps_what_users_write(alice: NostrUser, bob: NostrUser, relay: Relay) -> None:
    post = alice.note("to be answered")
    bob.reply(post, "answered")
    assert [e["content"] for e in alice.nostr.fetch(relay.url, kinds=[1], _e=[post["id"]])] == ["answered"]
    alice.delete(post)
    assert not alice.nostr.fetch(relay.url, ids=[post["id"]])
    assert [e["id"] for e in relay.admitted()].count(post["id"]) == 1
