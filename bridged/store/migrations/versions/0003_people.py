"""What profiles ask for, as columns; accounts by their nicer name; lanes by actor."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("accounts", sa.Column("hidden", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("accounts", sa.Column("refuses", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("accounts_alias", "accounts", ["network", "alias"], unique=False)
    op.create_index("lanes_actor", "lanes", ["actor_network", "actor_id"], unique=False)
