"""With which key drafts are signed, and where they go."""

from typing import Any

import pytest

from adapters.nostr import ids, signing
from adapters.nostr.drafts import Draft, Letter
from adapters.nostr.event import parse_event, verify
from adapters.nostr.pen import Pen
from bridged.api import LOCAL, Account, Ghost, Ref, Rejected, View
from bridged.keys import KeyRing

ALICE = Ref("activitypub", "https://social.test/alice")
ACT = Ref("activitypub", "https://social.test/acts/1")
KEYS = KeyRing(b"0" * 32)
OWN, RELAY = "wss://bridge.test/relay", "wss://relay.test"
PEN = Pen(KEYS, OWN, (LOCAL, RELAY))
KEY = signing.public_key(PEN.secret(ALICE)).hex()
BOB, CAROL = ids.account_ref("b0" * 32), ids.account_ref("ca" * 32)
NATIVES = {
    BOB: Account(BOB, "npub", detail={"read": f"wss://bob.test {RELAY}"}),
    CAROL: Account(CAROL, "npub", detail={"read": f"{OWN} wss://carol.test"}),
    ALICE: Account(ALICE, "alice", detail={"read": "wss://never.test"}),
}


def view(**more: Any) -> View:
    ghost = Ghost(ALICE, ids.account_ref(KEY), "alice")
    return View(**{"at": 5.0, "actor": ghost, "account": Account(ALICE, "alice"), "accounts": NATIVES, **more})


def test_a_copy_goes_to_our_relays_and_where_those_concerned_read() -> None:
    part = PEN.part(Draft(ACT, 1, 5, (), "hi", more=("wss://polls.test",)), view())
    assert part.endpoints[:3] == (LOCAL, RELAY, "wss://polls.test")
    assert set(part.endpoints[3:]) == {"wss://bob.test", "wss://carol.test"}
    event = parse_event(part.body)
    verify(event)
    assert (event.pubkey, part.ref) == (KEY, Ref("nostr", event.id))


@pytest.mark.parametrize("kind", [0, 10000, 10001, 10002])
def test_what_an_account_keeps_is_nobody_elses_news(kind: int) -> None:
    assert PEN.part(Draft(ALICE, kind, 5, (), "{}"), view()).endpoints == (LOCAL, RELAY)


def test_a_secret_ballot_has_a_key_of_its_own() -> None:
    first, again, other = (
        parse_event(PEN.part(Draft(of, 1018, 5, (), secret=True), view()).body) for of in (ACT, ACT, ALICE)
    )
    assert first == again
    assert len({first.pubkey, other.pubkey, KEY}) == 3


def test_a_letter_goes_to_its_own_relays_alone() -> None:
    other = signing.public_key(b"\x07" * 32).hex()
    assert PEN.part(Letter(ACT, other, "hi", 5, relays=("wss://dm.test", OWN)), view()).endpoints == (
        "wss://dm.test",
        LOCAL,
    )
    first, second = (PEN.part(Letter(ACT, other, "hi", 5, number=number), view()) for number in (0, 1))
    assert first.endpoints == (LOCAL, RELAY)
    assert first.body != second.body


def test_nothing_is_signed_for_an_account_whose_key_is_not_ours() -> None:
    for ghost in (Ghost(ALICE, BOB, "alice"), Ghost(ALICE, ids.account_ref(KEY), "alice", custody="linked")):
        with pytest.raises(Rejected):
            PEN.part(Draft(ACT, 1, 5, (), "hi"), view(actor=ghost))


def test_a_letter_to_no_key_is_rejected() -> None:
    with pytest.raises(Rejected):
        PEN.part(Letter(ACT, "ff" * 32, "hi", 5), view())
