"""Accounts' relay lists.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "nostr_relay_lists",
        sa.Column("pubkey", sa.Text(), primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("write", sa.Text(), nullable=False),
        sa.Column("read", sa.Text(), nullable=False),
        sa.Column("dm_at", sa.BigInteger(), nullable=False),
        sa.Column("dm", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("nostr_relay_lists")
