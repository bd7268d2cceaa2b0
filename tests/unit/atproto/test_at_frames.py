"""Frames and repos of others taken apart: what is none is refused as that, and never otherwise."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.atproto import cbor, frames, verify
from adapters.atproto.cid import Cid
from adapters.atproto.frames import Committed
from adapters.atproto.repo import car, commit, mst
from bridged.api import Malformed
from tests.unit.atproto.firehose_kit import ALICE, NOW, POSTS, key_at, post
from tests.unit.atproto.scripted_repo import ScriptedRepo, account, error, identity, info

ALICES = ScriptedRepo(ALICE, NOW)
SAID = ALICES.say(1, {f"{POSTS}/a": post()})


@pytest.mark.parametrize(
    ("said", "kind"),
    [(SAID, "#commit"), (account(ALICE, 1, True), "#account"), (identity(ALICE, 1), "#identity"), (info("x"), "#info")],
)
def test_frames_are_split_in_either_order_of_their_head(said: bytes, kind: str) -> None:
    found = frames.split(said)
    assert found[0] == kind
    head, rest = cbor.encode({"op": 1, "t": kind}), said[found[1] :]
    other = b"\xa2bop\x01at" + cbor.encode(kind)
    assert said == head + rest
    assert frames.split(other + rest) == (kind, len(other))
    assert frames.body(said, found[1]) == cbor.decode(rest)


def test_an_error_is_told_from_a_message() -> None:
    said = error("FutureCursor")
    kind, start = frames.split(said)
    assert (kind, frames.body(said, start)["error"]) == ("", "FutureCursor")


def _taken_apart(data: bytes) -> None:
    kind, start = frames.split(data)
    body = frames.body(data, start)
    said = frames.read_sync(body) if kind == "#sync" else frames.read_commit(body)
    claim = verify.claim_of(said, NOW + 3600)
    if isinstance(said, Committed):
        verify.check_ops(said, claim)
    claim.check_signature(ALICES.key.public)


@given(at=st.integers(0, len(SAID) - 1), change=st.binary(min_size=1, max_size=4))
def test_a_frame_changed_anywhere_is_malformed_or_says_the_same(at: int, change: bytes) -> None:
    """Nothing but Malformed comes of it, and what passes has the same commit."""
    data = SAID[:at] + change + SAID[at + len(change) :]
    try:
        _taken_apart(data)
    except Malformed:
        return
    assert frames.body(data, frames.split(data)[1])["commit"] == Cid.of(ALICES.commit.block())


@given(st.binary(max_size=200))
def test_rubbish_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        _taken_apart(cbor.encode({"op": 1, "t": "#commit"}) + data)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.just(Cid.of(b"x")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(["repo", "rev", "since", "commit", "blocks", "ops", "prevData"]), VALUES)
def test_a_commit_with_anything_in_any_field_is_malformed_or_right(name: str, value: Any) -> None:
    body = {**cbor.decode(SAID[frames.split(SAID)[1] :]), name: value}
    try:
        _taken_apart(cbor.encode({"op": 1, "t": "#commit"}) + cbor.encode(body))
    except Malformed:
        return
    assert name == "since"


def test_a_whole_repo_is_read() -> None:
    alice = ScriptedRepo(ALICE, NOW)
    alice.change(1, {f"{POSTS}/{key_at(n)}": post(str(n)) for n in range(100)})
    gained = verify.read_repo(alice.whole(), ALICE, NOW + 3600)
    assert gained.whole
    assert gained.claim.commit == alice.commit
    assert gained.records == {path: Cid.of(data) for path, data in alice.records.items()}


def test_what_a_repo_gained_is_read_where_the_rest_is_not_there() -> None:
    alice = ScriptedRepo(ALICE, NOW)
    alice.change(1, {f"{POSTS}/{key_at(n)}": post(str(n)) for n in range(100)})
    old = car.read(alice.whole(), verify.MAX_REPO)[1]
    alice.change(2, {f"{POSTS}/{key_at(200)}": post("new"), f"{POSTS}/{key_at(3)}": post("edited")})
    root, blocks = car.read(alice.whole(), verify.MAX_REPO)
    diff = car.write(root, [(cid, data) for cid, data in blocks.items() if cid not in old])
    gained = verify.read_repo(diff, ALICE, NOW + 3600)
    assert not gained.whole
    assert set(gained.records) == {f"{POSTS}/{key_at(200)}", f"{POSTS}/{key_at(3)}"}


def test_a_repo_of_somebody_else_or_from_the_future_is_refused() -> None:
    alice = ScriptedRepo(ALICE, NOW)
    with pytest.raises(Malformed, match="commit"):
        verify.read_repo(alice.whole(), "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb", NOW + 3600)
    with pytest.raises(Malformed, match="rev_future"):
        verify.read_repo(alice.whole(), ALICE, NOW - 3600)
    with pytest.raises(Malformed):
        verify.read_repo(alice.whole()[:-1], ALICE, NOW + 3600)


def test_a_repo_whose_tree_has_no_order_is_refused() -> None:
    alice = ScriptedRepo(ALICE, NOW)
    alice.change(1, {f"{POSTS}/{key_at(n)}": post(str(n)) for n in range(40)})
    blocks = car.read(alice.whole(), verify.MAX_REPO)[1]
    top = mst.Nodes(blocks.get).node(alice.data, None)
    tree = next(tree for tree in top.trees if tree is not None)
    twice = mst.write_node(mst.Node(top.height, top.keys, top.values, (tree,) * len(top.trees)))
    alice.data = Cid.of(twice)
    head = commit.sign(alice.key, ALICE, str(alice.rev), alice.data).block()
    spoilt = car.write(Cid.of(head), [(Cid.of(head), head), (alice.data, twice), *blocks.items()])
    with pytest.raises(Malformed, match="node"):
        verify.read_repo(spoilt, ALICE, NOW + 3600)
