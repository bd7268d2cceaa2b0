"""What is read of repositories kept here. Units of work; files are CAR, as `com.atproto.sync` has them."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from adapters.atproto.cid import Cid
from adapters.atproto.pds.store import Repo, node_of, read_row
from adapters.atproto.pds.tables import SETTLED, nodes, record_blobs, records, repos
from adapters.atproto.repo import car, mst
from adapters.atproto.repo.mst import Node, Nodes
from bridged.api import Prepared, Tx

_RECORD: Final = Prepared(
    sa.select(records.c.path, records.c.cid, records.c.body).where(
        records.c.repo == sa.bindparam("of"), records.c.path == sa.bindparam("at")
    )
)


class Record(NamedTuple):
    path: str
    cid: Cid
    body: bytes

    @property
    def rkey(self) -> str:
        return self.path.partition("/")[2]


def record(tx: Tx, repo: Repo, path: str) -> Record | None:
    row = tx.execute(_RECORD, {"of": repo.id, "at": path}).first()
    return None if row is None else _record(row)


def page(tx: Tx, repo: Repo, collection: str, limit: int, cursor: str, newest_first: bool) -> list[Record]:
    """Records of a collection by key, beginning after `cursor` (a record key, "" for none)."""
    path = records.c.path
    low, high = collection + "/", collection + "0"  # the letter after "/"
    if cursor:
        low, high = (low, low + cursor) if newest_first else (low + cursor, high)
    query = sa.select(path, records.c.cid, records.c.body).where(records.c.repo == repo.id, path > low, path < high)
    query = query.order_by(path.desc() if newest_first else path).limit(limit)
    return [_record(row) for row in tx.execute(query).all()]


def collections(tx: Tx, repo: Repo) -> list[str]:
    """The collections that have records, found by leaping from one to the next."""
    found: list[str] = []
    after = ""
    while True:
        query = sa.select(records.c.path).where(records.c.repo == repo.id, records.c.path > after)
        path = tx.execute(query.order_by(records.c.path).limit(1)).scalar()
        if path is None:
            return found
        found.append(path.partition("/")[0])
        after = found[-1] + "0"


def whole(tx: Tx, repo: Repo, since: str = "") -> list[bytes]:
    """A file, in pieces, of the repository as it stands: of what came after `since`, a revision, if one is given."""
    pieces = [car.header(repo.head_cid), car.section(repo.head_cid, repo.head)]
    for table in (nodes, records):
        query = sa.select(table.c.cid, table.c.body).where(table.c.repo == repo.id, table.c.rev > since)
        pieces += (car.section(Cid(row.cid), bytes(row.body)) for row in tx.execute(query).all())
    return pieces


def proved(tx: Tx, repo: Repo, path: str) -> bytes:
    """A file that proves what is at a path, or that nothing is: commit, the way through the tree, the record."""
    way = Nodes(partial(node_of, tx, repo.id))
    way.seen = seen = dict[Cid, Node]()
    mst.get(way, way.node(repo.root, None), path)
    blocks = {repo.head_cid: repo.head, **{cid: mst.write_node(node) for cid, node in seen.items()}}
    found = record(tx, repo, path)
    if found is not None:
        blocks[found.cid] = found.body
    return car.write(repo.head_cid, blocks.items())


def blocks(tx: Tx, repo: Repo, cids: Sequence[Cid]) -> dict[Cid, bytes]:
    """Those of the blocks that the repository has."""
    wanted = [bytes(cid) for cid in cids]
    found = {repo.head_cid: repo.head} if repo.head_cid in cids else {}
    for table, where in ((nodes, SETTLED), (records, sa.true())):
        query = sa.select(table.c.cid, table.c.body).where(table.c.repo == repo.id, where, table.c.cid.in_(wanted))
        found |= {Cid(row.cid): bytes(row.body) for row in tx.execute(query).all()}
    return found


def blobs(tx: Tx, repo: Repo, limit: int, cursor: Cid | None, since: str) -> list[Cid]:
    """The blobs that records refer to, by id."""
    cid = record_blobs.c.cid
    query = sa.select(cid).distinct().where(record_blobs.c.repo == repo.id, record_blobs.c.rev > since)
    if cursor is not None:
        query = query.where(cid > bytes(cursor))
    return [Cid(found) for found in tx.execute(query.order_by(cid).limit(limit)).scalars()]


def has_blob(tx: Tx, repo: Repo, cid: Cid) -> bool:
    """Whether a record refers to it."""
    query = sa.select(record_blobs.c.path).where(record_blobs.c.repo == repo.id, record_blobs.c.cid == bytes(cid))
    return tx.execute(query.limit(1)).first() is not None


def repositories(tx: Tx, after: int, limit: int) -> Iterable[Repo]:
    """All repositories there ever were, in the order they were made."""
    query = sa.select(repos).where(repos.c.id > after).order_by(repos.c.id).limit(limit)
    return [read_row(row) for row in tx.execute(query).all()]


def _record(row: Any) -> Record:
    return Record(row.path, Cid(row.cid), bytes(row.body))
