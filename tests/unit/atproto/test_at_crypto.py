"""Keys and signatures: the interop vectors through both bindings, refusals, and that secrets stay secret."""

import json
from base64 import b64decode
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.atproto import base58, crypto
from adapters.atproto.crypto import BACKENDS, Backend, PublicKey, SigningKey, load_backend, parse_did_key
from bridged.api import Malformed
from tests.vectors import vectors

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SECRET = sha256(b"a key for tests only").digest()
LOADED = {name: load_backend(name) for name in BACKENDS}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Backend:
    monkeypatch.setattr(crypto, "_k256", LOADED[request.param])
    return LOADED[request.param]


def read(name: str) -> list[dict[str, Any]]:
    return json.loads((vectors() / "atproto" / "interop-tests" / "crypto" / name).read_text())


def raw(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.usefixtures("backend")
def test_signature_vectors_give_their_result():
    checked = read("signature-fixtures.json")
    for case in checked:
        key = parse_did_key(case["publicKeyDid"])
        verdict = key.verify(raw(case["messageBase64"]), raw(case["signatureBase64"]))
        assert verdict is case["validSignature"], case["comment"]
        assert crypto.parse_legacy_key(case["didDocSuite"], case["publicKeyMultibase"]) == key
        assert key.did_key() == case["publicKeyDid"]
    assert len(checked) >= 6


@pytest.mark.usefixtures("backend")
def test_k256_vectors_give_their_did_key():
    for case in read("w3c_didkey_K256.json"):
        key = SigningKey(bytes.fromhex(case["privateKeyBytesHex"]))
        assert key.public.did_key() == case["publicDidKey"]
        assert parse_did_key(case["publicDidKey"]) == key.public


def test_p256_vectors_give_their_did_key():
    for case in read("w3c_didkey_P256.json"):
        secret = ec.derive_private_key(
            int.from_bytes(base58.decode(case["privateKeyBytesBase58"]), "big"), ec.SECP256R1()
        )
        point = secret.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        assert PublicKey("p256", point).did_key() == case["publicDidKey"]
        assert parse_did_key(case["publicDidKey"]).point == point


def test_signatures_are_the_same_through_both_bindings():
    digest = sha256(b"a message").digest()
    one, other = (LOADED[name].sign(digest, SECRET) for name in BACKENDS)
    assert one == other
    assert int.from_bytes(one[32:], "big") <= ORDER // 2


@settings(max_examples=50)
@given(st.binary(max_size=300), st.integers(1, ORDER - 1), st.integers(0, 511))
def test_signature_is_good_and_a_bit_off_is_not(message: bytes, secret: int, bit: int):
    key = SigningKey(secret.to_bytes(32, "big"))
    signature = key.sign(message)
    assert key.public.verify(message, signature)
    wrong = bytearray(signature)
    wrong[bit // 8] ^= 1 << bit % 8
    assert not key.public.verify(message, bytes(wrong))
    assert not key.public.verify(message + b"x", signature)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(65), bytes(64), b"\xff" * 64])
def test_signature_of_wrong_length_or_range_is_no_signature(signature: bytes):
    p256 = parse_did_key("did:key:zDnaembgSGUhZULN2Caob4HLJPaxBh92N7rtH21TErzqf8HQo")
    for key in (SigningKey(SECRET).public, p256):
        assert key.verify(b"a message", signature) is False


def test_high_s_is_refused():
    key = SigningKey(SECRET)
    signature = key.sign(b"a message")
    high = signature[:32] + (ORDER - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")
    assert not key.public.verify(b"a message", high)


@pytest.mark.parametrize("secret", [b"", bytes(32), bytes(31), ORDER.to_bytes(32, "big"), b"\xff" * 32])
def test_secret_that_is_none_is_refused(secret: bytes):
    with pytest.raises(ValueError, match="secret key"):
        SigningKey(secret)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "did:key:",
        "did:key:z",
        "did:plc:abc",
        "did:key:z0OIl",
        "did:key:" + "z" * 100_000,
        "did:key:z" + base58.encode(b"\xe7\x01\x02" + b"\xff" * 32),  # no point of the curve
        "did:key:z" + base58.encode(b"\x80\x24\x02" + b"\xff" * 32),
        "did:key:z" + base58.encode(b"\xed\x01" + bytes(32)),  # Ed25519
        "did:key:z" + base58.encode(b"\xe7\x01\x04" + bytes(64)),
    ],
)
def test_did_key_that_is_none_is_refused(text: str):
    with pytest.raises(Malformed, match="key"):
        parse_did_key(text)


def test_legacy_key_of_another_kind_is_refused():
    with pytest.raises(Malformed, match="key"):
        crypto.parse_legacy_key("Ed25519VerificationKey2018", "zxdM8dSstjrpZaRUwBmDvjGXweKuEMVN95A9oJBFjkWMh")


def test_secret_is_in_no_text():
    key = SigningKey(SECRET)
    assert SECRET.hex() not in repr(key) + str(key)


@given(st.binary(max_size=60))
def test_base58_reads_back(data: bytes):
    assert base58.decode(base58.encode(data)) == data
