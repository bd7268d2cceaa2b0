"""Small facts kept between runs, and sealed secrets."""

from sqlalchemy import delete, select

from bridged.store.engine import Tx
from bridged.store.schema import secrets, settings
from bridged.store.sql import insert_new, upsert


def get(tx: Tx, name: str) -> str | None:
    return tx.execute(select(settings.c.value).where(settings.c.name == name)).scalar()


def put(tx: Tx, name: str, value: str) -> None:
    upsert(tx, settings, name=name, value=value)


def drop(tx: Tx, name: str) -> None:
    tx.execute(delete(settings).where(settings.c.name == name))


def sealed(tx: Tx, network: str, name: str) -> bytes | None:
    return tx.execute(select(secrets.c.sealed).where(secrets.c.network == network, secrets.c.name == name)).scalar()


def seal(tx: Tx, network: str, name: str, value: bytes) -> bool:
    """Keeps a sealed secret unless one is there; False then."""
    return insert_new(tx, secrets, network=network, name=name, sealed=value)
