"""Definitions made into functions that check values against them, once (atproto.com/specs/lexicon). Pure.

Values are those of `cbor.py`, which sees to what the data model forbids anywhere. What a definition does not name may
be there.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, cast

from adapters.atproto import syntax
from adapters.atproto.cid import Cid
from bridged.api import Malformed, graphemes

MAX_INT: Final = 2**53 - 1
"""The data model has 64 bits; what is larger than this is no integer to who reads it with JavaScript."""

FORMATS: Final[Mapping[str, Callable[[str], bool]]] = {
    "at-identifier": syntax.is_at_identifier,
    "at-uri": syntax.is_at_uri,
    "cid": syntax.is_cid,
    "datetime": syntax.is_datetime,
    "did": syntax.is_did,
    "handle": syntax.is_handle,
    "language": syntax.is_language,
    "nsid": syntax.is_nsid,
    "record-key": syntax.is_record_key,
    "tid": syntax.is_tid,
    "uri": syntax.is_uri,
}

Check = Callable[[Any], None]
Defs = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Name of a lexicon -> name of a definition in it -> the definition."""


class Invalid(Malformed):
    """A record that may not be written; `path` leads to the fault, `what` says what it is."""

    def __init__(self, what: str) -> None:
        super().__init__("lexicon")
        self.what, self.path = what, ""

    def at(self, step: str) -> "Invalid":
        self.path = f"{step}.{self.path}" if self.path else step
        return self

    def __str__(self) -> str:
        return f"{self.path}: {self.what}" if self.path else self.what


class Lexicons:
    """KeyError for a definition that is not among `defs`, ValueError for one that makes no sense."""

    def __init__(self, defs: Defs) -> None:
        self._defs = defs
        self._made: dict[str, Check] = {}
        self._keys: dict[str, Check] = {}
        for name, own in defs.items():
            for part, definition in own.items():
                self._made[f"{name}#{part}"] = self._make(definition, name)
                if definition["type"] == "record":
                    self._keys[name] = _record_key(definition["key"])

    @property
    def collections(self) -> Collection[str]:
        return self._keys.keys()

    def validate(self, collection: str, rkey: str, record: Any) -> None:
        """Raises Invalid."""
        if collection not in self._keys:
            raise Invalid("collection")
        self._keys[collection](rkey)
        if not isinstance(record, dict) or cast("dict[str, Any]", record).get("$type") != collection:
            raise Invalid("collection").at("$type")
        self._made[f"{collection}#main"](record)

    def _full(self, name: str, lexicon: str) -> str:
        full = lexicon + name if name.startswith("#") else name if "#" in name else f"{name}#main"
        owner, _, part = full.partition("#")
        if part not in self._defs.get(owner, {}):
            raise KeyError(full)
        return full

    def _make(self, definition: Mapping[str, Any], lexicon: str) -> Check:
        match definition["type"]:
            case "record":
                return self._object(definition["record"], lexicon)
            case "object":
                return self._object(definition, lexicon)
            case "array":
                return self._array(definition, lexicon)
            case "ref":
                return self._ref(self._full(definition["ref"], lexicon))
            case "union":
                return self._union(definition, lexicon)
            case "token":
                return _nothing_is
            case kind if kind in _PLAIN:
                return _PLAIN[kind](definition)
            case kind:
                raise ValueError(kind)

    def _ref(self, full: str) -> Check:
        made = self._made  # what is referred to may come later

        def check(value: Any) -> None:
            made[full](value)

        return check

    def _object(self, definition: Mapping[str, Any], lexicon: str) -> Check:
        checks = {name: self._make(field, lexicon) for name, field in definition.get("properties", {}).items()}
        required = tuple(definition.get("required", ()))
        nullable = frozenset(definition.get("nullable", ()))

        def check(value: Any) -> None:
            if not isinstance(value, dict):
                raise Invalid("object")
            fields = cast("dict[str, Any]", value)
            for name in required:
                if name not in fields:
                    raise Invalid("missing").at(name)
            for name, field in fields.items():
                if name in checks and not (field is None and name in nullable):
                    try:
                        checks[name](field)
                    except Invalid as bad:
                        raise bad.at(name) from None

        return check

    def _array(self, definition: Mapping[str, Any], lexicon: str) -> Check:
        items = self._make(definition["items"], lexicon)
        least, most = _bounds(definition, "Length")

        def check(value: Any) -> None:
            if not isinstance(value, list):
                raise Invalid("array")
            elements = cast("list[Any]", value)
            if not least <= len(elements) <= most:
                raise Invalid("length")
            for number, element in enumerate(elements):
                try:
                    items(element)
                except Invalid as bad:
                    raise bad.at(str(number)) from None

        return check

    def _union(self, definition: Mapping[str, Any], lexicon: str) -> Check:
        names = [self._full(name, lexicon) for name in definition["refs"]]
        checks = {name: self._ref(name) for name in names}
        # a main definition is written without its name, and so it is in a value
        checks |= {name.removesuffix("#main"): checks[name] for name in names}
        closed = bool(definition.get("closed"))

        def check(value: Any) -> None:
            kind: Any = cast("dict[str, Any]", value).get("$type") if isinstance(value, dict) else None
            if not isinstance(kind, str):
                raise Invalid("union")
            if kind in checks:
                checks[kind](value)
            elif closed:
                raise Invalid("closed_union")

        return check


