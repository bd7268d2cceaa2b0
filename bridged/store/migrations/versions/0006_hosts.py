"""Hosts that are down; dead letters by host, and since when they are dead."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_DEAD = sa.text("state = 'dead'")


def upgrade() -> None:
    op.create_table(
        "hosts",
        sa.Column("host", sa.Text(), primary_key=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.Column("lane", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
    )
    op.create_index("hosts_at", "hosts", ["at"], unique=False)
    op.add_column("outbox", sa.Column("ended_at", sa.Float()))
    op.create_index("outbox_dead", "outbox", ["lane"], unique=False, sqlite_where=_DEAD, postgresql_where=_DEAD)
