"""Repositories, and the events of their firehose.

Revision ID: 0003
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0001"
branch_labels = None
depends_on = None

SPANS = ("second", "hour", "day")
POSTS = "path > 'app.bsky.feed.post/' AND path < 'app.bsky.feed.post0'"


def upgrade() -> None:
    serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "atproto_repos",
        sa.Column("id", serial, primary_key=True, autoincrement=True),
        sa.Column("did", sa.Text(), nullable=False, unique=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("rev", sa.Text(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "atproto_nodes",
        sa.Column("repo", sa.BigInteger(), primary_key=True),
        sa.Column("settled", sa.SmallInteger(), primary_key=True),
        sa.Column("cid", sa.LargeBinary(), primary_key=True),
        sa.Column("rev", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "atproto_records",
        sa.Column("repo", sa.BigInteger(), primary_key=True),
        sa.Column("path", sa.Text(collation="C").with_variant(sa.Text(), "sqlite"), primary_key=True),
        sa.Column("cid", sa.LargeBinary(), nullable=False),
        sa.Column("rev", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_atproto_records_cid", "atproto_records", ["repo", "cid"])
    posts = sa.text(POSTS)
    op.create_index("ix_atproto_posts", "atproto_records", ["path"], sqlite_where=posts, postgresql_where=posts)
    op.create_table(
        "atproto_record_blobs",
        sa.Column("repo", sa.BigInteger(), primary_key=True),
        sa.Column("cid", sa.LargeBinary(), primary_key=True),
        sa.Column("path", sa.Text(), primary_key=True),
        sa.Column("rev", sa.Text(), nullable=False),
    )
    op.create_index("ix_atproto_record_blobs_path", "atproto_record_blobs", ["repo", "path"])
    op.create_table(
        "atproto_events",
        sa.Column("seq", serial, primary_key=True, autoincrement=False),
        sa.Column("repo", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("frame", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_atproto_events_repo", "atproto_events", ["repo", "seq"])
    waits = sa.text("due > 0")
    op.create_index("ix_atproto_events_due", "atproto_events", ["due"], sqlite_where=waits, postgresql_where=waits)
    op.create_table(
        "atproto_sequence",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        *(sa.Column(f"most_{span}", sa.BigInteger(), nullable=False) for span in SPANS),
        *(sa.Column(f"full_{span}", sa.Float(53), nullable=False) for span in SPANS),
        sa.Column("restored", sa.Float(53), nullable=False),
        sa.Column("stood", sa.BigInteger(), nullable=True),
    )


def downgrade() -> None:
    for table in ("sequence", "events", "record_blobs", "records", "nodes", "repos"):
        op.drop_table(f"atproto_{table}")