def _cid_link(value: Any) -> None:
    if not isinstance(value, Cid):
        raise Invalid("cid_link")


def _blob_of(value: Any) -> tuple[int, str]:
    """Its size in bytes, and its media type."""
    if not isinstance(value, dict):
        raise Invalid("blob")
    blob = cast("dict[str, Any]", value)
    size, mime = blob.get("size"), blob.get("mimeType")
    if blob.get("$type") != "blob" or not isinstance(blob.get("ref"), Cid):
        raise Invalid("blob")
    if type(size) is not int or size < 0 or not isinstance(mime, str) or "/" not in mime:
        raise Invalid("blob")
    return size, mime


def _bounds(definition: Mapping[str, Any], what: str) -> tuple[float, float]:
    return definition.get(f"min{what}", 0), definition.get(f"max{what}", float("inf"))


def _string(definition: Mapping[str, Any]) -> Check:
    shortest, longest = _bounds(definition, "Length")
    fewest, most = _bounds(definition, "Graphemes")
    allowed = _allowed(definition)
    form = FORMATS[definition["format"]] if "format" in definition else None
    sized, counted = (shortest, longest) != (0, float("inf")), (fewest, most) != (0, float("inf"))

    def check(value: Any) -> None:
        if not isinstance(value, str):
            raise Invalid("string")
        if allowed is not None and value not in allowed:
            raise Invalid("value")
        if sized and not shortest <= (len(value) if value.isascii() else len(value.encode())) <= longest:
            raise Invalid("length")
        if counted and not fewest <= graphemes(value) <= most:
            raise Invalid("graphemes")
        if form is not None and not form(value):
            raise Invalid(definition["format"])

    return check


def _integer(definition: Mapping[str, Any]) -> Check:
    least, most = definition.get("minimum", -MAX_INT), definition.get("maximum", MAX_INT)
    allowed = _allowed(definition)

    def check(value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise Invalid("integer")
        if not least <= value <= most:
            raise Invalid("range")
        if allowed is not None and value not in allowed:
            raise Invalid("value")

    return check


def _boolean(definition: Mapping[str, Any]) -> Check:
    allowed = _allowed(definition)

    def check(value: Any) -> None:
        if not isinstance(value, bool):
            raise Invalid("boolean")
        if allowed is not None and value not in allowed:
            raise Invalid("value")

    return check


def _allowed(definition: Mapping[str, Any]) -> frozenset[Any] | None:
    if "const" in definition:
        return frozenset({definition["const"]})
    return frozenset(definition["enum"]) if "enum" in definition else None


def _bytes(definition: Mapping[str, Any]) -> Check:
    least, most = _bounds(definition, "Length")

    def check(value: Any) -> None:
        if not isinstance(value, bytes) or isinstance(value, Cid):
            raise Invalid("bytes")
        if not least <= len(value) <= most:
            raise Invalid("length")

    return check


def _link(_: Mapping[str, Any]) -> Check:
    return _cid_link


def _blob(definition: Mapping[str, Any]) -> Check:
    largest = definition.get("maxSize", float("inf"))
    accepted = tuple(definition.get("accept", ("*/*",)))
    whole = frozenset(name for name in accepted if "*" not in name)
    families = tuple(name.partition("*")[0] for name in accepted if "*" in name)

    def check(value: Any) -> None:
        size, mime = _blob_of(value)
        if size > largest:
            raise Invalid("blob_size")
        # "" is the beginning of every name: */*
        if mime not in whole and not mime.startswith(families):
            raise Invalid("blob_type")

    return check


def _unknown(_: Mapping[str, Any]) -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, dict) or cast("dict[str, Any]", value).get("$type") == "blob":
            raise Invalid("unknown")

    return check


def _nothing_is(_: Any) -> None:
    """A token is a name, not a value."""
    raise Invalid("token")


def _record_key(kind: str) -> Check:
    literal = kind.removeprefix("literal:")
    fits: dict[str, Callable[[str], bool]] = {"tid": syntax.is_tid, "nsid": syntax.is_nsid, "any": syntax.is_record_key}
    form = fits.get(kind, lambda value: value == literal)

    def check(rkey: Any) -> None:
        if not isinstance(rkey, str) or not syntax.is_record_key(rkey) or not form(rkey):
            raise Invalid("record_key")

    return check


_PLAIN: Final[Mapping[str, Callable[[Mapping[str, Any]], Check]]] = {
    "string": _string,
    "integer": _integer,
    "boolean": _boolean,
    "bytes": _bytes,
    "cid-link": _link,
    "blob": _blob,
    "unknown": _unknown,
}
