"""NIP-01 frames between a client and a relay, and what a relay's answers mean. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from adapters.nostr import event as events
from adapters.nostr.event import Event
from adapters.nostr.filters import Filter, to_object

MAX_FRAME: Final = 256 * 1024
"""Bytes of a frame from a relay: an event of 64 KiB may be written with escapes."""
MAX_MESSAGE: Final = 300
"""Characters of a relay's own words that are kept."""

_array: Final = msgspec.json.Decoder(list[msgspec.Raw])
_text: Final = msgspec.json.Decoder(str)
_truth: Final = msgspec.json.Decoder(bool)


class BadFrame(ValueError):
    """A frame is refused; `reason` is a short snake_case word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class EventFrame:
    """An event for a subscription, unparsed."""

    subscription: str
    event: bytes


@dataclass(frozen=True, slots=True)
class OkFrame:
    """The answer to an EVENT or AUTH. `id` is empty from relays that do not care."""

    id: str
    accepted: bool
    message: str


@dataclass(frozen=True, slots=True)
class EoseFrame:
    subscription: str


@dataclass(frozen=True, slots=True)
class ClosedFrame:
    subscription: str
    message: str


@dataclass(frozen=True, slots=True)
class NoticeFrame:
    message: str


@dataclass(frozen=True, slots=True)
class AuthFrame:
    challenge: str


@dataclass(frozen=True, slots=True)
class NegFrame:
    """A message of a reconciliation (NIP-77), or the reason why there is none."""

    name: str
    message: bytes = b""
    error: str = ""


Frame = EventFrame | OkFrame | EoseFrame | ClosedFrame | NoticeFrame | AuthFrame | NegFrame


def parse_frame(data: str | bytes) -> Frame | None:
    """What a relay sent; None for a kind of frame we never asked for. Raises BadFrame."""
    try:
        items = _array.decode(data)
        name = _text.decode(items[0])
        match name, len(items):
            case "EVENT", size if size >= 3:
                return EventFrame(_text.decode(items[1]), bytes(items[2]))
            case "OK", size if size >= 3:
                return OkFrame(_text.decode(items[1]), _truth.decode(items[2]), _message(items, 3))
            case "EOSE", size if size >= 2:
                return EoseFrame(_text.decode(items[1]))
            case "CLOSED", size if size >= 2:
                return ClosedFrame(_text.decode(items[1]), _message(items, 2))
            case "NOTICE", _:
                return NoticeFrame(_message(items, 1))
            case "AUTH", size if size >= 2:
                challenge = _text.decode(items[1])
                if not challenge or len(challenge) > 1024:
                    raise BadFrame("challenge")
                return AuthFrame(challenge)
            case "NEG-MSG", size if size >= 3:
                return NegFrame(_text.decode(items[1]), bytes.fromhex(_text.decode(items[2])))
            case "NEG-ERR", size if size >= 2:
                return NegFrame(_text.decode(items[1]), error=_message(items, 2) or "error")
            case (("EVENT" | "OK" | "EOSE" | "CLOSED" | "AUTH" | "NEG-MSG" | "NEG-ERR"), _):
                raise BadFrame("frame")
            case _:
                return None
    except BadFrame:
        raise
    except (msgspec.MsgspecError, ValueError, RecursionError, IndexError):
        raise BadFrame("frame") from None


def req(subscription: str, filters: Iterable[Filter]) -> str:
    return msgspec.json.encode(["REQ", subscription, *map(to_object, filters)]).decode()


def close(subscription: str) -> str:
    return msgspec.json.encode(["CLOSE", subscription]).decode()


def publish(event: bytes) -> str:
    """`event` goes out byte for byte."""
    return f'["EVENT",{event.decode()}]'


def auth(event: Event) -> str:
    return f'["AUTH",{events.to_json(event).decode()}]'


def neg_open(name: str, filter_: Filter, message: bytes) -> str:
    return msgspec.json.encode(["NEG-OPEN", name, to_object(filter_), message.hex()]).decode()


def neg_msg(name: str, message: bytes) -> str:
    return msgspec.json.encode(["NEG-MSG", name, message.hex()]).decode()


def neg_close(name: str) -> str:
    return msgspec.json.encode(["NEG-CLOSE", name]).decode()


def prefix(message: str) -> str:
    """NIP-01's machine-readable first word of an OK or CLOSED message, "" where there is none."""
    word, colon, _ = message.partition(":")
    return word if colon and word.isascii() and word.replace("-", "").isalpha() else ""


Verdict = Literal["sent", "retry", "dead", "auth"]


def verdict(accepted: bool, message: str, kind: int) -> Verdict:
    """What the answer to an event of that kind means for its delivery."""
    if accepted:
        return "sent"
    match prefix(message):
        case "duplicate":
            return "sent"
        case "auth-required":
            return "auth"
        case "error" if events.is_replaceable(kind) or events.is_addressable(kind):
            # How some relays say that they hold a newer version.
            return "dead" if message.partition(":")[2].strip() == "unknown" else "retry"
        case "rate-limited" | "error":
            return "retry"
        case _:
            # Without a word of why, nothing says that it will never be taken.
            return "dead" if message.strip() else "retry"


def backoff(attempt: int, jitter: float) -> float:
    """Seconds before attempt number `attempt` (from 1) to connect; `jitter` is from 0 to 1.

    1, 2, 4 … up to 5 minutes, each between half of that and all of it, so that many do not come at once.
    """
    return min(300.0, 2.0 ** min(attempt - 1, 20)) * (0.5 + 0.5 * jitter)


def _message(items: list[msgspec.Raw], at: int) -> str:
    text = _text.decode(items[at]) if len(items) > at else ""
    return "".join(character if character.isprintable() else " " for character in text[:MAX_MESSAGE])
