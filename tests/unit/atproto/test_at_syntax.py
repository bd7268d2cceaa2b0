"""Identifiers and formatted strings: the interop lists, both ways, and time that does not explode."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.atproto import syntax
from adapters.atproto.syntax import AtUri, parse_at_uri, parse_datetime
from bridged.api import Malformed
from tests.vectors import vectors

CHECKS: dict[str, Callable[[str], bool]] = {
    "atidentifier": syntax.is_at_identifier,
    "aturi": syntax.is_at_uri,
    "cid": syntax.is_cid,
    "datetime": syntax.is_datetime,
    "did": syntax.is_did,
    "handle": syntax.is_handle,
    "language": syntax.is_language,
    "nsid": syntax.is_nsid,
    "recordkey": syntax.is_record_key,
    "tid": syntax.is_tid,
    "uri": syntax.is_uri,
}


def lines(name: str) -> Iterator[str]:
    path: Path = vectors() / "atproto" / "interop-tests" / "syntax" / name
    for line in path.read_text().split("\n"):
        if line and not line.startswith("# "):
            yield line


@pytest.mark.parametrize("kind", sorted(CHECKS))
def test_valid_spellings_pass(kind: str):
    wrong = [line for line in lines(f"{kind}_syntax_valid.txt") if not CHECKS[kind](line)]
    assert wrong == []


@pytest.mark.parametrize(
    "name",
    [
        *(f"{kind}_syntax_invalid.txt" for kind in sorted(CHECKS)),
        "datetime_parse_invalid.txt",
        "language_parse_invalid.txt",
    ],
)
def test_invalid_spellings_are_refused(name: str):
    check = CHECKS[name.partition("_")[0]]
    assert [line for line in lines(name) if check(line)] == []


@pytest.mark.parametrize("kind", sorted(CHECKS))
@pytest.mark.parametrize("unit", ["a", "a.", "a-", "1", "did:a:", "at://", "-aaaaa", "x-", "a-a-", "%"])
def test_checks_take_linear_time(kind: str, unit: str):
    begun = time.process_time()
    CHECKS[kind](unit * 200_000)
    CHECKS[kind](unit * (250 // len(unit)) + "!")
    assert time.process_time() - begun < 5  # what is not linear takes minutes


@pytest.mark.parametrize("kind", sorted(CHECKS))
@given(st.text(max_size=40))
def test_checks_never_raise(kind: str, text: str):
    assert CHECKS[kind](text) in (True, False)
    assert not CHECKS[kind](text + "\n")


def test_at_uri_parts_are_told_apart():
    assert parse_at_uri("at://did:plc:abc/app.bsky.feed.post/3k") == AtUri("did:plc:abc", "app.bsky.feed.post", "3k")
    assert str(parse_at_uri("at://alice.test/app.bsky.feed.post")) == "at://alice.test/app.bsky.feed.post"
    with pytest.raises(Malformed, match="at_uri"):
        parse_at_uri("at://did:plc:abc/app.bsky.feed.post/..")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:30:00.250+01:30", 0.25),
        ("1985-04-12T23:20:50.123Z", 482196050.123),
        ("1969-12-31T23:59:59.5Z", -0.5),
        ("0000-01-01T00:00:00.000Z", -62167219200),
        ("2000-02-29T00:00:00-07:00", 951807600),
    ],
)
def test_datetime_is_seconds_since_1970(text: str, seconds: float):
    assert parse_datetime(text) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize("text", ["1999-02-29T00:00:00Z", "1985-04-12T23:20:60Z", "1985-04-12T23:20:50+24:00"])
def test_datetime_that_is_none_is_refused(text: str):
    with pytest.raises(Malformed, match="datetime"):
        parse_datetime(text)
