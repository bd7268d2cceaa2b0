"""The tree: interop vectors, any history against a rebuild, nodes that could not have grown."""

import json
from hashlib import sha256
from typing import Any

import libipld
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.atproto.cid import RAW, Cid
from adapters.atproto.repo import mst
from adapters.atproto.repo.mst import Missing, Node, Nodes
from bridged.api import Malformed
from tests.vectors import vectors

LEAF = Cid.parse("bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454")
NONE = Nodes(lambda _: None)
KEYS = [f"app.bsky.feed.post/{sha256(bytes([n])).hexdigest()[:13]}" for n in range(60)]
"""Enough for four heights."""


def interop(*path: str) -> Any:
    return json.loads((vectors() / "atproto" / "interop-tests").joinpath(*path).read_text())


def rebuilt(records: dict[str, Cid]) -> Cid:
    return Nodes(lambda _: None).write(mst.build(NONE, records), {})


def test_heights_are_as_published():
    for case in interop("mst", "key_heights.json"):
        assert mst.height(case["key"]) == case["height"]
    lines = (vectors() / "atproto" / "interop-tests" / "mst" / "example_keys.txt").read_text().split()
    assert len(lines) == 156
    for key in lines:
        assert mst.height(key) == int(key[1])


def test_common_prefixes_are_as_published():
    for case in interop("mst", "common_prefix.json"):
        assert mst.shared(case["left"].encode(), case["right"].encode()) == case["len"]


@pytest.mark.parametrize(
    ("keys", "root"),
    [
        ([], "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm"),
        (["com.example.record/3jqfcqzm3fo2j"], "bafyreibj4lsc3aqnrvphp5xmrnfoorvru4wynt6lwidqbm2623a6tatzdu"),
        (["com.example.record/3jqfcqzm3fx2j"], "bafyreih7wfei65pxzhauoibu3ls7jgmkju4bspy4t2ha2qdjnzqvoy33ai"),
    ],
)
def test_small_trees_have_their_known_roots(keys: list[str], root: str):
    assert rebuilt(dict.fromkeys(keys, LEAF)) == Cid.parse(root)


OPS = st.lists(st.tuples(st.sampled_from(KEYS), st.none() | st.integers(0, 3)), max_size=60)


@settings(max_examples=200)
@given(OPS, st.randoms(use_true_random=False))
def test_any_history_gives_the_tree_of_what_is_left(ops: list[tuple[str, int | None]], random: Any):
    blocks: dict[Cid, bytes] = {}
    nodes = Nodes(blocks.get)
    records: dict[str, Cid] = {}
    root = nodes.write(mst.empty(), blocks)
    for key, value in ops:
        tree = nodes.node(root, None)
        if value is None:
            tree, before = mst.delete(nodes, tree, key)
            assert before == records.pop(key, None)
        else:
            cid = Cid.of(bytes([value]))
            tree, before = mst.put(nodes, tree, key, cid)
            assert before == records.get(key)
            records[key] = cid
        root = nodes.write(tree, blocks)
        if random.random() < 0.1:
            nodes = Nodes(blocks.get)  # from the bytes alone
    assert root == rebuilt(dict(sorted(records.items())))
    fresh = Nodes(blocks.get)
    tree = fresh.node(root, None)
    assert list(mst.walk(fresh, tree)) == sorted(records.items())
    for key in KEYS:
        assert mst.get(fresh, tree, key) == records.get(key)
        assert list(mst.walk(fresh, tree, after=key)) == sorted(item for item in records.items() if item[0] > key)


def test_deleting_what_is_not_there_changes_nothing():
    tree = mst.build(NONE, dict.fromkeys(KEYS[:20], LEAF))
    for key in KEYS[20:]:
        assert mst.delete(NONE, tree, key) == (tree, None)


def test_cost_of_one_change_grows_with_the_height_alone():
    counts: list[int] = []
    for size in (200, 20_000):
        blocks: dict[Cid, bytes] = {}
        nodes = Nodes(blocks.get)
        root = nodes.write(mst.build(nodes, {f"a.b.c/{n:09}": LEAF for n in range(size)}), blocks)
        read = 0
        for n in range(20):
            cold = Nodes(blocks.get)
            cold.seen = {}
            mst.put(cold, cold.node(root, None), f"a.b.c/{n * size // 20:09}x", LEAF)
            read += len(cold.seen)
        counts.append(read)
    assert counts[1] < 3 * counts[0]


@pytest.mark.parametrize("key", ["", "a", "a/", "/a", "a/b/c", "a/b c", "ä/b", "a/" + "b" * 1024, "a/b\n"])
def test_key_that_is_no_path_is_refused(key: str):
    with pytest.raises(Malformed, match="key"):
        mst.put(NONE, mst.empty(), key, LEAF)


