"""A store with the tables of this adapter, and what a reader of the firehose makes of it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import libipld

from adapters.atproto import cbor
from adapters.atproto.cid import Cid
from adapters.atproto.crypto import PublicKey, SigningKey
from adapters.atproto.pds import firehose
from adapters.atproto.pds.firehose import Event
from adapters.atproto.repo import car, commit, proof
from adapters.atproto.repo.proof import Op
from bridged.store.engine import Store
from tests.unit import stores

NOW = 1_700_000_000.0
MIGRATIONS = Path(__file__).parents[3] / "adapters" / "atproto" / "migrations"
POST = "app.bsky.feed.post"
LIKE = "app.bsky.feed.like"


def key(did: str) -> SigningKey:
    return SigningKey(sha256(did.encode()).digest())


def did(number: int) -> str:
    return f"did:plc:{'abcdefghijklmnopqrstuvwx'[number % 20]}{'a' * 23}"


def post(text: str) -> dict[str, Any]:
    return {"$type": POST, "text": text, "createdAt": "2023-11-14T22:13:20.000Z"}


@asynccontextmanager
async def opened(folder: Path, kind: str = "sqlite") -> AsyncIterator[Store]:
    """A store with this adapter's tables, on "sqlite" or "postgresql", and a pace that keeps nothing waiting."""
    async with stores.opened(kind, folder, MIGRATIONS, "atproto_version") as store:
        await store.write(lambda tx: firehose.set_pace(tx, (1_000_000,) * 3))
        yield store


def unpacked(event: Event) -> tuple[str, dict[str, Any]]:
    """(kind, body) of a frame."""
    header, _ = libipld.decode_dag_cbor_multi(event.frame)
    again = cbor.encode(header)
    assert event.frame.startswith(again)
    return header["t"], cbor.decode(event.frame[len(again) :], 5_000_000)


class Reader:
    """Follows the firehose as a relay does: verifies all it is told, and keeps what each repository holds.

    `keys` gives the key of a DID; `changed` is called with each change of a record, in order.
    """

    def __init__(
        self,
        keys: Callable[[str], PublicKey] = lambda did: key(did).public,
        changed: Callable[[str, Op], None] = lambda did, op: None,
    ) -> None:
        self.keys, self.changed = keys, changed
        self.seq = 0
        self.repos: dict[str, dict[str, Cid]] = {}
        self.heads: dict[str, tuple[str, Cid]] = {}
        self.status: dict[str, str] = {}
        self.bodies: dict[Cid, bytes] = {}
        self.handles: dict[str, str] = {}

    def hear(self, event: Event) -> None:
        kind, body = unpacked(event)
        assert body["seq"] == event.seq > self.seq
        self.seq = event.seq
        match kind:
            case "#commit":
                self._commit(body)
            case "#account":
                self.status[body["did"]] = "active" if body["active"] else body["status"]
            case "#identity":
                self.handles[body["did"]] = body["handle"]
            case "#sync":
                self._sync(body)
            case _:
                raise AssertionError(kind)

    def _sync(self, body: dict[str, Any]) -> None:
        """Where the repository stands from now on; what it holds is for others to find out."""
        who = body["did"]
        root, blocks = car.read(body["blocks"], 10_000)
        made = commit.read(blocks[root])
        assert (made.did, made.rev, list(blocks)) == (who, body["rev"], [root])
        assert made.signed_by(self.keys(who))
        before = self.heads.get(who)
        assert before is None or before[0] < made.rev or before == (made.rev, made.data)
        self.heads[who] = (made.rev, made.data)

    def _commit(self, body: dict[str, Any]) -> None:
        who = body["repo"]
        root, blocks = car.read(body["blocks"], 2_000_000)
        assert root == body["commit"]
        made = commit.read(blocks[root])
        assert (made.did, made.rev, made.prev) == (who, body["rev"], None)
        assert made.signed_by(self.keys(who))
        ops = [Op(op["path"], op["cid"], op.get("prev")) for op in body["ops"]]
        assert [op.action for op in ops] == [op["action"] for op in body["ops"]]
        if who in self.heads:
            rev, data = self.heads[who]
            assert body["since"] == rev < made.rev
            assert body["prevData"] == data
            proof.verify(made.data, ops, blocks, data)
        else:
            assert body["since"] is None
            assert "prevData" not in body
        records = self.repos.setdefault(who, {})
        for op in ops:
            assert records.get(op.path) == op.prev
            records.pop(op.path, None)
            if op.cid is not None:
                records[op.path] = op.cid
                self.bodies[op.cid] = blocks[op.cid]
            self.changed(who, op)
        self.heads[who] = (made.rev, made.data)
