"""The outbox model's rules: whose lists are believed, where copies go, who is read where."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.nostr.event import Event, sign
from adapters.nostr.relays import COVER, EXTRA, RelayList, cover, detail_of, endpoints_for, merge, public_relay

SECRET = hashlib.sha256(b"alice").digest()


def listed(*tags: tuple[str, ...], at: int = 100, kind: int = 10002) -> Event:
    return sign(SECRET, kind, at, tags, "")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("wss://relay.example", "wss://relay.example"),
        (" WSS://Relay.Example:443/ ", "wss://relay.example"),
        ("wss://relay.example/inbox/", "wss://relay.example/inbox"),
        ("ws://relay.example:8080/a?b=c", "ws://relay.example:8080/a?b=c"),
        ("https://relay.example", None),
        ("wss://user@relay.example", None),
        ("wss://127.0.0.1", None),
        ("wss://8.8.8.8", None),
        ("wss://[::1]", None),
        ("wss://[2606:4700::1111]", None),
        ("wss://2130706433", None),
        ("wss://0x7f.1", None),
        ("wss://relay.0x7f", None),
        ("wss://localhost:7777", None),
        ("wss://umbrel.local", None),
        ("wss://relay.localhost.", None),
        ("wss://printer", None),
        ("wss://nas.lan", None),
        ("wss://relay.home.arpa", None),
        ("wss://" + "a" * 56 + ".onion", None),
        ("wss://relay.example/a b", None),
        ("wss://relay.example/\n", "wss://relay.example"),
        ("wss://relay.exa\u0440mple", None),
        ("wss://relay.example:99999", None),
        ("wss://relay.example/" + "a" * 300, None),
        ("", None),
    ],
)
def test_public_relay_takes_names_of_the_public_kind_alone(text: str, url: str | None) -> None:
    assert public_relay(text) == url


@settings(max_examples=200)
@given(st.text(max_size=60).map(lambda text: "wss://" + text))
def test_public_relay_never_raises_and_its_spelling_stays(text: str) -> None:
    url = public_relay(text)
    assert url is None or (public_relay(url) == url and " " not in url)


def test_merge_reads_markers_and_leaves_out_private_relays() -> None:
    event = listed(
        ("r", "wss://both.example/"),
        ("r", "wss://read.example", "read"),
        ("r", "wss://write.example", "write"),
        ("r", "wss://odd.example", "other"),
        ("r", "ws://192.168.0.1"),
        ("r", "wss://both.example"),
        ("r",),
        ("p", "wss://no.example"),
    )
    both, read, write = "wss://both.example", "wss://read.example", "wss://write.example"
    assert merge(RelayList(), event) == RelayList(100, (both, write), (both, read))


def test_merge_keeps_a_few_of_many_and_the_newest() -> None:
    many = merge(RelayList(), listed(*(("r", f"wss://r{n}.example") for n in range(500))))
    assert (len(many.write), len(many.read)) == (4, 4)
    assert merge(many, listed(("r", "wss://other.example"), at=100)) == many
    assert merge(many, listed(at=101)).write == ()
    messages = merge(many, listed(*(("relay", f"wss://d{n}.example") for n in range(9)), kind=10050))
    assert (messages.at, messages.dm_at, len(messages.dm)) == (100, 100, 3)
    assert merge(messages, listed(kind=10050, at=99)) == messages
    assert detail_of(messages)["dm"] == "wss://d0.example wss://d1.example wss://d2.example"
    assert detail_of(RelayList()) == {}


def test_endpoints_give_everybody_one_relay_before_anybody_two() -> None:
    details = [{"read": " ".join(f"wss://{person}{n}" for n in range(4))} for person in "abcdefgh"]
    found = endpoints_for(details, ("local", "wss://ours"))
    assert found[:2] == ("local", "wss://ours")
    assert len(found) == 2 + EXTRA
    assert set(found) > {f"wss://{person}0" for person in "abcdefgh"}
    assert endpoints_for([], ("local",)) == ("local",)
    assert endpoints_for([{"write": "wss://w"}, {"read": "wss://ours wss://x"}], ("wss://ours",)) == (
        "wss://ours",
        "wss://x",
    )


def test_cover_reads_each_from_two_relays_with_few_connections() -> None:
    lists = {f"account{n}": ("wss://big", f"wss://own{n}", "wss://second") for n in range(10)}
    found = cover(lists, (), 30)
    assert set(found) == {"wss://big", "wss://second"}
    assert found["wss://big"] == found["wss://second"] == frozenset(lists)


def test_cover_counts_relays_that_are_read_anyway() -> None:
    assert cover({"a": ("wss://given", "wss://x")}, {"wss://given"}, 30) == {"wss://x": frozenset({"a"})}
    assert cover({"a": ("wss://given", "wss://also", "wss://x")}, {"wss://given", "wss://also"}, 30) == {}


def test_cover_within_bounds_gives_everybody_a_first_relay_first() -> None:
    lists = {"a": ("wss://1", "wss://2"), "b": ("wss://1", "wss://2"), "c": ("wss://3", "wss://4")}
    found = cover(lists, (), 2)
    assert set(found) == {"wss://1", "wss://3"}


def test_cover_rather_keeps_what_is_connected() -> None:
    lists = {"a": ("wss://1", "wss://2", "wss://3")}
    assert set(cover(lists, (), 2, ("wss://3",))) == {"wss://3", "wss://1"}


URLS = st.lists(st.sampled_from([f"wss://{n}" for n in range(8)]), max_size=4)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from("abcdefghij"), URLS), st.frozensets(st.sampled_from(["wss://0", "wss://1"])))
def test_cover_without_bounds_reads_everybody_where_they_write(
    lists: dict[str, list[str]], given: frozenset[str]
) -> None:
    found = cover(lists, given, 100)
    for account, urls in lists.items():
        read = {url for url, accounts in found.items() if account in accounts} | (set(urls) & given)
        assert read <= set(urls)
        assert len(read) >= min(COVER, len(set(urls)))
    assert not given & found.keys()
    assert all(found.values())
    assert len(cover(lists, given, 2)) <= 2
