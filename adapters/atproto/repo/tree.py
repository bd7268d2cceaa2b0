"""One commit's worth of change to a tree that is kept elsewhere: what to write, what to throw away, what to send."""

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.atproto.cid import Cid
from adapters.atproto.repo import mst, proof
from adapters.atproto.repo.mst import Node, Nodes
from adapters.atproto.repo.proof import Op
from bridged.api import Malformed


@dataclass(frozen=True, slots=True)
class Changed:
    """A tree after some ops.

    new       nodes that the tree before did not have
    gone      nodes that it had, and this one has not
    covering  nodes that others need, to undo the ops: those new, and some that stayed
    """

    root: Cid
    new: dict[Cid, bytes]
    gone: set[Cid]
    covering: dict[Cid, bytes]


def change(nodes: Nodes, root: Cid, ops: Sequence[Op]) -> Changed:
    """Carry out `ops`, each of which changes something, on the tree at `root`.

    Raises Missing, and Malformed where `prev` is not what is there.
    """
    nodes.seen = seen = dict[Cid, Node]()
    written: dict[Cid, bytes] = {}
    try:
        tree = nodes.node(root, None)
        for op in ops:
            if op.cid is None:
                tree, before = mst.delete(nodes, tree, op.path)
            else:
                tree, before = mst.put(nodes, tree, op.path, op.cid)
            if before != op.prev or before == op.cid:
                raise Malformed("inversion")
        old = set(seen)
        after = nodes.write(tree, written)
    finally:
        nodes.seen = None
    covering = {cid: mst.write_node(node) for cid, node in proof.cover(nodes, after, ops).items() if cid not in written}
    new = {cid: data for cid, data in written.items() if cid not in old}
    return Changed(after, new, old - _kept(after, seen), written | covering)


def _kept(root: Cid, seen: dict[Cid, Node]) -> set[Cid]:
    """Which of the nodes that were read or written the new tree has."""
    found: set[Cid] = set()
    ahead = [root]
    while ahead:
        cid = ahead.pop()
        found.add(cid)
        ahead += [below for below in seen[cid].trees if isinstance(below, Cid) and below in seen]
    return found
