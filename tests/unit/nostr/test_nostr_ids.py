"""Refs: what a person may write, and how a ref is written for a person."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters.nostr import ids, nip19
from adapters.nostr.config import NostrConfig
from bridged.api import Ref

KEY, EVENT = "ab" * 32, "cd" * 32
ADDRESS = f"30023:{KEY}:my:article é"
BASE = "https://bridge.test"

hex_ids = st.binary(min_size=32, max_size=32).map(bytes.hex)
post_ids = hex_ids | st.builds(
    lambda kind, key, name: f"{kind}:{key}:{name}",
    st.integers(30_000, 39_999),
    hex_ids,
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\0"), max_size=40).map(str.strip),
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (KEY, KEY),
        (KEY.upper(), KEY),
        (f"nostr:{KEY}", KEY),
        (nip19.encode(nip19.Npub(KEY)), KEY),
        (f"  nostr:{nip19.encode(nip19.Nprofile(KEY, ('wss://r.test',)))} ", KEY),
        (nip19.encode(nip19.Note(EVENT)), EVENT),
        (f"NOSTR:{nip19.encode(nip19.Nevent(EVENT, (), KEY, 1))}", EVENT),
        (nip19.encode(nip19.Naddr("my:article é", KEY, 30023)), ADDRESS),
        (ADDRESS, ADDRESS),
        (f"https://njump.me/{nip19.encode(nip19.Npub(KEY))}", KEY),
        (f"https://bridge.test/{nip19.encode(nip19.Note(EVENT))}", EVENT),
    ],
)
def test_parse_finds(text: str, found: str) -> None:
    assert ids.parse(text, BASE) == Ref("nostr", found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice@example.com",
        KEY[:-1],
        nip19.encode(nip19.Npub(KEY))[:-1] + "x",
        "nsec10qj37wsnjnlcuvxzrjr8w6zzmg8v55pxz2zzvj2vdqdk4jjv3jysky7u7l",
        nip19.encode(nip19.Naddr("", KEY, 10002)),
        f"https://elsewhere.test/{nip19.encode(nip19.Npub(KEY))}",
        f"https://bridge.test/users/{nip19.encode(nip19.Npub(KEY))}",
        f"ftp://njump.me/{nip19.encode(nip19.Npub(KEY))}",
        "https://[",
        f"1:{KEY}:x",
        f"030023:{KEY}:x",
        f"30023:{KEY}:" + "x" * 2000,
        f"30023:{KEY}:a\0b",  # PostgreSQL would not store it
        "a" * 10_000,
    ],
)
def test_parse_finds_nothing(text: str) -> None:
    assert ids.parse(text, BASE) is None


@given(st.text(max_size=200))
def test_parse_never_raises(text: str) -> None:
    ids.parse(text, BASE)


@given(post_ids)
def test_names_lead_back_to_the_ref(post_id: str) -> None:
    ref = Ref("nostr", post_id)
    assert ids.parse(ids.names(ref)) == ref
    assert ids.parse(ids.post_word(ref)) == ref
    assert ids.parse(ids.post_uri(ref, author=KEY, kind=1, relay="wss://r.test")) == ref


def test_config_brings_relays_into_one_spelling() -> None:
    config = NostrConfig.model_validate({"relays": ["WSS://Relay.Test:443/", "ws://[::1]:7777/x/"]})
    assert config.relays == ["wss://relay.test", "ws://[::1]:7777/x"]
    assert (config.relay.enabled, config.relay.path) == (True, "/relay")


@pytest.mark.parametrize(
    "given_",
    [
        {"relays": ["https://relay.test"]},
        {"relays": ["relay.test"]},
        {"relays": ["wss://"]},
        {"relays": ["wss://user@relay.test"]},
        {"relays": ["wss://relay.test:99999"]},
        {"relays": ["wss://relay.test", "wss://relay.test/"]},
        {"relays": [], "relay": {"enabled": False}},
        {"relay": {"path": "relay"}},
        {"relay": {"path": "/{x}"}},
        {"relay": {"port": 1}},
        {"unknown": 1},
    ],
)
def test_config_refuses(given_: object) -> None:
    with pytest.raises(ValidationError):
        NostrConfig.model_validate(given_)
