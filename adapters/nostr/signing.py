"""Schnorr signatures over secp256k1 (BIP-340) and ECDH: the only module here that calls a native curve library.

Two libraries can serve: `secp256k1` where it has a wheel, else `btclib-secp256k1`. Both are cffi bindings of
libsecp256k1, so one `Backend` drives either of them through the same C functions.

The C functions trust their caller: they read 32 or 64 bytes from whatever pointer they are given. Types and
lengths are therefore checked here before every call, and only objects that libsecp256k1 itself has accepted
are passed on to it.

Nostr signs the 32-byte event id only, so messages of other lengths, which BIP-340 allows, are refused.
"""

import secrets
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

SECRET_SIZE: Final = 32
PUBLIC_KEY_SIZE: Final = 32
MESSAGE_SIZE: Final = 32
SIGNATURE_SIZE: Final = 64
AUX_SIZE: Final = 32

ZERO_AUX: Final = bytes(AUX_SIZE)

# Import name → its name of the C function that signs a 32-byte message, in order of preference.
BACKENDS: Final = {
    "secp256k1": "secp256k1_schnorrsig_sign",
    "btclib_secp256k1": "secp256k1_schnorrsig_sign32",
}

_PUBLIC_KEY_CACHE: Final = 4096
_CONTEXT_SIGN_VERIFY: Final = 0x301


class SigningError(ValueError):
    """An argument that cannot be signed with; the text never holds the argument."""


class InvalidSecretKey(SigningError):
    """The secret key is not 32 bytes, is zero, or is not below the order of the curve."""


class _InvalidPublicKey(Exception):
    pass


def _is_octets(value: object, size: int) -> bool:
    return isinstance(value, bytes) and len(value) == size


class Keypair:
    """A secret key ready to sign with; made by `Backend.keypair`."""

    __slots__ = ("_backend", "_native", "public_key")

    public_key: bytes
    """The x-only public key, 32 bytes."""

    def __init__(self, backend: "Backend", native: Any, public_key: bytes) -> None:
        self._backend = backend
        self._native = native
        self.public_key = public_key

    def __repr__(self) -> str:
        return f"Keypair({self.public_key.hex()})"

    def sign(self, message: bytes, aux: bytes = ZERO_AUX) -> bytes:
        """The 64-byte signature of a 32-byte message; the same arguments always give the same signature.

        `aux` is BIP-340's auxiliary randomness, 32 bytes. Raises SigningError for a wrong length.
        """
        return self._backend.sign_native(self._native, message, aux)


