"""What a relay says of itself and of its limits (NIP-11): asked for over HTTP, believed within reason, kept a day."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec

from adapters.nostr import pow
from adapters.nostr.event import Event
from bridged.api import EgressFailed, Host, Rejected, Retry

MAX_ANSWER: Final = 64 * 1024
KEPT: Final = 24 * 3600.0
FAILED_KEPT: Final = 3600.0
"""Seconds until a relay that gave no document is asked again."""

_MAX_KEPT: Final = 1000
_HUGE: Final = 1 << 53
_NONE: Final = frozenset[int]()


@dataclass(frozen=True, slots=True)
class Limits:
    """A relay's limits, as NIP-11 names them; the defaults are what nearly every relay takes.

    `answers` is how many events it may give to one filter. `lower` and `upper` are seconds that `created_at` may
    lie before and after its clock; None: any.
    """

    message: int = 128 * 1024
    subscriptions: int = 20
    filters: int = 50
    answers: int = 500
    tags: int | None = None
    content: int | None = None
    pow: int = 0
    payment: bool = False
    lower: int | None = None
    upper: int | None = None
    nips: frozenset[int] = frozenset()


DEFAULT: Final = Limits()


def parse(body: bytes) -> Limits | None:
    """The limits in a document; None when it is none. A value that makes no sense counts as not given."""
    try:
        document: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    members = cast(dict[str, Any], document)
    stated: object = members.get("limitation")
    stated = cast(dict[str, Any], stated) if isinstance(stated, dict) else {}

    def number(name: str, lowest: int = 1) -> int | None:
        value = stated.get(name)
        return value if type(value) is int and lowest <= value <= _HUGE else None

    nips: object = members.get("supported_nips")
    answers = [found for name in ("max_limit", "default_limit") if (found := number(name)) is not None]
    return Limits(
        message=number("max_message_length", 1024) or DEFAULT.message,
        subscriptions=number("max_subscriptions") or DEFAULT.subscriptions,
        filters=number("max_filters") or DEFAULT.filters,
        answers=min(answers, default=DEFAULT.answers),
        tags=number("max_event_tags"),
        content=number("max_content_length"),
        pow=number("min_pow_difficulty") or 0,
        payment=stated.get("payment_required") is True,
        lower=number("created_at_lower_limit"),
        upper=number("created_at_upper_limit", 0),
        nips=frozenset(n for n in cast(list[object], nips)[:200] if type(n) is int)
        if isinstance(nips, list)
        else _NONE,
    )


def refuse(limits: Limits, event: Event, size: int, now: float, *, ours: bool) -> None:
    """Raises Rejected, or Retry, for an event of `size` bytes that the relay says it will not take (now).

    A relay of `ours`, which the operator configured, may have been paid or told about us: it is asked all the same.
    So is one that only says `restricted_writes`: inboxes say that, and take what is for their owner.
    """
    if limits.payment and not ours:
        raise Rejected("restricted: the relay wants to be paid")
    if size + len('["EVENT",]') > limits.message:
        raise Rejected(f"invalid: the relay takes messages of {limits.message} bytes, this one has {size}")
    if limits.tags is not None and len(event.tags) > limits.tags:
        raise Rejected(f"invalid: the relay takes {limits.tags} tags, this event has {len(event.tags)}")
    if limits.content is not None and len(event.content) > limits.content:
        raise Rejected(f"invalid: the relay takes {limits.content} characters, this event has {len(event.content)}")
    if pow.difficulty(event.id) < limits.pow:
        raise Rejected(f"pow: relay asks for {limits.pow} bits, set adapters.nostr.pow")
    # Some relays state both as moments instead of spans, which no span can be.
    if limits.lower is not None and limits.lower < now / 2 and event.created_at < now - limits.lower:
        raise Rejected(f"too-old: the relay takes events of the last {limits.lower} seconds")
    ahead = 0.0 if limits.upper is None or limits.upper > now / 2 else event.created_at - (now + limits.upper)
    if ahead > 0:
        raise Retry("too-new: the relay's clock allows no such date yet", ahead)


class Documents:
    """The limits of relays, asked for when they are needed and not known."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._kept: OrderedDict[str, tuple[float, Limits]] = OrderedDict()
        self._asking: dict[str, asyncio.Lock] = {}

    async def limits(self, url: str) -> Limits:
        """Those of the relay at a ws or wss URL; DEFAULT where it does not say."""
        if (fresh := self._fresh(url)) is not None:
            return fresh
        async with self._asking.setdefault(url, asyncio.Lock()):
            # many deliveries may wait for the one answer
            fresh = self._fresh(url) or await self._renewed(url)
        self._asking.pop(url, None)
        return fresh

    def _fresh(self, url: str) -> Limits | None:
        until, limits = self._kept.get(url, (0.0, DEFAULT))
        return limits if self._host.now() < until <= self._host.now() + KEPT else None

    async def _renewed(self, url: str) -> Limits:
        found, now = await self._ask(url), self._host.now()
        _, limits = self._kept.get(url, (0.0, DEFAULT))
        self._kept[url] = (now + (KEPT if found is not None else FAILED_KEPT), found or limits)
        self._kept.move_to_end(url)
        if len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)
        return found or limits

    async def _ask(self, url: str) -> Limits | None:
        try:
            answer = await self._host.http.get(
                "http" + url.removeprefix("ws"), headers={"Accept": "application/nostr+json"}, limit=MAX_ANSWER
            )
        except (EgressFailed, Rejected):
            return None  # the relay may be well all the same
        return parse(answer.body) if answer.status == 200 else None
