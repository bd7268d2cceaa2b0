"""Content ids as AT Protocol blesses them: CIDv1, SHA-256, of DAG-CBOR or of raw bytes. Pure."""

import re
from base64 import b32decode, b32encode
from hashlib import sha256
from typing import Final

from bridged.api import Malformed

DAG_CBOR: Final = 0x71
RAW: Final = 0x55
SIZE: Final = 36
"""Bytes of a content id: version, codec, hash, length, and the 32 bytes of the hash."""

_PREFIXES: Final = {codec: bytes((1, codec, 0x12, 32)) for codec in (DAG_CBOR, RAW)}
_BLESSED: Final = frozenset(_PREFIXES.values())
_SPELLED: Final = re.compile("b[a-z2-7]{58}")


class Cid(bytes):
    """A content id: its bytes inside, `str()` as people write it (base32, `b…`).

    Equal to the same plain bytes, so that it may be looked up by them; only `isinstance` tells a link from bytes.
    """

    __slots__ = ()

    @classmethod
    def of(cls, data: bytes, codec: int = DAG_CBOR) -> "Cid":
        """The id of these bytes, which are of `codec` (DAG_CBOR or RAW)."""
        return cls(_PREFIXES[codec] + sha256(data).digest())

    @classmethod
    def parse(cls, text: str) -> "Cid":
        """Raises Malformed("cid") for all but the blessed spelling of a blessed id."""
        if _SPELLED.fullmatch(text) is None:
            raise Malformed("cid")
        raw = b32decode(text[1:].upper() + "======")
        cid = cls.read(raw)
        if str(cid) != text:  # two bits of the last letter stand for nothing, and must be zero
            raise Malformed("cid")
        return cid

    @classmethod
    def read(cls, data: bytes) -> "Cid":
        """The id that these 36 bytes are. Raises Malformed("cid")."""
        if not is_blessed(data):
            raise Malformed("cid")
        return cls(data)

    @property
    def codec(self) -> int:
        return self[1]

    def names(self, data: bytes) -> bool:
        """Whether it is the id of `data`."""
        return sha256(data).digest() == self[4:]

    def __str__(self) -> str:
        return "b" + b32encode(self).decode().rstrip("=").lower()

    def __repr__(self) -> str:
        return f"Cid({self})"


def is_blessed(data: bytes) -> bool:
    """Whether these bytes are a content id that records and repositories may hold."""
    return len(data) == SIZE and data[:4] in _BLESSED
