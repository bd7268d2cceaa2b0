"""Polls, pins, pages, persons, former handles, notices; ghosts may change hands; lists of any kind."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("accounts", sa.Column("due_at", sa.Float(), nullable=False, server_default="0"))
    op.add_column("accounts", sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("accounts_due", "accounts", ["due_at"], unique=False)
    op.create_table(
        "pins",
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("post", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("network", "actor", "post"),
    )
    op.add_column("ghosts", sa.Column("first_network", sa.String(length=64), nullable=True))
    op.add_column("ghosts", sa.Column("first_id", sa.Text(), nullable=True))
    op.create_table(
        "polls",
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("open", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("network", "id"),
    )
    op.create_index("polls_open", "polls", ["open", "at"], unique=False)
    op.create_table(
        "pages",
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("url"),
    )
    op.create_table(
        "twins",
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("original_network", sa.String(length=64), nullable=False),
        sa.Column("original_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("network", "id"),
    )
    op.create_table(
        "votes",
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("poll", sa.Text(), nullable=False),
        sa.Column("voter_network", sa.String(length=64), nullable=False),
        sa.Column("voter_id", sa.Text(), nullable=False),
        sa.Column("choices", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("network", "poll", "voter_network", "voter_id"),
    )
    op.create_table(
        "persons",
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("other_network", sa.String(length=64), nullable=False),
        sa.Column("other_id", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("network", "id", "other_network"),
    )
    op.create_table(
        "former_handles",
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("owner_network", sa.String(length=64), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("network", "handle"),
    )
    op.create_table(
        "notices",
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("network", "id", "what"),
    )
    # SQLite cannot change a primary key in place.
    op.rename_table("lists", "lists_old")
    op.create_table(
        "lists",
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False, server_default="FollowList"),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("network", "actor", "kind", name="lists_kind_pkey"),
    )
    op.execute(
        "INSERT INTO lists (network, actor, kind, at, ref) SELECT network, actor, 'FollowList', at, ref FROM lists_old"
    )
    op.drop_table("lists_old")
