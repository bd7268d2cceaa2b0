"""Search (NIP-50), requests to vanish (NIP-62) and the quota of strangers in the embedded relay.

Revision ID: 0002
Revises: 0001
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from adapters.nostr.event import parse_event
from adapters.nostr.relay import search
from bridged.api import Prepared

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_PAGE = 500


def upgrade() -> None:
    op.create_table(
        "nostr_vanished",
        sa.Column("pubkey", sa.Text(), primary_key=True),
        sa.Column("until", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "nostr_texts",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.Text(), nullable=False),
    )
    op.create_index("ix_nostr_texts_event_id", "nostr_texts", ["event_id"], unique=True)
    op.create_table(
        "nostr_words",
        sa.Column("word", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("word", "created_at", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_nostr_words_seq", "nostr_words", ["seq"])
    op.create_table(
        "nostr_strangers",
        sa.Column("event_id", sa.Text(), primary_key=True),
        sa.Column("pubkey", sa.Text(), nullable=False),
        sa.Column("taken", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
    )
    op.create_index("ix_nostr_strangers_pubkey", "nostr_strangers", ["pubkey", "taken"])
    op.create_index("ix_nostr_strangers_taken", "nostr_strangers", ["taken", "size"])
    _index_words()


class _Bound:
    """A connection that takes prepared statements as well."""

    def __init__(self, bind: sa.Connection) -> None:
        self._bind = bind

    def execute(self, statement: Prepared, parameters: Any = None) -> Any:
        return statement.run(self._bind, parameters)


def _index_words() -> None:
    """Of the events held already."""
    bind = op.get_bind()
    events = sa.table("nostr_events", sa.column("id", sa.Text), sa.column("body", sa.LargeBinary))
    last = ""
    while True:
        page = sa.select(events.c.id, events.c.body).where(events.c.id > last).order_by(events.c.id).limit(_PAGE)
        rows = bind.execute(page).all()
        for _, body in rows:
            search.index(_Bound(bind), parse_event(bytes(body)))
        if len(rows) < _PAGE:
            break
        last = rows[-1][0]


def downgrade() -> None:
    op.drop_table("nostr_strangers")
    op.drop_table("nostr_words")
    op.drop_table("nostr_texts")
    op.drop_table("nostr_vanished")
