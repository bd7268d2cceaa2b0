"""Addresses and names, made and parsed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.activitypub.ids import Urls, name_elsewhere, native, parse, slug, split_acct, usernames
from bridged.api import Ref
from tests.unit.activitypub.fake import BASE, HOME

URLS = Urls(BASE)


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_addresses_of_different_refs_differ(one: str, two: str):
    first_ref, second_ref = Ref("nostr", one), Ref("nostr", two)
    assert (slug(first_ref) == slug(second_ref)) == (one == two)
    assert URLS.created(URLS.create(URLS.object(first_ref))) == URLS.object(first_ref)


def test_names_are_reversible():
    alias = replace(HOME, alias="fiatjaf@nostr.example")
    assert usernames(alias)[:2] == ["fiatjaf_at_nostr.example", HOME.handle]
    assert name_elsewhere("fiatjaf_at_nostr.example") == alias.alias
    assert name_elsewhere("a_at_b_at_c.example") == "a_at_b@c.example"
    assert name_elsewhere(HOME.handle) == HOME.handle
    odd = usernames(replace(HOME, handle="ä b"))
    assert len(odd) == 1
    assert odd[0].startswith("nostr_")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://peer.test/@bob/1", "https://peer.test/@bob/1"),
        (" https://peer.test/u ", "https://peer.test/u"),
        ("https://peer.test/", None),
        ("https://peer.test/a b", None),
        ("npub1xyz", None),
        ("javascript:alert(1)", None),
        ("https://user@peer.test/x", None),
    ],
)
def test_parse_takes_addresses(text: str, expected: str | None):
    assert parse(text) == (native(expected) if expected else None)


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("acct:a@b.test", ("a", "b.test")),
        ("a@B.test", ("a", "b.test")),
        ("acct:@a@b.test", ("a", "b.test")),
        ("acct:a", None),
        ("acct:a@b@c", None),
    ],
)
def test_webfinger_resources_are_split(resource: str, expected: object):
    assert split_acct(resource) == expected
