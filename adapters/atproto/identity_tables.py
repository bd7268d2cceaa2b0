"""Tables of identities: our own, and those of the embedded PLC directory, as `migrations/` makes them."""

from typing import Final

import sqlalchemy as sa

_metadata = sa.MetaData()

directory: Final = sa.Table(
    "atproto_plc",
    _metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("did", sa.Text, nullable=False),
    sa.Column("cid", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("nullified", sa.Boolean, nullable=False),
    sa.Column("operation", sa.LargeBinary, nullable=False),
)
"""Every operation the directory took, as JSON; `at` in milliseconds since 1970, growing within a DID."""

identities: Final = sa.Table(
    "atproto_identities",
    _metadata,
    sa.Column("did", sa.Text, primary_key=True),
    sa.Column("owner_network", sa.Text, nullable=False),
    sa.Column("owner_id", sa.Text, nullable=False),
    sa.Column("handle", sa.Text, nullable=False),
    sa.UniqueConstraint("owner_network", "owner_id"),
)
"""Whom we made which DID for, and the handle it was made with; of a did:web the one that was told of last."""

operations: Final = sa.Table(
    "atproto_operations",
    _metadata,
    sa.Column("did", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("operation", sa.LargeBinary, nullable=False),
    sa.Column("sent", sa.Boolean, nullable=False),
)
"""The operations of our own did:plc identities, signed, from 0; `sent` once the directory has them."""
