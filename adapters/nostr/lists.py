"""Lists that an account keeps and says whole every time: follows (NIP-02), public mutes and pins (NIP-51). Pure."""

from collections.abc import Iterable
from typing import Final

from adapters.nostr import ids
from adapters.nostr.drafts import BLOCKS, FOLLOWS, PINS, Draft, detail_of, later, provenance, time_of
from adapters.nostr.event import Event, tag_values
from bridged.api import Activity, Ref, View

MAX_LISTED: Final = 2000

FOLLOW_LIST, MUTE_LIST, PIN_LIST = 3, 10000, 10001


def people_of(event: Event) -> tuple[Ref, ...]:
    """The accounts in a follow or mute list; what is encrypted in its content is its owner's business."""
    keys = dict.fromkeys(key for key in tag_values(event, "p") if ids.is_hex(key) and key != event.pubkey)
    return tuple(ids.account_ref(key) for key in list(keys)[:MAX_LISTED])


def posts_of(event: Event) -> tuple[Ref, ...]:
    """The posts in a list of pins, newest first: NIP-51 has new ones appended."""
    found: dict[Ref, None] = {}
    for tag in event.tags:
        if len(tag) > 1 and (
            (tag[0] == "e" and ids.is_hex(tag[1])) or (tag[0] == "a" and ids.split_address(tag[1]) is not None)
        ):
            found[Ref(ids.NETWORK, tag[1])] = None
    return tuple(list(found)[:MAX_LISTED][::-1])


def follows(activity: Activity, view: View) -> Draft:
    return _list(activity, view, FOLLOW_LIST, FOLLOWS, _keys(view.follows))


def blocks(activity: Activity, view: View) -> Draft:
    return _list(activity, view, MUTE_LIST, BLOCKS, _keys(view.blocks))


def pins(activity: Activity, view: View) -> Draft:
    tags = [
        ("e" if ids.split_address(ref.id) is None else "a", ref.id)
        for ref in view.pins
        if ref.network == ids.NETWORK and ids.is_post_id(ref.id)
    ]
    return _list(activity, view, PIN_LIST, PINS, tags[:MAX_LISTED][::-1])


def _keys(accounts: Iterable[Ref]) -> list[tuple[str, ...]]:
    return [("p", ref.id) for ref in accounts if ref.network == ids.NETWORK and ids.is_hex(ref.id)][:MAX_LISTED]


def _list(activity: Activity, view: View, kind: int, number: int, tags: Iterable[tuple[str, ...]]) -> Draft:
    at = later(view, number, time_of(activity, view))
    marked = (*tags, *provenance(view.account.ref))
    return Draft(view.account.ref, kind, at, marked, number=number, detail=detail_of(kind, at))
