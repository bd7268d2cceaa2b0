"""The PDS's tables, as `migrations/` makes them."""

from typing import Final

import sqlalchemy as sa

SPANS: Final = ("second", "hour", "day")

_metadata = sa.MetaData()
_Serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_Path = sa.Text(collation="C").with_variant(sa.Text, "sqlite")
"""Paths sort by their bytes, as the tree has them."""

repos: Final = sa.Table(
    "atproto_repos",
    _metadata,
    sa.Column("id", _Serial, primary_key=True, autoincrement=True),
    sa.Column("did", sa.Text, nullable=False, unique=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("rev", sa.Text, nullable=False),
    sa.Column("root", sa.LargeBinary, nullable=False),
    sa.Column("head", sa.LargeBinary, nullable=False),
)
"""`root` is the id of the tree, `head` the block of the newest commit, `rev` its revision."""

nodes: Final = sa.Table(
    "atproto_nodes",
    _metadata,
    sa.Column("repo", sa.BigInteger, primary_key=True),
    sa.Column("settled", sa.SmallInteger, primary_key=True),
    sa.Column("cid", sa.LargeBinary, primary_key=True),
    sa.Column("rev", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
"""Nodes of the trees as they are now; `rev` is the commit they came with.

Ids have no order, so that each node would be written to a page of its own. But most do not last until the next commit:
those of the latest, not `settled` yet (0), lie side by side.
"""
SETTLED: Final = nodes.c.settled.in_((sa.literal_column("0", sa.SmallInteger), sa.literal_column("1", sa.SmallInteger)))
"""Of either kind: to be said wherever a node is looked up by its id."""

records: Final = sa.Table(
    "atproto_records",
    _metadata,
    sa.Column("repo", sa.BigInteger, primary_key=True),
    sa.Column("path", _Path, primary_key=True),
    sa.Column("cid", sa.LargeBinary, nullable=False),
    sa.Column("rev", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

record_blobs: Final = sa.Table(
    "atproto_record_blobs",
    _metadata,
    sa.Column("repo", sa.BigInteger, primary_key=True),
    sa.Column("cid", sa.LargeBinary, primary_key=True),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("rev", sa.Text, nullable=False),
)
"""Which records refer to which blobs."""

events: Final = sa.Table(
    "atproto_events",
    _metadata,
    sa.Column("seq", _Serial, primary_key=True, autoincrement=False),
    sa.Column("repo", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("due", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("frame", sa.LargeBinary, nullable=False),
)
"""The firehose: each `frame` as it is sent; `at` in seconds since 1970, `due` in milliseconds: it is not shown before,
nor what follows it. 0: it had not to wait."""
WAITED: Final = events.c.due > sa.literal_column("0")
"""Those that the index of turns has: to be said wherever a turn is looked for."""

sequence: Final = sa.Table(
    "atproto_sequence",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("due", sa.BigInteger, nullable=False),
    *(sa.Column(f"most_{span}", sa.BigInteger, nullable=False) for span in SPANS),
    *(sa.Column(f"full_{span}", sa.Float(53), nullable=False) for span in SPANS),
    sa.Column("restored", sa.Float(53), nullable=False),
    sa.Column("stood", sa.BigInteger),
)
"""One row: the newest `seq` there ever was, whatever became of its event, when that happened and its turn was, in
milliseconds; the pace, and how far it is used up (see `pace`); when the database was last put back, as far as was
acted on, and the last repository that has said since where it stands, while there are more."""
