"""Frames of NIP-01, 42, 45 and 77 as a relay reads and writes them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from adapters.nostr.filters import DEFAULT_BOUNDS, BadFilter, Bounds, Filter, parse_filter
from adapters.nostr.ids import is_hex
from adapters.nostr.relay.limits import MAX_FILTERS, MAX_SUBSCRIPTION_ID
from adapters.nostr.relay.search import MAX_SEARCHES
from adapters.nostr.wire import BadFrame

_array: Final = msgspec.json.Decoder(list[msgspec.Raw])
_text: Final = msgspec.json.Decoder(str)
_encoder: Final = msgspec.json.Encoder()


class _WithId(msgspec.Struct):
    id: str


_with_id: Final = msgspec.json.Decoder(_WithId)


@dataclass(frozen=True, slots=True)
class Publish:
    """EVENT; the event unparsed."""

    event: bytes


@dataclass(frozen=True, slots=True)
class Auth:
    """AUTH; the event unparsed."""

    event: bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """REQ, or COUNT; `filters` unparsed."""

    subscription: str
    filters: tuple[bytes, ...]
    counting: bool


@dataclass(frozen=True, slots=True)
class Close:
    subscription: str


@dataclass(frozen=True, slots=True)
class Sync:
    """NEG-OPEN with its `filter` unparsed, or NEG-MSG without one; `message` is binary."""

    subscription: str
    message: bytes
    filter: bytes | None


@dataclass(frozen=True, slots=True)
class EndSync:
    """NEG-CLOSE."""

    subscription: str


Frame = Publish | Auth | Ask | Close | Sync | EndSync


def parse(data: str) -> Frame:
    """What a client sent. Raises BadFrame, whose reason is a message for the client."""
    try:
        items = _array.decode(data)
        name = _text.decode(items[0])
        match name, len(items):
            case "EVENT", 2:
                return Publish(bytes(items[1]))
            case "AUTH", 2:
                return Auth(bytes(items[1]))
            case (("REQ" | "COUNT"), size) if size >= 2:
                return Ask(_subscription(items[1]), tuple(bytes(item) for item in items[2:]), name == "COUNT")
            case "CLOSE", 2:
                return Close(_subscription(items[1]))
            case "NEG-OPEN", 4:
                return Sync(_subscription(items[1]), _binary(items[3]), bytes(items[2]))
            case "NEG-MSG", 3:
                return Sync(_subscription(items[1]), _binary(items[2]), None)
            case "NEG-CLOSE", 2:
                return EndSync(_subscription(items[1]))
            case (("EVENT" | "AUTH" | "REQ" | "COUNT" | "CLOSE" | "NEG-OPEN" | "NEG-MSG" | "NEG-CLOSE"), _):
                raise BadFrame("invalid: wrong number of elements")
            case _:
                raise BadFrame("invalid: unknown kind of message")
    except (msgspec.MsgspecError, UnicodeError, RecursionError, IndexError):
        raise BadFrame("invalid: not a message of NIP-01") from None


def parse_filters(sources: Sequence[bytes], bounds: Bounds = DEFAULT_BOUNDS) -> tuple[Filter, ...]:
    """Raises BadFilter."""
    if not sources:
        raise BadFilter("no_filter")
    if len(sources) > MAX_FILTERS:
        raise BadFilter("too_many_filters")
    try:
        decoded = [msgspec.json.decode(source) for source in sources]
    # ValueError covers integers of thousands of digits.
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise BadFilter("not_json") from None
    filters = tuple(parse_filter(source, bounds) for source in decoded)
    if sum(filter_.search is not None for filter_ in filters) > MAX_SEARCHES:
        raise BadFilter("too_many_searches")
    return filters


def claimed_id(event: bytes) -> str:
    """The id that a malformed event gives itself, to answer it by; "" when there is none."""
    try:
        event_id = _with_id.decode(event).id
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""
    return event_id if is_hex(event_id) else ""


def event_head(subscription: str) -> bytes:
    """What goes before an event's JSON; `]` goes after it."""
    return b'["EVENT",' + _encoder.encode(subscription) + b","


def ok(event_id: str, accepted: bool, message: str) -> bytes:
    return _encoder.encode(["OK", event_id, accepted, message])


def eose(subscription: str) -> bytes:
    return _encoder.encode(["EOSE", subscription])


def closed(subscription: str, message: str) -> bytes:
    return _encoder.encode(["CLOSED", subscription, message])


def notice(message: str) -> bytes:
    return _encoder.encode(["NOTICE", message])


def challenge(text: str) -> bytes:
    return _encoder.encode(["AUTH", text])


def counted(subscription: str, number: int, most: int) -> bytes:
    """NIP-45; a number above `most` is known only to be that."""
    answer: dict[str, object] = {"count": min(number, most)}
    if number > most:
        answer["approximate"] = True
    return _encoder.encode(["COUNT", subscription, answer])


def sync(subscription: str, message: bytes) -> bytes:
    return _encoder.encode(["NEG-MSG", subscription, message.hex()])


def sync_ended(subscription: str, message: str) -> bytes:
    return _encoder.encode(["NEG-ERR", subscription, message])


def _binary(item: msgspec.Raw) -> bytes:
    try:
        return bytes.fromhex(_text.decode(item))
    except ValueError:  # msgspec's own errors are among them
        raise BadFrame("invalid: a message of NIP-77 is in hex") from None


def _subscription(item: msgspec.Raw) -> str:
    text = _text.decode(item)
    text.encode()  # raises what `parse` catches for a lone surrogate
    if not 1 <= len(text) <= MAX_SUBSCRIPTION_ID:
        raise BadFrame(f"invalid: a subscription id has 1 to {MAX_SUBSCRIPTION_ID} characters")
    return text
