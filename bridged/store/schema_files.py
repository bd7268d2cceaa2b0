"""The tables of the media room, beside those in `schema.py`."""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, String, Table, Text

from bridged.store.schema import metadata

blobs = Table(  # files of ours; each lies in data_dir/media under its name
    "blobs",
    metadata,
    Column("sha256", LargeBinary, primary_key=True),
    Column("mime", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("fetched_at", Float, nullable=False),
    Column("idle_since", Float),  # nothing has shown it since
)

blob_sources = Table(  # what was made of the file at an address for one use on a network, or why nothing
    "blob_sources",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("url", Text, primary_key=True),
    Column("use", String(8), primary_key=True),
    Column("sha256", LargeBinary),
    Column("why", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Index("blob_sources_file", "sha256"),
)

blob_uses = Table(  # whose copies show a file, and where
    "blob_uses",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("origin_network", String(64), primary_key=True),
    Column("origin_id", Text, primary_key=True),
    Column("sha256", LargeBinary, primary_key=True),
    Index("blob_uses_file", "sha256"),
)

cards = Table(  # what pages say of themselves, with the address of a picture
    "cards",
    metadata,
    Column("url", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("thumb", Text, nullable=False),
    Column("found", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Index("cards_at", "at"),
)
