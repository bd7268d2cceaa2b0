"""DAG-CBOR as AT Protocol has it (DRISL): one spelling for each value, no floats, links of one kind. Pure.

libipld does the work, and is fast; what it lets pass is caught here. It takes a kilobyte of stack for each level, and
ends the process where there is none left: what could nest that deep goes the slow way (`drisl.py`). It reads long
spellings of lengths and numbers: what it read is written again and compared. It tells a link from bytes by their look
alone, so that one signature in a few thousand would be written as a link: bytes that look like one go the slow way.

A value is None, bool, int of 64 bits, str, bytes, Cid, a list of values, or a dict of str to values.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import Any, Final, cast

import libipld

from adapters.atproto import drisl
from adapters.atproto.cid import Cid, is_blessed
from adapters.atproto.drisl import INT_MAX, INT_MIN, MAX_DEPTH
from bridged.api import Malformed

MAX_SIZE: Final = 1 << 20
"""Longest record, in bytes (atproto.com/specs/sync)."""
MAX_TEXT: Final = 2 * MAX_SIZE

_LINK: Final = 0xD8
_HEADS: Final = bytes((*range(0x81, 0xA0), *range(0xA1, 0xC0)))
"""What a list or map that is not empty begins with."""
_NESTABLE: Final = 256
_BASE64: Final = re.compile("[A-Za-z0-9+/]*={0,2}")

_write = cast("Any", libipld.encode_dag_cbor)
_read = cast("Any", libipld.decode_dag_cbor)


class _LooksLikeALink(Exception):
    pass


def encode(value: Any) -> bytes:
    """The one spelling of a value. Raises Malformed with the reason for what is no value, or nests too deep."""
    try:
        _check(value, MAX_DEPTH)
    except _LooksLikeALink:
        return drisl.encode(value)
    try:
        return _write(value)
    except ValueError as error:  # lone surrogates, the rest was checked
        raise Malformed("text") from error


def decode(data: bytes, max_size: int = MAX_SIZE) -> Any:
    """The value that `data` spells. Raises Malformed: size, cbor, canonical, depth, float, int, cid."""
    if len(data) > max_size:
        raise Malformed("size")
    if _may_nest(data):
        return drisl.decode(data)
    try:
        value = _read(data)
        again = _write(value)
    except (ValueError, RecursionError) as error:
        raise Malformed("cbor") from error
    return _typed(value, MAX_DEPTH) if again == data else drisl.decode(data)


def read_plain(data: bytes) -> Any:
    """What libipld makes of `data`, links being plain bytes: for who writes it again, and compares.

    Raises Malformed: cbor, depth.
    """
    if _may_nest(data):
        return drisl.decode(data)
    try:
        return _read(data)
    except (ValueError, RecursionError) as error:
        raise Malformed("cbor") from error


def looks_like_a_link(data: bytes) -> bool:
    """Whether libipld takes bytes for a link."""
    return _write(bytes(data))[0] == _LINK


def _may_nest(data: bytes) -> bool:
    """Whether there are more heads of lists and maps than libipld is trusted with; text of other scripts counts too."""
    return len(data) - len(data.translate(None, _HEADS)) > _NESTABLE


def _check(value: Any, depth: int) -> None:
    kind = cast("Any", type(value))
    if kind is str or kind is bool or kind is Cid or value is None:
        return
    if kind is int:
        if not INT_MIN <= value <= INT_MAX:
            raise Malformed("int")
    elif kind is dict:
        if depth == 0:
            raise Malformed("depth")
        for key, item in cast("dict[Any, Any]", value).items():
            if type(key) is not str:
                raise Malformed("key")
            if type(item) is not str:
                _check(item, depth - 1)
    elif kind is list:
        if depth == 0:
            raise Malformed("depth")
        for item in cast("list[Any]", value):
            _check(item, depth - 1)
    elif kind is bytes:
        if looks_like_a_link(value):
            raise _LooksLikeALink
    else:
        raise Malformed("float" if kind is float else "type")


def _typed(value: Any, depth: int) -> Any:
    """The value with its links made Cid. It is known to be spelled as libipld does: what looks like a link is one."""
    kind = cast("Any", type(value))
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        if not INT_MIN <= value <= INT_MAX:
            raise Malformed("int")
        return value
    if kind is bytes:
        if is_blessed(value):
            return Cid(value)
        if looks_like_a_link(value):
            raise Malformed("cid")
        return value
    if kind is float:
        raise Malformed("float")
    if depth == 0:
        raise Malformed("depth")
    if kind is list:
        return [_typed(item, depth - 1) for item in value]
    found: dict[str, Any] = value
    for key, item in found.items():
        if type(item) is not str:
            found[key] = _typed(item, depth - 1)
    return found


def to_json(value: Any) -> Any:
    """The value as JSON has it: links as `{"$link": …}`, bytes as `{"$bytes": …}` without padding."""
    if isinstance(value, Cid):
        return {"$link": str(value)}
    if isinstance(value, bytes):
        return {"$bytes": b64encode(value).decode().rstrip("=")}
    if isinstance(value, list):
        return [to_json(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


def from_json(value: Any) -> Any:
    """The value that parsed JSON stands for (atproto.com/specs/data-model).

    Raises Malformed: type, float, int, depth, link, bytes, blob.
    """
    return _from_json(value, MAX_DEPTH)


def record_from_json(value: Any) -> dict[str, Any]:
    """`from_json` of a record, which is a map. Raises Malformed as it does."""
    if not isinstance(value, dict):
        raise Malformed("type")
    return _from_json(value, MAX_DEPTH)


def _from_json(value: Any, depth: int) -> Any:
    if isinstance(value, (dict, list)) and depth == 0:
        raise Malformed("depth")
    if isinstance(value, dict):
        return _object(cast("dict[str, Any]", value), depth)
    if isinstance(value, list):
        return [_from_json(item, depth - 1) for item in cast("list[Any]", value)]
    if isinstance(value, float):
        if not value.is_integer():
            raise Malformed("float")
        value = int(value)
    if isinstance(value, int) and not INT_MIN <= value <= INT_MAX:
        raise Malformed("int")
    if value is None or isinstance(value, (str, int)):
        return value
    raise Malformed("type")


def _object(value: dict[str, Any], depth: int) -> Any:
    if "$link" in value:
        if len(value) != 1 or not isinstance(value["$link"], str):
            raise Malformed("link")
        return Cid.parse(value["$link"])
    if "$bytes" in value:
        return _bytes(value)
    found = {key: _from_json(item, depth - 1) for key, item in value.items()}
    kind = found.get("$type", "none")
    if not isinstance(kind, str) or not kind:
        raise Malformed("type")
    if kind == "blob" and not (
        isinstance(found.get("ref"), Cid)
        and isinstance(found.get("mimeType"), str)
        and type(found.get("size")) is int
        and found["size"] >= 0
    ):
        raise Malformed("blob")
    return found


def _bytes(value: dict[str, Any]) -> bytes:
    text = value["$bytes"]
    if len(value) != 1 or not isinstance(text, str) or _BASE64.fullmatch(text) is None:
        raise Malformed("bytes")
    text = text.rstrip("=")
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except Base64Error as error:
        raise Malformed("bytes") from error
