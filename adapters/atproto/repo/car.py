"""CAR files, version 1: blocks one after the other, each under its content id. Pure.

What is read is somebody else's: sizes and counts are bounded, and every block is held against its id.
"""

from collections.abc import Iterable
from typing import Any, Final, cast

from adapters.atproto import cbor
from adapters.atproto.cid import DAG_CBOR, SIZE, Cid, is_blessed
from bridged.api import Malformed

MAX_BLOCK: Final = 1 << 21
MAX_BLOCKS: Final = 1_000_000
_MAX_HEADER: Final = 1024


def header(root: Cid) -> bytes:
    """What a file begins with."""
    return root.join(_HEADER)


def section(cid: Cid, data: bytes) -> bytes:
    """One block of a file."""
    return _varint(SIZE + len(data)) + cid + data


def write(root: Cid, blocks: Iterable[tuple[Cid, bytes]]) -> bytes:
    """A file of these blocks, in their order."""
    pieces = [header(root)]
    for cid, data in blocks:
        pieces += (_varint(SIZE + len(data)), cid, data)
    return b"".join(pieces)


def read(data: bytes, max_size: int, max_blocks: int = MAX_BLOCKS) -> tuple[Cid, dict[Cid, bytes]]:
    """The root and the blocks of a file with one root.

    Raises Malformed: size, car, cid; and as `cbor.decode` for the header. The root need not be among the blocks.
    """
    if len(data) > max_size:
        raise Malformed("size")
    size, at = _read_varint(data, 0)
    if not 0 < size <= _MAX_HEADER:
        raise Malformed("car")
    root = _root(cbor.decode(data[at : at + size]))
    at += size
    blocks: dict[Cid, bytes] = {}
    while at < len(data):
        size, at = _read_varint(data, at)
        end = at + size
        if not SIZE <= size <= MAX_BLOCK or end > len(data) or len(blocks) == max_blocks:
            raise Malformed("car")
        name, block = data[at : at + SIZE], data[at + SIZE : end]
        if not is_blessed(name):
            raise Malformed("cid")
        cid = Cid(name)
        if not cid.names(block):
            raise Malformed("cid")
        blocks[cid] = block
        at = end
    return root, blocks


def _root(head: Any) -> Cid:
    if not isinstance(head, dict):
        raise Malformed("car")
    fields = cast("dict[str, Any]", head)
    roots = fields.get("roots")
    if fields.get("version") != 1 or not isinstance(roots, list):
        raise Malformed("car")
    match cast("list[Any]", roots):
        case [Cid() as root, *_] if root.codec == DAG_CBOR:
            return root
        case _:
            raise Malformed("car")


def _varint(number: int) -> bytes:
    if 0x7F < number <= 0x3FFF:  # most are
        return bytes((number & 0x7F | 0x80, number >> 7))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """(number, where it ends). At most four bytes, as short as can be: nothing here is longer than that says."""
    number = 0
    for place, byte in enumerate(data[at : at + 4]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            if byte == 0 and place:
                break
            return number, at + place + 1
    raise Malformed("car")


def _header() -> tuple[bytes, bytes]:
    """What a header has before its root, and after it."""
    root = Cid.of(b"")
    whole = cbor.encode({"version": 1, "roots": [root]})
    before, _, after = (_varint(len(whole)) + whole).partition(root)
    return before, after


_HEADER: Final = _header()
