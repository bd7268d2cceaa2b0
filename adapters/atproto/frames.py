"""Frames of `com.atproto.sync.subscribeRepos`: two DAG-CBOR objects, one after the other. Pure.

The first is `{"op": 1, "t": "#commit"}`, or `{"op": -1}` for an error (atproto.com/specs/event-stream); the second is
what the lexicon says. Relays write both as DRISL has it, so the few there are of the first are known by their bytes.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, cast

from adapters.atproto import cbor
from adapters.atproto.cid import DAG_CBOR, Cid
from adapters.atproto.repo.mst import is_key
from adapters.atproto.repo.proof import Op
from adapters.atproto.syntax import is_did
from adapters.atproto.tid import is_tid
from bridged.api import Malformed

MAX_FRAME: Final = 5_000_000
MAX_BLOCKS: Final = 2_000_000
MAX_OPS: Final = 200
MAX_SYNC: Final = 10_000
"""Bytes, and operations, that the specs allow (atproto.com/specs/sync)."""
MAX_BODY: Final = MAX_BLOCKS + MAX_OPS * 1024 + 65_536
"""No more bytes have a place within these limits."""

_HEAD: Final = re.compile(rb"\xa2(?:at([\x61-\x77])|bop\x01at([\x61-\x77]))")
_TAIL: Final = b"bop\x01"
_ERROR: Final = b"\xa1bop\x20"


@dataclass(frozen=True, slots=True)
class Committed:
    """A `#commit`. `since` and `prev_data` are of the commit before, None where they are not said."""

    did: str
    rev: str
    since: str | None
    commit: Cid
    blocks: bytes
    ops: tuple[Op, ...]
    prev_data: Cid | None


@dataclass(frozen=True, slots=True)
class Synced:
    """A `#sync`: the repo is at this commit now, however it came there."""

    did: str
    rev: str
    blocks: bytes


def split(frame: bytes) -> tuple[str, int]:
    """(kind with its #, where the second object begins); the kind of an error is "". Raises Malformed("frame")."""
    if frame.startswith(_ERROR):
        return "", len(_ERROR)
    found = _HEAD.match(frame)
    if found is None:
        raise Malformed("frame")
    size = (found[1] or found[2])[0] - 0x60
    end = found.end() + size
    kind = frame[found.end() : end].decode("latin-1")
    if found[1] is not None:
        if not frame.startswith(_TAIL, end):
            raise Malformed("frame")
        end += len(_TAIL)
    return kind, end


def body(frame: bytes, start: int) -> dict[str, Any]:
    """The second object. Raises Malformed: frame_size, and as `cbor.decode`."""
    if len(frame) > MAX_BODY:
        raise Malformed("frame_size")
    found = cbor.decode(frame[start:], MAX_BODY)
    if not isinstance(found, dict):
        raise Malformed("frame")
    return cast("dict[str, Any]", found)


def read_commit(said: dict[str, Any]) -> Committed:
    """Raises Malformed: blocks_size, ops_count, ops, too_big, frame."""
    match said:
        case {"repo": str(did), "rev": str(rev), "commit": Cid() as commit, "blocks": bytes(blocks), "ops": list()}:
            written, since, prev = cast("list[Any]", said["ops"]), said.get("since"), said.get("prevData")
        case _:
            raise Malformed("frame")
    if len(blocks) > MAX_BLOCKS:
        raise Malformed("blocks_size")
    if len(written) > MAX_OPS:
        raise Malformed("ops_count")
    if not is_did(did) or not is_tid(rev) or not (since is None or (isinstance(since, str) and is_tid(since))):
        raise Malformed("frame")
    if not (prev is None or isinstance(prev, Cid)):
        raise Malformed("frame")
    found = tuple(_op(op) for op in written)
    if len({op.path for op in found}) < len(found):
        raise Malformed("ops")
    return Committed(did, rev, since, commit, blocks, found, prev)


def _op(op: Any) -> Op:
    match op:
        case {"action": "create", "path": str(path), "cid": Cid() as cid} if op.get("prev") is None:
            found = Op(path, cid, None)
        case {"action": "update", "path": str(path), "cid": Cid() as cid, "prev": Cid() as prev}:
            found = Op(path, cid, prev)
        case {"action": "delete", "path": str(path), "cid": None, "prev": Cid() as prev}:
            found = Op(path, None, prev)
        case _:
            raise Malformed("ops")
    if not is_key(path) or (found.cid is not None and found.cid.codec != DAG_CBOR):
        raise Malformed("ops")
    return found


def read_sync(said: dict[str, Any]) -> Synced:
    """Raises Malformed: blocks_size, frame."""
    match said:
        case {"did": str(did), "rev": str(rev), "blocks": bytes(blocks)} if is_did(did) and is_tid(rev):
            if len(blocks) > MAX_SYNC:
                raise Malformed("blocks_size")
            return Synced(did, rev, blocks)
        case _:
            raise Malformed("frame")
