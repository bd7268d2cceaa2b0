"""This adapter's own tables: keys of actors, and the signature scheme each host was found to take.

Every function here is a unit of work for `Host.read` or `Host.write`.
"""

import json
from collections.abc import Callable, Mapping
from typing import cast

import sqlalchemy as sa

from bridged.api import Tx

MAX_ACTORS = 100_000
MAX_HOSTS = 100_000
"""Rows kept; the ones longest without use go first, so that strangers cannot fill the disk."""

_metadata = sa.MetaData()

actors = sa.Table(
    "activitypub_actors",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("keys", sa.Text, nullable=False),
    sa.Column("fetched_at", sa.Float, nullable=False),
    sa.Index("ix_activitypub_actors_fetched_at", "fetched_at"),
)

hosts = sa.Table(
    "activitypub_hosts",
    _metadata,
    sa.Column("host", sa.Text, primary_key=True),
    sa.Column("scheme", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)


def keys_of(actor: str) -> Callable[[Tx], dict[str, str] | None]:
    """The known keys of an actor, key id -> PEM; None when it is unknown."""

    def unit(tx: Tx) -> dict[str, str] | None:
        row = tx.execute(sa.select(actors.c["keys"]).where(actors.c.id == actor)).first()
        return cast(dict[str, str], json.loads(row[0])) if row else None

    return unit


def keep_keys(actor: str, keys: Mapping[str, str], at: float) -> Callable[[Tx], None]:
    """Remember an actor's keys in place of those known before."""

    def unit(tx: Tx) -> None:
        tx.execute(sa.delete(actors).where(actors.c.id == actor))
        tx.execute(sa.insert(actors).values(id=actor, keys=json.dumps(dict(keys)), fetched_at=at))

    return unit


def scheme_of(host: str) -> Callable[[Tx], str | None]:
    """The scheme a host is known to take."""

    def unit(tx: Tx) -> str | None:
        row = tx.execute(sa.select(hosts.c.scheme).where(hosts.c.host == host)).first()
        return row[0] if row else None

    return unit


def keep_scheme(host: str, scheme: str, at: float) -> Callable[[Tx], None]:
    """Remember the scheme a host took."""

    def unit(tx: Tx) -> None:
        tx.execute(sa.delete(hosts).where(hosts.c.host == host))
        tx.execute(sa.insert(hosts).values(host=host, scheme=scheme, at=at))

    return unit


def prune(tx: Tx) -> None:
    """Keep the tables within their bounds."""
    for table, key, at, most in (
        (actors, actors.c.id, actors.c.fetched_at, MAX_ACTORS),
        (hosts, hosts.c.host, hosts.c["at"], MAX_HOSTS),
    ):
        edge = tx.execute(sa.select(at).order_by(at.desc(), key).offset(most).limit(1)).first()
        if edge:
            tx.execute(sa.delete(table).where(at <= edge[0]))
