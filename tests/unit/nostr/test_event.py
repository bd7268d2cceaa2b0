"""Events: the shared vectors, every refusal, and both ways through the parser."""

import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.nostr import event as events
from adapters.nostr.event import BadEvent, event_id, parse_event, sign, to_json, verify
from adapters.nostr.signing import InvalidSecretKey
from tests.vectors import vectors

SECRET = hashlib.sha256(b"a key for tests only").digest()
SIGNED = sign(SECRET, 1, 1_700_000_000, [["t", "x"], ["alt", "é 😀"]], 'Hello "world"\n')

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
tag_lists = st.lists(st.lists(texts, min_size=1, max_size=4), max_size=5)
kinds = st.integers(0, 65_535)
times = st.integers(0, events.MAX_CREATED_AT)


def own(name: str) -> Any:
    return json.loads((vectors() / "nostr" / "own" / name).read_text("utf-8"))


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


def test_own_events_parse_and_verify():
    cases = own("events-by-kind.json")["events"]
    for name, case in cases.items():
        assert case["verifies"], name
        for source in (case["event"], compact(case["event"]), json.dumps(case["event"])):
            event = parse_event(source)
            verify(event)
            assert json.loads(to_json(event)) == case["event"], name
    assert len(cases) == 42


def test_own_invalid_events_are_refused_for_their_reason():
    expected = {
        "content changed": "id",
        "id changed": "id",
        "sig changed": "signature",
        "other pubkey": "id",
        "uppercase id": "id",
        "created_at changed": "id",
        "created_at is a string": "created_at",
        "tag value is a number": "tags",
        "tag value is null": "tags",
        "no sig": "missing_sig",
        "kind over 65535": "kind",
        "kind not an integer": "kind",
        "tags not an array": "tags",
        "short sig": "sig",
        "pubkey not on curve": "id",
    }
    found: dict[str, str] = {}
    for case in own("invalid-events.json"):
        for source in (case["event"], compact(case["event"])):
            with pytest.raises(BadEvent) as caught:
                verify(parse_event(source))
            found[case["why"]] = caught.value.reason
    assert found == expected


def test_own_ids_and_signatures_match():
    cases = own("nip01-event-ids.json")["cases"]
    refused = 0
    for case in cases:
        e = case["event"]
        template = (e["pubkey"], e["created_at"], e["kind"], e["tags"], e["content"])
        signed = {**e, "id": case["id"], "sig": case["sig"]}
        if "lone-surrogate" in case["name"]:
            with pytest.raises(BadEvent, match="surrogate"):
                event_id(*template)
            assert reason(signed) == "surrogate"
            assert reason(json.dumps(signed).encode()) == "surrogate"
            refused += 1
            continue
        assert event_id(*template) == case["id"], case["name"]
        for source in (signed, compact(signed), json.dumps(signed)):
            verify(parse_event(source))
    assert (len(cases), refused) == (64, 4)


def test_sign_makes_the_vectors_events_ids():
    """nostr-tools signs with random auxiliary bytes: ids agree, signatures differ and both verify."""
    keys = {key["pubkey"]: bytes.fromhex(key["seckey"]) for key in own("test-keys.json")["keys"].values()}
    for name, case in own("events-by-kind.json")["events"].items():
        e = case["event"]
        made = sign(keys[e["pubkey"]], e["kind"], e["created_at"], e["tags"], e["content"])
        verify(made)
        assert (made.id, made.pubkey) == (e["id"], e["pubkey"]), name


def test_nip_examples_are_judged_as_recorded():
    for case in json.loads((vectors() / "nostr" / "nip-examples" / "complete-events.json").read_text("utf-8")):
        try:
            verify(parse_event(compact(case["event"])))
            verified = True
        except BadEvent:
            verified = False
        assert verified is case["verifies"], case


def test_range_ends_are_accepted():
    for value in (members(kind=0, created_at=0), members(kind=65_535, created_at=events.MAX_CREATED_AT)):
        assert parse_event(compact(value)) == parse_event(value)


def test_other_members_and_spaces_are_ignored():
    assert parse_event(members(extra=[{}])) == SIGNED
    assert parse_event(compact(members(extra=[{}]))) == SIGNED
    assert parse_event(json.dumps(dict(reversed(members().items())), indent=2)) == SIGNED


def test_raw_of_a_frame_is_parsed():
    frame = msgspec.json.decode(b'["EVENT","sub",' + to_json(SIGNED) + b"]", type=list[msgspec.Raw])
    assert parse_event(frame[2]) == SIGNED


def test_verify_tells_id_from_signature():
    other = sign(hashlib.sha256(b"other").digest(), 1, 1, [], "")
    for change, expected in (
        ({"content": "other"}, "id"),
        ({"created_at": 1}, "id"),
        ({"kind": 2}, "id"),
        ({"tags": ()}, "id"),
        ({"pubkey": other.pubkey}, "id"),
        ({"id": other.id}, "id"),
        ({"sig": other.sig}, "signature"),
        ({"sig": "0" * 128}, "signature"),
    ):
        with pytest.raises(BadEvent) as caught:
            verify(msgspec.structs.replace(SIGNED, **change))
        assert caught.value.reason == expected


