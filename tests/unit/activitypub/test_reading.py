"""JSON from strangers."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.activitypub.reading import read_object
from bridged.api import Malformed


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "too_deep"),
        (b"{" + b",".join(b'"%d":[]' % n for n in range(60_000)) + b"}", "too_many_values"),
        (b'{"a":NaN}', "number"),
        (b'{"a":1e999}', "number"),
        (b'{"a":' + b"9" * 5000 + b"}", "number"),
        (b'{"a":1,"a":2}', "duplicate_key"),
        (rb'{"a":"\uDBFF"}', "surrogate"),
        (rb'{"\ude00":1}', "surrogate"),
        (rb'{"a":"b\u0000"}', "nul"),
        (rb'{"a":["\\\u0000"]}', "nul"),
        (rb'{"\u0000":1}', "nul"),
        (b'{"a":"\xff"}', "not_utf8"),
        ("{}".encode("utf-16"), "not_utf8"),
        (b"{", "not_json"),
        (b"1", "not_an_object"),
        (b" " * (1 << 20) + b"{}", "too_big"),
    ],
)
def test_json_is_read_within_bounds(body: bytes, reason: str):
    with pytest.raises(Malformed) as refused:
        read_object(body)
    assert refused.value.reason == reason


def test_backslash_before_u0000_is_no_nul():
    assert read_object(rb'{"a":"\\u0000"}') == {"a": r"\u0000"}


def test_json_with_paired_surrogates_is_read():
    assert read_object(rb'{"a":"\ud83d\ude00"}') == {"a": "😀"}


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_malformed(body: bytes):
    with contextlib.suppress(Malformed):
        assert isinstance(read_object(body), dict)
