"""The events of the embedded relay, their tags, and what was deleted.

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
        "nostr_events",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("pubkey", sa.Text(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.LargeBinary()),
        sa.Column("expires", sa.BigInteger()),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_nostr_events_author_kind", "nostr_events", ["pubkey", "kind", "created_at"])
    op.create_index("ix_nostr_events_author", "nostr_events", ["pubkey", "created_at"])
    op.create_index("ix_nostr_events_kind", "nostr_events", ["kind", "created_at"])
    op.create_index("ix_nostr_events_created_at", "nostr_events", ["created_at"])
    op.create_index("ix_nostr_events_address", "nostr_events", ["address"], unique=True)
    op.create_index("ix_nostr_events_expires", "nostr_events", ["expires"])
    op.create_table(
        "nostr_tags",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", "kind", "created_at", "event_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_nostr_tags_created_at", "nostr_tags", ["key", "created_at"])
    op.create_index("ix_nostr_tags_event_id", "nostr_tags", ["event_id"])
    op.create_table(
        "nostr_deleted",
        sa.Column("pubkey", sa.Text(), nullable=False),
        sa.Column("target", sa.LargeBinary(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pubkey", "target"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("nostr_deleted")
    op.drop_table("nostr_tags")
    op.drop_table("nostr_events")
