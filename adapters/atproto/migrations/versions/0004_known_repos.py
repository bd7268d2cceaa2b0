"""Repos of others that are kept up with.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "atproto_known_repos",
        sa.Column("did", sa.Text(), primary_key=True),
        sa.Column("rev", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("stale", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_atproto_known_repos_stale", "atproto_known_repos", ["stale"])


def downgrade() -> None:
    op.drop_table("atproto_known_repos")
