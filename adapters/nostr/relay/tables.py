"""The relay's tables, as `migrations/` makes them.

Tag values and addresses are found by a hash: they may be long, hold U+0000, or both, which indexes and
PostgreSQL's text do not take.
"""

import hashlib
from typing import Final

import sqlalchemy as sa

_metadata = sa.MetaData()

events: Final = sa.Table(
    "nostr_events",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("pubkey", sa.Text, nullable=False),
    sa.Column("kind", sa.Integer, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("address", sa.LargeBinary),
    sa.Column("expires", sa.BigInteger),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
"""`address` is `key("address", …)` of replaceable and addressable events, `expires` NIP-40's time."""

tags: Final = sa.Table(
    "nostr_tags",
    _metadata,
    sa.Column("key", sa.LargeBinary, primary_key=True),
    sa.Column("kind", sa.Integer, primary_key=True),
    sa.Column("created_at", sa.BigInteger, primary_key=True),
    sa.Column("event_id", sa.Text, primary_key=True),
)
"""`key(name, value)` of every single-letter tag; kind and time of the event stand here for the index."""

deleted: Final = sa.Table(
    "nostr_deleted",
    _metadata,
    sa.Column("pubkey", sa.Text, primary_key=True),
    sa.Column("target", sa.LargeBinary, primary_key=True),
    sa.Column("until", sa.BigInteger, nullable=False),
)
"""What `pubkey` deleted of its own (NIP-09): `key("id", …)` or `key("address", …)`, dated up to `until`."""

vanished: Final = sa.Table(
    "nostr_vanished",
    _metadata,
    sa.Column("pubkey", sa.Text, primary_key=True),
    sa.Column("until", sa.BigInteger, nullable=False),
)
"""Who asked to vanish (NIP-62): nothing of theirs dated up to `until` is taken."""

texts: Final = sa.Table(
    "nostr_texts",
    _metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("event_id", sa.Text, nullable=False),
)
"""Events that can be searched, under the short number by which `words` names them."""

words: Final = sa.Table(
    "nostr_words",
    _metadata,
    sa.Column("word", sa.Text, primary_key=True),
    sa.Column("created_at", sa.BigInteger, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
)
"""The words of those (NIP-50), as `search.words_of` spells them."""

strangers: Final = sa.Table(
    "nostr_strangers",
    _metadata,
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("pubkey", sa.Text, nullable=False),
    sa.Column("taken", sa.BigInteger, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
)
"""Events held of those who are not bridged: when they came (milliseconds), and the bytes of their JSON."""


def key(name: str, value: str) -> bytes:
    """What a value of this sort is found by, 16 bytes."""
    return hashlib.blake2b(f"{name}:{value}".encode(), digest_size=16).digest()
