"""Filters: nostr-tools' recorded answers, refusals, and matching against a plain reading of NIP-01."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.nostr.event import Event
from adapters.nostr.filters import BadFilter, Bounds, Filter, matches, parse_filter, to_object
from tests.vectors import vectors

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def made_event(**fields: Any) -> Event:
    tags = tuple(tuple(tag) for tag in fields.pop("tags", ()))
    plain = {"id": A, "pubkey": B, "created_at": 100, "kind": 1, "content": "", "sig": "0" * 128}
    return Event(tags=tags, **{**plain, **fields})


def made_filter(source: dict[str, Any]) -> Filter:
    """A filter of any values, past the checks of `parse_filter`: nostr-tools' tests use ids like "123"."""
    lists = {name: frozenset(source[name]) for name in ("ids", "authors", "kinds") if name in source}
    numbers = {name: source[name] for name in ("since", "until", "limit") if name in source}
    tags = tuple((name[1:], frozenset(values)) for name, values in source.items() if name.startswith("#"))
    return Filter(tags=tags, **lists, **numbers)


def test_recorded_nostr_tools_answers_agree():
    """Left out: mergeFilters and getFilterLimit are conveniences of nostr-tools, not of a NIP.

    All inputs go past `parse_filter`, for NIP-01 allows neither ids like "123" nor tag names like "#tag".
    """
    checked = 0
    for call in json.loads((vectors() / "nostr" / "nostr-tools-recorded" / "filter.json").read_text("utf-8")):
        if call["fn"] == "matchFilter":
            sources, event = [call["args"][0]], call["args"][1]
        elif call["fn"] == "matchFilters":
            sources, event = call["args"]
        else:
            continue
        event = made_event(**event)
        assert any(matches(made_filter(source), event) for source in sources) is call["result"], call["test"]
        checked += 1
    assert checked == 15


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({}, Filter()),
        ({"ids": [A, A]}, Filter(ids=frozenset({A}))),
        ({"authors": []}, Filter(authors=frozenset())),
        ({"kinds": [0, 65_535]}, Filter(kinds=frozenset({0, 65_535}))),
        ({"since": 0, "until": 2**63 - 1}, Filter(since=0, until=2**63 - 1)),
        ({"limit": 0}, Filter(limit=0)),
        ({"limit": 500}, Filter(limit=500)),
        ({"limit": 501}, Filter(limit=500)),
        ({"search": "é x"}, Filter(search="é x")),
        (
            {"#t": ["x", ""], "#P": ["any"], "#e": [A]},
            Filter(tags=(("P", frozenset({"any"})), ("e", frozenset({A})), ("t", frozenset({"x", ""})))),
        ),
    ],
)
def test_filter_is_parsed(source: dict[str, object], expected: Filter):
    assert parse_filter(source) == expected


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "not_an_object"),
        ([], "not_an_object"),
        ("{}", "not_an_object"),
        ({1: [A]}, "unknown_member"),
        ({"": 1}, "unknown_member"),
        ({"id": [A]}, "unknown_member"),
        ({"Ids": [A]}, "unknown_member"),
        ({"#": ["x"]}, "unknown_member"),
        ({"#tag": ["x"]}, "unknown_member"),
        ({"#1": ["x"]}, "unknown_member"),
        ({"#é": ["x"]}, "unknown_member"),
        ({"#t\n": ["x"]}, "unknown_member"),
        ({"&t": ["x"]}, "unknown_member"),
        ({"ids": A}, "ids"),
        ({"ids": {A: 1}}, "ids"),
        ({"ids": None}, "ids"),
        ({"ids": [A[:-1]]}, "ids"),
        ({"ids": [A[:8]]}, "ids"),
        ({"ids": [A + "\n"]}, "ids"),
        ({"ids": [A.upper()]}, "ids"),
        ({"ids": [A, 1]}, "ids"),
        ({"ids": [[A]]}, "ids"),
        ({"authors": ["g" * 64]}, "authors"),
        ({"#e": ["x"]}, "#e"),
        ({"#p": [A[:10]]}, "#p"),
        ({"#t": [1]}, "#t"),
        ({"#t": [{}]}, "#t"),
        ({"#t": "x"}, "#t"),
        ({"#t": ["\ud800"]}, "#t"),
        ({"kinds": [1.0]}, "kinds"),
        ({"kinds": [True]}, "kinds"),
        ({"kinds": [-1]}, "kinds"),
        ({"kinds": [65_536]}, "kinds"),
        ({"kinds": ["1"]}, "kinds"),
        ({"kinds": 1}, "kinds"),
        ({"since": 1.0}, "since"),
        ({"since": -1}, "since"),
        ({"since": None}, "since"),
        ({"until": 2**63}, "until"),
        ({"until": "1"}, "until"),
        ({"limit": -1}, "limit"),
        ({"limit": True}, "limit"),
        ({"limit": 10**30}, "limit"),
        ({"search": 1}, "search"),
        ({"search": "\udc00"}, "search"),
    ],
)
def test_malformed_filter_is_refused(source: object, reason: str):
    with pytest.raises(BadFilter) as caught:
        parse_filter(source)
    assert caught.value.reason == reason


