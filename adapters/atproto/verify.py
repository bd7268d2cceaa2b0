"""What a repo says of itself held against its signature and its tree. Pure; whose key it is, others know."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from adapters.atproto import tid
from adapters.atproto.cid import Cid
from adapters.atproto.crypto import PublicKey
from adapters.atproto.frames import MAX_BLOCKS, MAX_SYNC, Committed, Synced
from adapters.atproto.repo import car, commit, proof
from adapters.atproto.repo.commit import Commit
from adapters.atproto.repo.mst import Missing, Node, Nodes
from bridged.api import Malformed

AHEAD: Final = 300.0
"""Seconds that a `rev` may be ahead of our clock."""
MAX_REPO: Final = 32 << 20
"""Bytes of a whole repo, or of what it gained, that are taken in at once."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A commit whose signature is yet to be checked, and the blocks that came with it."""

    commit: Commit
    blocks: dict[Cid, bytes]

    def check_signature(self, key: PublicKey) -> None:
        """Raises Malformed("signature")."""
        if not self.commit.signed_by(key):
            raise Malformed("signature")


def claim_of(said: Committed | Synced, now: float) -> Claim:
    """Raises Malformed: car, cid, size, commit, missing_block, rev_future; and as `cbor.decode`."""
    root, blocks = car.read(said.blocks, MAX_BLOCKS if isinstance(said, Committed) else MAX_SYNC)
    if isinstance(said, Committed) and root != said.commit:
        raise Malformed("commit")
    return _claim(root, blocks, said.did, said.rev, now)


def check_ops(said: Committed, claim: Claim) -> None:
    """That undoing what was done gives the tree before, and that all records are there.

    Raises Malformed: prev_data, missing_block, inversion, node; and as `cbor.decode`.
    """
    if said.prev_data is None:
        raise Malformed("prev_data")
    if any(op.cid is not None and op.cid not in claim.blocks for op in said.ops):
        raise Malformed("missing_block")
    proof.verify(claim.commit.data, said.ops, claim.blocks, said.prev_data)


@dataclass(frozen=True, slots=True)
class Gained:
    """What a repo holds. `whole`: all of it; else only what it gained since some time."""

    claim: Claim
    records: dict[str, Cid]
    """path -> id of a record whose block is there"""
    whole: bool


def read_repo(body: bytes, did: str, now: float) -> Gained:
    """The answer of getRepo, with `since` or without: there are all nodes then, or only new ones.

    Raises Malformed: car, cid, size, commit, missing_block, rev_future, node; and as `cbor.decode`.
    """
    root, blocks = car.read(body, MAX_REPO)
    claim = _claim(root, blocks, did, None, now)
    nodes, holes = Nodes(blocks.get), list[Cid]()
    try:
        top = nodes.node(claim.commit.data, None)
    except Missing:
        return Gained(claim, {}, False)
    records: dict[str, Cid] = {}
    last = ""
    for path, cid in _leaves(nodes, top, holes):
        if path <= last:
            raise Malformed("node")
        last = path
        if cid in blocks:
            records[path] = cid
        else:
            holes.append(cid)
    return Gained(claim, records, not holes)


def _leaves(nodes: Nodes, node: Node, holes: list[Cid]) -> Iterator[tuple[str, Cid]]:
    """Every leaf that can be reached; ids of nodes that are not there go into `holes`."""
    for at in range(len(node.trees)):
        try:
            below = nodes.below(node, at)
        except Missing as missing:
            holes.append(missing.cid)
            below = None
        if below is not None:
            yield from _leaves(nodes, below, holes)
        if at < len(node.keys):
            yield node.keys[at], node.values[at]


def _claim(root: Cid, blocks: dict[Cid, bytes], did: str, rev: str | None, now: float) -> Claim:
    if root not in blocks:
        raise Malformed("missing_block")
    found = commit.read(blocks[root])
    if found.did != did or (rev is not None and found.rev != rev):
        raise Malformed("commit")
    if tid.parse(found.rev)[0] > (now + AHEAD) * 1_000_000:
        raise Malformed("rev_future")
    return Claim(found, blocks)
