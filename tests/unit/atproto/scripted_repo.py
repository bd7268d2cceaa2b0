"""A repo of somebody else's on a scripted firehose: signed, with covering proofs, and spoilt wherever a test wants it.

Written from the specs (atproto.com/specs/{repository,sync,event-stream}), since no relay installs.
"""

from typing import Any

from adapters.atproto import cbor, tid
from adapters.atproto.cid import Cid
from adapters.atproto.crypto import SigningKey
from adapters.atproto.repo import car, commit, mst, proof
from adapters.atproto.repo.proof import Op

TIME = "2026-09-21T14:13:20.000Z"


def frame(kind: str, body: dict[str, Any]) -> bytes:
    return cbor.encode({"op": 1, "t": kind}) + cbor.encode(body)


def error(name: str) -> bytes:
    return cbor.encode({"op": -1}) + cbor.encode({"error": name, "message": "no more"})


def info(name: str) -> bytes:
    return frame("#info", {"name": name, "message": "from here on"})


def account(did: str, seq: int, active: bool, status: str = "") -> bytes:
    more = {"status": status} if status else {}
    return frame("#account", {"did": did, "seq": seq, "time": TIME, "active": active, **more})


def identity(did: str, seq: int) -> bytes:
    return frame("#identity", {"did": did, "seq": seq, "time": TIME, "handle": "new.test"})


class ScriptedRepo:
    """`now` dates the revs, in seconds; each commit is a second later."""

    def __init__(self, did: str, now: float, key: SigningKey | None = None) -> None:
        self.did, self.now = did, now
        self.key = key or SigningKey(did.encode().rjust(32, b"k")[-32:])
        self.rev = self.commit = None
        self.data = Cid(b"")
        self.records: dict[str, bytes] = {}
        self._blocks: dict[Cid, bytes] = {}
        self._grow({})

    @property
    def nodes(self) -> mst.Nodes:
        return mst.Nodes(self._blocks.get)

    def _grow(self, changed: dict[str, dict[str, Any] | bytes | None]) -> tuple[list[Op], dict[Cid, bytes]]:
        ops: list[Op] = []
        blocks: dict[Cid, bytes] = {}
        for path, record in changed.items():
            before = Cid.of(self.records[path]) if path in self.records else None
            if record is None:
                del self.records[path]
                ops.append(Op(path, None, before))
                continue
            data = record if isinstance(record, bytes) else cbor.encode(record)
            self.records[path] = data
            cid = Cid.of(data)
            blocks[cid] = data
            ops.append(Op(path, cid, before))
        root = mst.build(self.nodes, {path: Cid.of(data) for path, data in self.records.items()})
        self.data = self.nodes.write(root, self._blocks)
        self._blocks |= blocks
        self.now += 1
        self.since, self.rev = self.rev, tid.make(int(self.now * 1_000_000), 1)
        self.commit = commit.sign(self.key, self.did, self.rev, self.data)
        return ops, blocks

    def change(self, seq: int, changed: dict[str, dict[str, Any] | bytes | None]) -> dict[str, Any]:
        """The body of a `#commit` that does so; None deletes."""
        before = self.data
        ops, blocks = self._grow(changed)
        cover = proof.cover(self.nodes, self.data, ops)
        head = self.commit.block()
        sections = [(Cid.of(head), head), *((cid, self._blocks[cid]) for cid in cover), *blocks.items()]
        return {
            "seq": seq,
            "rebase": False,
            "tooBig": False,
            "repo": self.did,
            "commit": Cid.of(head),
            "rev": self.rev,
            "since": self.since,
            "blocks": car.write(Cid.of(head), sections),
            "ops": [_written(op) for op in ops],
            "blobs": [],
            "prevData": before,
            "time": TIME,
        }

    def say(self, seq: int, changed: dict[str, dict[str, Any] | bytes | None]) -> bytes:
        return frame("#commit", self.change(seq, changed))

    def sync(self, seq: int) -> bytes:
        return frame("#sync", {"seq": seq, "did": self.did, "rev": self.rev, "blocks": self.head(), "time": TIME})

    def head(self) -> bytes:
        """What getRepo may answer where nothing but the commit is new."""
        head = self.commit.block()
        return car.write(Cid.of(head), [(Cid.of(head), head)])

    def whole(self) -> bytes:
        """What getRepo answers."""
        head = self.commit.block()
        nodes: dict[Cid, bytes] = {}
        root = mst.build(mst.Nodes(lambda _: None), {path: Cid.of(data) for path, data in self.records.items()})
        mst.Nodes(lambda _: None).write(root, nodes)
        records = [(Cid.of(data), data) for data in self.records.values()]
        return car.write(Cid.of(head), [(Cid.of(head), head), *nodes.items(), *records])


def _written(op: Op) -> dict[str, Any]:
    return {"action": op.action, "path": op.path, "cid": op.cid, **({"prev": op.prev} if op.prev is not None else {})}
