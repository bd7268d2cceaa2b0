"""Station 1: bytes arrive. Stored with their cursor in one transaction; only then does anybody say thanks."""

from collections.abc import Callable, Sequence

from bridged.adapter import Busy, Envelope, Tx
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
        new = sum(inboxes.add_all(tx, envelopes))
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


async def receive_each(core: Core, network: str, envelopes: Sequence[Envelope]) -> Sequence[bool | BaseException]:
    """As `receive` for what arrived at the same time: for each whether it is new. Raises Busy."""

    def unit(tx: StoreTx) -> list[bool]:
        new = inboxes.add_all(tx, envelopes)
        seam("inbox.storing")
        if any(new):
            tx.signal(INBOX)
        return new

    try:
        new = await core.store.write(unit, first=len(envelopes))
    except Exception as e:
        if isinstance(e, Busy) or len(envelopes) == 1:
            raise
        # one that the database does not take must not take the others with it
        return [each for one in envelopes for each in await _alone(core, network, one)]
    seam("inbox.received")
    core.metrics.received.labels(network).inc(sum(new))
    return new


async def _alone(core: Core, network: str, envelope: Envelope) -> Sequence[bool | BaseException]:
    try:
        return await receive_each(core, network, [envelope])
    except Exception as e:
        return [e]