def test_bounds_are_kept():
    bounds = Bounds(values=3, tags=2, value_length=4, search_length=4, limit=7)

    def reason(source: dict[str, object]) -> str | None:
        try:
            parse_filter(source, bounds)
        except BadFilter as error:
            return error.reason
        return None

    assert reason({"ids": [A], "kinds": [1, 2]}) is None
    assert reason({"ids": [A], "kinds": [1, 2], "#t": ["x"]}) == "too_many_values"
    assert reason({"ids": [A] * 4}) == "too_many_values"
    assert reason({"#a": [], "#b": []}) is None
    assert reason({"#a": [], "#b": [], "#c": []}) == "too_many_tags"
    assert reason({"#a": ["éé"]}) is None
    assert reason({"#a": ["ééx"]}) == "#a"
    assert reason({"search": "éé"}) is None
    assert reason({"search": "ééx"}) == "search"
    assert parse_filter({"limit": 8}, bounds).limit == 7


@pytest.mark.parametrize("source", [{"ids": []}, {"authors": []}, {"kinds": []}, {"#t": []}])
def test_empty_list_matches_nothing(source: dict[str, object]):
    assert not matches(parse_filter(source), made_event(tags=[["t", "x"], ["t"]]))


def test_empty_filter_matches_everything_and_limit_and_search_no_less():
    event = made_event()
    assert matches(parse_filter({}), event)
    assert matches(parse_filter({"limit": 0, "search": "nothing like it"}), event)


def test_times_are_inclusive():
    event = made_event(created_at=100)
    for source, expected in (
        ({"since": 100, "until": 100}, True),
        ({"since": 101}, False),
        ({"until": 99}, False),
        ({"since": 101, "until": 99}, False),
    ):
        assert matches(parse_filter(source), event) is expected


def test_only_the_whole_first_value_of_a_tag_is_matched():
    event = made_event(tags=[["t", "xx", "y"], ["T", "z"], ["r"]])
    for source, expected in (
        ({"#t": ["xx"]}, True),
        ({"#t": ["x"]}, False),
        ({"#t": ["y"]}, False),
        ({"#t": ["z"]}, False),
        ({"#t": ["z", "xx"]}, True),
        ({"#T": ["z"], "#t": ["xx"]}, True),
        ({"#T": ["z"], "#t": ["q"]}, False),
        ({"#r": [""]}, False),
        ({"#t": [""]}, False),
    ):
        assert matches(parse_filter(source), event) is expected


keys = st.sampled_from([A, B, C])
words = st.sampled_from(["", "x", "y", A, "é"])
small = st.integers(0, 3)
sources = st.fixed_dictionaries(
    {},
    optional={
        "ids": st.lists(keys, max_size=3),
        "authors": st.lists(keys, max_size=3),
        "kinds": st.lists(small, max_size=4),
        "since": small,
        "until": small,
        "limit": small,
        "search": words,
        "#e": st.lists(keys, max_size=2),
        "#t": st.lists(words, max_size=3),
        "#T": st.lists(words, max_size=3),
    },
)
tag_names = st.sampled_from(["e", "t", "T", "x"])
event_tags = st.lists(st.builds(lambda name, rest: [name, *rest], tag_names, st.lists(words, max_size=2)), max_size=4)


def naive(source: dict[str, Any], event: Event) -> bool:
    """NIP-01 read aloud, over the JSON object itself."""
    reads: dict[str, Callable[[Any], bool]] = {
        "ids": lambda v: event.id in v,
        "authors": lambda v: event.pubkey in v,
        "kinds": lambda v: event.kind in v,
        "since": lambda v: v <= event.created_at,
        "until": lambda v: event.created_at <= v,
        "limit": lambda v: True,
        "search": lambda v: True,
    }
    for name, value in source.items():
        if name.startswith("#"):
            if not {tag[1] for tag in event.tags if tag[0] == name[1] and tag[1:]} & set(value):
                return False
        elif not reads[name](value):
            return False
    return True


@settings(max_examples=500)
@given(sources, keys, keys, small, small, event_tags)
def test_matches_equals_a_naive_reading(
    source: dict[str, Any], id_: str, pubkey: str, kind: int, created_at: int, tags: list[list[str]]
):
    event = made_event(id=id_, pubkey=pubkey, kind=kind, created_at=created_at, tags=tags)
    assert matches(parse_filter(source), event) is naive(source, event)


@given(sources)
def test_parse_undoes_writing(source: dict[str, Any]):
    parsed = parse_filter(source)
    written = to_object(parsed)
    assert parse_filter(json.loads(json.dumps(written))) == parsed
    assert set(written) == set(source)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | keys,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
member_names = st.sampled_from(["ids", "authors", "kinds", "since", "until", "limit", "search", "#e", "#t"])


@given(json_values | st.dictionaries(member_names | st.text(max_size=3), json_values, max_size=4))
def test_parse_raises_only_its_typed_error(source: object):
    try:
        parsed = parse_filter(source)
    except BadFilter:
        return
    assert parse_filter(to_object(parsed)) == parsed
