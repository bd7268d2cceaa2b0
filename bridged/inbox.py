"""Station 1: bytes arrive. Stored with their cursor in one transaction; only then does anybody say thanks."""

from collections.abc import Callable

from bridged.adapter import Envelope, Tx
from bridged.core import Core
from bridged.seams import seam
from bridged.store import inboxes
from bridged.store.engine import Tx as StoreTx
from bridged.store.signals import INBOX


async def receive(
    core: Core,
    network: str,
    envelopes: tuple[Envelope, ...],
    cursor: tuple[str, str] | None = None,
    also: Callable[[Tx], None] | None = None,
) -> int:
    """How many of the envelopes are new, once all of it is on disk. Raises Busy."""

    def unit(tx: StoreTx) -> int:
        new = inboxes.add_all(tx, envelopes)
        if cursor is not None:
            inboxes.move_cursor(tx, network, *cursor)
        if also is not None:
            also(tx)
        if envelopes:
            seam("inbox.storing")
        if new:
            tx.signal(INBOX)
        return new

    new = await core.store.write(unit, first=len(envelopes))
    if envelopes:
        seam("inbox.received")
        core.metrics.received.labels(network).inc(new)
    if cursor is not None:
        seam("cursor.moved" if envelopes else "cursor.alone")
    return new
