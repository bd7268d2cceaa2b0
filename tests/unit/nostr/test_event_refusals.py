"""Events refused: every malformed shape, the same reason by the fast path, the slow path and an object."""

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.nostr import event as events
from adapters.nostr.event import BadEvent, parse_event, sign, to_json

SECRET = hashlib.sha256(b"a key for tests only").digest()
SIGNED = sign(SECRET, 1, 1_700_000_000, [["t", "x"], ["alt", "é 😀"]], 'Hello "world"\n')


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def members(**changes: object) -> dict[str, object]:
    """SIGNED as a JSON object, with changes."""
    return {**json.loads(to_json(SIGNED)), **changes}


def reason(source: object) -> str:
    with pytest.raises(BadEvent) as caught:
        parse_event(source)
    assert str(caught.value) == caught.value.reason
    return caught.value.reason


def reason_both_ways(value: dict[str, object]) -> str:
    """The reason for a JSON object, which must be the same for its text, compact or not."""
    found = {reason(value), reason(compact(value)), reason(json.dumps(value))}
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize("name", ["id", "pubkey", "created_at", "kind", "tags", "content", "sig"])
def test_missing_member_is_named(name: str):
    value = members()
    del value[name]
    assert reason_both_ways(value) == f"missing_{name}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", 1.0),
        ("kind", -1),
        ("kind", 65_536),
        ("kind", 2**64),
        ("kind", True),
        ("kind", "1"),
        ("kind", None),
        ("created_at", 1_700_000_000.0),
        ("created_at", -1),
        ("created_at", events.MAX_CREATED_AT + 1),
        ("created_at", 10**30),
        ("created_at", False),
        ("content", None),
        ("content", 1),
        ("content", ["x"]),
        ("tags", None),
        ("tags", {}),
        ("tags", "t"),
        ("tags", [{}]),
        ("tags", ["t"]),
        ("tags", [[]]),
        ("tags", [["t", 1]]),
        ("tags", [["t", None]]),
        ("tags", [["t", ["x"]]]),
        ("tags", [["t", True]]),
        ("id", SIGNED.id.upper()),
        ("id", SIGNED.id[:-1]),
        ("id", SIGNED.id + "0"),
        ("id", SIGNED.id + "\n"),
        ("id", SIGNED.id[:-1] + "٣"),
        ("id", None),
        ("pubkey", SIGNED.pubkey.upper()),
        ("pubkey", SIGNED.pubkey[:-1] + "g"),
        ("pubkey", 1),
        ("sig", SIGNED.sig.upper()),
        ("sig", SIGNED.sig[:-2]),
        ("sig", SIGNED.sig + "\n"),
    ],
)
def test_wrong_member_is_named(name: str, value: object):
    assert reason_both_ways(members(**{name: value})) == name


@pytest.mark.parametrize("number", ["1.0", "1e0", "1E0", "0.1e1", "1.5"])
def test_integer_written_as_a_float_is_refused(number: str):
    assert reason(to_json(SIGNED).replace(b'"kind":1', b'"kind":' + number.encode())) == "kind"


@pytest.mark.parametrize(
    "extra",
    [
        '"kind":1',
        '"kind":2',
        '"k\\u0069nd":2',
        '"content":"x"',
        '"sig":""',
        '"x":1,"x":2',
        '"x":{"y":1,"y":2}',
    ],
)
def test_duplicate_key_is_refused_wherever_it_stands(extra: str):
    text = to_json(SIGNED).decode()
    assert reason(text[:-1] + "," + extra + "}") == "duplicate_key"
    assert reason("{" + extra + "," + text[1:]) == "duplicate_key"


def test_duplicate_key_cannot_hide_in_bytes_saved_by_an_exponent():
    """`1e9` is seven bytes shorter than the number it stands for: room for a short duplicate."""
    event = sign(SECRET, 10_000, 1_000_000_000, [], "")
    text = to_json(event).replace(b"1000000000", b"1e9").replace(b"10000,", b"1e4,")
    text = text[:-1] + b',"id": ""}'
    assert len(text) == len(to_json(event))
    assert reason(text) == "duplicate_key"