def test_verify_refuses_a_key_off_the_curve_by_its_signature():
    fake = msgspec.structs.replace(SIGNED, pubkey="0" * 64)
    right_id = event_id(fake.pubkey, fake.created_at, fake.kind, fake.tags, fake.content)
    with pytest.raises(BadEvent, match="signature"):
        verify(msgspec.structs.replace(fake, id=right_id))


def test_sign_refuses_what_is_no_event_and_no_key():
    for arguments, expected in (
        ((65_536, 1, [], ""), "kind"),
        ((1.0, 1, [], ""), "kind"),
        ((1, 2**70, [], ""), "created_at"),
        ((1, 1, [[]], ""), "tags"),
        ((1, 1, [["t", 1]], ""), "tags"),
        ((1, 1, [], "\ud800"), "surrogate"),
        ((1, 1, [["t", "\ud800"]], ""), "surrogate"),
        ((1, 1, [["t"]] * 2001, ""), "too_many_tags"),
    ):
        with pytest.raises(BadEvent) as caught:
            sign(SECRET, *arguments)  # type: ignore[arg-type]
        assert caught.value.reason == expected
    with pytest.raises(InvalidSecretKey):
        sign(bytes(32), 1, 1, [], "")


@settings(max_examples=60)
@given(kinds, times, tag_lists, texts)
def test_signed_event_survives_json_and_verifies(kind: int, created_at: int, tags: list[list[str]], content: str):
    event = sign(SECRET, kind, created_at, tags, content)
    verify(event)
    assert event == sign(SECRET, kind, created_at, tags, content)
    text = to_json(event)
    for source in (text, text.decode(), json.loads(text), json.dumps(json.loads(text))):
        assert parse_event(source) == event


@settings(max_examples=150)
@given(texts, tag_lists)
@example("\x7f\u2028\u2029\x00\x1f\u0085\ufeff/", [["é"]])
def test_id_equals_the_plain_serialisation(content: str, tags: list[list[str]]):
    plain = json.dumps([0, SIGNED.pubkey, 5, 1, tags, content], separators=(",", ":"), ensure_ascii=False)
    assert event_id(SIGNED.pubkey, 5, 1, tags, content) == hashlib.sha256(plain.encode()).hexdigest()


@pytest.mark.parametrize(
    ("kind", "replaceable", "ephemeral", "addressable"),
    [(k, True, False, False) for k in (0, 3, 10_000, 19_999)]
    + [(k, False, True, False) for k in (20_000, 29_999)]
    + [(k, False, False, True) for k in (30_000, 39_999)]
    + [(k, False, False, False) for k in (1, 2, 4, 9_999, 40_000, 65_535)],
)
def test_kind_ranges_are_those_of_nip_01(kind: int, replaceable: bool, ephemeral: bool, addressable: bool):
    assert events.is_replaceable(kind) is replaceable
    assert events.is_ephemeral(kind) is ephemeral
    assert events.is_addressable(kind) is addressable


@pytest.mark.parametrize(
    ("kind", "tags", "expected"),
    [
        (30_023, [["d", "a:b"], ["d", "other"]], "30023:{}:a:b"),
        (30_023, [["d"]], "30023:{}:"),
        (30_023, [], "30023:{}:"),
        (0, [["d", "x"]], "0:{}:"),
        (10_002, [], "10002:{}:"),
        (1, [["d", "x"]], None),
        (20_001, [["d", "x"]], None),
    ],
)
def test_address_is_that_of_the_a_tag(kind: int, tags: list[list[str]], expected: str | None):
    event = sign(SECRET, kind, 1, tags, "")
    assert events.address(event) == (expected and expected.format(event.pubkey))


def test_newer_event_supersedes_and_lowest_id_wins_a_tie():
    old, new = sign(SECRET, 0, 1, [], "a"), sign(SECRET, 0, 2, [], "b")
    assert events.supersedes(new, old)
    assert not events.supersedes(old, new)
    low, high = sorted((old, sign(SECRET, 0, 1, [], "c")), key=lambda event: event.id)
    assert events.supersedes(low, high)
    assert not events.supersedes(high, low)
    assert not events.supersedes(low, low)


def test_tags_are_found_by_exact_name():
    event = sign(SECRET, 1, 1, [["e"], ["E", "1"], ["e", "2", "r"], ["e", "3"], ["ee", "4"]], "")
    assert events.first_tag(event, "e") == ("e",)
    assert events.first_tag(event, "ee") == ("ee", "4")
    assert events.first_tag(event, "x") is None
    assert events.tag_values(event, "e") == ("2", "3")
    assert events.tag_values(event, "x") == ()
