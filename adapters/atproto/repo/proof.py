"""Sync 1.1: what a commit changed can be undone, by whoever has the blocks that came with it. Pure.

Undoing all that a commit did must give the tree before it (`prevData`). Whoever verifies has only some nodes of the
new tree; which those must be is found by undoing it here, and looking at what was read (atproto.com/specs/sync).
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from adapters.atproto.cid import Cid
from adapters.atproto.repo import mst
from adapters.atproto.repo.mst import Missing, Node, Nodes
from bridged.api import Malformed


@dataclass(frozen=True, slots=True)
class Op:
    """What a commit did at one path: `cid` is there now, `prev` was; None for nothing."""

    path: str
    cid: Cid | None
    prev: Cid | None

    @property
    def action(self) -> str:
        if self.cid is None:
            return "delete"
        return "update" if self.prev is not None else "create"


def undo(nodes: Nodes, root: Node, ops: Iterable[Op]) -> Node:
    """The tree before `ops`. Raises Missing, and Malformed("inversion") where they are not what was done.

    Deletions are undone first, then the rest by path, as relays do: which nodes are read depends on it.
    """
    for op in sorted(ops, key=lambda op: (op.cid is not None, op.path)):
        if op.cid is None and op.prev is None:
            raise Malformed("inversion")
        if op.prev is None:
            root, found = mst.delete(nodes, root, op.path)
        else:
            root, found = mst.put(nodes, root, op.path, op.prev)
        if found != op.cid:
            raise Malformed("inversion")
    return root


def cover(nodes: Nodes, root: Cid, ops: Iterable[Op]) -> dict[Cid, Node]:
    """All nodes of the new tree that others read to undo `ops`.

    That is the way to each path and to the keys beside it, as the reference server has it, and what was read here to
    undo them; to undo one op nothing else is read.
    """
    ops = list(ops)
    nodes.seen = found = dict[Cid, Node]()
    try:
        tree = nodes.node(root, None)
        for op in ops:
            _look_around(nodes, tree, op.path)
        if len(ops) > 1:
            undo(nodes, tree, ops)
    finally:
        nodes.seen = None
    return found


def _look_around(nodes: Nodes, root: Node, key: str) -> None:
    node: Node | None = root
    while node is not None:
        at = bisect_left(node.keys, key)
        below = nodes.below(node, at)
        if at < len(node.keys) and node.keys[at] == key:
            beside = nodes.below(node, at + 1)
            while below is not None:
                below = nodes.below(below, len(below.keys))
            while beside is not None:
                beside = nodes.below(beside, 0)
        node = below


def verify(root: Cid, ops: Iterable[Op], blocks: dict[Cid, bytes], prev_data: Cid) -> None:
    """Whether undoing `ops` in the tree at `root`, of which some `blocks` are here, gives the tree `prev_data`.

    Raises Malformed: missing_block, inversion, and as `mst.read_node` does.
    """
    nodes = Nodes(blocks.get)
    try:
        before = undo(nodes, nodes.node(root, None), ops)
    except Missing as error:
        raise Malformed("missing_block") from error
    if nodes.write(before, {}) != prev_data:
        raise Malformed("inversion")
