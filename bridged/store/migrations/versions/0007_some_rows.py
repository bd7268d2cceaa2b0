"""Indexes of the few rows that wait among the many that are done, and of what is counted.

Revision ID: 0007
Revises: 0006
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("inbox_due", "inbox")
    _some("inbox_due", "inbox", ["due_at"], "state = 'new'")
    _some("inbox_next", "inbox", ["id", "due_at"], "state = 'new'")
    _some("outbox_ready", "outbox", ["lane", "queued_at"], "state = 'ready'")
    _some("copies_posts", "copies", ["network"], "act = 'Post' AND part = 0 AND version = 1")
    _some("acts_reports", "acts", ["at"], "kind = 'Report'")


def _some(name: str, table: str, columns: list[Any], condition: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))
