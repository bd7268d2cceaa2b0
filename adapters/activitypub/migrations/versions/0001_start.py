"""Keys of actors, and how hosts want to be signed for.

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
        "activitypub_actors",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("keys", sa.Text(), nullable=False),
        sa.Column("fetched_at", sa.Float(), nullable=False),
    )
    op.create_index("ix_activitypub_actors_fetched_at", "activitypub_actors", ["fetched_at"])
    op.create_table(
        "activitypub_hosts",
        sa.Column("host", sa.Text(), primary_key=True),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("activitypub_hosts")
    op.drop_table("activitypub_actors")
