"""Who may write what: bridged accounts, whoever answers a ghost of ours, and messages to one (NIP-17)."""

from typing import Final
from urllib.parse import urlsplit

import sqlalchemy as sa

from adapters.nostr import ids, plan
from adapters.nostr.event import DELETION, GIFT_WRAP, VANISH, Event, address, first_tag, tag_values, to_json
from adapters.nostr.relay.storage import named_ids, own_addresses, targets
from adapters.nostr.relay.tables import events, key, tags
from bridged.api import Heard, Malformed, Tx

AUTH: Final = 22242
AUTH_WINDOW: Final = 600
"""Seconds that the time of an AUTH event may be off."""
MAX_CONTENT: Final = 60_000
"""Characters of an event's content."""
MAX_WRAP: Final = 32 * 1024
"""Bytes of JSON of a gift wrap."""
MAX_TARGETS: Final = 50
"""What one deletion of a stranger's may name: each is remembered."""
RESTRICTED: Final = "restricted: this relay takes posts of bridged accounts and answers to them"

_ABOUT_ONESELF: Final = frozenset({0, 10002, 10050})
_OF_ACCOUNTS: Final = frozenset({0, 3, DELETION, VANISH, 10002, 10050})
_ANSWERS: Final = frozenset({1, 6, 7, 16, 1111})
_WITHDRAWALS: Final = frozenset({DELETION, VANISH})
_PROTECTED: Final = (plan.FULL_KINDS | _OF_ACCOUNTS) - _WITHDRAWALS


def unfit(event: Event, now: float, url: str) -> str:
    """Why this relay, at `url`, could take the event from nobody, as the message of an OK; "" when it could."""
    if event.kind == AUTH:
        return "invalid: an AUTH event is not for publishing"
    try:
        plan.refuse_untimely(event, now)
    except Malformed as bad:
        if bad.reason == "future":
            return f"invalid: created_at lies more than {plan.AHEAD} seconds ahead"
        if bad.reason != "protected":
            return "invalid: the event has expired"
    if len(event.content) > MAX_CONTENT:
        return f"invalid: the content has more than {MAX_CONTENT} characters"
    if len(address(event) or "") > ids.MAX_ADDRESS:
        return "invalid: the d tag is too long"
    if event.kind == GIFT_WRAP and len(to_json(event)) > MAX_WRAP:
        return f"invalid: a gift wrap has at most {MAX_WRAP} bytes here"
    if event.kind == VANISH and not vanishes(event, url):
        return "invalid: this request to vanish names other relays"
    if is_protected(event) and event.kind in _WITHDRAWALS:
        return "invalid: what is withdrawn here is withdrawn everywhere, so this cannot be protected"
    return ""


def permitted(tx: Tx, event: Event, heard: Heard, bot: str, wanted: bool) -> bool:
    """Whether the author may write this here; `wanted` is what the bridge listens for anyway."""
    if wanted:
        return True
    bridged = is_bridged(event.pubkey, heard)
    if is_protected(event):
        return bridged and event.kind in _PROTECTED
    if bridged and event.kind in _OF_ACCOUNTS:
        return True
    if event.kind == GIFT_WRAP:
        named = tag_values(event, "p")
        return bot in named or not heard.ghosts.isdisjoint(named)
    if event.kind in _ANSWERS:
        return _answers(tx, event, heard.ghosts)
    if event.kind == DELETION:
        return len(targets(event)) <= MAX_TARGETS and _deletes_here(tx, event)
    if event.kind in _ABOUT_ONESELF:
        return _any(tx, events.c.pubkey == event.pubkey)
    if event.kind == VANISH:
        return _any(tx, events.c.pubkey == event.pubkey) or _any(
            tx,
            events.c.id.in_(
                sa.select(tags.c.event_id).where(tags.c.key == key("p", event.pubkey), tags.c.kind == GIFT_WRAP)
            ),
        )
    if event.kind == 3:  # leaving a ghost out of the list that named it
        return _any(tx, events.c.address == key("address", address(event) or ""))
    return False


def is_bridged(pubkey: str, heard: Heard) -> bool:
    return pubkey in heard.full or pubkey in heard.known


def is_protected(event: Event) -> bool:
    """NIP-70."""
    return first_tag(event, "-") is not None


def vanishes(event: Event, url: str) -> bool:
    """Whether a request to vanish (NIP-62) is for the relay at `url`."""
    named = tag_values(event, "relay")
    return "ALL_RELAYS" in named or any(_place(each) == _place(url) for each in named)


def unproven(event: Event, bits: int) -> str:
    """What is missing of so much proof of work (NIP-13), as the message of an OK; "" when nothing is.

    The event must also say that this is what it aimed at: without, one in 2^bits cheap ones would pass.
    """
    if not bits or event.kind in _WITHDRAWALS:
        return ""
    nonce = first_tag(event, "nonce")
    aim = nonce[2] if nonce is not None and len(nonce) > 2 else ""
    if not (aim.isascii() and aim.isdigit() and len(aim) <= 3 and int(aim) >= bits):
        return f"pow: a nonce tag that commits to {bits} bits or more is asked of accounts that are not bridged"
    done = 256 - int(event.id, 16).bit_length()
    return "" if done >= bits else f"pow: {done} bits of work, {bits} are asked of accounts that are not bridged"


def not_authentic(event: Event, challenge: str, base_url: str, now: float) -> str:
    """What is wrong with a verified AUTH event (NIP-42), as the message of an OK; "" when nothing is."""
    if event.kind != AUTH:
        return "invalid: an AUTH event is of kind 22242"
    if abs(event.created_at - now) > AUTH_WINDOW:
        return "invalid: created_at is too far off"
    if challenge not in tag_values(event, "challenge"):
        return "invalid: not the challenge of this connection"
    tag = first_tag(event, "relay")
    if _host(tag[1] if tag is not None and len(tag) > 1 else "") != _host(base_url):
        return "invalid: the relay tag names another relay"
    return ""


def _answers(tx: Tx, event: Event, ghosts: frozenset[str]) -> bool:
    """Whether it names a ghost, or an event of one that is held here."""
    if not ghosts.isdisjoint(tag_values(event, "p")) or not ghosts.isdisjoint(tag_values(event, "P")):
        return True
    named = named_ids(event, "e", "E", "q")
    if named:
        authors = tx.execute(sa.select(events.c.pubkey).where(events.c.id.in_(named)).distinct()).scalars()
        if not ghosts.isdisjoint(authors):
            return True
    places = [
        key("address", value)
        for name in ("a", "A", "q")
        for value in tag_values(event, name)
        if (parts := ids.split_address(value)) is not None and parts[1] in ghosts
    ]
    return bool(places) and _any(tx, events.c.address.in_(places))


def _deletes_here(tx: Tx, event: Event) -> bool:
    """Whether it deletes something of its author's that is held here."""
    named = named_ids(event, "e")
    if named and _any(tx, (events.c.pubkey == event.pubkey) & events.c.id.in_(named)):
        return True
    places = [key("address", place) for place in own_addresses(event)]
    return bool(places) and _any(tx, events.c.address.in_(places))


def _any(tx: Tx, condition: sa.ColumnElement[bool]) -> bool:
    return tx.execute(sa.select(events.c.id).where(condition).limit(1)).first() is not None


def _place(url: str) -> tuple[str | None, int | None, str] | None:
    """Where a relay is, however it is spelled; None for what is no address."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("ws", "wss"):
        return None
    return parts.hostname, port if port not in (80, 443) else None, parts.path.rstrip("/")


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
