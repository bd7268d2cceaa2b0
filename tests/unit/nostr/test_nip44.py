"""NIP-44 version 2 against its published vectors."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.nostr import nip44, signing
from adapters.nostr.nip44 import BadPayload
from tests.vectors import vectors

KEY, NONCE = hashlib.sha256(b"key").digest(), hashlib.sha256(b"nonce").digest()
LOADED = {name: signing.load_backend(name) for name in signing.BACKENDS}


def published(sort: str, name: str) -> Any:
    found = json.loads((vectors() / "nostr" / "nip44" / "nip44.vectors.json").read_text())["v2"][sort][name]
    assert found
    return found


def test_conversation_keys_are_the_published_ones() -> None:
    for row in published("valid", "get_conversation_key"):
        # One of them gives the point in its compressed form, of which the first byte says nothing here.
        key = nip44.conversation_key(bytes.fromhex(row["sec1"]), bytes.fromhex(row["pub2"][-64:]))
        assert key.hex() == row["conversation_key"], row


def test_conversation_keys_of_bad_keys_are_refused() -> None:
    for row in published("invalid", "get_conversation_key"):
        with pytest.raises(signing.SigningError):
            nip44.conversation_key(bytes.fromhex(row["sec1"]), bytes.fromhex(row["pub2"]))


@pytest.mark.parametrize("name", LOADED)
def test_shared_x_is_the_same_from_both_sides_and_backends(name: str) -> None:
    a, b = (hashlib.sha256(text).digest() for text in (b"a", b"b"))
    backend = LOADED[name]
    assert backend.shared_x(a, signing.public_key(b)) == signing.shared_x(b, signing.public_key(a))
    for secret, key in ((b"short", signing.public_key(b)), (bytes(32), signing.public_key(b)), (a, b"\xff" * 32)):
        with pytest.raises(signing.SigningError):
            backend.shared_x(secret, key)


def test_message_keys_are_the_published_ones() -> None:
    found = published("valid", "get_message_keys")
    for row in found["keys"]:
        keys = nip44.message_keys(bytes.fromhex(found["conversation_key"]), bytes.fromhex(row["nonce"]))
        assert [key.hex() for key in keys] == [row["chacha_key"], row["chacha_nonce"], row["hmac_key"]]


def test_padded_sizes_are_the_published_ones() -> None:
    for size, padded in published("valid", "calc_padded_len"):
        assert nip44.padded_size(size) == padded


def test_payloads_are_the_published_ones_both_ways() -> None:
    for row in published("valid", "encrypt_decrypt"):
        secret, other = bytes.fromhex(row["sec1"]), bytes.fromhex(row["sec2"])
        key = nip44.conversation_key(secret, signing.public_key(other))
        assert key.hex() == row["conversation_key"]
        assert nip44.encrypt(row["plaintext"], key, bytes.fromhex(row["nonce"])) == row["payload"]
        assert nip44.decrypt(row["payload"], key) == row["plaintext"]


def test_long_payloads_are_the_published_ones() -> None:
    for row in published("valid", "encrypt_decrypt_long_msg"):
        key, text = bytes.fromhex(row["conversation_key"]), row["pattern"] * row["repeat"]
        payload = nip44.encrypt(text, key, bytes.fromhex(row["nonce"]))
        assert hashlib.sha256(payload.encode()).hexdigest() == row["payload_sha256"]
        assert nip44.decrypt(payload, key) == text


def test_payloads_of_extended_length_are_the_published_ones() -> None:
    found = json.loads((vectors() / "nostr" / "nip44" / "extended-length.json").read_text())
    key, nonce = bytes.fromhex(found["conversation_key"]), bytes.fromhex(found["nonce"])
    assert len(found["vectors"]) == 3
    for row in found["vectors"]:
        text = "a" * row["plaintext_len"]
        assert nip44.padded_size(len(text)) == row["padded_len"]
        payload = nip44.encrypt(text, key, nonce)
        assert hashlib.sha256(payload.encode()).hexdigest() == row["payload_sha256"]
        assert nip44.decrypt(payload, key) == text


def test_payloads_published_as_bad_are_refused() -> None:
    for row in published("invalid", "decrypt"):
        with pytest.raises(BadPayload):
            nip44.decrypt(row["payload"], bytes.fromhex(row["conversation_key"]))


def forged(padded: bytes) -> str:
    """A payload with a right MAC around this."""
    key, nonce, mac_key = nip44.message_keys(KEY, NONCE)
    body = NONCE + nip44._chacha20(key, nonce, padded)  # pyright: ignore[reportPrivateUsage]

    return base64.b64encode(b"\x02" + body + hmac.digest(mac_key, body, "sha256")).decode()


@pytest.mark.parametrize(
    ("padded", "reason"),
    [
        (bytes(34), "padding"),  # an empty text
        (b"\x00\x00\x00\x00\x00\x05hello" + bytes(27), "padding"),  # a short text with a long length
        (b"\x00\x05hello" + bytes(59), "padding"),  # more filling than due
        (b"\x00\xff" + bytes(32), "padding"),  # a length beyond the end
        (b"\x00\x00\xff\xff\xff\xff" + bytes(64), "padding"),
        (b"\x00\x02\xff\xfe" + bytes(30), "utf8"),
    ],
)
def test_decrypt_refuses_wrong_padding_and_text(padded: bytes, reason: str) -> None:
    with pytest.raises(BadPayload, match=reason):
        nip44.decrypt(forged(padded), KEY)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("", "size"),
        ("#" + "A" * 200, "version"),
        ("A" * 300_000, "size"),
        ("A" * 200, "version"),
        ("Ag" + "*" * 198, "base64"),
        ("é" * 200, "base64"),
        ("AgAA" + "A" * 196, "mac"),
    ],
)
def test_decrypt_refuses_bad_payloads_with_a_reason(payload: str, reason: str) -> None:
    with pytest.raises(BadPayload, match=reason):
        nip44.decrypt(payload, KEY)


@pytest.mark.parametrize("text", ["", "a" * (nip44.MAX_TEXT + 1)])
def test_encrypt_refuses_texts_out_of_size(text: str) -> None:
    with pytest.raises(BadPayload, match="size"):
        nip44.encrypt(text, KEY, NONCE)


@settings(max_examples=60)
@given(st.text(min_size=1, max_size=600))
def test_decrypt_undoes_encrypt(text: str) -> None:
    assert nip44.decrypt(nip44.encrypt(text, KEY, NONCE), KEY) == text


@settings(max_examples=60)
@given(st.text(max_size=300))
def test_decrypt_raises_nothing_but_bad_payload(text: str) -> None:
    with pytest.raises(BadPayload):
        nip44.decrypt(text, KEY)
