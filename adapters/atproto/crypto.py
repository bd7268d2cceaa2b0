"""Signatures of AT Protocol: ECDSA over SHA-256, on K-256 and P-256; keys as did:key and multikey. Pure.

A signature is r and s, 32 bytes each, with the lower of the two possible s (atproto.com/specs/cryptography). We sign
with K-256 only. One of two bindings of libsecp256k1 serves, whichever has a wheel for this machine. The C functions
trust their caller: types and lengths are checked here before every call.
"""

import secrets
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib import import_module
from typing import Any, Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.atproto import base58
from bridged.api import Malformed

Curve = Literal["k256", "p256"]

SECRET_SIZE: Final = 32
SIGNATURE_SIZE: Final = 64
POINT_SIZE: Final = 33
"""A compressed point."""

BACKENDS: Final = ("secp256k1", "btclib_secp256k1")
"""Import names, in order of preference."""

_MULTICODEC: Final[dict[Curve, bytes]] = {"k256": b"\xe7\x01", "p256": b"\x80\x24"}
_LEGACY: Final[dict[str, Curve]] = {
    "EcdsaSecp256k1VerificationKey2019": "k256",
    "EcdsaSecp256r1VerificationKey2019": "p256",
}
_DID_KEY: Final = "did:key:"
_MAX_MULTIKEY: Final = 100
_P256_HALF: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551 // 2
_PARSED: Final = 4096
_CONTEXT_SIGN_VERIFY: Final = 0x301
_COMPRESSED: Final = 0x102


class Backend:
    """ECDSA on K-256 through one binding of libsecp256k1. Stateless but for a bounded cache; threads may share it."""

    def __init__(self, ffi: Any, lib: Any) -> None:
        self._new = ffi.new
        self._unpack = ffi.unpack
        self._null = ffi.NULL
        self._lib = lib
        self._context = lib.secp256k1_context_create(_CONTEXT_SIGN_VERIFY)
        # Blinds the arithmetic on secrets against side channels; signatures do not depend on it.
        lib.secp256k1_context_randomize(self._context, secrets.token_bytes(32))
        # What is no point raises, and what raises is not cached.
        self._point = lru_cache(maxsize=_PARSED)(self._parse)

    def point_of(self, secret: bytes) -> bytes:
        """The compressed point of a 32-byte secret; ValueError for what is no secret key."""
        if len(secret) != SECRET_SIZE:
            raise ValueError("a secret key is 32 bytes")
        point = self._new("secp256k1_pubkey *")
        if not self._lib.secp256k1_ec_pubkey_create(self._context, point, bytes(secret)):
            raise ValueError("the secret key is zero or not below the order of the curve")
        return self._compressed(point)

    def compress(self, point: bytes) -> bytes:
        """The compressed spelling of a point of 33 or 65 bytes. Raises Malformed("key")."""
        return self._compressed(self._point(point))

    def sign(self, digest: bytes, secret: bytes) -> bytes:
        """The 64 bytes of a signature with low s, the same for the same arguments (RFC 6979)."""
        if len(digest) != 32 or len(secret) != SECRET_SIZE:
            raise ValueError("a digest and a secret key are 32 bytes each")
        signature = self._new("secp256k1_ecdsa_signature *")
        if not self._lib.secp256k1_ecdsa_sign(self._context, signature, digest, secret, self._null, self._null):
            raise ValueError("libsecp256k1 refused to sign")
        output = self._new("unsigned char[64]")
        self._lib.secp256k1_ecdsa_signature_serialize_compact(self._context, output, signature)
        return bytes(self._unpack(output, SIGNATURE_SIZE))

    def verify(self, signature: bytes, digest: bytes, point: bytes) -> bool:
        """Whether it is a signature with low s, of a 32-byte digest, by a point of 33 bytes."""
        if len(signature) != SIGNATURE_SIZE or len(digest) != 32:
            return False
        parsed = self._new("secp256k1_ecdsa_signature *")
        if not self._lib.secp256k1_ecdsa_signature_parse_compact(self._context, parsed, bytes(signature)):
            return False
        # libsecp256k1 itself says no to a high s
        return bool(self._lib.secp256k1_ecdsa_verify(self._context, parsed, bytes(digest), self._point(point)))

    def _parse(self, point: bytes) -> Any:
        if len(point) not in (POINT_SIZE, 65):
            raise Malformed("key")
        parsed = self._new("secp256k1_pubkey *")
        if not self._lib.secp256k1_ec_pubkey_parse(self._context, parsed, bytes(point), len(point)):
            raise Malformed("key")
        return parsed

    def _compressed(self, point: Any) -> bytes:
        output = self._new("unsigned char[33]")
        size = self._new("size_t *", POINT_SIZE)
        self._lib.secp256k1_ec_pubkey_serialize(self._context, output, size, point, _COMPRESSED)
        return bytes(self._unpack(output, POINT_SIZE))


