"""The relay's numbers, and the NIP-11 document that tells them."""

import ipaddress
from typing import Final

from adapters.nostr import plan
from adapters.nostr.config import RelayConfig
from adapters.nostr.event import MAX_TAGS
from adapters.nostr.relay.policy import MAX_CONTENT
from adapters.nostr.relay.query import MAX_LIMIT
from bridged.api import Site

NIPS: Final = (1, 2, 9, 11, 13, 17, 40, 42, 45, 50, 62, 65, 70, 77)
MAX_MESSAGE: Final = 128 * 1024
"""Bytes of a frame."""
MAX_SUBSCRIPTIONS: Final = 20
"""Open on one connection."""
MAX_FILTERS: Final = 10
"""In one REQ or COUNT."""
MAX_VALUES: Final = 4000
"""Values in all filters of the subscriptions of one connection."""
MAX_ALL_VALUES: Final = 200_000
"""The same of all connections together."""
MAX_SUBSCRIPTION_ID: Final = 64
MAX_CONNECTIONS: Final = 2000
MAX_FROM_ONE: Final = 20
"""Connections from one public address; from others, where proxies live, only the total counts."""
MAX_BAD_FRAMES: Final = 20
"""Frames that make no sense, after which the connection is closed."""
MAX_KEYS: Final = 20
"""Keys that one connection may show to be its own (NIP-42)."""
EVENTS: Final = (20.0, 100.0)
"""EVENT and AUTH on one connection: a second, at once."""
QUESTIONS: Final = (50.0, 100.0)
"""REQ, COUNT and NEG-OPEN, likewise."""
WRAPS: Final = (0.5, 20.0)
"""Gift wraps among the events, likewise."""
PINGS: Final = (5.0, 100.0)
"""Pings and pongs on one connection, likewise; beyond, it is cut."""
SYNCS: Final = 4
"""Negentropy sessions open on one connection."""
SYNC_RECORDS: Final = 50_000
"""Events that one of them is about."""
ALL_SYNC_RECORDS: Final = 200_000
"""The same of all connections together: about 250 bytes each."""
SYNC_TIME: Final = 120.0
"""Seconds that one may last."""
PING: Final = 30.0
SEND_TIMEOUT: Final = 20.0
"""Seconds that a client may take to read one frame."""
GOODBYE: Final = 1.0
"""Seconds that clients have to answer when the relay closes."""
WAITING: Final = 64 * 1024
"""Bytes waiting to be read by a client, above which its own requests wait."""
MAX_WAITING: Final = 2 * 1024 * 1024
"""Bytes waiting, above which the client is too slow for live events and is dropped."""


class Bucket:
    """A token bucket: `rate` a second, `burst` at once."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst, self._left, self._at = rate, burst, burst, now

    def take(self, now: float) -> bool:
        """Whether one more is allowed at this moment."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Door:
    """Counts the connections."""

    def __init__(self) -> None:
        self._total = 0
        self._from: dict[str, int] = {}

    def enter(self, remote: str | None) -> str | None:
        """What to give `leave`; None when there are too many already."""
        place = _place(remote)
        if self._total >= MAX_CONNECTIONS or (place and self._from.get(place, 0) >= MAX_FROM_ONE):
            return None
        self._total += 1
        self._from[place] = self._from.get(place, 0) + 1
        return place

    def leave(self, place: str) -> None:
        self._total -= 1
        self._from[place] -= 1
        if not self._from[place]:
            del self._from[place]


def information(site: Site, bot: str, config: RelayConfig) -> dict[str, object]:
    """The NIP-11 document; `bot` is the bot's public key."""
    told = {"contact": config.contact, "posting_policy": config.posting_policy}
    return {
        "name": site.bot_name,
        "description": (
            f"The relay of the bridge at {site.domain}: holds the accounts that the bridge brings to Nostr and what"
            " they post, and takes posts of bridged accounts, answers to them and messages for them."
        ),
        "pubkey": bot,
        "supported_nips": list(NIPS),
        "software": "bridged",
        "version": site.version,
        "limitation": {
            "max_message_length": MAX_MESSAGE,
            "max_subscriptions": MAX_SUBSCRIPTIONS,
            "max_filters": MAX_FILTERS,
            "max_limit": MAX_LIMIT,
            "default_limit": MAX_LIMIT,
            "max_subid_length": MAX_SUBSCRIPTION_ID,
            "max_event_tags": MAX_TAGS,
            "max_content_length": MAX_CONTENT,
            "min_pow_difficulty": config.min_pow,
            "created_at_upper_limit": plan.AHEAD,
            "auth_required": False,
            "payment_required": False,
            "restricted_writes": True,
        },
        "retention": [{"time": None}],
        **{name: value for name, value in told.items() if value},
    }


def _place(remote: str | None) -> str:
    """Whom connections are counted for: a public IPv4 address or IPv6 /64; "" for all others together."""
    try:
        address = ipaddress.ip_address(remote or "")
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if not address.is_global:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
