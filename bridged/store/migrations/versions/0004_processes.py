"""Several processes on one database: who has what in hand. Lanes by host."""

import sqlalchemy as sa
from alembic import op

from bridged.store.queue import host_of

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_OWNED = sa.text("owner IS NOT NULL")
_serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "processes",
        sa.Column("id", _serial, primary_key=True, autoincrement=True),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("owner", sa.BigInteger(), nullable=False),
    )
    op.add_column("inbox", sa.Column("owner", sa.BigInteger()))
    op.create_index("inbox_owner", "inbox", ["owner"], unique=False, sqlite_where=_OWNED, postgresql_where=_OWNED)
    op.add_column("lanes", sa.Column("owner", sa.BigInteger()))
    op.create_index("lanes_owner", "lanes", ["owner"], unique=False, sqlite_where=_OWNED, postgresql_where=_OWNED)
    op.add_column("lanes", sa.Column("host", sa.Text(), nullable=False, server_default=""))
    _fill_hosts()
    op.create_index("lanes_host", "lanes", ["host"], unique=False)


def _fill_hosts() -> None:
    lanes = sa.table("lanes", sa.column("endpoint", sa.Text), sa.column("host", sa.Text))
    connection = op.get_bind()
    for endpoint in connection.execute(sa.select(lanes.c.endpoint).distinct()).scalars().all():
        connection.execute(sa.update(lanes).where(lanes.c.endpoint == endpoint).values(host=host_of(endpoint)))
