"""Nostr's ids and the refs made of them. Pure.

An account's `Ref.id` is its public key, a post's is its event id, both 64 lowercase hex digits. A post of an
addressable kind (NIP-01, 30000 to 39999) has its address `kind:pubkey:d` for an id, so that a newer version
of it is the same post. Keys and event ids look alike: whoever holds a ref knows which of the two it is.
"""

import re
from typing import Final
from urllib.parse import urlsplit

from adapters.nostr import nip19
from adapters.nostr.event import MAX_KIND, Event, address, is_addressable
from adapters.nostr.text import VIEWER
from bridged.api import Ref

NETWORK: Final = "nostr"
MAX_ADDRESS: Final = 1024
"""Longest address that is a ref, in characters."""

_HEX_64: Final = re.compile("[0-9a-f]{64}")
_ADDRESS: Final = re.compile("([0-9]{1,5}):([0-9a-f]{64}):([^\0]*)")
"""Without U+0000, which PostgreSQL's text does not take."""


def is_hex(text: str) -> bool:
    """Whether it is spelled like a key or an event id."""
    return _HEX_64.fullmatch(text) is not None


def account_ref(pubkey: str) -> Ref:
    return Ref(NETWORK, pubkey)


def post_ref(event: Event) -> Ref:
    """The ref of the post an event is; ValueError for an address that is too long, or holds U+0000."""
    if is_addressable(event.kind):
        text = address(event) or ""
        if split_address(text) is None:
            raise ValueError("an address that is no ref")
        return Ref(NETWORK, text)
    return Ref(NETWORK, event.id)


def split_address(text: str) -> tuple[int, str, str] | None:
    """(kind, pubkey, d) of the address of an addressable event, else None."""
    found = _ADDRESS.fullmatch(text) if len(text) <= MAX_ADDRESS else None
    if found is None:
        return None
    kind = int(found[1])
    if kind > MAX_KIND or not is_addressable(kind) or found[1] != str(kind):
        return None
    return kind, found[2], found[3]


def is_post_id(text: str) -> bool:
    """Whether it can be the id of a post's ref."""
    return is_hex(text) or split_address(text) is not None


def parse(text: str, base_url: str = "") -> Ref | None:
    """The ref meant by hex, an address, NIP-19, a `nostr:` URI, or a link to one (the viewer's or our own).

    None for everything else, secret keys included.
    """
    text = text.strip()
    if len(text) > nip19.MAX_LENGTH + 200:
        return None
    if "://" in text:
        word = _linked(text, base_url)
    elif text[: len(nip19.URI_SCHEME)].lower() == nip19.URI_SCHEME:
        word = text[len(nip19.URI_SCHEME) :]
    else:
        word = text
    if word is None:
        return None
    if is_hex(word.lower()):
        return Ref(NETWORK, word.lower())
    if split_address(word) is not None:
        return Ref(NETWORK, word)
    try:
        return to_ref(nip19.decode(word))
    except nip19.BadIdentifier:
        return None


def to_ref(identifier: nip19.Identifier) -> Ref | None:
    """The account or post that a NIP-19 identifier names; None for coordinates that are not a post's."""
    match identifier:
        case nip19.Npub(pubkey) | nip19.Nprofile(pubkey):
            return Ref(NETWORK, pubkey)
        case nip19.Note(event_id) | nip19.Nevent(event_id):
            return Ref(NETWORK, event_id)
        case nip19.Naddr(name, pubkey, kind):
            text = f"{kind}:{pubkey}:{name}"
            return Ref(NETWORK, text) if split_address(text) is not None else None


def names(ref: Ref, *, account: bool = False) -> str:
    """How a person may write the ref, so that `parse` finds it again: `npub1…` for an account, else `note1…`."""
    coordinates = split_address(ref.id)
    if coordinates is None:
        if not is_hex(ref.id):
            return ref.id
        return nip19.encode(nip19.Npub(ref.id) if account else nip19.Note(ref.id))
    kind, pubkey, name = coordinates
    try:
        return nip19.encode_uri(nip19.Naddr(name, pubkey, kind))
    except nip19.BadIdentifier:
        return ref.id


def npub(pubkey: str) -> str:
    return nip19.encode(nip19.Npub(pubkey))


def post_word(ref: Ref) -> str:
    """A post's ref as NIP-19, without hints; the bare address where its `d` is too long for NIP-19."""
    coordinates = split_address(ref.id)
    if coordinates is None:
        return nip19.encode(nip19.Note(ref.id))
    kind, pubkey, name = coordinates
    try:
        return nip19.encode(nip19.Naddr(name, pubkey, kind))
    except nip19.BadIdentifier:
        return ref.id


def post_uri(ref: Ref, *, author: str, kind: int | None, relay: str) -> str:
    """The NIP-21 URI by which a note's text quotes a post, with what helps to find it."""
    relays = (relay,) if relay.isascii() and 0 < len(relay) <= 255 else ()
    coordinates = split_address(ref.id)
    if coordinates is None:
        return nip19.encode_uri(nip19.Nevent(ref.id, relays, author, kind))
    kind, pubkey, name = coordinates
    try:
        return nip19.encode_uri(nip19.Naddr(name, pubkey, kind, relays))
    except nip19.BadIdentifier:
        return nip19.URI_SCHEME + ref.id  # a `d` too long for NIP-19


def _linked(url: str, base_url: str) -> str | None:
    """The last word of a link to the viewer or to us; None for links to elsewhere."""
    try:
        parts = urlsplit(url)
        own = urlsplit(base_url)
    except ValueError:
        return None
    hosts = {urlsplit(VIEWER).netloc, *([own.netloc] if own.netloc else [])}
    if parts.scheme not in ("http", "https") or parts.netloc.lower() not in hosts:
        return None
    word = parts.path.strip("/")
    return word if word and "/" not in word else None