@pytest.mark.parametrize("escape", ["\\ud800", "\\udc00", "\\ud800x", "\\udc00\\ud800", "\\ud800\\u0041", "\\uD83D"])
@pytest.mark.parametrize("place", ["content", "tags"])
def test_lone_surrogate_is_refused(escape: str, place: str):
    text = to_json(sign(SECRET, 1, 1, [["t", "HERE"]] if place == "tags" else [], "HERE"))
    assert reason(text.replace(b"HERE", escape.encode())) == "surrogate"
    assert reason(json.loads(text.replace(b"HERE", escape.encode()))) == "surrogate"
    assert reason(text.decode().replace("HERE", "\ud800")) == "surrogate"


def test_surrogate_pair_is_one_character():
    event = parse_event(json.dumps(members(content="😀")))
    assert event.content == "😀"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"nul",
        b"\xff",
        b"\xef\xbb\xbf" + to_json(SIGNED),
        to_json(SIGNED) + b"x",
        to_json(SIGNED) + to_json(SIGNED),
        to_json(SIGNED).replace(b"Hello", b"\xed\xa0\x80"),
        to_json(SIGNED).replace(b"Hello", b"\xff\xfe"),
        to_json(SIGNED).replace(b"Hello", b"\x01"),
        to_json(SIGNED).replace(b'"kind":1', b'"kind":NaN'),
        to_json(SIGNED).replace(b'"kind":1', b'"kind":01'),
        to_json(SIGNED).replace(b'"kind":1', b'"kind":' + b"9" * 5000),
        to_json(SIGNED)[:-1] + b',"x":Infinity}',
        to_json(SIGNED)[:-1] + b',"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        to_json(SIGNED).decode().encode("utf-16"),
    ],
)
def test_text_that_is_no_json_is_refused(text: bytes):
    assert reason(text) == "not_json"


@pytest.mark.parametrize("source", [b"[]", b"1", b"null", b'"x"', [], None, 1, 1.5, object(), ("a",)])
def test_other_values_are_no_object(source: object):
    assert reason(source) == "not_an_object"


def test_event_of_exactly_the_largest_size_passes():
    room = events.MAX_BYTES - len(to_json(sign(SECRET, 1, 1, [], "")))
    largest = sign(SECRET, 1, 1, [], "x" * room)
    text = to_json(largest)
    assert len(text) == events.MAX_BYTES
    assert parse_event(text) == parse_event(json.loads(text)) == largest
    assert reason(text[:-1] + b" }") == "too_large"
    assert reason({**json.loads(text), "content": "x" * (room + 1)}) == "too_large"
    with pytest.raises(BadEvent, match="too_large"):
        sign(SECRET, 1, 1, [], "x" * (room + 1))


def test_tags_are_counted():
    most = [["t"]] * events.MAX_TAGS
    assert len(parse_event(members(tags=most)).tags) == events.MAX_TAGS
    assert parse_event(compact(members(tags=most))).tags == (("t",),) * events.MAX_TAGS
    assert reason_both_ways(members(tags=[*most, ["t"]])) == "too_many_tags"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(sorted(members())), json_values), json_values)
def test_parse_raises_only_its_typed_error(changes: dict[str, object], whole: object):
    for source in (members(**changes), whole, json.dumps(members(**changes)), json.dumps(whole)):
        try:
            event = parse_event(source)
        except BadEvent:
            continue
        assert parse_event(to_json(event)) == event


@settings(max_examples=200)
@given(st.integers(0, len(to_json(SIGNED))), st.integers(0, 20), st.binary(max_size=8))
def test_parse_of_damaged_text_agrees_with_the_slow_reading(start: int, length: int, patch: bytes):
    """Whatever the fast path lets through, the standard library reads as the same event."""
    text = to_json(SIGNED)
    damaged = text[:start] + patch + text[start + length :]
    try:
        event = parse_event(damaged)
    except BadEvent:
        return
    pairs = json.loads(damaged, object_pairs_hook=list)
    assert len({name for name, _ in pairs}) == len(pairs)
    assert parse_event(json.loads(damaged)) == event
