"""Accounts of other networks as kinds 0 (NIP-24) and 10002 (NIP-65), while they last and when they are gone. Pure."""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from adapters.nostr.drafts import (
    BLOCKS,
    FOLLOWS,
    PINS,
    PROFILE,
    RELAYS,
    VANISHED,
    Draft,
    Drafts,
    detail_of,
    later,
    own_copy,
    provenance,
    said,
    time_of,
)
from adapters.nostr.event import VANISH
from adapters.nostr.home import Home
from adapters.nostr.lists import FOLLOW_LIST, MUTE_LIST, PIN_LIST
from adapters.nostr.note import emoji_tags, key_of, plain, pointer
from bridged.api import HOME, Account, Activity, View, web_url

MAX_FIELDS: Final = 50
_MAX_ABOUT: Final = 24_000
_SHORTCODE: Final = re.compile("[A-Za-z0-9_-]{1,60}")
_LIGHTNING: Final = re.compile(r"[a-z0-9._+-]{1,64}@[a-z0-9.-]{1,253}", re.IGNORECASE)


def profile(activity: Activity, view: View, home: Home) -> Drafts:
    """Only what changed of the two. Names and values that kind 0 has no member for are lines at the end of the bio."""
    account, at = view.account, time_of(activity, view)
    addresses = (web_url(value.strip()) for _, value in account.fields)
    members: dict[str, object] = {
        "name": account.handle,
        "display_name": account.name or account.handle,
        "about": _about(account, view, home),
        "picture": account.avatar,
        "banner": account.banner,
        "website": next((url for url in addresses if url), account.url),
        "nip05": f"{view.actor.handle}@{home.domain}",
        "lud16": lightning_of(account),
        "bot": account.bot,
    }
    content = msgspec.json.encode({name: value for name, value in members.items() if value}).decode()
    emojis = [("emoji", code, image) for code, image in account.emojis if _SHORTCODE.fullmatch(code)]
    marks = provenance(account.ref, account.url)
    relays = [("r", url) for url in home.public_relays]
    drafts: list[Draft] = []
    for number, kind, tags, text in (
        (PROFILE, 0, [*dict.fromkeys((*emojis, *emoji_tags(account.bio))), *marks], content),
        (RELAYS, 10002, [*relays, *marks[:1]], ""),
    ):
        own = own_copy(view, number)
        if own is None or own.gone or said(own) != (text, tuple(tags)):
            moment = later(view, number, at)
            detail = detail_of(kind, moment)
            drafts.append(Draft(account.ref, kind, moment, tuple(tags), text, number=number, detail=detail))
    return Drafts(tuple(drafts), tuple(_lost(account)) if any(draft.kind == 0 for draft in drafts) else ())


def _lost(account: Account) -> Iterator[str]:
    """What kind 0 has no member for, and words in the bio would not replace."""
    if account.locked:
        yield "that each follow is decided on: here nobody is asked"
    if not account.discoverable or not account.indexable:
        yield "that it asks not to be shown around or searched"
    if account.group:
        yield "that it is a group"


def farewell(activity: Activity, view: View, *, final: bool) -> Drafts:
    """The account is gone. Relays keep the newest of each kind, so the last profile says so and the lists are empty.

    Where that is `final`, relays are asked to forget all of it (NIP-62).
    """
    content = msgspec.json.encode({"about": "This account is no longer bridged.", "deleted": True}).decode()
    lists = {FOLLOWS: FOLLOW_LIST, BLOCKS: MUTE_LIST, PINS: PIN_LIST}
    last = [(PROFILE, 0, content)]
    last += [(copy.part, lists[copy.part], "") for copy in view.own if copy.part in lists and not copy.gone]
    drafts: list[Draft] = []
    for number, kind, text in last:
        at, tags = later(view, number, time_of(activity, view)), tuple(provenance(view.account.ref))
        drafts.append(
            Draft(view.account.ref, kind, at, tags, text, number=number, gone=True, detail=detail_of(kind, at))
        )
    if final:
        at = max(draft.at for draft in drafts)
        tags = (("relay", "ALL_RELAYS"), *provenance(view.account.ref))
        words = "This account is no longer bridged, and never will be again."
        detail = detail_of(VANISH, at)
        drafts.append(Draft(view.account.ref, VANISH, at, tags, words, number=VANISHED, gone=True, detail=detail))
    return Drafts(tuple(drafts))


def _about(account: Account, view: View, home: Home) -> str:
    lines = [f"{_line(name)}: {_line(value)}" for name, value in account.fields[:MAX_FIELDS] if value.strip()]
    parts = [plain(account.bio, view, home)[:_MAX_ABOUT], "\n".join(lines)]
    if account.moved is not None:
        key = key_of(account.moved, view)
        known = view.accounts.get(account.moved)
        where = pointer(key, next(iter(home.public_relays), "")) if key else (known.url if known else "")
        parts.insert(0, f"moved to {where or account.moved.id}")
    if account.ref.network != HOME:
        parts.append(f"bridged from {account.url or account.uri or account.handle}")
    return "\n\n".join(part for part in parts if part)


def _line(text: str) -> str:
    return " ".join(text.split())[:1000]


def lightning_of(account: Account) -> str:
    """The address in a field by which one is paid: zaps of the ghost go to its owner's own wallet."""
    names = ("lightning", "lightning address", "lud16", "zap", "zaps")
    paid = (value.strip() for name, value in account.fields if name.strip(" ⚡").lower() in names)
    return next((address for address in paid if _LIGHTNING.fullmatch(address)), "")
