"""Encrypted payloads (NIP-44, version 2): ChaCha20 and HMAC-SHA256 under keys drawn by HKDF from an ECDH secret.

Pure: the caller brings the nonce, which must never serve two texts under one key.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from adapters.nostr import signing

MAX_TEXT: Final = 128 * 1024
"""Bytes of a text: twice what an event holds. The specification lets them grow to 4 GiB."""
NONCE_SIZE: Final = 32

_VERSION: Final = b"\x02"
_MAC_SIZE: Final = 32
_MIN_PAYLOAD: Final = 132
_MAX_PAYLOAD: Final = (1 + NONCE_SIZE + 6 + MAX_TEXT + _MAC_SIZE) * 4 // 3 + 4
_LONG: Final = 1 << 16
"""Texts of this many bytes or more have their length written in six bytes (since 2026-06)."""


class BadPayload(ValueError):
    """A payload or text is refused; `reason` is one of version, size, base64, mac, padding, utf8."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def conversation_key(secret: bytes, public_key: bytes) -> bytes:
    """32 bytes that the two owners of the keys share; 32-byte arguments.

    Raises signing.SigningError for a key that is none.
    """
    return hmac.digest(b"nip44-v2", signing.shared_x(secret, public_key), "sha256")


def encrypt(text: str, key: bytes, nonce: bytes) -> str:
    """The payload, in base64, of a text under a conversation key. Raises BadPayload("size")."""
    try:
        plain = text.encode()
    except UnicodeEncodeError:
        raise BadPayload("utf8") from None
    cipher_key, cipher_nonce, mac_key = message_keys(key, nonce)
    ciphertext = _chacha20(cipher_key, cipher_nonce, _padded(plain))
    mac = hmac.digest(mac_key, nonce + ciphertext, "sha256")
    return base64.b64encode(_VERSION + nonce + ciphertext + mac).decode()


def decrypt(payload: str, key: bytes) -> str:
    """The text of a payload; nothing is decrypted before its MAC was checked. Raises BadPayload."""
    if payload.startswith("#"):
        raise BadPayload("version")
    if not _MIN_PAYLOAD <= len(payload) <= _MAX_PAYLOAD:
        raise BadPayload("size")
    try:
        data = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise BadPayload("base64") from None
    if data[:1] != _VERSION:
        raise BadPayload("version")
    nonce, ciphertext, mac = data[1 : 1 + NONCE_SIZE], data[1 + NONCE_SIZE : -_MAC_SIZE], data[-_MAC_SIZE:]
    cipher_key, cipher_nonce, mac_key = message_keys(key, nonce)
    if not hmac.compare_digest(hmac.digest(mac_key, nonce + ciphertext, "sha256"), mac):
        raise BadPayload("mac")
    plain = _unpadded(_chacha20(cipher_key, cipher_nonce, ciphertext))
    try:
        return plain.decode()
    except UnicodeDecodeError:
        raise BadPayload("utf8") from None


def message_keys(key: bytes, nonce: bytes) -> tuple[bytes, bytes, bytes]:
    """ChaCha20's key (32 bytes) and nonce (12), and the key of the MAC (32), for one message."""
    if len(key) != hashlib.sha256().digest_size or len(nonce) != NONCE_SIZE:
        raise ValueError("a conversation key and a nonce are 32 bytes each")
    keys = HKDFExpand(SHA256(), 76, nonce).derive(key)
    return keys[:32], keys[32:44], keys[44:]


def padded_size(size: int) -> int:
    """How many bytes a text of `size` bytes is filled up to, so that little shows of its length."""
    if size <= 32:
        return 32
    power = 1 << (size - 1).bit_length()
    chunk = 32 if power <= 256 else power // 8
    return chunk * ((size - 1) // chunk + 1)


def _padded(plain: bytes) -> bytes:
    size = len(plain)
    if not 0 < size <= MAX_TEXT:
        raise BadPayload("size")
    prefix = size.to_bytes(2, "big") if size < _LONG else bytes(2) + size.to_bytes(4, "big")
    return prefix + plain + bytes(padded_size(size) - size)


def _unpadded(padded: bytes) -> bytes:
    size, start = int.from_bytes(padded[:2], "big"), 2
    if size == 0:
        size, start = int.from_bytes(padded[2:6], "big"), 6
        if size < _LONG:
            raise BadPayload("padding")
    if len(padded) != start + padded_size(size):
        raise BadPayload("padding")
    return padded[start : start + size]


def _chacha20(key: bytes, nonce: bytes, data: bytes) -> bytes:
    # the first four bytes are the block counter, which starts at 0
    return Cipher(ChaCha20(key, bytes(4) + nonce), mode=None).encryptor().update(data)