def low(count: int, height: int = 0) -> list[str]:
    """So many keys of that height, in order."""
    keys = (f"a.b.c/{n:05}" for n in range(100_000))
    return [key for key, _ in zip((k for k in keys if mst.height(k) == height), range(count), strict=False)]


def spelled(entries: list[dict[str, Any]], left: Cid | None = None, **more: Any) -> bytes:
    return libipld.encode_dag_cbor({"l": left, "e": entries, **more})


def entry(key: str, **more: Any) -> dict[str, Any]:
    return {"p": 0, "k": key.encode(), "v": LEAF, "t": None, **more}


def test_node_reads_back():
    one, two = low(2)
    data = spelled([entry(one), {"p": 6, "k": two.encode()[6:], "v": LEAF, "t": None}])
    with pytest.raises(Malformed, match="node"):  # they share more than six
        mst.read_node(data, None)
    node = Node(0, (one, two), (LEAF, LEAF), (None, None, None))
    again = mst.read_node(mst.write_node(node), 0)
    assert (again.keys, again.values, again.trees) == (node.keys, node.values, node.trees)


@pytest.mark.parametrize(
    "data",
    [
        b"\xf6",
        libipld.encode_dag_cbor([]),
        libipld.encode_dag_cbor({"l": None}),
        libipld.encode_dag_cbor({"e": []}),
        spelled([], LEAF),  # nothing but a tree
        spelled([entry(low(2)[1]), entry(low(2)[0])]),
        spelled([entry(low(1)[0]), entry(low(1)[0])]),
        spelled([entry(key) for key in sorted(low(1) + low(1, 1))]),
        spelled([entry(low(1)[0], t=LEAF)]),  # below the lowest
        spelled([entry(low(1)[0])], LEAF),
        spelled([entry(low(1)[0], p=1)]),
        spelled([entry(low(1)[0], p=-1)]),
        spelled([entry(low(1)[0], p=True)]),
        spelled([entry(low(1)[0], k="text")]),
        spelled([entry(low(1)[0], v=None)]),
        spelled([entry(low(1)[0], v=b"bytes")]),
        spelled([entry(low(1)[0], x=1)]),
        spelled([entry(low(1)[0])], x=1),
        spelled([entry("no path")]),
        spelled([entry("ä/b")]),
        b"\x81" * 5000,
    ],
)
def test_node_that_could_not_have_grown_is_refused(data: bytes):
    with pytest.raises(Malformed):
        mst.read_node(data, None)


def test_node_of_another_height_or_size_is_refused():
    data = spelled([entry(low(1)[0])])
    with pytest.raises(Malformed, match="node"):
        mst.read_node(data, 1)
    with pytest.raises(Malformed, match="node"):
        mst.read_node(spelled([]), 0)
    with pytest.raises(Malformed, match="size"):
        mst.read_node(data + bytes(mst.MAX_NODE), 0)


def test_tree_whose_parts_are_out_of_order_is_refused():
    small, great = low(1)[0], low(1, 1)[0] + "z"
    while mst.height(great) != 1:
        great += "z"
    under = spelled(
        [entry("z.z.z/" + key) for key in [small] if mst.height("z.z.z/" + small) == 0] or [entry(low(30)[-1])]
    )
    blocks = {Cid.of(under): under}
    top = spelled([entry(low(1, 1)[0], t=None)], Cid.of(under))
    blocks[Cid.of(top)] = top
    nodes = Nodes(blocks.get)
    with pytest.raises(Malformed, match="node"):
        list(mst.walk(nodes, nodes.node(Cid.of(top), None)))


def test_node_that_is_not_there_is_named():
    blocks: dict[Cid, bytes] = {}
    nodes = Nodes(blocks.get)
    root = nodes.write(mst.build(nodes, dict.fromkeys(KEYS, LEAF)), blocks)
    gone = nodes.node(root, None).trees[0]
    assert isinstance(gone, Cid)
    del blocks[gone]
    fresh = Nodes(blocks.get)
    with pytest.raises(Missing) as raised:
        list(mst.walk(fresh, fresh.node(root, None)))
    assert raised.value.cid == gone


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes):
    try:
        node = mst.read_node(data, None)
    except Malformed:
        return
    assert mst.write_node(node) == data


def test_links_to_raw_blocks_are_read_as_values():
    value = Cid.of(b"x", RAW)
    tree = Node(0, (low(1)[0],), (value,), (None, None))
    assert mst.read_node(mst.write_node(tree), 0).values == (value,)