class Backend:
    """BIP-340 through one libsecp256k1 binding. Stateless but for a bounded cache; threads may share it."""

    def __init__(self, name: str, ffi: Any, lib: Any, sign_function: str) -> None:
        self.name = name
        self._new = ffi.new
        self._unpack = ffi.unpack
        self._sign = getattr(lib, sign_function)
        self._verify = lib.secp256k1_schnorrsig_verify
        self._keypair_create = lib.secp256k1_keypair_create
        self._keypair_xonly_pub = lib.secp256k1_keypair_xonly_pub
        self._xonly_serialize = lib.secp256k1_xonly_pubkey_serialize
        self._xonly_parse = lib.secp256k1_xonly_pubkey_parse
        self._point_parse = lib.secp256k1_ec_pubkey_parse
        self._ecdh = lib.secp256k1_ecdh

        def bare_x(output: Any, x: Any, _y: Any, _data: Any) -> int:
            ffi.memmove(output, x, 32)
            return 1

        # libsecp256k1 would hash the shared point, and its multiplication without a hash is not constant-time.
        self._bare_x = ffi.callback("int(unsigned char *, unsigned char *, unsigned char *, void *)", bare_x)
        self._null = ffi.NULL
        self._context = lib.secp256k1_context_create(_CONTEXT_SIGN_VERIFY)
        # Blinds the arithmetic on secrets against side channels; signatures do not depend on it.
        lib.secp256k1_context_randomize(self._context, secrets.token_bytes(32))
        # An invalid key raises, and what raises is not cached, so the cache holds valid keys only.
        self._parsed = lru_cache(maxsize=_PUBLIC_KEY_CACHE)(self._parse)

    def keypair(self, secret: bytes) -> Keypair:
        """Prepare a 32-byte secret key for signing; raises InvalidSecretKey."""
        if not _is_octets(secret, SECRET_SIZE):
            raise InvalidSecretKey("a secret key is 32 bytes")
        native = self._new("secp256k1_keypair *")
        if not self._keypair_create(self._context, native, secret):
            raise InvalidSecretKey("the secret key is zero or not below the order of the curve")
        point = self._new("secp256k1_xonly_pubkey *")
        output = self._new("unsigned char[32]")
        self._keypair_xonly_pub(self._context, point, self._null, native)
        self._xonly_serialize(self._context, output, point)
        return Keypair(self, native, bytes(self._unpack(output, PUBLIC_KEY_SIZE)))

    def public_key(self, secret: bytes) -> bytes:
        """The x-only public key (32 bytes) of a 32-byte secret key; raises InvalidSecretKey."""
        return self.keypair(secret).public_key

    def sign(self, message: bytes, secret: bytes, aux: bytes = ZERO_AUX) -> bytes:
        """`Keypair.sign` for a key used once; raises InvalidSecretKey or SigningError."""
        return self.keypair(secret).sign(message, aux)

    def sign_native(self, native: Any, message: bytes, aux: bytes) -> bytes:
        """Called by `Keypair.sign` with the object `keypair` made."""
        if not _is_octets(message, MESSAGE_SIZE):
            raise SigningError("a message is 32 bytes")
        if not _is_octets(aux, AUX_SIZE):
            raise SigningError("auxiliary randomness is 32 bytes")
        output = self._new("unsigned char[64]")
        if not self._sign(self._context, output, message, native, aux):
            raise SigningError("libsecp256k1 refused to sign")
        return bytes(self._unpack(output, SIGNATURE_SIZE))

    def verify(self, signature: bytes, message: bytes, public_key: bytes) -> bool:
        """Whether a 64-byte signature of a 32-byte message is by the x-only public key; never raises."""
        if not (
            _is_octets(signature, SIGNATURE_SIZE)
            and _is_octets(message, MESSAGE_SIZE)
            and _is_octets(public_key, PUBLIC_KEY_SIZE)
        ):
            return False
        try:
            point = self._parsed(public_key)
        except _InvalidPublicKey:
            return False
        return bool(self._verify(self._context, signature, message, MESSAGE_SIZE, point))

    def shared_x(self, secret: bytes, public_key: bytes) -> bytes:
        """ECDH, unhashed: the x coordinate, 32 bytes, of a secret key times the point of an x-only public key.

        The same for (a, B) and (b, A). Raises InvalidSecretKey, or SigningError for what is no public key.
        """
        if not _is_octets(secret, SECRET_SIZE):
            raise InvalidSecretKey("a secret key is 32 bytes")
        point = self._new("secp256k1_pubkey *")
        if not _is_octets(public_key, PUBLIC_KEY_SIZE) or not self._point_parse(
            self._context, point, b"\x02" + public_key, 1 + PUBLIC_KEY_SIZE
        ):
            raise SigningError("not the x coordinate of a point of the curve")
        output = self._new("unsigned char[32]")
        if not self._ecdh(self._context, output, point, secret, self._bare_x, self._null):
            raise InvalidSecretKey("the secret key is zero or not below the order of the curve")
        return bytes(self._unpack(output, 32))

    def _parse(self, public_key: bytes) -> Any:
        point = self._new("secp256k1_xonly_pubkey *")
        if not self._xonly_parse(self._context, point, public_key):
            raise _InvalidPublicKey
        return point


def load_backend(name: str | None = None) -> Backend:
    """The backend of that import name, or the first usable one of `BACKENDS`.

    Raises ImportError where it is missing or was built without Schnorr signatures.
    """
    reasons: list[str] = []
    for candidate in BACKENDS if name is None else (name,):
        if candidate not in BACKENDS:
            raise ImportError(f"no signature backend is called {candidate}")
        try:
            module = import_module(candidate)
            return Backend(candidate, module.ffi, module.lib, BACKENDS[candidate])
        except (ImportError, AttributeError) as error:
            reasons.append(f"{candidate}: {error}")
    raise ImportError("no usable secp256k1 library (" + "; ".join(reasons) + ")")


_default = load_backend()

BACKEND_NAME: Final = _default.name
keypair = _default.keypair
public_key = _default.public_key
shared_x = _default.shared_x
sign = _default.sign
verify = _default.verify
