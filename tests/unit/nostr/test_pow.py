"""Proof of work: measured as others do, mined the same every time."""

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.nostr import pow
from adapters.nostr.event import BadEvent, event_id
from tests.vectors import vectors

KEY = hashlib.sha256(b"alice").hexdigest()


def test_difficulty_is_what_nostr_tools_measures() -> None:
    rows = json.loads((vectors() / "nostr" / "nostr-tools-recorded" / "nip13.json").read_text())
    rows = [row for row in rows if row["fn"] == "getPow"]
    assert len(rows) >= 3
    for row in rows:
        assert pow.difficulty(row["args"][0]) == row["result"]
    assert pow.difficulty("0" * 64) == 256


@settings(max_examples=60)
@given(
    st.text(max_size=40),
    st.lists(st.lists(st.text(max_size=10), min_size=1, max_size=3).map(tuple), max_size=4),
    st.integers(0, 9),
)
def test_mined_tags_give_the_id_its_zero_bits(content: str, tags: list[tuple[str, ...]], bits: int) -> None:
    mined = pow.mine(KEY, 1_700_000_000, 1, tags, content, bits)
    assert mined is not None
    assert pow.difficulty(event_id(KEY, 1_700_000_000, 1, mined, content)) >= bits
    assert mined[:-1] == tuple(tag for tag in tags if tag[0] != "nonce")
    assert (mined[-1][0], mined[-1][2]) == ("nonce", str(bits))
    assert pow.mine(KEY, 1_700_000_000, 1, mined, content, bits) == mined


def test_mining_takes_the_first_nonce_and_gives_up_after_its_tries() -> None:
    mined = pow.mine(KEY, 1, 1, (), "\x00nonce\x00", 8)
    assert mined is not None
    number = int(mined[-1][1])
    for earlier in range(number):
        tags = (("nonce", str(earlier), "8"),)
        assert pow.difficulty(event_id(KEY, 1, 1, tags, "\x00nonce\x00")) < 8
    assert pow.mine(KEY, 1, 1, (), "\x00nonce\x00", 8, number) is None
    assert pow.mine(KEY, 1, 1, (), "\x00nonce\x00", 8, number + 1) == mined


def test_mining_refuses_what_no_event_can_hold() -> None:
    with pytest.raises(BadEvent, match="surrogate"):
        pow.mine(KEY, 1, 1, (), "\ud800", 1)
