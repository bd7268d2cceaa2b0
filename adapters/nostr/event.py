"""The Nostr event (NIP-01): parsing hostile input, ids, signatures, JSON out.

`parse_event` checks the shape only; `verify` then checks the id and the signature. Nothing may be remembered
of an event ("seen", a cursor, a profile) before `verify` has passed.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NoReturn, cast

import msgspec

from adapters.nostr import signing

MAX_BYTES: Final = 64 * 1024
"""Largest JSON text of an event."""
MAX_TAGS: Final = 2000
MAX_KIND: Final = 65_535
DELETION, VANISH, GIFT_WRAP = 5, 62, 1059
"""The kinds of NIP-09, NIP-62 and NIP-59."""
MAX_CREATED_AT: Final = 253_402_300_799
"""Last second of the year 9999, the end of what `datetime` holds."""

_HEX_64: Final = re.compile("[0-9a-f]{64}")
_HEX_128: Final = re.compile("[0-9a-f]{128}")


class BadEvent(ValueError):
    """An event is refused; `reason` is a short snake_case word that never holds the input.

    not_json, not_an_object, duplicate_key, surrogate, too_large, too_many_tags; missing_FIELD; for a wrong
    type, range or spelling the name of the field; and of `verify`: id, signature.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Event(msgspec.Struct, frozen=True, gc=False):
    """A well-formed event: `id` and `pubkey` 64, `sig` 128 lowercase hex digits, `created_at` in seconds."""

    id: str
    pubkey: str
    created_at: int
    kind: int
    tags: tuple[tuple[str, ...], ...]
    content: str
    sig: str


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Event)


def event_id(pubkey: str, created_at: int, kind: int, tags: Sequence[Sequence[str]], content: str) -> str:
    """The SHA-256, in hex, of NIP-01's serialisation; BadEvent("surrogate") for text UTF-8 cannot hold."""
    try:
        serialised = _encoder.encode((0, pubkey, created_at, kind, tags, content))
    except UnicodeEncodeError:
        raise BadEvent("surrogate") from None
    return hashlib.sha256(serialised).hexdigest()


def to_json(event: Event) -> bytes:
    """The compact JSON text, in UTF-8, as it goes over the wire."""
    return _encoder.encode(event)


def parse_event(source: object) -> Event:
    """The event in a JSON text (bytes, str or msgspec.Raw) or in an already decoded JSON object (dict).

    Give the text where there is one: duplicate keys can no longer be seen in a decoded object. Members other
    than NIP-01's seven are ignored. Raises BadEvent; does not check the id or the signature.
    """
    if isinstance(source, str):
        try:
            text = source.encode()
        except UnicodeEncodeError:
            raise BadEvent("surrogate") from None
    elif isinstance(source, bytes | msgspec.Raw):
        text = bytes(source)
    else:
        return _from_object(source)
    if len(text) > MAX_BYTES:
        raise BadEvent("too_large")
    try:
        event = _decoder.decode(text)
    # Decoding reports what it dislikes in several ways; the slow path finds the reason.
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _from_text(text)
    if _is_canonical(event, text):
        return event
    return _from_text(text)


def verify(event: Event) -> None:
    """Check the id, then the signature: BadEvent("id") or BadEvent("signature")."""
    if event_id(event.pubkey, event.created_at, event.kind, event.tags, event.content) != event.id:
        raise BadEvent("id")
    signature, message, key = bytes.fromhex(event.sig), bytes.fromhex(event.id), bytes.fromhex(event.pubkey)
    if not signing.verify(signature, message, key):
        raise BadEvent("signature")


def sign(secret: bytes, kind: int, created_at: int, tags: Iterable[Iterable[str]], content: str) -> Event:
    """The signed event of a template; a pure function of its arguments.

    Raises signing.InvalidSecretKey, or BadEvent for a template that is no event.
    """
    keypair = signing.keypair(secret)
    template = {
        "id": "0" * 64,
        "pubkey": keypair.public_key.hex(),
        "created_at": created_at,
        "kind": kind,
        "tags": [tuple(tag) for tag in tags],
        "content": content,
        "sig": "0" * 128,
    }
    unsigned = _from_object(template)
    identifier = event_id(unsigned.pubkey, created_at, kind, unsigned.tags, content)
    signature = keypair.sign(bytes.fromhex(identifier))
    return msgspec.structs.replace(unsigned, id=identifier, sig=signature.hex())


def is_replaceable(kind: int) -> bool:
    """Whether only the newest event of an author is kept (NIP-01: 0, 3, 10000–19999)."""
    return kind in (0, 3) or 10_000 <= kind < 20_000


def is_ephemeral(kind: int) -> bool:
    """Whether events are passed on but not kept (NIP-01: 20000–29999)."""
    return 20_000 <= kind < 30_000


