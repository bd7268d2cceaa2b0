"""Handles of ghosts on AT."""

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from adapters.atproto import handles
from bridged.api import Account, Ref

NPUB = "npub1" + "q" * 58
LABEL = re.compile("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
NAMES = st.one_of(
    st.text(min_size=1, max_size=80),
    st.text(alphabet="abhtupz019.-_@AZ", min_size=1, max_size=40),
    st.from_regex(r"[a-zA-Z0-9_.-]{1,30}@[a-z0-9-]{1,20}(\.[a-z0-9-]{1,20}){1,3}", fullmatch=True),
)


def folded(name: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in name)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("alice@mastodon.social", "alice-at-mastodon-social"),
        ("Alice@mastodon.social", "alice-at-mastodon-social"),
        ("a.b@c.d", "a-b-at-c-d"),
        ("a@b.c.d", "a-at-b-c-d"),
        ("a_b@my-host.net", "a-u-b-at-my-h-host-net"),
        ("_@example.com", "u-at-example-com"),
        ("at@u.0x.h", "0zat-at-0zu-0z0x-0zh"),
        ("rené@example.org", "ren-0e9-at-example-org"),
        ("a..b.@c", "a-p-p-b-p-at-c"),
        (NPUB, NPUB),
        ("bridge", "bridge"),
    ],
)
def test_label_can_be_read_and_read_back(name: str, label: str) -> None:
    assert handles.label(name) == label
    assert handles.name_of(label) == folded(name)


@given(NAMES)
@example("\x00")
@example("\ud800")
@example("0")
@example("é" * 21)
def test_label_is_valid_and_reversible_or_shortened(name: str) -> None:
    label = handles.label(name)
    short = handles.shortened(name, f"source:{name}")
    for found in filter(None, (label, short)):
        assert LABEL.fullmatch(found)
        assert "--" not in found
    if label is not None:
        assert handles.name_of(label) == folded(name)
    assert handles.name_of(short) is None


@given(NAMES, NAMES)
@example("a.b@c.d", "a@b.c.d")
@example("a-b", "a.b")
@example("a.h.b", "a-b")
@example("at", "@")
@example("k", "K")
@example("a" * 100 + "b", "a" * 100 + "c")
def test_label_differs_for_different_sources(one: str, other: str) -> None:
    assume(folded(one) != folded(other))
    taken = {found for found in (handles.label(one), handles.shortened(one, one)) if found}
    assert taken.isdisjoint({handles.label(other), handles.shortened(other, other)})


@given(st.from_regex("[a-z0-9-]{1,63}", fullmatch=True))
def test_name_of_inverts_nothing_but_labels(label: str) -> None:
    name = handles.name_of(label)
    assert name is None or handles.label(name) == label


@pytest.mark.parametrize("label", ["", "-a", "a-", "a--b", "A", "a.b", "0110000", "0zabc", "0yabc", "a" * 64, "a-p-b"])
def test_name_of_refuses_what_is_no_label(label: str) -> None:
    assert handles.name_of(label) is None


def test_label_is_none_for_what_is_too_long() -> None:
    assert handles.label("a" * 63) == "a" * 63
    assert handles.label("a" * 64) is None
    assert handles.label("") is None
    assert handles.label("a" * 1001) is None


def test_shortened_keeps_the_beginning() -> None:
    short = handles.shortened("alice" * 9 + "@mastodon.social", "activitypub:x")
    assert short.startswith("alicealice")
    assert len(short) == handles.MAX_LABEL


def test_labels_prefer_the_verified_name_and_end_with_one_of_its_own() -> None:
    account = Account(Ref("nostr", "ab" * 32), NPUB, alias="alice@example.com")
    assert handles.labels(account)[:2] == ["alice-at-example-com", NPUB]
    other = Account(Ref("nostr", "cd" * 32), NPUB, alias="alice@example.com")
    assert handles.labels(account)[2] != handles.labels(other)[2]


def test_label_under_inverts_under() -> None:
    assert handles.under("bridge.test", "alice-at-c-d") == "alice-at-c-d.bridge.test"
    assert handles.under("localhost:8080", "a") == "a.localhost"
    assert handles.label_under("bridge.test", "Alice-at-c-d.Bridge.Test") == "alice-at-c-d"
    for other in ("bridge.test", "a.b.bridge.test", "abridge.test", ".bridge.test", "a.bridge.test.evil"):
        assert handles.label_under("bridge.test", other) is None
