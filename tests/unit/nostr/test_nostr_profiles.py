"""Accounts: kinds 0 and 10011 read, and kind 0 written."""

import hashlib
import json
from typing import Any

import pytest

from adapters.nostr import ids
from adapters.nostr.decode import account_of
from adapters.nostr.encode import Draft, encode
from adapters.nostr.event import Event, sign
from adapters.nostr.home import Home
from bridged.api import Account, Activity, Ghost, Profile, Ref, Span, Text, View

NOW = 1_700_000_000
SECRET = hashlib.sha256(b"profiles").digest()
KEY = sign(SECRET, 1, 1, [], "").pubkey


def made(members: object, *tags: tuple[str, ...], kind: int = 0) -> Event:
    return sign(SECRET, kind, NOW, tags, json.dumps(members))


def account(*tags: tuple[str, ...], **members: object) -> Account:
    return account_of(KEY, made(members, *tags))


def test_a_profile_has_its_emoji_lightning_and_refusals() -> None:
    found = account(
        ("emoji", "cat", "https://e.example/c.png"),
        ("emoji", "dog", "https://e.example/d.png"),
        display_name="Al :cat:",
        lud16="Al@Pay.example",
        lud06="lnurl1x",
        birthday={"year": 1990},
        bot=True,
    )
    assert found.emojis == (("cat", "https://e.example/c.png"),)
    assert found.fields == (("Lightning", "al@pay.example"),)
    assert found.detail == {"lud16": "al@pay.example", "lud06": "lnurl1x"}
    assert (found.bot, found.refuses) == (True, "")


@pytest.mark.parametrize(
    ("tags", "members", "refuses"),
    [
        ((), {"about": "I say #NoBridge."}, "#nobridge"),
        ((), {"about": "no bots please #nobot"}, "#nobot"),
        ((), {"about": "see example.org/x#nobot"}, ""),
        ((), {"about": "#nobridges"}, ""),
        ((("t", "NOBRIDGE"),), {}, "#nobridge"),
        ((), {"bridgeable": False}, "bridgeable: false"),
        ((), {"bridgeable": "false"}, ""),
    ],
)
def test_a_profile_can_refuse(tags: Any, members: dict[str, object], refuses: str) -> None:
    assert account(*tags, **members).refuses == refuses


@pytest.mark.parametrize(
    ("claim", "same_as"),
    [
        ("activitypub:https://social.test/users/al", "https://social.test/users/al"),
        ("mastodon:social.test/@Al", "https://social.test/@Al"),
        ("atproto:did:plc:abc", "at://did:plc:abc"),
        ("bluesky:al.bsky.example", "https://bsky.app/profile/al.bsky.example"),
        ("github:al", None),
        ("mastodon:javascript:x", None),
        ("activitypub:javascript:x", None),
        ("activitypub:https://" + "x" * 3000, None),
    ],
)
def test_identities_elsewhere_are_claims(claim: str, same_as: str | None) -> None:
    identities = made("", ("i", claim, "proof"), kind=10011)
    expected = () if same_as is None else (same_as,)
    assert account_of(KEY, None, identities).same_as == expected
    assert account_of(KEY, made({}), identities).same_as == expected
    assert account_of(KEY, made({}, ("i", claim, "proof"))).same_as == expected


def test_a_profile_can_name_what_it_is_known_as() -> None:
    found = account(alsoKnownAs=["https://social.test/users/al", 3, "at://did:plc:abc", "nonsense"])
    assert found.same_as == ("https://social.test/users/al", "at://did:plc:abc")


@pytest.mark.parametrize("nip05", ["a_at_b.c@mostr.pub", "x@momostr.pink", "a@web.brid.gy"])
def test_ghosts_of_other_bridges_are_marked(nip05: str) -> None:
    assert account(nip05=nip05).mark == nip05
    assert account(nip05=nip05 + ".example").mark == ""


ALICE = Ref("activitypub", "https://social.test/alice")


def written(**more: Any) -> tuple[dict[str, Any], Draft]:
    about = Account(ALICE, "alice@social.test", **{"url": "https://social.test/@alice", **more})
    view = View(NOW + 5.0, Ghost(ALICE, ids.account_ref(KEY), "alice_at_social.test"), about)
    found = encode(Activity(ALICE, ALICE, NOW, Profile(about)), view, Home("bridge.test", "wss://bridge.test/relay"))
    draft = found.parts[0]
    assert isinstance(draft, Draft)
    return json.loads(draft.content), draft


def test_fields_are_lines_of_the_bio() -> None:
    members, _ = written(
        bio=Text("Hi"), fields=(("Pronouns", "she/her"), ("Web", "https://alice.example"), ("Empty", " "))
    )
    assert members["about"] == (
        "Hi\n\nPronouns: she/her\nWeb: https://alice.example\n\nbridged from https://social.test/@alice"
    )
    assert members["website"] == "https://alice.example"
    assert "lud16" not in members


def test_a_lightning_field_is_where_zaps_go() -> None:
    assert written(fields=(("⚡ Lightning", "al@pay.example"),))[0]["lud16"] == "al@pay.example"
    assert "lud16" not in written(fields=(("Mail", "al@pay.example"),))[0]


def test_emoji_of_name_and_bio_have_their_tags() -> None:
    bio = Text(":dog:", (Span(0, 5, "emoji", "https://e.example/d.png"),))
    _, draft = written(name="Al :cat:", emojis=(("cat", "https://e.example/c.png"), ("b ad", "https://x")), bio=bio)
    assert draft.tags[:2] == (("emoji", "cat", "https://e.example/c.png"), ("emoji", "dog", "https://e.example/d.png"))
