"""BIP-340 through both backends: the published vectors, refusals, determinism."""

import csv
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.nostr import signing
from adapters.nostr.signing import Backend, InvalidSecretKey, SigningError, load_backend
from tests.vectors import vectors

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SECRET = sha256(b"a key for tests only").digest()
MESSAGE = sha256(b"a message").digest()
LOADED = {name: load_backend(name) for name in signing.BACKENDS}


@pytest.fixture(params=sorted(LOADED))
def backend(request: pytest.FixtureRequest) -> Backend:
    return LOADED[request.param]


def rows() -> list[dict[str, str]]:
    with (vectors() / "nostr" / "bip340" / "test-vectors.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_bip340_verification_vectors_give_their_result(backend: Backend):
    checked = 0
    for row in rows():
        signature, message, key = (bytes.fromhex(row[k]) for k in ("signature", "message", "public key"))
        # Vectors 15–18 sign messages of other lengths, which this module refuses on purpose.
        expected = row["verification result"] == "TRUE" and len(message) == 32
        assert backend.verify(signature, message, key) is expected, row["index"]
        checked += 1
    assert checked >= 19


def test_bip340_signing_vectors_give_their_signature(backend: Backend):
    signed = refused = 0
    for row in rows():
        if not row["secret key"]:
            continue
        secret, message, aux = (bytes.fromhex(row[k]) for k in ("secret key", "message", "aux_rand"))
        assert backend.public_key(secret) == bytes.fromhex(row["public key"])
        if len(message) == 32:
            assert backend.sign(message, secret, aux) == bytes.fromhex(row["signature"]), row["index"]
            signed += 1
        else:
            with pytest.raises(SigningError):
                backend.sign(message, secret, aux)
            refused += 1
    assert (signed, refused) == (4, 4)


@pytest.mark.parametrize(
    "secret",
    [
        b"",
        bytes(32),
        ORDER.to_bytes(32, "big"),
        b"\xff" * 32,
        SECRET[:31],
        SECRET + b"\0",
        SECRET.hex(),
        None,
    ],
)
def test_invalid_secret_key_is_refused_without_being_repeated(backend: Backend, secret: object):
    for attempt in (backend.keypair, backend.public_key, lambda key: backend.sign(MESSAGE, key)):
        with pytest.raises(InvalidSecretKey) as caught:
            attempt(secret)  # type: ignore[arg-type]
        assert SECRET.hex()[:16] not in str(caught.value)


def test_secret_key_below_the_order_is_accepted(backend: Backend):
    for number in (1, ORDER - 1):
        keypair = backend.keypair(number.to_bytes(32, "big"))
        assert backend.verify(keypair.sign(MESSAGE), MESSAGE, keypair.public_key)


@pytest.mark.parametrize("message", [b"", MESSAGE[:31], MESSAGE + b"\0", MESSAGE.hex(), bytearray(MESSAGE), None])
def test_sign_refuses_what_is_no_32_byte_message(backend: Backend, message: object):
    with pytest.raises(SigningError):
        backend.keypair(SECRET).sign(message)  # type: ignore[arg-type]


@pytest.mark.parametrize("aux", [b"", bytes(31), bytes(33), None])
def test_sign_refuses_what_is_no_32_byte_aux(backend: Backend, aux: object):
    with pytest.raises(SigningError):
        backend.keypair(SECRET).sign(MESSAGE, aux)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("spoil", [lambda b: b[:-1], lambda b: b + b"\0", lambda b: b + bytes(5), lambda _: b""])
def test_verify_refuses_every_wrong_length(backend: Backend, place: int, spoil):
    """secp256k1 0.14 itself accepts a 69-byte signature and reads beyond a short one."""
    keypair = backend.keypair(SECRET)
    arguments = [keypair.sign(MESSAGE), MESSAGE, keypair.public_key]
    assert backend.verify(*arguments) is True
    arguments[place] = spoil(arguments[place])
    assert backend.verify(*arguments) is False


@pytest.mark.parametrize("place", [0, 1, 2])
def test_verify_answers_false_for_other_types(backend: Backend, place: int):
    keypair = backend.keypair(SECRET)
    arguments = [keypair.sign(MESSAGE), MESSAGE, keypair.public_key]
    size = len(arguments[place])
    for value in (None, 7, "x" * size, [0] * size, (300,) * size, bytearray(arguments[place]), object()):
        assert backend.verify(*(value if i == place else a for i, a in enumerate(arguments))) is False  # type: ignore[arg-type]


@settings(max_examples=50)
@given(st.binary(max_size=80), st.binary(max_size=40), st.binary(max_size=40))
def test_verify_never_raises(signature: bytes, message: bytes, key: bytes):
    for backend in LOADED.values():
        assert backend.verify(signature, message, key) is False


@settings(max_examples=50)
@given(st.integers(1, ORDER - 1), st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_backends_sign_alike_and_accept_each_other(number: int, message: bytes, aux: bytes):
    secret = number.to_bytes(32, "big")
    keys = {backend.public_key(secret) for backend in LOADED.values()}
    signatures = {backend.sign(message, secret, aux) for backend in LOADED.values()}
    assert len(keys) == len(signatures) == 1
    (key,), (signature,) = keys, signatures
    other = bytes([message[0] ^ 1]) + message[1:]
    for backend in LOADED.values():
        assert backend.verify(signature, message, key)
        assert not backend.verify(signature, other, key)


def test_signature_depends_on_key_and_message_only(backend: Backend):
    again = load_backend(backend.name)
    assert backend.sign(MESSAGE, SECRET) == again.sign(MESSAGE, SECRET) == again.keypair(SECRET).sign(MESSAGE)
    assert backend.sign(MESSAGE, SECRET) == backend.sign(MESSAGE, SECRET, bytes(32))
    assert backend.sign(MESSAGE, SECRET) != backend.sign(MESSAGE, SECRET, b"\1" * 32)


def test_verify_answers_alike_when_the_key_is_cached(backend: Backend):
    off_curve = bytes.fromhex("eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34")
    signature, key = backend.sign(MESSAGE, SECRET), backend.public_key(SECRET)
    assert [backend.verify(signature, MESSAGE, key) for _ in range(3)] == [True] * 3
    assert [backend.verify(signature, MESSAGE, off_curve) for _ in range(3)] == [False] * 3


def test_threads_may_share_a_backend(backend: Backend):
    keypair = backend.keypair(SECRET)

    def turn(number: int) -> bool:
        message = sha256(str(number).encode()).digest()
        return backend.verify(keypair.sign(message), message, keypair.public_key)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(turn, range(400)))


def test_keypair_shows_no_secret(backend: Backend):
    assert SECRET.hex() not in repr(backend.keypair(SECRET))


def test_backend_falls_back_where_the_first_library_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "secp256k1", None)
    assert load_backend().name == "btclib_secp256k1"
    monkeypatch.setitem(sys.modules, "btclib_secp256k1", None)
    with pytest.raises(ImportError, match="no usable secp256k1 library"):
        load_backend()


def test_backend_falls_back_where_the_library_has_no_schnorr(monkeypatch: pytest.MonkeyPatch):
    class Bare:
        ffi = LOADED["secp256k1"]
        lib = object()

    monkeypatch.setitem(sys.modules, "secp256k1", Bare)  # type: ignore[arg-type]
    assert load_backend().name == "btclib_secp256k1"


def test_unknown_backend_is_an_import_error():
    with pytest.raises(ImportError):
        load_backend("os")


def test_module_functions_are_those_of_the_preferred_backend():
    assert next(iter(signing.BACKENDS)) == signing.BACKEND_NAME
    assert signing.verify(signing.sign(MESSAGE, SECRET), MESSAGE, signing.public_key(SECRET))
