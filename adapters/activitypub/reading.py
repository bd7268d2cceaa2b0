"""JSON from strangers, read within bounds. Pure."""

import json
import math
import re
from typing import Any, cast

from bridged.api import Malformed

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_VALUES = 50_000
MAX_DIGITS = 19
"""Longest integer read, sign included: none of ours is larger, and longer ones are slow to parse."""

Object = dict[str, Any]

_SUSPECT = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")
"""What may be a surrogate or NUL."""


def read_object(body: bytes) -> Object:
    """The JSON object in `body` (RFC 8259), what is not interoperable refused: RFC 7493 (I-JSON) §2.

    NUL is refused too: databases take none, so no honest server has any to send. Raises Malformed: too_big, not_utf8,
    not_json, duplicate_key, number, surrogate, nul, too_deep, too_many_values, not_an_object.
    """
    if len(body) > MAX_BYTES:
        raise Malformed("too_big")
    try:
        read = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_bounded,
        )
    except UnicodeDecodeError:
        raise Malformed("not_utf8") from None
    except RecursionError:
        raise Malformed("too_deep") from None
    except ValueError:
        raise Malformed("not_json") from None
    if not isinstance(read, dict):
        raise Malformed("not_an_object")
    found = cast(Object, read)
    # every value takes a byte, and every level a bracket: most bodies are too small to be counted through
    if len(body) > MAX_VALUES or body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        _check_extent(found)
    if _SUSPECT.search(body):
        _check_letters(found)
    return found


def _unique(pairs: list[tuple[str, Any]]) -> Object:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("duplicate_key")
    return found


def _refuse_constant(_: str) -> float:
    raise Malformed("number")


def _finite(text: str) -> float:
    value = float(text) if len(text) <= 64 else math.inf
    if not math.isfinite(value):
        raise Malformed("number")
    return value


def _bounded(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise Malformed("number")
    return int(text)


def _check_extent(root: Object) -> None:
    level: list[Any] = [root]
    seen = 0
    depth = 0
    while level:
        depth += 1
        seen += len(level)
        if depth > MAX_DEPTH:
            raise Malformed("too_deep")
        if seen > MAX_VALUES:
            raise Malformed("too_many_values")
        below: list[Any] = []
        for value in level:
            below.extend(cast(Object, value).values() if isinstance(value, dict) else value)
            if seen + len(below) > MAX_VALUES:
                raise Malformed("too_many_values")
        seen += sum(not isinstance(value, dict | list) for value in below)
        level = [value for value in below if isinstance(value, dict | list)]


def _check_letters(root: Object) -> None:
    written = json.dumps(root, ensure_ascii=False)
    try:
        written.encode("utf-8")
    except UnicodeEncodeError:
        raise Malformed("surrogate") from None
    if re.search(r"(?<!\\)(?:\\\\)*\\u0000", written):
        raise Malformed("nul")
