"""NIP-19 identifiers (npub, note, nprofile, nevent, naddr) and NIP-21 `nostr:` URIs.

Secret keys have no place here: there is no way to write an `nsec`, and reading one is refused by an error
that does not repeat it. Keys and ids are 64 lowercase hex digits, as in events.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

import msgspec

from adapters.nostr.event import MAX_KIND

MAX_LENGTH: Final = 5000
"""Characters of an identifier, as NIP-19 advises."""

URI_SCHEME: Final = "nostr:"

_CHARSET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_FIVES: Final = {character: value for value, character in enumerate(_CHARSET)}
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_SIZE: Final = 6
_HEX_64: Final = re.compile("[0-9a-f]{64}")
_SPECIAL, _RELAY, _AUTHOR, _KIND = range(4)


class BadIdentifier(ValueError):
    """The text is no identifier, or the identifier cannot be written; the message never holds the input."""


class SecretKeyRefused(BadIdentifier):
    """The text is a secret key (`nsec`)."""


class Npub(msgspec.Struct, frozen=True):
    """A public key."""

    pubkey: str


class Note(msgspec.Struct, frozen=True):
    """An event id."""

    id: str


class Nprofile(msgspec.Struct, frozen=True):
    """A public key and relays where its events may be found."""

    pubkey: str
    relays: tuple[str, ...] = ()


class Nevent(msgspec.Struct, frozen=True):
    """An event id, relays where it may be found, and what is claimed of its author and kind."""

    id: str
    relays: tuple[str, ...] = ()
    author: str | None = None
    kind: int | None = None


class Naddr(msgspec.Struct, frozen=True):
    """The coordinates of a replaceable or addressable event; `identifier` is its `d` tag and may be empty."""

    identifier: str
    pubkey: str
    kind: int
    relays: tuple[str, ...] = ()


Identifier = Npub | Note | Nprofile | Nevent | Naddr


def decode(text: str) -> Identifier:
    """Read an identifier; raises BadIdentifier, of which SecretKeyRefused is one."""
    if text[:5].lower() == "nsec1":
        raise SecretKeyRefused("secret keys are not accepted")
    prefix, data = _bech32_decode(text)
    match prefix:
        case "npub":
            return Npub(_key(data))
        case "note":
            return Note(_key(data))
        case "nprofile":
            fields = _Fields(data)
            return Nprofile(_key(fields.required(_SPECIAL)), fields.relays())
        case "nevent":
            fields = _Fields(data)
            author, kind = fields.first(_AUTHOR), fields.first(_KIND)
            return Nevent(
                id=_key(fields.required(_SPECIAL)),
                relays=fields.relays(),
                author=None if author is None else _key(author),
                kind=None if kind is None else _kind(kind),
            )
        case "naddr":
            fields = _Fields(data)
            return Naddr(
                identifier=_text(fields.required(_SPECIAL), "utf-8"),
                pubkey=_key(fields.required(_AUTHOR)),
                kind=_kind(fields.required(_KIND)),
                relays=fields.relays(),
            )
        case _:
            raise BadIdentifier("unknown prefix")


def encode(identifier: Identifier) -> str:
    """Write an identifier, its TLVs in ascending order of type.

    Raises BadIdentifier for keys that are not 64 lowercase hex digits, a kind out of range, a relay that is
    not 1 to 255 ASCII characters, an identifier over 255 bytes and a result over MAX_LENGTH.
    """
    match identifier:
        case Npub(pubkey):
            return _bech32_encode("npub", _key_octets(pubkey))
        case Note(id_):
            return _bech32_encode("note", _key_octets(id_))
        case Nprofile(pubkey, relays):
            data = _tlv(_SPECIAL, _key_octets(pubkey)) + _relay_tlvs(relays)
            return _bech32_encode("nprofile", data)
        case Nevent(id_, relays, author, kind):
            data = _tlv(_SPECIAL, _key_octets(id_)) + _relay_tlvs(relays)
            if author is not None:
                data += _tlv(_AUTHOR, _key_octets(author))
            if kind is not None:
                data += _tlv(_KIND, _kind_octets(kind))
            return _bech32_encode("nevent", data)
        case Naddr(name, pubkey, kind, relays):
            data = _tlv(_SPECIAL, _octets(name, "utf-8")) + _relay_tlvs(relays)
            data += _tlv(_AUTHOR, _key_octets(pubkey)) + _tlv(_KIND, _kind_octets(kind))
            return _bech32_encode("naddr", data)


def decode_lnurl(text: str) -> str:
    """The address in an `lnurl1…` (LUD-01); raises BadIdentifier."""
    prefix, data = _bech32_decode(text)
    if prefix != "lnurl":
        raise BadIdentifier("unknown prefix")
    return _text(data, "ascii")


def decode_uri(uri: str) -> Identifier:
    """Read a `nostr:` URI (NIP-21); raises BadIdentifier."""
    if uri[: len(URI_SCHEME)].lower() != URI_SCHEME:
        raise BadIdentifier("not a nostr: URI")
    return decode(uri[len(URI_SCHEME) :])


def encode_uri(identifier: Identifier) -> str:
    """Write a `nostr:` URI (NIP-21); raises BadIdentifier as `encode` does."""
    return URI_SCHEME + encode(identifier)


class _Fields:
    """The values of a TLV list, grouped by type; unknown types are kept and not looked at."""

    def __init__(self, data: bytes) -> None:
        self._values: dict[int, list[bytes]] = {}
        position = 0
        while position < len(data):
            if position + 2 > len(data):
                raise BadIdentifier("a TLV is cut short")
            end = position + 2 + data[position + 1]
            if end > len(data):
                raise BadIdentifier("a TLV is cut short")
            self._values.setdefault(data[position], []).append(data[position + 2 : end])
            position = end

    def first(self, kind: int) -> bytes | None:
        values = self._values.get(kind)
        return values[0] if values else None

    def required(self, kind: int) -> bytes:
        value = self.first(kind)
        if value is None:
            raise BadIdentifier("a required TLV is missing")
        return value

    def relays(self) -> tuple[str, ...]:
        return tuple(_text(value, "ascii") for value in self._values.get(_RELAY, ()) if value)


def _key(data: bytes) -> str:
    if len(data) != 32:
        raise BadIdentifier("a key or id is not 32 bytes")
    return data.hex()


def _kind(data: bytes) -> int:
    if len(data) != 4:
        raise BadIdentifier("a kind is not 4 bytes")
    kind = int.from_bytes(data, "big")
    if kind > MAX_KIND:
        raise BadIdentifier("a kind is out of range")
    return kind


def _text(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise BadIdentifier("a text is badly encoded") from None


def _key_octets(key: str) -> bytes:
    if _HEX_64.fullmatch(key) is None:
        raise BadIdentifier("a key or id is not 64 lowercase hex digits")
    return bytes.fromhex(key)


def _kind_octets(kind: int) -> bytes:
    if not 0 <= kind <= MAX_KIND:
        raise BadIdentifier("a kind is out of range")
    return kind.to_bytes(4, "big")


def _octets(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        raise BadIdentifier("a text cannot be encoded") from None


def _tlv(kind: int, value: bytes) -> bytes:
    if len(value) > 255:
        raise BadIdentifier("a value is over 255 bytes")
    return bytes((kind, len(value))) + value


def _relay_tlvs(relays: Iterable[str]) -> bytes:
    if "" in (relays := tuple(relays)):
        raise BadIdentifier("a relay is empty")
    return b"".join(_tlv(_RELAY, _octets(relay, "ascii")) for relay in relays)


def _bech32_decode(text: str) -> tuple[str, bytes]:
    """Prefix and payload of a bech32 text (BIP-173, but for its limit of 90 characters)."""
    if len(text) > MAX_LENGTH:
        raise BadIdentifier("too long")
    # ASCII first: characters exist whose lower case is ASCII.
    if not text.isascii() or text not in (text.lower(), text.upper()):
        raise BadIdentifier("not bech32: upper and lower case, or other characters")
    prefix, separator, data = text.lower().rpartition("1")
    if not separator or not prefix or len(data) < _CHECKSUM_SIZE:
        raise BadIdentifier("not bech32: no prefix or no checksum")
    fives: list[int] = []
    for character in data:
        five = _FIVES.get(character)
        if five is None:
            raise BadIdentifier("not bech32: a character outside the alphabet")
        fives.append(five)
    if _polymod([*_expanded(prefix), *fives]) != 1:
        raise BadIdentifier("wrong checksum")
    octets, rest, rest_bits = _regroup(fives[:-_CHECKSUM_SIZE], 5, 8)
    if rest_bits >= 5 or rest:
        raise BadIdentifier("not bech32: wrong padding")
    return prefix, bytes(octets)


def _bech32_encode(prefix: str, data: bytes) -> str:
    # all of it as one number, two letters at a time: this is written into every post and every mention
    letters = -(-8 * len(data) // 5)
    number = int.from_bytes(data, "big") << (5 * letters - 8 * len(data) + 5 * _CHECKSUM_SIZE)
    bits = 5 * (letters + _CHECKSUM_SIZE)
    odd = bits % 10
    remainder = _begun(prefix)
    if odd:
        remainder = _step(remainder, number >> (bits - 5))
    for shift in range(bits - odd - 10, -10, -10):
        remainder = (remainder & 0xFFFFF) << 10 ^ number >> shift & 0x3FF ^ _FEEDBACK_OF_TWO[remainder >> 20]
    number |= remainder ^ 1
    words = [_PAIRS[number >> shift & 0x3FF] for shift in range(bits - odd - 10, -10, -10)]
    text = "".join((prefix, "1", _CHARSET[number >> (bits - 5)] if odd else "", *words))
    if len(text) > MAX_LENGTH:
        raise BadIdentifier("too long")
    return text


@cache
def _begun(prefix: str) -> int:
    """The checksum so far, after a prefix; there are five."""
    return _polymod(_expanded(prefix))


def _expanded(prefix: str) -> Iterator[int]:
    yield from (ord(character) >> 5 for character in prefix)
    yield 0
    yield from (ord(character) & 31 for character in prefix)


def _polymod(values: Iterable[int]) -> int:
    """BIP-173's checksum, a BCH code over GF(32)."""
    remainder = 1
    for value in values:
        remainder = _step(remainder, value)
    return remainder


def _step(remainder: int, value: int) -> int:
    return (remainder & 0x1FFFFFF) << 5 ^ value ^ _FEEDBACK[remainder >> 25]


def _feedback(top: int) -> int:
    total = 0
    for bit, generator in enumerate(_GENERATORS):
        if top >> bit & 1:
            total ^= generator
    return total


_FEEDBACK: Final = tuple(_feedback(top) for top in range(32))
_FEEDBACK_OF_TWO: Final = tuple(_step(_step(top << 20, 0), 0) for top in range(1024))
"""The same for two values at once."""
_PAIRS: Final = tuple(one + other for one in _CHARSET for other in _CHARSET)


def _regroup(values: Iterable[int], width: int, new_width: int) -> tuple[list[int], int, int]:
    """Groups of `width` bits as groups of `new_width`, then the bits left over and how many they are."""
    groups: list[int] = []
    buffer = bits = 0
    for value in values:
        buffer = buffer << width | value
        bits += width
        while bits >= new_width:
            bits -= new_width
            groups.append(buffer >> bits)
            buffer &= (1 << bits) - 1
    return groups, buffer, bits
