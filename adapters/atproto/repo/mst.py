"""The Merkle search tree of a repository: record path to content id (atproto.com/specs/repository). Pure.

A key lies at the height that its hash gives it; a node at height h has below it only nodes at h - 1, and where a height
is skipped there is a node without keys. So the same records always make the same tree, however they came to be there.
Nodes are never changed but made anew along the way from the root, so that old ones stay good and may be shared.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final, cast

from adapters.atproto import cbor
from adapters.atproto.cid import Cid, is_blessed
from bridged.api import Malformed

MAX_KEY: Final = 1024
MAX_NODE: Final = 1 << 20
"""Longest node of others that is read, in bytes."""
CACHED: Final = 4096
"""Nodes that a `Nodes` keeps at hand, at least those asked for last."""

_KEY: Final = re.compile("[a-zA-Z0-9._:~-]+/[a-zA-Z0-9._:~-]+")
_NULL: Final = b"\xf6"
_LINK: Final = b"\xd8\x2a\x58\x25\x00"
"""What stands before the bytes of a content id (DAG-CBOR)."""
_VALUE: Final = b"av" + _LINK
_BYTES: Final = 0x40
_LIST: Final = 0x80


class Missing(Exception):
    """A node that is needed is not there."""

    def __init__(self, cid: Cid) -> None:
        super().__init__(str(cid))
        self.cid = cid


def height(key: str) -> int:
    """How many pairs of zero bits the hash of a key begins with: every fourth key lies higher."""
    digest = int.from_bytes(sha256(key.encode()).digest(), "big")
    return (256 - digest.bit_length()) // 2


def shared(one: bytes, other: bytes) -> int:
    """How many bytes two keys have in common from the start."""
    count = min(len(one), len(other))
    differing = int.from_bytes(one[:count], "big") ^ int.from_bytes(other[:count], "big")
    return count - (differing.bit_length() + 7) // 8


class Node:
    """One node: `keys` in order, their `values`, and the `trees` left of each and right of the last.

    A tree is None, the id of a node, or a node not written yet. `cid` is None until it is written. `begun` has how the
    entries begin when they are written, of as many of the first keys as that is known for: nodes that follow each other
    differ little, and what keys have in common is what takes time to find.
    """

    __slots__ = ("begun", "cid", "height", "keys", "trees", "values")

    def __init__(
        self,
        height: int,
        keys: tuple[str, ...],
        values: tuple[Cid, ...],
        trees: "tuple[Cid | Node | None, ...]",
        cid: Cid | None = None,
        begun: tuple[bytes, ...] = (),
    ) -> None:
        self.height = height
        self.keys = keys
        self.values = values
        self.trees = trees
        self.cid = cid
        self.begun = begun

    def with_tree(self, at: int, tree: "Cid | Node | None") -> "Node":
        """The node with another tree left of the key number `at`."""
        trees = (*self.trees[:at], tree, *self.trees[at + 1 :])
        return Node(self.height, self.keys, self.values, trees, None, self.begun)

    @property
    def empty(self) -> bool:
        return not self.keys and self.trees[0] is None


Tree = Cid | Node | None


def empty() -> Node:
    """The tree of nothing."""
    return Node(0, (), (), (None,))


def write_node(node: Node) -> bytes:
    """The bytes of a node whose trees are written: DAG-CBOR, put together here in half the time that libipld takes."""
    if len(node.begun) < len(node.keys):
        node.begun = _begun(node.keys, node.begun)
    first, *others = cast("tuple[Cid | None, ...]", node.trees)
    pieces = [b"\xa2ae", _head(_LIST, len(node.keys))]
    for begun, value, tree in zip(node.begun, node.values, others, strict=True):
        pieces += (begun, _NULL, _VALUE, value) if tree is None else (begun, _LINK, tree, _VALUE, value)
    pieces += (b"al", _NULL) if first is None else (b"al", _LINK, first)
    return b"".join(pieces)


def _begun(keys: tuple[str, ...], known: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """How entries begin, where the first are `known`."""
    found = list(known)
    before = keys[len(found) - 1].encode() if found else b""
    for key in keys[len(found) :]:
        raw = key.encode()
        same = shared(before, raw)
        found.append(_beginning(same, raw[same:]))
        before = raw
    return tuple(found)


def _beginning(same: int, rest: bytes) -> bytes:
    """Of an entry whose key has so much of the one before it, and then the rest."""
    return b"".join((b"\xa4ak", _head(_BYTES, len(rest)), rest, b"ap", _head(0, same), b"at"))


def _head(kind: int, number: int) -> bytes:
    """What a list, bytes or a number begin with (RFC 8949), up to 65,535."""
    if number < 24:
        return bytes((kind | number,))
    return bytes((kind | 24, number)) if number < 256 else bytes((kind | 25, number >> 8, number & 255))


def read_node(data: bytes, height_: int | None) -> Node:
    """The node that `data` spells; `height_` is what its place asks for, None at the root.

    Raises Malformed: size, depth, cbor, node. That what is below it fits is not known before that is read.
    """
    if len(data) > MAX_NODE:
        raise Malformed("size")
    found = cbor.read_plain(data)
    keys: list[str] = []
    values: list[Cid] = []
    begun: list[bytes] = []
    try:
        trees = [_link(found["l"])]
        before = b""
        for entry in found["e"]:
            same = entry["p"]
            rest = entry["k"]
            if type(same) is not int or not 0 <= same <= len(before) or same + len(rest) > MAX_KEY:
                raise Malformed("node")
            if before[same : same + 1] == rest[:1]:  # they have more in common
                raise Malformed("node")
            begun.append(_beginning(same, rest))
            before = before[:same] + rest
            keys.append(before.decode("ascii"))
            value = _link(entry["v"])
            if value is None:
                raise Malformed("node")
            values.append(value)
            trees.append(_link(entry["t"]))
    except (KeyError, TypeError, UnicodeDecodeError) as error:
        raise Malformed("node") from error
    if any(key >= following for key, following in pairwise(keys)):
        raise Malformed("node")
    at = height(keys[0]) if keys else (height_ or 0)
    if any(not is_key(key) or height(key) != at for key in keys) or (height_ is not None and at != height_):
        raise Malformed("node")
    if not keys and (trees[0] is None) != (height_ is None):  # only a root may be empty, and nothing else may it be
        raise Malformed("node")
    if at == 0 and any(trees):
        raise Malformed("node")
    node = Node(at, tuple(keys), tuple(values), tuple(trees), Cid.of(data), tuple(begun))
    if write_node(node) != data:  # spellings, what else there was
        raise Malformed("node")
    return node


def _link(value: Any) -> Cid | None:
    if value is None:
        return None
    if not isinstance(value, bytes) or not is_blessed(value):
        raise Malformed("node")
    return Cid(value)


def is_key(key: str) -> bool:
    """Whether it is a record path: collection and record key."""
    return len(key) <= MAX_KEY and _KEY.fullmatch(key) is not None


class Nodes:
    """Where nodes are read from: `blocks` gives the bytes for an id, or None.

    What was read stays at hand, for all who share the object: nodes never change. Not for several threads at once.
    """

    def __init__(self, blocks: Callable[[Cid], bytes | None]) -> None:
        self.blocks = blocks
        self.seen: dict[Cid, Node] | None = None
        """Where it is a dict, all nodes asked for or written are put there."""
        self._young: dict[Cid, Node] = {}
        self._old: dict[Cid, Node] = {}

    def node(self, cid: Cid, height_: int | None) -> Node:
        """Raises Missing, or Malformed as `read_node` does."""
        node = self._young.get(cid)
        if node is None:
            node = self._old.get(cid) or self._read(cid, height_)
            self._keep(cid, node)
        if height_ is not None and node.height != height_:
            raise Malformed("node")
        if self.seen is not None:
            self.seen[cid] = node
        return node

    def _read(self, cid: Cid, height_: int | None) -> Node:
        data = self.blocks(cid)
        if data is None:
            raise Missing(cid)
        return read_node(data, height_)

    def _keep(self, cid: Cid, node: Node) -> None:
        """By generations: to let go of the oldest node each time takes longer the more went before it."""
        self._young[cid] = node
        if len(self._young) >= CACHED:
            self._young, self._old = {}, self._young

    def write(self, root: Node, blocks: dict[Cid, bytes]) -> Cid:
        """The id of a tree, whose nodes not written yet are put in `blocks`."""
        cid = root.cid
        if cid is None:
            root.trees = tuple([self.write(tree, blocks) if isinstance(tree, Node) else tree for tree in root.trees])
            data = write_node(root)
            root.cid = cid = Cid.of(data)
            blocks[cid] = data
            self._keep(cid, root)
            if self.seen is not None:
                self.seen[cid] = root
        return cid

    def below(self, node: Node, at: int) -> Node | None:
        """The tree left of the key number `at`."""
        return self.tree(node.trees[at], node.height - 1)

    def tree(self, tree: Tree, height_: int) -> Node | None:
        return self.node(tree, height_) if isinstance(tree, Cid) else tree


def get(nodes: Nodes, root: Node, key: str) -> Cid | None:
    """What stands at `key`. Raises Missing, Malformed."""
    node: Node | None = root
    while node is not None:
        at = bisect_left(node.keys, key)
        if at < len(node.keys) and node.keys[at] == key:
            return node.values[at]
        node = nodes.below(node, at)
    return None


def walk(nodes: Nodes, root: Node, *, after: str = "") -> Iterator[tuple[str, Cid]]:
    """All keys after `after`, in order, with what stands there.

    The order is checked, and with it that no part comes twice. Raises Missing, and Malformed("node") for a tree that
    could not have grown.
    """
    if not root.keys and not root.empty:
        raise Malformed("node")
    last = after
    for key, value in _walk(nodes, root, after):
        if key <= last:
            raise Malformed("node")
        last = key
        yield key, value


def _walk(nodes: Nodes, node: Node, after: str) -> Iterator[tuple[str, Cid]]:
    start = bisect_left(node.keys, after)
    for at in range(start, len(node.trees)):
        tree = nodes.below(node, at)
        if tree is not None:
            yield from _walk(nodes, tree, after if at == start else "")
        if at < len(node.keys) and node.keys[at] > after:
            yield node.keys[at], node.values[at]


def put(nodes: Nodes, root: Node, key: str, value: Cid) -> tuple[Node, Cid | None]:
    """The tree with `value` at `key`, and what stood there before. Raises Missing, Malformed("key")."""
    if not is_key(key):
        raise Malformed("key")
    at = height(key)
    if root.empty:
        return Node(at, (key,), (value,), (None, None)), None
    if at > root.height:
        left, right = _split(nodes, root, key)
        return Node(at, (key,), (value,), (_raised(left, at - 1), _raised(right, at - 1))), None
    return _put(nodes, root, key, at, value)


def _put(nodes: Nodes, node: Node, key: str, height_: int, value: Cid) -> tuple[Node, Cid | None]:
    at = bisect_left(node.keys, key)
    keys, values, trees = node.keys, node.values, node.trees
    if height_ < node.height:
        below = nodes.below(node, at)
        if below is None:
            leaf = Node(height_, (key,), (value,), (None, None))
            below, before = _raised(leaf, node.height - 1), None
        else:
            below, before = _put(nodes, below, key, height_, value)
        return node.with_tree(at, below), before
    if at < len(keys) and keys[at] == key:
        changed = (*values[:at], value, *values[at + 1 :])
        return Node(height_, keys, changed, trees, None, node.begun), values[at]
    left, right = _split(nodes, nodes.below(node, at), key)
    return (
        Node(
            height_,
            (*keys[:at], key, *keys[at:]),
            (*values[:at], value, *values[at:]),
            (*trees[:at], left, right, *trees[at + 1 :]),
            None,
            node.begun[:at],
        ),
        None,
    )


def _split(nodes: Nodes, node: Node | None, key: str) -> tuple[Node | None, Node | None]:
    """What of a tree is before `key`, and what after it, each at the tree's height."""
    if node is None:
        return None, None
    at = bisect_left(node.keys, key)
    below_left, below_right = _split(nodes, nodes.below(node, at), key)
    left = Node(node.height, node.keys[:at], node.values[:at], (*node.trees[:at], below_left), None, node.begun[:at])
    right = Node(node.height, node.keys[at:], node.values[at:], (below_right, *node.trees[at + 1 :]))
    return None if left.empty else left, None if right.empty else right


