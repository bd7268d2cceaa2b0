"""Files of ours, where they came from, who shows them; cards of pages.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("sha256", sa.LargeBinary(), primary_key=True),
        sa.Column("mime", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("fetched_at", sa.Float(), nullable=False),
        sa.Column("idle_since", sa.Float()),
    )
    op.create_table(
        "blob_sources",
        sa.Column("network", sa.String(64), primary_key=True),
        sa.Column("url", sa.Text(), primary_key=True),
        sa.Column("use", sa.String(8), primary_key=True),
        sa.Column("sha256", sa.LargeBinary()),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
    )
    op.create_index("blob_sources_file", "blob_sources", ["sha256"], unique=False)
    op.create_table(
        "blob_uses",
        sa.Column("network", sa.String(64), primary_key=True),
        sa.Column("origin_network", sa.String(64), primary_key=True),
        sa.Column("origin_id", sa.Text(), primary_key=True),
        sa.Column("sha256", sa.LargeBinary(), primary_key=True),
    )
    op.create_index("blob_uses_file", "blob_uses", ["sha256"], unique=False)
    op.create_table(
        "cards",
        sa.Column("url", sa.Text(), primary_key=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("thumb", sa.Text(), nullable=False),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
    )
    op.create_index("cards_at", "cards", ["at"], unique=False)
