"""Direct messages in gift wraps: wrapped as others read them, and nobody believed for somebody else."""

import hashlib
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.nostr import nip17, nip44, signing
from adapters.nostr.event import BadEvent, Event, parse_event, sign, to_json, verify
from adapters.nostr.nip17 import Message, unwrap, wrap
from tests.vectors import vectors

ALICE, BOB, CAROL, ONCE = (hashlib.sha256(name).digest() for name in (b"alice", b"bob", b"carol", b"once"))
KEY = {secret: signing.public_key(secret).hex() for secret in (ALICE, BOB, CAROL)}
SEED = hashlib.sha256(b"seed").digest()
AT = 1_700_000_000


def wrapped(rumor: object, *, seal_by: bytes = ALICE, seal_kind: int = 13) -> Event:
    """Any rumor for Bob, sealed and wrapped as a hostile client may."""
    bob = bytes.fromhex(KEY[BOB])
    text = rumor if isinstance(rumor, str) else json.dumps(rumor)
    seal = sign(seal_by, seal_kind, AT, (), nip44.encrypt(text, nip44.conversation_key(seal_by, bob), SEED))
    content = nip44.encrypt(to_json(seal).decode(), nip44.conversation_key(ONCE, bob), SEED)
    return sign(ONCE, 1059, AT, [("p", KEY[BOB])], content)


def rumor(**changes: object) -> dict[str, object]:
    return {"pubkey": KEY[ALICE], "created_at": AT, "kind": 14, "tags": [], "content": "hi", **changes}


def test_unwrap_reads_what_nostr_tools_wrapped() -> None:
    folder = vectors() / "nostr" / "own"
    found = json.loads((folder / "nip17-giftwrap.json").read_text())
    bob = bytes.fromhex(json.loads((folder / "test-keys.json").read_text())["keys"]["bob"]["seckey"])
    inner = found["unwraps_to"]
    message = unwrap(parse_event(found["wrap"]), bob)
    assert message == Message(inner["id"], inner["pubkey"], inner["content"], inner["created_at"])
    with pytest.raises(BadEvent, match="impersonation"):
        unwrap(parse_event(found["impersonation"]["wrap"]), bob)


def test_unwrap_undoes_wrap_with_subject_and_reply() -> None:
    event = wrap(ALICE, KEY[BOB], "hello", AT, SEED, subject="Greetings", reply_to="ab" * 32)
    verify(event)
    message = unwrap(event, BOB)
    assert message == Message(message.id, KEY[ALICE], "hello", AT, "Greetings", "ab" * 32)


def test_wrap_shows_neither_sender_nor_time() -> None:
    event = wrap(ALICE, KEY[BOB], "hello", AT, SEED)
    assert (event.kind, event.tags) == (1059, (("p", KEY[BOB]),))
    assert event.pubkey not in KEY.values()
    assert AT - nip17.SPREAD < event.created_at <= AT
    assert KEY[ALICE] not in to_json(event).decode()


def test_wrap_gives_the_same_bytes_again_and_others_for_another_message() -> None:
    first = wrap(ALICE, KEY[BOB], "hello", AT, SEED)
    assert wrap(ALICE, KEY[BOB], "hello", AT, SEED) == first
    others = [
        wrap(ALICE, KEY[BOB], "hullo", AT, SEED),
        wrap(ALICE, KEY[CAROL], "hello", AT, SEED),
        wrap(ALICE, KEY[BOB], "hello", AT, SEED[::-1]),
    ]
    keys = {event.pubkey for event in [first, *others]}
    nonces = {event.content[:40] for event in [first, *others]}
    assert len(keys) == len(nonces) == 4


def test_wrap_refuses_a_recipient_that_is_no_key_and_a_text_that_does_not_fit() -> None:
    for recipient in ("", "zz", "ff" * 32):
        with pytest.raises(BadEvent, match="recipient"):
            wrap(ALICE, recipient, "hello", AT, SEED)
    with pytest.raises(BadEvent, match="too_large"):
        wrap(ALICE, KEY[BOB], "x" * 40_000, AT, SEED)
    with pytest.raises(BadEvent, match="too_large"):
        wrap(ALICE, KEY[BOB], "x" * 200_000, AT, SEED)
    with pytest.raises(ValueError, match="seed"):
        wrap(ALICE, KEY[BOB], "hello", AT, b"short")


def test_unwrap_refuses_a_wrap_for_somebody_else() -> None:
    with pytest.raises(BadEvent, match="payload"):
        unwrap(wrap(ALICE, KEY[CAROL], "hello", AT, SEED), BOB)


def test_unwrap_refuses_forged_wraps_and_seals() -> None:
    event = wrap(ALICE, KEY[BOB], "hello", AT, SEED)
    with pytest.raises(BadEvent, match="signature"):
        unwrap(msgspec.structs.replace(event, sig="0" * 128), BOB)
    with pytest.raises(BadEvent, match="kind"):
        unwrap(sign(ONCE, 1, AT, (), event.content), BOB)
    bob = bytes.fromhex(KEY[BOB])
    seal = sign(ALICE, 13, AT, (), "x")
    forged = msgspec.structs.replace(seal, sig="0" * 128)
    content = nip44.encrypt(to_json(forged).decode(), nip44.conversation_key(ONCE, bob), SEED)
    with pytest.raises(BadEvent, match="signature"):
        unwrap(sign(ONCE, 1059, AT, (), content), BOB)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (wrapped(rumor(pubkey=KEY[CAROL])), "impersonation"),
        (wrapped(rumor(), seal_by=CAROL), "impersonation"),
        (wrapped(rumor(kind=15)), "kind"),
        (wrapped(rumor(kind=1)), "kind"),
        (wrapped(rumor(), seal_kind=14), "kind"),
        (wrapped(rumor(id="ab" * 32)), "id"),
        (wrapped(rumor(content=5)), "content"),
        (wrapped(rumor(created_at=-1)), "created_at"),
        (wrapped("[]"), "not_json"),
        (wrapped("[" * 5000), "not_json"),
        (wrapped('{"content":"\\ud800"}'), "missing_pubkey|surrogate|not_json"),
    ],
)
def test_unwrap_refuses_bad_rumors(event: Event, reason: str) -> None:
    with pytest.raises(BadEvent, match=reason):
        unwrap(event, BOB)


def test_unwrap_takes_a_rumor_without_id() -> None:
    message = unwrap(wrapped(rumor()), BOB)
    assert (message.sender, message.text, len(message.id)) == (KEY[ALICE], "hi", 64)


@settings(max_examples=30)
@given(st.text(max_size=200))
def test_unwrap_undoes_wrap_for_any_text_an_event_can_hold(text: str) -> None:
    assert unwrap(wrap(ALICE, KEY[BOB], text, AT, SEED), BOB).text == text
