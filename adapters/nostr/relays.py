"""Which relays to read somebody from and to write to somebody at: the outbox model of NIP-65. Pure.

Relay lists come from strangers: they are cut to a few, and names and addresses of private networks are left out
(what a public name resolves to is the egress guard's business, when it is connected to).
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from adapters.nostr.event import Event, tag_values

RELAY_LIST: Final = 10002
DM_RELAYS: Final = 10050
LISTS: Final = frozenset({RELAY_LIST, DM_RELAYS})
EACH: Final = 4
"""Relays kept of an account to read from, and to write to."""
DM_EACH: Final = 3
"""Relays kept of an account for messages (NIP-17)."""
EXTRA: Final = 10
"""Relays of people who are named that one event goes to beside our own."""
COVER: Final = 2
"""Relays that each account is read from."""

_TAGS: Final = 100
"""Entries of a list that are looked at."""
_MAX_URL: Final = 255
_PRIVATE: Final = frozenset(
    {"localhost", "local", "internal", "intranet", "lan", "home", "corp", "onion", "i2p", "arpa"}
)
"""Last labels of names that mean nothing, or something else, outside their own network."""
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NAME: Final = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")


def relay_url(text: str) -> str:
    """A ws or wss URL in the one spelling used as endpoint, cursor key and label. Raises ValueError."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ValueError("not a relay URL") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname or parts.username or parts.fragment:
        raise ValueError("a relay URL is like wss://relay.example")
    if not text.isascii() or len(text) > _MAX_URL:
        raise ValueError(f"a relay URL has at most {_MAX_URL} ASCII characters")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"ws": 80, "wss": 443}[parts.scheme]
    netloc = host if port in (None, default) else f"{host}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}{query}"


def public_relay(text: str) -> str | None:
    """The relay that a stranger named, in that spelling; None unless its host is a name of the public kind."""
    try:
        url = relay_url(text)
    except ValueError:
        return None
    host = (urlsplit(url).hostname or "").removesuffix(".")
    last = host.rpartition(".")[2]
    if _NAME.fullmatch(host) is None or _NUMERIC.fullmatch(last) or last in _PRIVATE or not url.isprintable():
        return None
    return None if re.search(r"[\s\\\"<>]", url) else url


@dataclass(frozen=True, slots=True)
class RelayList:
    """Where an account writes and reads (kind 10002, as of `at`), and takes messages (kind 10050, as of `dm_at`)."""

    at: int = 0
    write: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    dm_at: int = 0
    dm: tuple[str, ...] = ()


def merge(old: RelayList, event: Event) -> RelayList:
    """The list once a verified kind 10002 or 10050 is known; an older one changes nothing."""
    if event.kind == RELAY_LIST and event.created_at > old.at:
        entries = [tag for tag in event.tags if tag[0] == "r" and len(tag) > 1][:_TAGS]
        write = [tag[1] for tag in entries if len(tag) < 3 or tag[2] in ("", "write")]
        read = [tag[1] for tag in entries if len(tag) < 3 or tag[2] in ("", "read")]
        return RelayList(event.created_at, _public(write, EACH), _public(read, EACH), old.dm_at, old.dm)
    if event.kind == DM_RELAYS and event.created_at > old.dm_at:
        named = tag_values(event, "relay")[:_TAGS]
        return RelayList(old.at, old.write, old.read, event.created_at, _public(named, DM_EACH))
    return old


def detail_of(known: RelayList) -> dict[str, str]:
    """As it is kept in `Account.detail`: URLs with spaces between, under write, read and dm; none, no entry."""
    lists = {"write": known.write, "read": known.read, "dm": known.dm}
    return {name: " ".join(urls) for name, urls in lists.items() if urls}


def endpoints_for(details: Iterable[Mapping[str, str]], own: Collection[str]) -> tuple[str, ...]:
    """Where a copy goes: to `own`, and to 2 to 4 read relays of each account with one of these details.

    At most EXTRA beside our own. Everybody gets a first relay before anybody gets a second; one that somebody
    else's copy goes to anyway counts too.
    """
    chosen = dict.fromkeys(own)
    most = len(chosen) + EXTRA
    readers = [detail.get("read", "").split()[:EACH] for detail in details]
    for turn in range(EACH):
        for relays in readers:
            if turn < len(relays) and len(chosen) < most:
                chosen.setdefault(relays[turn])
    return tuple(chosen)


def cover(
    lists: Mapping[str, Collection[str]], given: Collection[str], most: int, kept: Collection[str] = ()
) -> dict[str, frozenset[str]]:
    """Relay -> accounts to read there, so that each account is read from COVER of its write relays where it can be.

    lists   account -> its write relays
    given   relays that all accounts are read from anyway
    most    relays to choose
    kept    relays to rather choose than others that serve as many accounts: those that are connected

    Greedy: always the relay that most accounts still lack, first for everybody's first relay, then for the second.
    """
    chosen: dict[str, set[str]] = {}
    have = {account: len(set(urls) & set(given)) for account, urls in lists.items()}
    for level in range(1, COVER + 1):
        lacking: dict[str, set[str]] = {}
        for account, urls in lists.items():
            if have[account] < level:
                for url in set(urls) - set(given):
                    lacking.setdefault(url, set()).add(account)
        for url in chosen:
            lacking.pop(url, None)
        while lacking and len(chosen) < most:
            url = min(lacking, key=lambda url: (-len(lacking[url]), url not in kept, url))
            if not lacking[url]:
                break
            # Whoever lacks a second relay is read here as well: the connection is there anyway.
            chosen[url] = {account for account, urls in lists.items() if url in urls and have[account] < COVER}
            for account in chosen[url]:
                have[account] += 1
                if have[account] >= level:
                    for other in lists[account]:
                        lacking.get(other, set()).discard(account)
            del lacking[url]
    return {url: frozenset(accounts) for url, accounts in chosen.items()}


def _public(urls: Iterable[str], most: int) -> tuple[str, ...]:
    found = dict.fromkeys(url for text in urls if (url := public_relay(text)) is not None)
    return tuple(found)[:most]
