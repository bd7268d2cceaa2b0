"""DRISL read and written byte by byte: strict, plain, and some forty times slower than libipld. Pure.

It serves where libipld cannot tell links from bytes (see `cbor.py`), and says what is wrong with a spelling.
"""

from typing import Any, Final, NoReturn, cast

from adapters.atproto.cid import SIZE, Cid
from bridged.api import Malformed

MAX_DEPTH: Final = 32
"""Lists and maps within one another."""
INT_MIN: Final = -(1 << 63)
INT_MAX: Final = (1 << 63) - 1

_SIMPLE: Final = {0xF4: False, 0xF5: True, 0xF6: None}
_FLOATS: Final = (0xF9, 0xFA, 0xFB)
_LINK_HEAD: Final = bytes((0x58, SIZE + 1, 0))
"""Of the bytes after tag 42: their length, and the zero that stands before a content id there."""
_WIDTHS: Final = {24: (1, 24), 25: (2, 1 << 8), 26: (4, 1 << 16), 27: (8, 1 << 32)}
"""Of a long head: how many bytes follow, and the least number that needs them."""


def decode(data: bytes) -> Any:
    """The value that `data` spells. Raises Malformed: cbor, canonical, depth, float, int, cid, text."""
    reader = _Reader(data)
    value = reader.value(MAX_DEPTH)
    if reader.at != len(data):
        raise Malformed("cbor")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise Malformed("cbor")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def head(self, first: int) -> int:
        short = first & 31
        if short < 24:
            return short
        if short not in _WIDTHS:  # 31 begins something of no stated length
            raise Malformed("canonical" if short == 31 else "cbor")
        width, least = _WIDTHS[short]
        number = int.from_bytes(self.take(width), "big")
        if number < least:
            raise Malformed("canonical")
        return number

    def value(self, depth: int) -> Any:
        first = self.take(1)[0]
        major = first >> 5
        if major == 7:
            return _simple(first)
        number = self.head(first)
        match major:
            case 0 | 1:
                number = number if major == 0 else -1 - number
                if not INT_MIN <= number <= INT_MAX:
                    raise Malformed("int")
                return number
            case 2:
                return self.take(number)
            case 3:
                return self.text(number)
            case 6:
                return self.link(number)
            case _:
                if depth == 0:
                    raise Malformed("depth")
                return self.items(number, depth - 1) if major == 4 else self.map(number, depth - 1)

    def text(self, size: int) -> str:
        try:
            return self.take(size).decode()
        except UnicodeDecodeError as error:
            raise Malformed("text") from error

    def link(self, tag: int) -> Cid:
        if tag != 42:
            raise Malformed("cbor")
        if self.take(len(_LINK_HEAD)) != _LINK_HEAD:
            raise Malformed("cid")
        return Cid.read(self.take(SIZE))

    def items(self, count: int, depth: int) -> list[Any]:
        found: list[Any] = []
        for _ in range(count):
            found.append(self.value(depth))  # one at a time: `count` may be any number
        return found

    def map(self, count: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        last = (-1, b"")
        for _ in range(count):
            first = self.take(1)[0]
            if first >> 5 != 3:
                raise Malformed("key")
            start = self.head(first)
            key = self.text(start)
            now = (start, key.encode())
            if now <= last:
                raise Malformed("canonical")
            last = now
            found[key] = self.value(depth)
        return found


def _simple(first: int) -> bool | None:
    if first in _FLOATS:
        raise Malformed("float")
    if first not in _SIMPLE:
        raise Malformed("cbor")
    return _SIMPLE[first]


def encode(value: Any) -> bytes:
    """The one spelling of a value. Raises Malformed: depth, float, int, key, text, type."""
    out: list[bytes] = []
    _write(value, MAX_DEPTH, out)
    return b"".join(out)


def _write(value: Any, depth: int, out: list[bytes]) -> None:
    match value:
        case None:
            out.append(b"\xf6")
        case bool():
            out.append(b"\xf5" if value else b"\xf4")
        case int():
            if not INT_MIN <= value <= INT_MAX:
                raise Malformed("int")
            out.append(head(0, value) if value >= 0 else head(1, -1 - value))
        case Cid():
            out += (b"\xd8\x2a", _LINK_HEAD, value)
        case bytes():
            out += (head(2, len(value)), value)
        case str():
            raw = _utf8(value)
            out += (head(3, len(raw)), raw)
        case list() | dict() if depth > 0:
            _write_all(cast("Any", value), depth - 1, out)
        case _:
            _refuse(value)


def _write_all(value: list[Any] | dict[Any, Any], depth: int, out: list[bytes]) -> None:
    if isinstance(value, list):
        out.append(head(4, len(value)))
        for item in value:
            _write(item, depth, out)
        return
    if not all(isinstance(key, str) for key in value):
        raise Malformed("key")
    out.append(head(5, len(value)))
    for raw, item in sorted(((_utf8(key), item) for key, item in value.items()), key=lambda pair: _order(pair[0])):
        out += (head(3, len(raw)), raw)
        _write(item, depth, out)


def _order(key: bytes) -> tuple[int, bytes]:
    return len(key), key


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Malformed("text") from error


def _refuse(value: object) -> NoReturn:
    if isinstance(value, (list, dict)):
        raise Malformed("depth")
    raise Malformed("float" if isinstance(value, float) else "type")


def head(major: int, number: int) -> bytes:
    """The head of an item: its kind, and its number or length, as short as can be."""
    if number < 24:
        return bytes((major << 5 | number,))
    for short, (width, _) in _WIDTHS.items():
        if number < 1 << 8 * width:
            return bytes((major << 5 | short,)) + number.to_bytes(width, "big")
    raise Malformed("int")
