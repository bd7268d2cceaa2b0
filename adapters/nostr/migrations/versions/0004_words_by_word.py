"""The words of search are found by word alone: the index by event was as large as they are, and served deletions only.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_nostr_words_seq", "nostr_words")


def downgrade() -> None:
    op.create_index("ix_nostr_words_seq", "nostr_words", ["seq"])
