"""Files that are ours: what is in them, where each was had from, who shows them, and cards of pages."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, exists, select, update

from bridged.adapter import Blob, Card
from bridged.model import Ref
from bridged.store.engine import Tx
from bridged.store.schema_files import blob_sources, blob_uses, blobs, cards
from bridged.store.sql import clean, insert_new, upsert

LOOK = 500
"""Files looked at in one step."""


@dataclass(frozen=True, slots=True)
class Source:
    """How asking for a file went: what was made of it, or why nothing, after how many tries, the last one when."""

    sha256: bytes | None
    why: str
    tries: int
    at: float


_shown = exists().where(blob_uses.c.sha256 == blobs.c.sha256)


def _blob(row: Any) -> Blob | None:
    return Blob(row.sha256, row.mime, row.size, row.width, row.height) if row is not None else None


def get(tx: Tx, sha256: bytes) -> Blob | None:
    return _blob(tx.execute(select(blobs).where(blobs.c.sha256 == sha256)).first())


def served(tx: Tx, sha256: bytes) -> Blob | None:
    """The file, if something that still stands shows it."""
    return _blob(tx.execute(select(blobs).where(blobs.c.sha256 == sha256, _shown)).first())


def add(tx: Tx, blob: Blob, now: float) -> None:
    insert_new(
        tx,
        blobs,
        sha256=blob.sha256,
        mime=blob.mime,
        size=blob.size,
        width=blob.width,
        height=blob.height,
        fetched_at=now,
        idle_since=now,
    )


def source(tx: Tx, network: str, url: str, use: str) -> Source | None:
    row = tx.execute(select(blob_sources).where(*_source(network, url, use))).first()
    return Source(row.sha256, row.why, row.tries, row.at) if row is not None else None


def put_source(tx: Tx, network: str, url: str, use: str, found: Source) -> None:
    upsert(
        tx,
        blob_sources,
        network=network,
        url=url,
        use=use,
        sha256=found.sha256,
        why=clean(found.why[:200]),
        tries=found.tries,
        at=found.at,
    )


def kept(tx: Tx, network: str, url: str, use: str) -> Blob | None:
    """The file made of what is at this address, for this use on this network."""
    mine = select(blobs).join(blob_sources, blob_sources.c.sha256 == blobs.c.sha256)
    return _blob(tx.execute(mine.where(*_source(network, url, use))).first())


def why_not(tx: Tx, network: str, url: str) -> str:
    """Why there is no file of what is at this address, as far as it was asked for."""
    mine = blob_sources.c.network == network, blob_sources.c.url == url, blob_sources.c.sha256.is_(None)
    return tx.execute(select(blob_sources.c.why).where(*mine).limit(1)).scalar() or "no answer in time"


def _source(network: str, url: str, use: str) -> tuple[Any, ...]:
    return blob_sources.c.network == network, blob_sources.c.url == url, blob_sources.c.use == use


def used(tx: Tx, network: str, origin: Ref) -> set[bytes]:
    """The files that the copies of `origin` there show."""
    return set(tx.execute(select(blob_uses.c.sha256).where(*_use(network, origin))).scalars())


def use(tx: Tx, network: str, origin: Ref, files: Collection[bytes]) -> None:
    """From now on the copies of `origin` there show these, and no others."""
    old = used(tx, network, origin)
    if gone := old.difference(files):
        tx.execute(delete(blob_uses).where(*_use(network, origin), blob_uses.c.sha256.in_(gone)))
    for sha256 in set(files) - old:
        insert_new(tx, blob_uses, network=network, origin_network=origin.network, origin_id=origin.id, sha256=sha256)


def _use(network: str, origin: Ref) -> tuple[Any, ...]:
    mine = blob_uses.c
    return mine.network == network, mine.origin_network == origin.network, mine.origin_id == origin.id


def put_card(tx: Tx, url: str, card: Card | None, now: float) -> None:
    """What the page at `url` says of itself; None: nothing that could be had."""
    said = card or Card(url, "")
    found = {"title": said.title, "description": said.description, "thumb": said.thumb}
    upsert(tx, cards, url=url, found=int(card is not None), at=now, **{n: clean(v) for n, v in found.items()})


def card(tx: Tx, url: str) -> Card | None:
    row = tx.execute(select(cards).where(cards.c.url == url, cards.c.found == 1)).first()
    return Card(row.url, row.title, row.description, row.thumb) if row is not None else None


def card_at(tx: Tx, url: str) -> float | None:
    """When the page was last looked at."""
    return tx.execute(select(cards.c.at).where(cards.c.url == url)).scalar()


def idle(tx: Tx, after: bytes, before: float, now: float) -> tuple[list[bytes], bytes | None]:
    """Files beyond `after` that nothing has shown since `before`, and how far was looked; None: to the end.

    Notes since when the others are not shown.
    """
    rows = tx.execute(
        select(blobs.c.sha256, blobs.c.idle_since, _shown.label("shown"))
        .where(blobs.c.sha256 > after)
        .order_by(blobs.c.sha256)
        .limit(LOOK)
    ).all()
    for shown, since in ((True, None), (False, now)):
        changed = [r.sha256 for r in rows if bool(r.shown) is shown and (r.idle_since is None) is not shown]
        if changed:
            tx.execute(update(blobs).where(blobs.c.sha256.in_(changed)).values(idle_since=since))
    old = [r.sha256 for r in rows if not r.shown and r.idle_since is not None and r.idle_since < before]
    return old, rows[-1].sha256 if len(rows) == LOOK else None


def drop(tx: Tx, files: Collection[bytes]) -> list[bytes]:
    """Forgets those that nothing shows, and what was had from where; which they were."""
    found = select(blobs.c.sha256).where(blobs.c.sha256.in_(files), ~_shown)
    gone = list(tx.execute(found).scalars())
    for table in (blobs, blob_sources, blob_uses):
        tx.execute(delete(table).where(table.c.sha256.in_(gone)))
    return gone


def known(tx: Tx, files: Collection[bytes]) -> set[bytes]:
    return set(tx.execute(select(blobs.c.sha256).where(blobs.c.sha256.in_(files))).scalars())


def forget(tx: Tx, before: float) -> None:
    """What could not be had, and pages, looked at before then."""
    tx.execute(delete(blob_sources).where(blob_sources.c.sha256.is_(None), blob_sources.c.at < before))
    tx.execute(delete(cards).where(cards.c.at < before))
