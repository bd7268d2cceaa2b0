"""Where copies went, for when their deliveries are kept no longer; old versions are kept without their words."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "reached",
        sa.Column("copy", _serial, nullable=False),
        sa.Column("lane", _serial, nullable=False),
        sa.PrimaryKeyConstraint("copy", "lane"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "UPDATE copies SET served = '' WHERE EXISTS (SELECT 1 FROM copies AS newer"
        " WHERE newer.origin_network = copies.origin_network AND newer.origin_id = copies.origin_id"
        " AND newer.network = copies.network AND newer.part = copies.part AND newer.version > copies.version)"
    )
