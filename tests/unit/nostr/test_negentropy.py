"""Negentropy, client against server: they find the whole difference, in messages of bounded size."""

import contextlib
import hashlib
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.nostr.negentropy import BadMessage, Negentropy

NOW = 1_700_000_000


def event_id(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def items(count: int, spread: int = 10, start: int = 0) -> list[tuple[int, str]]:
    """Many share a second."""
    return [(NOW + n // spread, event_id(n)) for n in range(start, start + count)]


def reconciled(mine: list[tuple[int, str]], theirs: list[tuple[int, str]], frame: int = 4096) -> tuple[Any, Any, int]:
    """(have, need, rounds); no message is longer than `frame`."""
    client, server = Negentropy(mine, frame), Negentropy(theirs, frame)
    message, rounds = client.initiate(), 0
    have: list[str] = []
    need: list[str] = []
    while message is not None:
        rounds += 1
        assert rounds < 1000
        assert len(message) <= frame
        reply = server.answer(message)
        assert len(reply) <= frame
        message, more_have, more_need = client.reconcile(reply)
        have += more_have
        need += more_need
    return have, need, rounds


def differences(mine: list[tuple[int, str]], theirs: list[tuple[int, str]]) -> tuple[list[str], list[str]]:
    ours, others = {i for _, i in mine}, {i for _, i in theirs}
    return sorted(ours - others), sorted(others - ours)


@pytest.mark.parametrize(("mine", "theirs"), [(0, 0), (0, 1), (1, 0), (31, 32), (0, 5000), (5000, 0), (5000, 5000)])
def test_nested_sets_are_told_apart(mine: int, theirs: int) -> None:
    have, need, _ = reconciled(items(mine), items(theirs))
    assert (sorted(have), sorted(need)) == differences(items(mine), items(theirs))


def test_few_differences_take_few_rounds() -> None:
    dice = random.Random(3)
    everything = items(20_000)
    mine = [item for item in everything if dice.random() > 0.0005]
    theirs = [item for item in everything if dice.random() > 0.0005]
    have, need, rounds = reconciled(mine, theirs, 60_000)
    assert (sorted(have), sorted(need)) == differences(mine, theirs)
    assert have
    assert need
    assert rounds <= 4


@settings(max_examples=150, deadline=None)
@given(mine=st.sets(st.integers(0, 3000), max_size=400), theirs=st.sets(st.integers(0, 3000), max_size=400),
       spread=st.sampled_from([1, 7, 10_000]))  # fmt: skip
def test_any_two_sets_are_told_apart(mine: set[int], theirs: set[int], spread: int) -> None:
    ours, others = ([(NOW + n // spread, event_id(n)) for n in side] for side in (mine, theirs))
    have, need, _ = reconciled(ours, others)
    assert len(have) == len(set(have))
    assert len(need) == len(set(need))
    assert (sorted(have), sorted(need)) == differences(ours, others)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_answered_or_bad(data: bytes, versioned: bool) -> None:
    message = b"\x61" + data if versioned else data
    for side in (Negentropy(items(200)).answer, Negentropy(items(200)).reconcile):
        with contextlib.suppress(BadMessage):
            side(message)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_spoilt_messages_are_answered_or_bad(data: st.DataObject) -> None:
    message = bytearray(Negentropy(items(300)).initiate())
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(1, len(message) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadMessage):
        assert len(Negentropy(items(5000, start=100), 4096).answer(bytes(message))) <= 4096


def test_many_wrong_fingerprints_make_no_long_answer() -> None:
    ranges = b"".join(b"\x02\x00\x01" + bytes(16) for _ in range(3000))
    answer = Negentropy(items(50_000, spread=1)).answer(b"\x61" + b"\x87\xff\xff\xff\x7f\x00\x00" + ranges)
    assert len(answer) <= 60_000


def test_other_version_is_told_ours() -> None:
    assert Negentropy([]).answer(b"\x62") == b"\x61"
    with pytest.raises(BadMessage):
        Negentropy([]).reconcile(b"\x62")
    for wrong in (b"", b"\x01", b"\x70\x00"):
        with pytest.raises(BadMessage):
            Negentropy([]).answer(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "61" + "00",
        "61" + "0000",
        "61" + "000001" + "00" * 15,
        "61" + "000002" + "02" + "00" * 32,
        "61" + "000003",
        "61" + "0021" + "00" * 33 + "00",
        "61" + "ff" * 11 + "00",
        "61" + "0a01ff00" + "010000",  # the second range ends before the first
        "61" + "000002" + "ffffffffffff7f",
    ],
)
def test_bad_messages_are_refused(text: str) -> None:
    with pytest.raises(BadMessage):
        Negentropy(items(3)).answer(bytes.fromhex(text))


def test_fingerprint_is_that_of_the_specification() -> None:
    """Sum of the ids as little-endian numbers, then the count, hashed; carried over at 2^256."""
    ids = ["ff" * 32, "01" + "00" * 31]
    message = Negentropy([(n, value) for n in range(32) for value in [f"{n:02x}" + "ff" * 31]]).initiate()
    total = sum(int.from_bytes(bytes.fromhex(f"{n:02x}" + "ff" * 31), "little") for n in (0, 1)) % 2**256
    wanted = hashlib.sha256(total.to_bytes(32, "little") + b"\x02").digest()[:16]
    assert message[:4] == b"\x61\x03\x00\x01"
    assert message[4:20] == wanted
    empty = Negentropy([(1, value) for value in ids]).initiate()
    assert empty == b"\x61\x00\x00\x02\x02" + b"".join(sorted(bytes.fromhex(value) for value in ids))
