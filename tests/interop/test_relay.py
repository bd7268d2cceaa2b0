"""The bridge's own relay, by nostr-sdk over TLS: it serves the ghosts and takes answers to them."""

import json

import pytest

from .bridge import Bridge
from .conftest import Talk
from .peers import Nostr, NostrUser
from .world import World, eventually


@pytest.fixture(scope="module")
def url(bridge: Bridge) -> str:
    return f"wss://{bridge.host}/relay"


def test_ghosts_and_their_notes_are_served(talk: Talk, nostr: Nostr, url: str) -> None:
    ghost = talk.event["pubkey"]
    # Its lane is not that of the relay where the talk was heard.
    eventually(lambda: talk.event in nostr.fetch(url, authors=[ghost], kinds=[1]))
    assert len(nostr.fetch(url, authors=[ghost], kinds=[0])) == 1
    assert talk.event in nostr.fetch(url, _e=[talk.post["id"]])


def test_reply_written_here_crosses(talk: Talk, bob: NostrUser, url: str, bridge: Bridge) -> None:
    text = f"bob replies at the bridge's relay to {talk.peer.host}"
    bob.reply(talk.event, text, url)
    note = talk.peer.wait_note(text)
    assert note["inReplyTo"] == talk.answer
    assert note["attributedTo"] == bridge.actor_of(bob.npub)


def test_strangers_unrelated_event_is_restricted(nostr: Nostr, url: str) -> None:
    mallory = NostrUser(nostr, "interop-mallory", url)
    said = mallory.try_publish(1, "buy my things")
    assert said["ok"] == []
    assert said["failed"][url].startswith("restricted:")
    assert nostr.fetch(url, authors=[mallory.public]) == []


def test_information_document_is_served(bridge: Bridge, world: World) -> None:
    status, headers, body = world.get(f"{bridge.base}/relay", "application/nostr+json")
    assert status == 200
    assert headers["content-type"].startswith("application/nostr+json")
    told = json.loads(body)
    assert told["supported_nips"] == [1, 2, 9, 11, 13, 17, 40, 42, 45, 50, 62, 65, 70, 77]
    assert told["pubkey"] == bridge.nip05("_")
    assert told["limitation"]["restricted_writes"]


def test_ghosts_notes_are_found_by_their_words(talk: Talk, nostr: Nostr, url: str) -> None:
    found = nostr.fetch(url, search=f"ANSWER {talk.peer.host}", kinds=[1])
    assert talk.event in found
