"""Identities, and the embedded PLC directory.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "atproto_plc",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("did", sa.Text(), nullable=False),
        sa.Column("cid", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("nullified", sa.Boolean(), nullable=False),
        sa.Column("operation", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_atproto_plc_did", "atproto_plc", ["did", "seq"])
    op.create_index("ix_atproto_plc_at", "atproto_plc", ["at", "seq"])
    op.create_table(
        "atproto_identities",
        sa.Column("did", sa.Text(), primary_key=True),
        sa.Column("owner_network", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.UniqueConstraint("owner_network", "owner_id", name="uq_atproto_identities_owner"),
    )
    op.create_table(
        "atproto_operations",
        sa.Column("did", sa.Text(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("operation", sa.LargeBinary(), nullable=False),
        sa.Column("sent", sa.Boolean(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("atproto_operations")
    op.drop_table("atproto_identities")
    op.drop_table("atproto_plc")