def is_addressable(kind: int) -> bool:
    """Whether only the newest event of an author and `d` tag is kept (NIP-01: 30000–39999)."""
    return 30_000 <= kind < 40_000


def address(event: Event) -> str | None:
    """`kind:pubkey:d` of an addressable, `kind:pubkey:` of a replaceable event, else None (NIP-01)."""
    if is_replaceable(event.kind):
        return f"{event.kind}:{event.pubkey}:"
    if is_addressable(event.kind):
        tag = first_tag(event, "d")
        return f"{event.kind}:{event.pubkey}:{tag[1] if tag and len(tag) > 1 else ''}"
    return None


def supersedes(new: Event, old: Event) -> bool:
    """Which of two events of one address stays: the newer, at equal `created_at` the lowest id (NIP-01)."""
    return (-new.created_at, new.id) < (-old.created_at, old.id)


def first_tag(event: Event, name: str) -> tuple[str, ...] | None:
    """The first tag of that name, its name included."""
    for tag in event.tags:
        if tag[0] == name:
            return tag
    return None


def tag_values(event: Event, name: str) -> tuple[str, ...]:
    """The value (second string) of every tag of that name which has one, in order."""
    return tuple(tag[1] for tag in event.tags if len(tag) > 1 and tag[0] == name)


def _is_canonical(event: Event, text: bytes) -> bool:
    """Whether the text is sure to hold this valid event and nothing else.

    Our encoding is the shortest JSON text of an event (the decoder takes integers without exponent only), so
    a text of the same length has no room for a duplicate key, another member or a longer spelling.
    """
    try:
        return (
            len(_encoder.encode(event)) == len(text)
            and _HEX_64.fullmatch(event.id) is not None
            and _HEX_64.fullmatch(event.pubkey) is not None
            and _HEX_128.fullmatch(event.sig) is not None
            and 0 <= event.kind <= MAX_KIND
            and 0 <= event.created_at <= MAX_CREATED_AT
            and len(event.tags) <= MAX_TAGS
            and () not in event.tags
        )
    except (UnicodeEncodeError, OverflowError):
        return False


def _from_text(text: bytes) -> Event:
    """Parse with the standard library, which shows every member: slower, and strict with the hooks given."""
    try:
        decoded = json.loads(text.decode(), object_pairs_hook=_unique_members, parse_constant=_refuse_constant)
    except BadEvent:
        raise
    # ValueError covers bad UTF-8, bad JSON and integers of thousands of digits.
    except (ValueError, RecursionError):
        raise BadEvent("not_json") from None
    return _from_object(decoded)


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise BadEvent("duplicate_key")
    return members


def _refuse_constant(_: str) -> NoReturn:
    raise BadEvent("not_json")


def _from_object(source: object) -> Event:
    if not isinstance(source, dict):
        raise BadEvent("not_an_object")
    members = cast(dict[object, object], source)
    event = Event(
        id=_string(members, "id", _HEX_64),
        pubkey=_string(members, "pubkey", _HEX_64),
        created_at=_integer(members, "created_at", MAX_CREATED_AT),
        kind=_integer(members, "kind", MAX_KIND),
        tags=_tags(_member(members, "tags")),
        content=_string(members, "content"),
        sig=_string(members, "sig", _HEX_128),
    )
    try:
        size = len(_encoder.encode(event))
    except UnicodeEncodeError:
        raise BadEvent("surrogate") from None
    if size > MAX_BYTES:
        raise BadEvent("too_large")
    return event


def _member(members: dict[object, object], name: str) -> object:
    if name not in members:
        raise BadEvent(f"missing_{name}")
    return members[name]


# `type` and not `isinstance`: bool is an int to Python, and a subclass may answer as it likes.


def _integer(members: dict[object, object], name: str, highest: int) -> int:
    value = _member(members, name)
    if type(value) is not int or not 0 <= value <= highest:
        raise BadEvent(name)
    return value


def _string(members: dict[object, object], name: str, pattern: re.Pattern[str] | None = None) -> str:
    value = _member(members, name)
    if type(value) is not str or (pattern is not None and pattern.fullmatch(value) is None):
        raise BadEvent(name)
    return value


def _tags(source: object) -> tuple[tuple[str, ...], ...]:
    """NIP-01: an array of arrays of one or more strings."""
    if not isinstance(source, list | tuple):
        raise BadEvent("tags")
    rows = cast(Sequence[object], source)
    if len(rows) > MAX_TAGS:
        raise BadEvent("too_many_tags")
    tags: list[tuple[str, ...]] = []
    for row in rows:
        if not isinstance(row, list | tuple) or not row:
            raise BadEvent("tags")
        values = cast(Sequence[object], row)
        for value in values:
            if type(value) is not str:
                raise BadEvent("tags")
        tags.append(cast(tuple[str, ...], tuple(values)))
    return tuple(tags)
