"""The tables of the core. Changes go through `migrations/`; a test compares the two."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    literal,
)

metadata = MetaData()


def _where(condition: str) -> dict[str, Any]:
    """An index of some rows: it stays small, and costs the others nothing. Queries say the condition word for word.

    Migrations make it; said in SQLAlchemy's words here, PostgreSQL's dialect would be loaded by who has no use for it.
    """
    return {"info": {"where": condition}}


def said(value: Any) -> Any:
    """A value that stands in the statement itself, for the condition of an index of some rows."""
    return literal(value, literal_execute=True)


Serial = BigInteger().with_variant(Integer, "sqlite")

inbox = Table(
    "inbox",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("network", String(64), nullable=False),
    Column("native_id", Text, nullable=False),
    Column("signer", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", Float, nullable=False),
    Column("state", String(8), nullable=False, default="new"),  # new | done | dead
    Column("attempt", Integer, nullable=False, default=0),
    Column("due_at", Float, nullable=False),
    Column("owner", BigInteger),  # the process that has it in hand, where there are several
    UniqueConstraint("network", "native_id"),
    Index("inbox_due", "due_at", **_where("state = 'new'")),
    Index("inbox_next", "id", "due_at", **_where("state = 'new'")),
    Index("inbox_owner", "owner", **_where("owner IS NOT NULL")),
    sqlite_autoincrement=True,
)

cursors = Table(
    "cursors",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("handle", Text, nullable=False),
    Column("alias", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("fetched_at", Float, nullable=False),
    Column("due_at", Float, nullable=False, server_default="0"),  # when to look at it again
    Column("tries", Integer, nullable=False, server_default="0"),  # looks in vain since the last that was not
    Column("hidden", Integer, nullable=False, server_default="0"),  # 1: asks not to be found by search
    Column("refuses", Integer, nullable=False, server_default="0"),  # 1: asks not to be bridged
    Index("accounts_handle", "network", "handle"),
    Index("accounts_alias", "network", "alias"),
    Index("accounts_due", "due_at"),
)

members = Table(  # what a person, or the operator for them, decided about being bridged
    "members",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("state", String(8), nullable=False),  # in | out
    Column("by", String(16), nullable=False),  # config | operator | person | profile | gone
    Column("at", Float, nullable=False),
)

ghosts = Table(
    "ghosts",
    metadata,
    Column("owner_network", String(64), primary_key=True),
    Column("owner_id", Text, primary_key=True),
    Column("network", String(64), primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("ref", Text, nullable=False),
    Column("handle", Text, nullable=False),
    Column("custody", String(8), nullable=False),
    Column("state", String(8), nullable=False),  # live | gone
    Column("at", Float, nullable=False),
    Column("first_network", String(64)),  # whom it was made for, where it stands for somebody else by now
    Column("first_id", Text),
    UniqueConstraint("network", "ref"),
    UniqueConstraint("network", "handle"),
)

acts = Table(  # what people did, as far as it concerns us: the origins of copies
    "acts",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("kind", String(12), nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("target_network", String(64)),
    Column("target_id", Text),
    Column("root_network", String(64)),
    Column("root_id", Text),
    Column("state", String(8), nullable=False),  # shown | live | deleted
    Column("body", LargeBinary, nullable=False),
    Index("acts_actor", "network", "actor", "kind", "at"),
    Index("acts_target", "target_network", "target_id", "kind"),
    Index("acts_reports", "at", **_where("kind = 'Report'")),
)

copies = Table(
    "copies",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("origin_network", String(64), nullable=False),
    Column("origin_id", Text, nullable=False),
    Column("network", String(64), nullable=False),
    Column("part", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("ref", Text),
    Column("actor_network", String(64), nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("act", String(12), nullable=False),
    Column("served", LargeBinary, nullable=False),
    Column("gone", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", Float, nullable=False),
    UniqueConstraint("origin_network", "origin_id", "network", "part", "version"),
    Index("copies_ref", "network", "ref"),
    Index("copies_posts", "network", **_where("act = 'Post' AND part = 0 AND version = 1")),
    Index("copies_actor", "network", "actor_network", "actor_id", "id"),
    sqlite_autoincrement=True,
)

lanes = Table(  # one queue for each endpoint and actor; its head blocks it
    "lanes",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("network", String(64), nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("host", Text, nullable=False, server_default=""),  # of the endpoint
    Column("actor_network", String(64), nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("due_at", Float),  # None: empty
    Column("owner", BigInteger),  # the process that has it in hand, where there are several
    UniqueConstraint("network", "endpoint", "actor_network", "actor_id"),
    Index("lanes_due", "due_at"),
    Index("lanes_actor", "actor_network", "actor_id"),
    Index("lanes_host", "host"),
    Index("lanes_owner", "owner", **_where("owner IS NOT NULL")),
    sqlite_autoincrement=True,
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("lane", Serial, nullable=False),
    Column("copy", Serial, nullable=False),
    Column("act", String(12), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("waits", Text, nullable=False),
    Column("after_until", Float, nullable=False),
    Column("state", String(10), nullable=False),  # ready | sent | dead | cancelled
    Column("attempt", Integer, nullable=False),
    Column("queued_at", Float, nullable=False),
    Column("reason", Text, nullable=False),
    Column("ended_at", Float),  # when it was sent, dead or cancelled
    Index("outbox_lane", "lane", "state", "id"),
    Index("outbox_ready", "lane", "queued_at", **_where("state = 'ready'")),
    Index("outbox_copy", "copy"),
    Index("outbox_dead", "lane", **_where("state = 'dead'")),
    sqlite_autoincrement=True,
)

reached = Table(  # where copies went, when the deliveries that say so are kept no longer
    "reached",
    metadata,
    Column("copy", Serial, primary_key=True, autoincrement=False),
    Column("lane", Serial, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

hosts = Table(  # whose last delivery failed; see `bridged.breaker`
    "hosts",
    metadata,
    Column("host", Text, primary_key=True),
    Column("failures", Integer, nullable=False),  # in a row
    Column("since", Float, nullable=False),
    Column("at", Float, nullable=False),  # the last
    Column("until", Float, nullable=False),  # left alone until then
    Column("lane", BigInteger, nullable=False),  # whose delivery it was
    Column("why", Text, nullable=False),
    Index("hosts_at", "at"),
)

follows = Table(
    "follows",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("actor", Text, primary_key=True),
    Column("target_network", String(64), primary_key=True),
    Column("target_id", Text, primary_key=True),
    Column("ref", Text, nullable=False),  # the act that made it, on `network`
    Column("state", String(8), nullable=False),  # asked | live
    Column("at", Float, nullable=False),
    Index("follows_target", "target_network", "target_id", "state"),
)

blocks = Table(
    "blocks",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("actor", Text, primary_key=True),
    Column("target_network", String(64), primary_key=True),
    Column("target_id", Text, primary_key=True),
    Column("ref", Text, nullable=False),
    Index("blocks_target", "target_network", "target_id"),
)

pins = Table(  # what people keep at the top of their profiles: their own posts
    "pins",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("actor", Text, primary_key=True),
    Column("post", Text, primary_key=True),
    Column("at", Float, nullable=False),
)

polls = Table(  # those that stand on more than one network
    "polls",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("open", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Index("polls_open", "open", "at"),
)

pages = Table(  # where posts are read by people, when that is not their id
    "pages",
    metadata,
    Column("url", Text, primary_key=True),
    Column("network", String(64), nullable=False),
    Column("id", Text, nullable=False),
)

twins = Table(  # posts and accounts that another bridge made, and of what
    "twins",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("original_network", String(64), nullable=False),
    Column("original_id", Text, nullable=False),
)

votes = Table(  # in polls that stand on more than one network; the latest of each voter counts
    "votes",
    metadata,
    Column("network", String(64), primary_key=True),  # of the poll
    Column("poll", Text, primary_key=True),
    Column("voter_network", String(64), primary_key=True),
    Column("voter_id", Text, primary_key=True),
    Column("choices", Text, nullable=False),  # places in the poll's options, comma-separated
    Column("at", Float, nullable=False),
)

persons = Table(  # accounts proved to be the same human's, each pair in both directions
    "persons",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("other_network", String(64), primary_key=True),
    Column("other_id", Text, nullable=False),
    Column("at", Float, nullable=False),
)

former_handles = Table(  # which ghosts had before: they go on leading to them, and are nobody else's
    "former_handles",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("handle", Text, primary_key=True),
    Column("owner_network", String(64), nullable=False),
    Column("owner_id", Text, nullable=False),
)

notices = Table(  # what somebody was told once
    "notices",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("what", String(32), primary_key=True),
    Column("at", Float, nullable=False),
)

lists = Table(  # the newest list heard of an account that publishes whole lists: follows, blocks, pins
    "lists",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("actor", Text, primary_key=True),
    Column("kind", String(12), primary_key=True, server_default="FollowList"),
    Column("at", Float, nullable=False),
    Column("ref", Text, nullable=False),
)

secrets = Table(
    "secrets",
    metadata,
    Column("network", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

settings = Table(
    "settings",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

processes = Table(  # of this bridge, where several share the database; who is silent for long is taken for dead
    "processes",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("roles", Text, nullable=False),
    Column("since", Float, nullable=False),
    Column("seen_at", Float, nullable=False),  # by the database's clock
    sqlite_autoincrement=True,
)

leases = Table(  # what one process does for all
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", BigInteger, nullable=False),
)

ledger = Table(
    "ledger",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column(
        "step", String(12), nullable=False
    ),  # heard | carried | copied | lost | dropped | sent | retry | dead | cancelled
    Column("network", String(64), nullable=False),  # of the origin
    Column("origin", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("to", String(64), nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ledger_origin", "network", "origin"),
    sqlite_autoincrement=True,
)