def _raised(node: Node | None, height_: int) -> Node | None:
    """The tree under nodes without keys, up to that height."""
    while node is not None and node.height < height_:
        node = Node(node.height + 1, (), (), (node,))
    return node


def delete(nodes: Nodes, root: Node, key: str) -> tuple[Node, Cid | None]:
    """The tree without `key`, and what stood there: None where nothing did, and the tree is as it was."""
    left, before = _delete(nodes, root, key, height(key))
    if before is None:
        return root, None
    while left is not None and not left.keys:  # a root is as low as it can be
        left = nodes.below(left, 0)
    return left or empty(), before


def _delete(nodes: Nodes, node: Node, key: str, height_: int) -> tuple[Node | None, Cid | None]:
    at = bisect_left(node.keys, key)
    keys, values, trees = node.keys, node.values, node.trees
    if at < len(keys) and keys[at] == key:
        joined = _join(nodes, nodes.below(node, at), nodes.below(node, at + 1))
        rest = Node(node.height, keys[:at] + keys[at + 1 :], values[:at] + values[at + 1 :], (), None, node.begun[:at])
        rest.trees = (*trees[:at], joined, *trees[at + 2 :])
        return None if rest.empty else rest, values[at]
    below = nodes.below(node, at) if height_ < node.height else None
    if below is None:
        return node, None
    smaller, before = _delete(nodes, below, key, height_)
    if before is None:
        return node, None
    rest = node.with_tree(at, smaller)
    return None if rest.empty else rest, before


def _join(nodes: Nodes, left: Node | None, right: Node | None) -> Node | None:
    """Two trees of one height, all of the first before the second, as one."""
    if left is None or right is None:
        return left or right
    seam = _join(nodes, nodes.below(left, len(left.keys)), nodes.below(right, 0))
    return Node(
        left.height,
        left.keys + right.keys,
        left.values + right.values,
        (*left.trees[:-1], seam, *right.trees[1:]),
        None,
        left.begun,
    )


def build(nodes: Nodes, records: dict[str, Cid]) -> Node:
    """The tree of these records. Raises Malformed("key")."""
    root = empty()
    for key, value in records.items():
        root, _ = put(nodes, root, key, value)
    return root
