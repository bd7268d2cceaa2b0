"""Sync 1.1: the interop proofs, and that what any commit changed can be undone from its blocks alone."""

import json
import random
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.atproto.cid import Cid
from adapters.atproto.repo import mst, proof
from adapters.atproto.repo.mst import Nodes
from adapters.atproto.repo.proof import Op
from bridged.api import Malformed
from tests.vectors import vectors

KEYS = [f"app.bsky.feed.post/{sha256(bytes([n])).hexdigest()[:13]}" for n in range(60)]
PLACES = [("interop-tests", "firehose"), ("repo-fixtures",)]


def cases(place: tuple[str, ...]) -> Any:
    return json.loads((vectors() / "atproto").joinpath(*place, "commit-proof-fixtures.json").read_text())


@pytest.mark.parametrize("place", PLACES)
def test_commit_proofs_are_as_published(place: tuple[str, ...]):
    for case in cases(place):
        leaf = Cid.parse(case["leafValue"])
        blocks: dict[Cid, bytes] = {}
        nodes = Nodes(blocks.get)
        before = nodes.write(mst.build(nodes, dict.fromkeys(case["keys"], leaf)), blocks)
        assert str(before) == case["rootBeforeCommit"], case["comment"]
        tree = nodes.node(before, None)
        for key in case["adds"]:
            tree, _ = mst.put(nodes, tree, key, leaf)
        for key in case["dels"]:
            tree, _ = mst.delete(nodes, tree, key)
        after = nodes.write(tree, blocks)
        assert str(after) == case["rootAfterCommit"], case["comment"]
        ops = [Op(key, leaf, None) for key in case["adds"]] + [Op(key, None, leaf) for key in case["dels"]]
        covering = proof.cover(nodes, after, ops)
        assert {str(cid) for cid in covering} == set(case["blocksInProof"]), case["comment"]
        proof.verify(after, ops, {cid: blocks[cid] for cid in covering}, before)


def commit(nodes: Nodes, blocks: dict[Cid, bytes], root: Cid, wanted: dict[str, int | None]) -> tuple[Cid, list[Op]]:
    tree = nodes.node(root, None)
    ops: list[Op] = []
    for key, value in wanted.items():
        if value is None:
            tree, before = mst.delete(nodes, tree, key)
            cid = None
        else:
            cid = Cid.of(bytes([value]))
            tree, before = mst.put(nodes, tree, key, cid)
        if before != cid:
            ops.append(Op(key, cid, before))
    return nodes.write(tree, blocks), ops


COMMITS = st.lists(
    st.dictionaries(st.sampled_from(KEYS), st.none() | st.integers(0, 3), min_size=1, max_size=12), max_size=12
)


@settings(max_examples=200)
@given(COMMITS)
def test_every_commit_is_undone_from_its_blocks_alone(commits: list[dict[str, int | None]]):
    blocks: dict[Cid, bytes] = {}
    nodes = Nodes(blocks.get)
    root = nodes.write(mst.empty(), blocks)
    for wanted in commits:
        before, old = root, set(blocks)
        root, ops = commit(nodes, blocks, root, wanted)
        new = {cid: data for cid, data in blocks.items() if cid not in old}
        covering = {cid: blocks[cid] for cid in proof.cover(nodes, root, ops)}
        proof.verify(root, ops, covering, before)
        # others may undo in another order, with what was changed at hand
        others = Nodes({**covering, **new}.get)
        for order in (ops, ops[::-1], random.Random(1).sample(ops, len(ops))):
            tree = others.node(root, None)
            for op in order:
                tree, _ = (
                    mst.delete(others, tree, op.path) if op.prev is None else mst.put(others, tree, op.path, op.prev)
                )
            assert others.write(tree, {}) == before


@given(st.dictionaries(st.sampled_from(KEYS), st.integers(0, 3)), st.sampled_from(KEYS), st.none() | st.just(9))
def test_to_undo_one_op_nothing_is_read_that_does_not_cover_it(
    held: dict[str, int | None], path: str, value: int | None
):
    blocks: dict[Cid, bytes] = {}
    nodes = Nodes(blocks.get)
    before, _ = commit(nodes, blocks, nodes.write(mst.empty(), blocks), held)
    root, ops = commit(nodes, blocks, before, {path: value})
    covering = proof.cover(nodes, root, ops)
    nodes.seen = read = dict[Cid, mst.Node]()
    proof.undo(nodes, nodes.node(root, None), ops)
    assert set(read) <= set(covering)


def whole() -> tuple[Cid, Cid, list[Op], dict[Cid, bytes]]:
    blocks: dict[Cid, bytes] = {}
    nodes = Nodes(blocks.get)
    before, _ = commit(nodes, blocks, nodes.write(mst.empty(), blocks), dict.fromkeys(KEYS[:40], 1))
    after, ops = commit(nodes, blocks, before, {KEYS[0]: None, KEYS[1]: 2, KEYS[50]: 1})
    return before, after, ops, blocks


def test_forged_ops_are_refused():
    before, after, ops, blocks = whole()
    proof.verify(after, ops, blocks, before)
    other = Cid.of(b"other")
    delete, update, create = sorted(ops, key=lambda op: KEYS.index(op.path))
    for forged in (
        ops[1:],
        [*ops, Op(KEYS[55], other, None)],
        [*ops, Op(KEYS[55], None, None)],
        [delete, update, Op(create.path, other, None)],
        [delete, Op(update.path, update.cid, other), create],
        [delete, Op(update.path, other, update.prev), create],
        [Op(delete.path, None, other), update, create],
        [*ops, create],
    ):
        with pytest.raises(Malformed, match="inversion"):
            proof.verify(after, forged, blocks, before)


def test_blocks_that_are_missing_are_told_of():
    before, after, ops, blocks = whole()
    nodes = Nodes(blocks.get)
    for cid in proof.cover(nodes, after, ops):
        with pytest.raises(Malformed, match="missing_block"):
            proof.verify(after, ops, {key: data for key, data in blocks.items() if key != cid}, before)