def load_backend(name: str | None = None) -> Backend:
    """The backend of that import name, or the first usable one of `BACKENDS`. Raises ImportError."""
    reasons: list[str] = []
    for candidate in BACKENDS if name is None else (name,):
        try:
            module = import_module(candidate)
            return Backend(module.ffi, module.lib)
        except (ImportError, AttributeError) as error:
            reasons.append(f"{candidate}: {error}")
    raise ImportError("no usable secp256k1 library (" + "; ".join(reasons) + ")")


_k256: Final = load_backend()


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signatures are checked with; `point` is compressed, and known to be on its curve."""

    curve: Curve
    point: bytes

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is of `message`, by this key: raw, 64 bytes, low s."""
        digest = sha256(message).digest()
        if self.curve == "k256":
            return _k256.verify(signature, digest, self.point)
        return _verify_p256(signature, digest, self.point)

    def multikey(self) -> str:
        """As DID documents have it: `publicKeyMultibase` of a Multikey."""
        return "z" + base58.encode(_MULTICODEC[self.curve] + self.point)

    def did_key(self) -> str:
        return _DID_KEY + self.multikey()


class SigningKey:
    """A secret K-256 key; its text and `repr` never hold the secret."""

    __slots__ = ("_secret", "public")

    public: PublicKey

    def __init__(self, secret: bytes) -> None:
        """Raises ValueError for what is no secret key: 32 bytes, not zero, below the order of the curve."""
        self.public = PublicKey("k256", _k256.point_of(secret))
        self._secret = bytes(secret)

    def __repr__(self) -> str:
        return f"SigningKey({self.public.did_key()})"

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of any message, always the same for the same message."""
        return _k256.sign(sha256(message).digest(), self._secret)


def parse_did_key(text: str) -> PublicKey:
    """The key that a did:key names. Raises Malformed("key")."""
    if not text.startswith(_DID_KEY):
        raise Malformed("key")
    return parse_multikey(text[len(_DID_KEY) :])


def parse_multikey(text: str) -> PublicKey:
    """The key of a `publicKeyMultibase` of type Multikey. Raises Malformed("key")."""
    raw = _base58(text)
    for curve, prefix in _MULTICODEC.items():
        if raw.startswith(prefix) and len(raw) == len(prefix) + POINT_SIZE:
            return _key(curve, raw[len(prefix) :])
    raise Malformed("key")


def parse_legacy_key(kind: str, text: str) -> PublicKey:
    """The key of a `publicKeyMultibase` of the types that name their curve. Raises Malformed("key")."""
    if kind not in _LEGACY:
        raise Malformed("key")
    return _key(_LEGACY[kind], _base58(text))


def _base58(text: str) -> bytes:
    if not text.startswith("z") or len(text) > _MAX_MULTIKEY:
        raise Malformed("key")
    try:
        return base58.decode(text[1:])
    except ValueError as error:
        raise Malformed("key") from error


def _key(curve: Curve, point: bytes) -> PublicKey:
    if curve == "k256":
        return PublicKey(curve, _k256.compress(point))
    parsed = _p256(point)
    return PublicKey(curve, parsed.public_bytes(Encoding.X962, PublicFormat.CompressedPoint))


@lru_cache(maxsize=_PARSED)
def _p256(point: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError as error:
        raise Malformed("key") from error


def _verify_p256(signature: bytes, digest: bytes, point: bytes) -> bool:
    if len(signature) != SIGNATURE_SIZE:
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if s > _P256_HALF:
        return False
    try:
        _p256(point).verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(SHA256())))
    except InvalidSignature:
        return False
    return True
