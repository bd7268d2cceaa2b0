"""Who may write what: bridged accounts, and whoever answers a ghost of ours."""

from typing import Final
from urllib.parse import urlsplit

import sqlalchemy as sa

from adapters.nostr import ids, plan
from adapters.nostr.event import Event, address, first_tag, tag_values
from adapters.nostr.relay.storage import DELETION, named_ids, own_addresses
from adapters.nostr.relay.tables import events, key
from bridged.api import Heard, Malformed, Tx

AUTH: Final = 22242
AUTH_WINDOW: Final = 600
"""Seconds that the time of an AUTH event may be off."""
RESTRICTED: Final = "restricted: this relay takes posts of bridged accounts and answers to them"

_ABOUT_ONESELF: Final = frozenset({0, 10002})
_OF_ACCOUNTS: Final = frozenset({0, 3, DELETION, 10002})
_ANSWERS: Final = frozenset({1, 6, 7, 16, 1111})


def unfit(event: Event, now: float) -> str:
    """Why no relay of a bridge could take this event from anybody, as the message of an OK; "" when it could."""
    if event.kind == AUTH:
        return "invalid: an AUTH event is not for publishing"
    try:
        plan.refuse_untimely(event, now)
    except Malformed as bad:
        if bad.reason == "protected":
            return "restricted: protected events are not taken, since what is taken here is passed on"
        if bad.reason == "future":
            return f"invalid: created_at lies more than {plan.AHEAD} seconds ahead"
        return "invalid: the event has expired"
    if len(address(event) or "") > ids.MAX_ADDRESS:
        return "invalid: the d tag is too long"
    return ""


def permitted(tx: Tx, event: Event, heard: Heard, wanted: bool) -> bool:
    """Whether the author may write this here; `wanted` is what the bridge listens for anyway."""
    if wanted:
        return True
    if event.kind in _OF_ACCOUNTS and (event.pubkey in heard.full or event.pubkey in heard.known):
        return True
    if event.kind in _ANSWERS:
        return _answers(tx, event, heard.ghosts)
    if event.kind == DELETION:
        return _deletes_here(tx, event)
    if event.kind in _ABOUT_ONESELF:
        return _any(tx, events.c.pubkey == event.pubkey)
    if event.kind == 3:  # leaving a ghost out of the list that named it
        return _any(tx, events.c.address == key("address", address(event) or ""))
    return False


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


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
