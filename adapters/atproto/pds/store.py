"""Keeping repositories: every change is one commit, one event, one transaction.

Units of work. Writes come one after the other, whichever repository they are about, so that no tree forks, and `seq`
grows in the order in which events become visible. Of a tree only the nodes on the way to what changes are read.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal, cast

import sqlalchemy as sa

from adapters.atproto import lexicon
from adapters.atproto.cid import RAW, Cid
from adapters.atproto.crypto import SigningKey
from adapters.atproto.pds import firehose
from adapters.atproto.pds.tables import SETTLED, nodes, record_blobs, records, repos
from adapters.atproto.repo import car, commit, mst, tree
from adapters.atproto.repo.mst import Nodes
from adapters.atproto.repo.proof import Op
from adapters.atproto.tid import after
from bridged.api import Malformed, Prepared, Tx

Status = Literal["active", "deactivated", "takendown", "suspended", "deleted"]

MAX_OPS: Final = 200
MAX_BLOCKS: Final = 2_000_000
"""Bytes that the blocks of one event may have."""
MAX_RECORD: Final = 1_000_000
_SETTLE_IN: Final = 128
"""After so many nodes, taken by lot, those settle that came before the newest commit."""

_REPO: Final = Prepared(sa.select(repos).where(repos.c.did == sa.bindparam("of")))
_COMMITTED: Final = Prepared(
    sa.update(repos)
    .where(repos.c.id == sa.bindparam("repo"))
    .values(rev=sa.bindparam("new_rev"), root=sa.bindparam("new_root"), head=sa.bindparam("new_head"))
)
_NODE: Final = Prepared(
    sa.select(nodes.c.body).where(nodes.c.repo == sa.bindparam("of"), SETTLED, nodes.c.cid == sa.bindparam("id"))
)
_ADD_NODES: Final = Prepared(sa.insert(nodes))
_DROP_NODES: Final = Prepared(
    sa.delete(nodes).where(
        nodes.c.repo == sa.bindparam("of"),
        nodes.c.settled == sa.bindparam("kind"),
        nodes.c.cid == sa.bindparam("id"),
    )
)
_SETTLE: Final = Prepared(
    sa.update(nodes)
    .where(nodes.c.repo == sa.bindparam("of"), nodes.c.settled == 0, nodes.c.rev != sa.bindparam("newest"))
    .values(settled=1)
)
_HELD: Final = Prepared(
    sa.select(records.c.cid).where(records.c.repo == sa.bindparam("of"), records.c.path == sa.bindparam("at"))
)
_ADD_RECORDS: Final = Prepared(sa.insert(records))
_DROP_RECORDS: Final = Prepared(
    sa.delete(records).where(records.c.repo == sa.bindparam("of"), records.c.path == sa.bindparam("at"))
)
_ADD_BLOBS: Final = Prepared(sa.insert(record_blobs))
_DROP_BLOBS: Final = Prepared(
    sa.delete(record_blobs).where(record_blobs.c.repo == sa.bindparam("of"), record_blobs.c.path == sa.bindparam("at"))
)


@dataclass(frozen=True, slots=True)
class Repo:
    """A repository as it stands; `head` is the block of its newest commit."""

    id: int
    did: str
    status: Status
    rev: str
    root: Cid
    head: bytes

    @property
    def head_cid(self) -> Cid:
        return Cid.of(self.head)


@dataclass(frozen=True, slots=True)
class Write:
    """What is to be at a path: a record, or nothing."""

    collection: str
    rkey: str
    record: dict[str, Any] | None

    @property
    def path(self) -> str:
        return f"{self.collection}/{self.rkey}"


class NoRepo(Exception):
    """There is no such repository here, or it takes no writes."""


def find(tx: Tx, did: str) -> Repo | None:
    row = tx.execute(_REPO, {"of": did}).first()
    return None if row is None else read_row(row)


def read_row(row: Any) -> Repo:
    return Repo(row.id, row.did, row.status, row.rev, Cid(row.root), bytes(row.head))


class Repos:
    """Writes to repositories. Keeps nodes at hand, so that one object serves all units, one after the other."""

    def __init__(self) -> None:
        self._nodes = Nodes(lambda _: None)

    def create(self, tx: Tx, did: str, handle: str, key: SigningKey, at: float) -> Repo:
        """An empty repository, told of by `#identity`, `#account` and its first `#commit`; or the one there is.

        One that was deleted begins anew, and goes on counting where it was; `#sync` says so.
        """
        found = find(tx, did)
        if found is not None and found.status != "deleted":
            return found
        blocks: dict[Cid, bytes] = {}
        root = self._nodes.write(mst.empty(), blocks)
        made = commit.sign(key, did, after(found.rev if found else None, int(at * 1e6), 0), root)
        row = {"did": did, "status": "active", "rev": made.rev, "root": bytes(root), "head": made.block()}
        if found is None:
            number = int(tx.execute(sa.insert(repos).values(row).returning(repos.c.id)).scalar_one())
        else:
            number = found.id
            tx.execute(sa.update(repos).where(repos.c.id == number).values(row))
        repo = Repo(number, did, "active", made.rev, root, made.block())
        self._add(tx, repo, blocks)
        identity(tx, repo, handle, at)
        _account(tx, repo, at)
        if found is not None:
            sync(tx, repo, at)
            return repo
        packed = car.write(repo.head_cid, ((repo.head_cid, repo.head), *blocks.items()))
        fields = firehose.commit_fields(
            did, commit=repo.head_cid, rev=repo.rev, since=None, prev_data=None, blocks=packed, ops=()
        )
        firehose.emit(tx, number, "commit", fields, at)
        return repo

    def apply(self, tx: Tx, did: str, key: SigningKey, writes: Sequence[Write], at: float) -> Repo:
        """All of `writes` as one commit, and the repository after it.

        What is there already, or gone already, is left out, so that saying it again is harmless; where nothing is left
        there is no commit. Raises NoRepo; Malformed for a record that its lexicon refuses, for a path that comes twice,
        and with "size" or "ops" for more than one commit may bring.
        """
        repo = find(tx, did)
        if repo is None or repo.status == "deleted":
            raise NoRepo(did)
        wanted = {write.path: write for write in writes}
        if len(wanted) != len(writes):
            raise Malformed("ops")
        bodies: dict[str, bytes] = {}
        ops: list[Op] = []
        for path, write in wanted.items():
            body = None if write.record is None else lexicon.validate(write.collection, write.rkey, write.record)
            before = self.held(tx, repo, path)
            cid = None if body is None else Cid.of(body)
            if cid != before:
                ops.append(Op(path, cid, before))
            if body is not None:
                if len(body) > MAX_RECORD:
                    raise Malformed("size")
                bodies[path] = body
        if not ops:
            return repo
        if len(ops) > MAX_OPS:
            raise Malformed("ops")
        blobs = {path: blobs_in(wanted[path].record) for path in bodies}
        return self._commit(tx, repo, key, ops, bodies, blobs, at)

    def renew(self, tx: Tx, repo: Repo, key: SigningKey | None, at: float) -> None:
        """Says where it stands, under a revision that nobody has seen: after the database was put back, others know
        commits that we do not, and would take an old one for nothing new. One that is deleted needs no key."""
        if repo.status != "deleted":
            assert key is not None, "whose repository is there has an identity"
            made = commit.sign(key, repo.did, after(repo.rev, int(at * 1e6), 0), repo.root)
            repo = replace(repo, rev=made.rev, head=made.block())
            new = {"new_rev": made.rev, "new_root": bytes(repo.root), "new_head": repo.head}
            tx.execute(_COMMITTED, {"repo": repo.id, **new})
        _account(tx, repo, at)
        if repo.status == "active":
            sync(tx, repo, at)

    def held(self, tx: Tx, repo: Repo, path: str) -> Cid | None:
        found = tx.execute(_HELD, {"of": repo.id, "at": path}).scalar()
        return None if found is None else Cid(found)

    def _commit(
        self,
        tx: Tx,
        repo: Repo,
        key: SigningKey,
        ops: Sequence[Op],
        bodies: dict[str, bytes],
        blobs: dict[str, set[Cid]],
        at: float,
    ) -> Repo:
        self._nodes.blocks = partial(node_of, tx, repo.id)
        changed = tree.change(self._nodes, repo.root, ops)
        made = commit.sign(key, repo.did, after(repo.rev, int(at * 1e6), 0), changed.root)
        following = replace(repo, rev=made.rev, root=changed.root, head=made.block())
        head = following.head_cid
        blocks = {head: following.head, **changed.covering}
        blocks |= {op.cid: bodies[op.path] for op in ops if op.cid is not None}
        packed = car.write(head, blocks.items())
        if len(packed) > MAX_BLOCKS:
            raise Malformed("size")
        self._drop(tx, repo, changed.gone)
        self._add(tx, following, changed.new)
        if changed.root[-1] % _SETTLE_IN < len(changed.new):
            tx.execute(_SETTLE, {"of": repo.id, "newest": made.rev})
        for op in ops:
            if op.prev is not None:
                tx.execute(_DROP_RECORDS, {"of": repo.id, "at": op.path})
                tx.execute(_DROP_BLOBS, {"of": repo.id, "at": op.path})
            if op.cid is not None:
                said = {"repo": repo.id, "path": op.path, "rev": made.rev}
                tx.execute(_ADD_RECORDS, {**said, "cid": bytes(op.cid), "body": bodies[op.path]})
                if blobs[op.path]:
                    tx.execute(_ADD_BLOBS, [{**said, "cid": bytes(blob)} for blob in sorted(blobs[op.path])])
        new = {"new_rev": made.rev, "new_root": bytes(changed.root), "new_head": following.head}
        tx.execute(_COMMITTED, {"repo": repo.id, **new})
        if repo.status != "active":  # relays take no commits then; `#sync` says where it stands once it is active again
            return following
        fields = firehose.commit_fields(
            repo.did,
            commit=head,
            rev=made.rev,
            since=repo.rev,
            prev_data=repo.root,
            blocks=packed,
            ops=ops,
        )
        firehose.emit(tx, repo.id, "commit", fields, at)
        return following

    def _add(self, tx: Tx, repo: Repo, blocks: dict[Cid, bytes]) -> None:
        if blocks:
            row = {"repo": repo.id, "settled": 0, "rev": repo.rev}
            tx.execute(_ADD_NODES, [{**row, "cid": cid, "body": body} for cid, body in blocks.items()])

    def _drop(self, tx: Tx, repo: Repo, gone: Collection[Cid]) -> None:
        for settled in (0, 1) if gone else ():
            rows = [{"of": repo.id, "kind": settled, "id": cid} for cid in gone]
            if tx.execute(_DROP_NODES, rows).rowcount == len(rows):
                break  # most often none had settled


def node_of(tx: Tx, repo: int, cid: Cid) -> bytes | None:
    """The block of a node, for `Nodes`."""
    return tx.execute(_NODE, {"of": repo, "id": bytes(cid)}).scalar()


def set_status(tx: Tx, did: str, status: Status, at: float) -> Repo:
    """What an account is from now on, told of by `#account`; nothing is told where it was that before.

    With deleted its records go, and the commits that told of them: only `Repos.create` brings it back, empty.
    Raises NoRepo.
    """
    repo = find(tx, did)
    if repo is None or (repo.status == "deleted" and status != "deleted"):
        raise NoRepo(did)
    if repo.status == status:
        return repo
    tx.execute(sa.update(repos).where(repos.c.id == repo.id).values(status=status))
    now = replace(repo, status=status)
    if status == "deleted":
        for table in (nodes, records, record_blobs):
            tx.execute(sa.delete(table).where(table.c.repo == repo.id))
        firehose.forget(tx, repo.id)
    _account(tx, now, at)
    if status == "active":
        sync(tx, now, at)
    return now


def identity(tx: Tx, repo: Repo, handle: str, at: float) -> None:
    """`#identity`: the handle, or another part of the document, is new."""
    firehose.emit(tx, repo.id, "identity", {"did": repo.did, "handle": handle}, at)


def sync(tx: Tx, repo: Repo, at: float) -> None:
    """`#sync`: the repository stands here, whatever was told before."""
    packed = car.write(repo.head_cid, [(repo.head_cid, repo.head)])
    firehose.emit(tx, repo.id, "sync", {"did": repo.did, "rev": repo.rev, "blocks": packed}, at)


def _account(tx: Tx, repo: Repo, at: float) -> None:
    active = repo.status == "active"
    status = {} if active else {"status": repo.status}
    firehose.emit(tx, repo.id, "account", {"did": repo.did, "active": active, **status}, at)


def blobs_in(value: Any) -> set[Cid]:
    """The blobs that a record refers to."""
    found: set[Cid] = set()
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        ref = fields.get("ref")
        if fields.get("$type") == "blob" and isinstance(ref, Cid) and ref.codec == RAW:
            found.add(ref)
        value = list(fields.values())
    if isinstance(value, list):
        for item in cast("list[Any]", value):
            found |= blobs_in(item)
    return found
