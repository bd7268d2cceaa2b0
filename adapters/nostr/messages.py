"""Direct messages between people and the bot (NIP-17), both ways. Pure: see nip17 for what is drawn from a seed."""

from typing import Final

from adapters.nostr import ids, nip17
from adapters.nostr.drafts import Letter, detail_of, time_of
from adapters.nostr.event import Event, tag_values, to_json
from adapters.nostr.home import Home
from adapters.nostr.note import key_of, plain
from adapters.nostr.text import from_note
from bridged.api import Activity, Message, Part, Ref, Rejected, View, trim

MAX_TEXT: Final = 20_000
"""Characters of a message that are read."""
MAX_TO: Final = 50


def is_for(event: Event, key: str) -> bool:
    """Whether it is a gift wrap for this public key."""
    return event.kind == nip17.GIFT_WRAP and key in tag_values(event, "p")


def message_of(event: Event, secret: bytes, recipient: str) -> Activity:
    """What a gift wrap for the key of this secret says. Raises BadEvent."""
    found = nip17.unwrap(event, secret)
    reply_to = Ref(ids.NETWORK, found.reply_to) if ids.is_hex(found.reply_to) else None
    act = Message((ids.account_ref(recipient),), trim(from_note(found.text[:MAX_TEXT], ())), reply_to)
    return Activity(Ref(ids.NETWORK, found.id), ids.account_ref(found.sender), float(found.created_at), act)


def letters(activity: Activity, act: Message, view: View, home: Home) -> tuple[Letter, ...]:
    """One for each person, on the relays where they look for messages. Raises Rejected."""
    text, at = plain(act.text, view, home), time_of(activity, view)
    reply_to = act.reply_to.id if act.reply_to is not None and ids.is_hex(act.reply_to.id) else ""
    found: list[Letter] = []
    for person in act.to[:MAX_TO]:
        key = key_of(person, view)
        if key is None:
            continue
        known = view.accounts.get(person)
        relays = tuple(known.detail.get("dm", "").split()) if known is not None else ()
        found.append(Letter(activity.ref, key, text, at, reply_to, len(found), relays))
    if not found:
        raise Rejected("none of those it is for is here")
    return tuple(found)


def sealed(letter: Letter, secret: bytes, seed: bytes, endpoints: tuple[str, ...]) -> Part:
    """The letter as it is sent to `endpoints`, from the key of `secret`.

    `seed` is a secret that belongs to this message. Raises BadEvent.
    """
    event = nip17.wrap(secret, letter.to, letter.text, letter.at, seed, reply_to=letter.reply_to)
    body = to_json(event)
    return Part(
        letter.of,
        ids.post_ref(event),
        body,
        body,
        endpoints,
        letter.number,
        detail=detail_of(event.kind, event.created_at),
    )
