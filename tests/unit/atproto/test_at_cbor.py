"""DAG-CBOR and content ids: vectors, the holes of the library, and the slow reader against the fast one."""

import json
import threading
from base64 import b64decode
from typing import Any

import libipld
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from adapters.atproto import cbor, drisl
from adapters.atproto.cid import RAW, Cid
from bridged.api import Malformed
from tests.vectors import vectors

CID = Cid.of(b"something")
LINKS = st.binary(max_size=20).map(Cid.of) | st.binary(max_size=20).map(lambda data: Cid.of(data, RAW))
LOOKALIKES = st.sampled_from([b"\x01", b"\x01\x71\x12\x20", b"\x12\x20"]).flatmap(
    lambda start: st.binary(max_size=64).map(lambda rest: start + rest)
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(drisl.INT_MIN, drisl.INT_MAX)
    | st.text(max_size=30)
    | st.binary(max_size=70)
    | LOOKALIKES
    | LINKS
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=30), inner, max_size=5),
    max_leaves=30,
)


def read(*path: str) -> Any:
    return json.loads((vectors() / "atproto").joinpath(*path).read_text())


def raw(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4))


def nested(depth: int) -> bytes:
    return b"\x81" * depth + b"\x00"


def same(one: Any, other: Any) -> bool:
    """Equal, and links where links are."""
    return one == other and drisl.encode(one) == drisl.encode(other)


def test_data_model_fixtures_have_their_bytes_and_id():
    cases = read("interop-tests", "data-model", "data-model-fixtures.json")
    for case in cases:
        data = raw(case["cbor_base64"])
        value = cbor.from_json(case["json"])
        assert cbor.encode(value) == drisl.encode(value) == data
        assert same(cbor.decode(data), value)
        assert cbor.to_json(cbor.decode(data)) == case["json"]
        assert str(Cid.of(data)) == case["cid"]
    assert len(cases) == 3


LENIENT = {"poorlyFormatted"}
"""Vectors whose JSON has other keys beside `$link` and `$bytes`, which the interop data model refuses: CBOR only."""


def test_lex_cbor_vectors_have_their_bytes_and_id():
    cases = read("lex-cbor", "vectors.json")
    for case in cases:
        data = bytes.fromhex(case["cbor_hex"])
        if case["name"] in LENIENT:
            with pytest.raises(Malformed, match=r"link|bytes"):
                cbor.from_json(case["json"])
        else:
            assert cbor.encode(cbor.from_json(case["json"])) == data
        assert cbor.encode(cbor.decode(data)) == data
        assert cbor.to_json(cbor.decode(data)) == case["json"]
        assert Cid.of(data) == Cid.parse(case["cid"])
    assert len(cases) == 5


def test_valid_data_passes_and_invalid_data_is_refused():
    for case in read("interop-tests", "data-model", "data-model-valid.json"):
        value = cbor.from_json(case["json"])
        assert same(cbor.decode(cbor.encode(value)), value), case["note"]
    for case in read("interop-tests", "data-model", "data-model-invalid.json"):
        with pytest.raises(Malformed):
            cbor.record_from_json(case["json"])


def test_negative_fixtures_are_refused():
    for case in read("ipld-negative", "duplicate-keys.json"):
        for decode in (cbor.decode, drisl.decode):
            with pytest.raises(Malformed):
                decode(bytes.fromhex(case["hex"]))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("1800", "canonical"),
        ("190017", "canonical"),
        ("1a0000ffff", "canonical"),
        ("1b00000000ffffffff", "canonical"),
        ("780161", "canonical"),
        ("b801616101", "canonical"),
        ("a2626262016161 02", "cbor|canonical"),
        ("9fff", "cbor|canonical"),
        ("fb3ff8000000000000", "float"),
        ("81fb7ff8000000000000", "cbor|float"),
        ("f93c00", "cbor|float"),
        ("f7", "cbor"),
        ("f814", "cbor"),
        ("0000", "cbor"),
        ("", "cbor"),
        ("1bffffffffffffffff", "int"),
        ("3bffffffffffffffff", "int"),
        ("c100", "cbor"),
        ("d82a4100", "cbor|cid"),
        ("d82a450001710000", "cid"),
        ("d82a582300" + "1220" + "00" * 32, "cid"),
        ("d82a582500" + "01701220" + "00" * 32, "cid"),
        ("a10102", "cbor|key"),
        ("a1410102", "cbor|key"),
        ("9b0000000100000000", "cbor"),
        ("5b0000000100000000", "cbor"),
        ("bb7fffffffffffffff", "cbor"),
        ("62c328", "cbor|text"),
        ("63eda080", "cbor|text"),
        ("a163eda08001", "cbor|text"),
    ],
)
def test_what_is_not_drisl_is_refused_by_both_readers(data: str, reason: str):
    with pytest.raises(Malformed, match=f"^({reason})$"):
        cbor.decode(bytes.fromhex(data))
    with pytest.raises(Malformed, match=f"^({reason})$"):
        drisl.decode(bytes.fromhex(data))


