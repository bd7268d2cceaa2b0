"""Accounts as their kind 0 (NIP-24) and their identities elsewhere (NIP-39) show them. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from adapters.nostr import ids
from adapters.nostr.event import Event, first_tag, tag_values
from adapters.nostr.text import VIEWER, from_note
from bridged.api import Account, Malformed, clean_name, web_url

IDENTITIES: Final = 10011

MAX_IDENTITIES: Final = 20
MAX_EMOJIS: Final = 50
_MAX_NAME: Final = 200
_MAX_ABOUT: Final = 10_000
_MAX_URL: Final = 2048
_MAX_WORD: Final = 320

_BRIDGES: Final = ("mostr.pub", "momostr.pink", "brid.gy")
"""Domains of other bridges, as they show in the NIP-05 names of their ghosts."""
_REFUSAL: Final = re.compile(r"(?<![\w#])#(nobridge|nobot)(?!\w)", re.IGNORECASE)
_MASTODON: Final = re.compile(r"([a-z0-9.-]{1,253}(?::[0-9]{1,5})?)/@([A-Za-z0-9_.-]{1,100})")
_LIGHTNING: Final = re.compile(r"[a-z0-9._+-]{1,64}@[a-z0-9.-]{1,253}", re.IGNORECASE)
_DID: Final = re.compile(r"did:[a-z]{1,20}:[A-Za-z0-9._:%-]{1,500}")


def account_of(pubkey: str, event: Event | None, identities: Event | None = None) -> Account:
    """The account as its newest kinds 0 and 10011 show it, or just the key. Raises Malformed.

    `alias` is for who has checked the name in `detail["nip05"]`.
    """
    npub = ids.npub(pubkey)
    if event is None:
        claims = _claims(identities)
        return Account(ids.account_ref(pubkey), npub, url=VIEWER + npub, uri=f"nostr:{npub}", same_as=claims)
    members = _members(event)

    def text(name: str, limit: int = _MAX_WORD) -> str:
        value = members.get(name)
        return value[:limit].strip() if isinstance(value, str) else ""

    def address(name: str) -> str:
        return web_url(text(name, _MAX_URL + 1)) or ""

    name = clean_name(text("display_name", 4000), _MAX_NAME) or clean_name(text("name", 4000), _MAX_NAME)
    website, nip05, about = address("website"), text("nip05"), text("about", _MAX_ABOUT)
    lightning = text("lud16").lower()
    lightning = lightning if _LIGHTNING.fullmatch(lightning) else ""
    facts = {"nip05": nip05, "lud16": lightning, "lud06": text("lud06", 1000)}
    fields = (("Website", website), ("Lightning", lightning))
    return Account(
        ref=ids.account_ref(event.pubkey),
        handle=npub,
        name=name,
        bio=from_note(about, event.tags),
        avatar=address("picture"),
        banner=address("banner"),
        url=VIEWER + npub,
        uri=f"nostr:{npub}",
        fields=tuple(field for field in fields if field[1]),
        emojis=_emojis(event, name),
        bot=members.get("bot") is True,
        refuses=_refusal(event, about, members),
        same_as=tuple(dict.fromkeys((*_claims(identities), *_claims(event), *_known_as(members))))[:MAX_IDENTITIES],
        mark=mark_of(event) or (nip05 if _is_bridge(nip05) else ""),
        detail={name: value for name, value in facts.items() if value},
    )


def mark_of(event: Event) -> str:
    """NIP-48: what this is a copy of."""
    tag = first_tag(event, "proxy")
    return tag[1][:_MAX_URL] if tag is not None and len(tag) > 1 else ""


def _members(event: Event) -> Mapping[str, Any]:
    try:
        content: object = msgspec.json.decode(event.content)
    except (msgspec.MsgspecError, RecursionError):
        raise Malformed("profile") from None
    if not isinstance(content, dict):
        raise Malformed("profile")
    return cast(dict[str, Any], content)


def _emojis(event: Event, name: str) -> tuple[tuple[str, str], ...]:
    """NIP-30, for the name."""
    found: dict[str, str] = {}
    for tag in event.tags:
        if tag[0] == "emoji" and len(tag) > 2 and f":{tag[1]}:" in name and (image := web_url(tag[2])):
            found.setdefault(tag[1], image)
    return tuple(found.items())[:MAX_EMOJIS]


def _refusal(event: Event, about: str, members: Mapping[str, Any]) -> str:
    found = _REFUSAL.search(about)
    if found is not None:
        return f"#{found[1].lower()}"
    for name in tag_values(event, "t"):
        if name.lower().lstrip("#") in ("nobridge", "nobot"):
            return f"#{name.lower().lstrip('#')}"
    return "bridgeable: false" if members.get("bridgeable") is False else ""


def _claims(event: Event | None) -> tuple[str, ...]:
    """NIP-39: addresses and ids of accounts elsewhere. A kind 10011 that names follow sets (NIP-51) has no `i`."""
    found: list[str] = []
    for value in tag_values(event, "i") if event is not None else ():
        platform, _, name = value.partition(":")
        known = _identity(platform.lower(), name.strip())
        if known:
            found.append(known)
    return tuple(dict.fromkeys(found))[:MAX_IDENTITIES]


def _identity(platform: str, name: str) -> str:
    if len(name) > _MAX_URL:
        return ""
    match platform:
        case "activitypub" | "web":
            return web_url(name) or ""
        case "mastodon":
            account = _MASTODON.fullmatch(name)
            return f"https://{account[1]}/@{account[2]}" if account else web_url(name) or ""
        case "atproto" | "at":
            name = name.removeprefix("//")
            return f"at://{name}" if _DID.fullmatch(name) else ""
        case "did":
            return f"at://did:{name}" if _DID.fullmatch(f"did:{name}") else ""
        case "bluesky":
            return f"https://bsky.app/profile/{name}" if re.fullmatch("[a-z0-9.-]{1,253}", name) else ""
        case "https" | "http":
            return web_url(f"{platform}:{name}") or ""
        case _:
            return ""


def _known_as(members: Mapping[str, Any]) -> tuple[str, ...]:
    values: object = members.get("alsoKnownAs")
    if isinstance(values, str):
        values = [values]
    if not isinstance(values, list):
        return ()
    texts = [value for value in cast(list[object], values)[:MAX_IDENTITIES] if isinstance(value, str)]
    found = [_identity(*value.partition(":")[::2]) for value in texts if ":" in value]
    return tuple(claim for claim in found if claim)


def _is_bridge(nip05: str) -> bool:
    domain = nip05.rpartition("@")[2].lower()
    return any(domain == known or domain.endswith(f".{known}") for known in _BRIDGES)
