"""A short way to write schemas: each call gives a definition as lexicon JSON has it (atproto.com/specs/lexicon)."""

from typing import Any

Def = dict[str, Any]


def record(key: str, fields: Def) -> Def:
    """`key` says what record keys may be: tid, nsid, any, literal:<key>."""
    return {"type": "record", "key": key, "record": obj(fields)}


def obj(fields: Def) -> Def:
    """A field whose name ends in "?" may be absent."""
    must = [name for name in fields if not name.endswith("?")]
    properties = {name.removesuffix("?"): field for name, field in fields.items()}
    return {"type": "object", **({"required": must} if must else {}), "properties": properties}


def text(bytes: int | None = None, graphemes: int | None = None, known: tuple[str, ...] = ()) -> Def:
    """`bytes` and `graphemes` at most; other values than the `known` are fine."""
    return {
        "type": "string",
        **({} if bytes is None else {"maxLength": bytes}),
        **({} if graphemes is None else {"maxGraphemes": graphemes}),
        **({"knownValues": list(known)} if known else {}),
    }


def form(name: str) -> Def:
    """A string of a format: did, at-uri, datetime, …"""
    return {"type": "string", "format": name}


def number(least: int) -> Def:
    return {"type": "integer", "minimum": least}


def listed(items: Def, most: int | None = None) -> Def:
    return {"type": "array", "items": items, **({} if most is None else {"maxLength": most})}


def ref(name: str) -> Def:
    """`#name` is in the same file; a name without `#` means its `main`."""
    return {"type": "ref", "ref": name}


def union(*refs: str) -> Def:
    """One of these, told by its $type; other types than these are fine."""
    return {"type": "union", "refs": list(refs)}


def blob(size: int, *accept: str) -> Def:
    """A file of at most `size` bytes, of one of these media types."""
    return {"type": "blob", "accept": list(accept), "maxSize": size}


def flag() -> Def:
    return {"type": "boolean"}