@pytest.mark.parametrize("depth", [33, 257, 1000, 100_000, 1 << 20])
def test_deep_nesting_is_refused_on_a_small_stack(depth: int):
    """libipld alone ends the process here: a kilobyte of C stack for each level."""
    reasons: list[str] = []

    def read_it() -> None:
        for unit in (b"\x81", b"\xa1\x61\x61"):
            try:
                cbor.decode((unit * depth + b"\x00")[:depth])
            except Malformed as error:
                reasons.append(error.reason)

    before = threading.stack_size(512 << 10)
    try:
        thread = threading.Thread(target=read_it)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert reasons[0] == ("depth" if depth > 33 else "cbor")
    assert len(reasons) == 2


def test_depth_of_32_passes_and_33_does_not():
    assert cbor.encode(cbor.decode(nested(32))) == drisl.encode(drisl.decode(nested(32))) == nested(32)
    for decode in (cbor.decode, drisl.decode):
        with pytest.raises(Malformed, match="depth"):
            decode(nested(33))
    value: Any = 0
    for _ in range(33):
        value = {"a": value}
    for encode in (cbor.encode, drisl.encode):
        with pytest.raises(Malformed, match="depth"):
            encode(value)
    with pytest.raises(Malformed, match="depth"):
        cbor.from_json(value)


def test_size_is_bounded():
    data = cbor.encode(b"x" * 100)
    assert cbor.decode(data, max_size=len(data)) == b"x" * 100
    with pytest.raises(Malformed, match="size"):
        cbor.decode(data, max_size=len(data) - 1)


@given(VALUES)
@example(b"\x01\x71\x12\x20" + bytes(32))
@example({"sig": b"\x01\x02\x03\x04" + bytes(60), "link": CID})
@example(["текст" * 200])
def test_values_read_back_and_both_writers_agree(value: Any):
    data = cbor.encode(value)
    assert data == drisl.encode(value)
    assert same(cbor.decode(data), drisl.decode(data))
    # the order of keys is the spelling's, so it is compared after one more turn
    assert cbor.encode(cbor.decode(data)) == data
    assert cbor.decode(data) == value


@settings(max_examples=300)
@given(VALUES.map(drisl.encode), st.data())
def test_readers_agree_on_spoilt_bytes(data: bytes, draw: st.DataObject):
    wrong = bytearray(data)
    at = draw.draw(st.integers(0, len(data) - 1))
    wrong[at] = draw.draw(st.integers(0, 255))
    assert outcome(cbor.decode, bytes(wrong)) == outcome(drisl.decode, bytes(wrong))


def outcome(decode: Any, data: bytes) -> str:
    try:
        return drisl.encode(decode(data)).hex()
    except Malformed:
        return "refused"


def test_bytes_that_look_like_a_link_stay_bytes():
    bait = bytes(CID)
    assert libipld.encode_dag_cbor({"sig": bait})[5] == 0xD8  # why this module does not trust it
    read_back = cbor.decode(cbor.encode({"sig": bait, "link": CID}))
    assert type(read_back["sig"]) is bytes
    assert type(read_back["link"]) is Cid


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1.5, "float"),
        ([float("nan")], "float"),
        ({1: 2}, "key"),
        (1 << 63, "int"),
        ("\ud800", "text"),
        ({"\ud800": 1}, "text"),
        ((1, 2), "type"),
        ({1, 2}, "type"),
        (bytearray(b"x"), "type"),
    ],
)
def test_what_is_no_value_is_not_written(value: Any, reason: str):
    for encode in (cbor.encode, drisl.encode):
        with pytest.raises(Malformed, match=f"^{reason}$"):
            encode(value)


@given(st.dictionaries(st.text(max_size=8).filter(lambda key: not key.startswith("$")), VALUES, max_size=4))
def test_json_reads_back(value: dict[str, Any]):
    assume_plain(value)
    assert same(cbor.from_json(json.loads(json.dumps(cbor.to_json(value)))), value)


def assume_plain(value: Any) -> None:
    if isinstance(value, dict):
        assume(not any(key.startswith("$") for key in value))
        for item in value.values():
            assume_plain(item)
    elif isinstance(value, list):
        for item in value:
            assume_plain(item)


@given(st.binary(max_size=50), st.sampled_from([0x71, RAW]))
def test_cid_reads_back(data: bytes, codec: int):
    cid = Cid.of(data, codec)
    assert Cid.parse(str(cid)) == cid
    assert Cid.read(bytes(cid)).codec == codec
    assert cid.names(data)
    assert not cid.names(data + b"x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        str(CID)[:-1],
        str(CID) + "a",
        str(CID).upper(),
        str(CID)[:-1] + chr(ord(str(CID)[-1]) + 1),  # bits that stand for nothing
        "zdj7WWeQ43G6JJvLWQWZpyHuAMq6uYWRjkBXFad11vE2LHhQ7",
        "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR",
        "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",  # DAG-PB
    ],
)
def test_cid_of_other_kinds_and_spellings_is_refused(text: str):
    with pytest.raises(Malformed, match="cid"):
        Cid.parse(text)
