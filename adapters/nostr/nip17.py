"""Direct messages (NIP-17): an unsigned kind 14, sealed (kind 13) and gift-wrapped (kind 1059) as in NIP-59.

Pure: what NIP-59 wants to be random is drawn from a secret seed, so that the same message is always the same
bytes and may be sent again. Files (kind 15) and other rumors are refused.
"""

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from adapters.nostr import nip44, signing
from adapters.nostr.event import BadEvent, Event, event_id, first_tag, parse_event, sign, to_json, verify

CHAT: Final = 14
SEAL: Final = 13
GIFT_WRAP: Final = 1059
SEED_SIZE: Final = 32
"""Bytes that a seed must have at least."""
SPREAD: Final = 2 * 24 * 3600
"""Seconds that the dates of seal and wrap may lie before the message's own."""

_object: Final = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Message:
    """What was said: `id` and `reply_to` ("" if none) are ids of kind 14 rumors, `created_at` is in seconds."""

    id: str
    sender: str
    text: str
    created_at: int
    subject: str = ""
    reply_to: str = ""


def wrap(
    secret_sender: bytes, recipient: str, text: str, at: int, seed: bytes, *, subject: str = "", reply_to: str = ""
) -> Event:
    """The gift wrap of a message to one public key (hex), as its relays get it.

    `seed` is a secret of 32 bytes or more that belongs to this message. Raises BadEvent: recipient, or what
    an event is refused for (a long text does not fit).
    """
    if len(seed) < SEED_SIZE:
        raise ValueError("a seed has 32 bytes at least")
    try:
        recipient_key = bytes.fromhex(recipient)
        conversation = nip44.conversation_key(secret_sender, recipient_key)
    except signing.InvalidSecretKey:
        raise
    except ValueError:  # not hexadecimal, or not on the curve
        raise BadEvent("recipient") from None
    tags = [("p", recipient), *([("e", reply_to)] if reply_to else []), *([("subject", subject)] if subject else [])]
    sender = signing.public_key(secret_sender).hex()
    rumor = {"pubkey": sender, "created_at": at, "kind": CHAT, "tags": tags, "content": text}
    identifier = event_id(sender, at, CHAT, tags, text)

    def drawn(what: str, size: int = 32) -> bytes:
        # The message's own id goes in, so that no nonce can ever serve two texts.
        return HKDFExpand(SHA256(), size, f"nip17 {what} {identifier}".encode()).derive(seed)

    def moment(what: str) -> int:
        return max(0, at - int.from_bytes(drawn(what, 8), "big") % SPREAD)

    sealed = _encrypt(msgspec.json.encode({"id": identifier, **rumor}), conversation, drawn("seal nonce"))
    seal = sign(secret_sender, SEAL, moment("seal time"), (), sealed)
    once = drawn("wrap key")
    outer = nip44.conversation_key(once, recipient_key)
    wrapped = _encrypt(to_json(seal), outer, drawn("wrap nonce"))
    return sign(once, GIFT_WRAP, moment("wrap time"), [("p", recipient)], wrapped)


def unwrap(event: Event, secret_recipient: bytes) -> Message:
    """What a gift wrap for this key holds, and who is proved to have said it.

    Raises BadEvent: kind, payload, impersonation, or what an event is refused for.
    """
    if event.kind != GIFT_WRAP:
        raise BadEvent("kind")
    verify(event)
    seal = parse_event(_decrypt(event, secret_recipient).encode())
    if seal.kind != SEAL:
        raise BadEvent("kind")
    verify(seal)
    rumor = _rumor(_decrypt(seal, secret_recipient))
    if rumor.pubkey != seal.pubkey:
        raise BadEvent("impersonation")
    if rumor.kind != CHAT:
        raise BadEvent("kind")
    subject, parent = first_tag(rumor, "subject"), first_tag(rumor, "e")
    return Message(
        id=rumor.id,
        sender=rumor.pubkey,
        text=rumor.content,
        created_at=rumor.created_at,
        subject=subject[1] if subject and len(subject) > 1 else "",
        reply_to=parent[1] if parent and len(parent) > 1 else "",
    )


def _rumor(text: str) -> Event:
    """An event without signature; its id may be left out, but not be a wrong one."""
    try:
        members = _object.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise BadEvent("not_json") from None
    rumor = parse_event({"id": "0" * 64, **members, "sig": "0" * 128})
    identifier = event_id(rumor.pubkey, rumor.created_at, rumor.kind, rumor.tags, rumor.content)
    if members.get("id", identifier) != identifier:
        raise BadEvent("id")
    return msgspec.structs.replace(rumor, id=identifier, sig="")


def _encrypt(text: bytes, key: bytes, nonce: bytes) -> str:
    try:
        return nip44.encrypt(text.decode(), key, nonce)
    except nip44.BadPayload:
        raise BadEvent("too_large") from None


def _decrypt(event: Event, secret: bytes) -> str:
    try:
        return nip44.decrypt(event.content, nip44.conversation_key(secret, bytes.fromhex(event.pubkey)))
    except nip44.BadPayload:
        raise BadEvent("payload") from None
