"""The heads of lanes, made ready to send."""

from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from typing import TypeAlias

from bridged import downtime
from bridged.adapter import Delivery
from bridged.core import Core
from bridged.model import Copy, Ghost
from bridged.store import acts, heirs, queue
from bridged.store.engine import Tx


@dataclass(frozen=True, slots=True)
class Job:
    item: queue.Item
    copy: Copy
    delivery: Delivery


Claimed: TypeAlias = Job | queue.Item | None


class Looks:
    """What heads that are claimed on one snapshot have in common, looked up once."""

    def __init__(self, tx: Tx) -> None:
        self.tx = tx
        self.copy = cache(partial(acts.copy_row, tx))
        self.ghost = cache(partial(heirs.last_ghost, tx))
        self.withdrawn = cache(partial(queue.withdrawn, tx))


def claim(core: Core, look: Looks, lane: queue.Lane, *, probe: bool) -> Claimed:
    """The head, ready to send; or the bare item if it must not go now; None if the lane is empty.

    To a host that is shut only a `probe` goes.
    """
    tx = look.tx
    item = queue.head(tx, lane, look.withdrawn)
    if item is None:
        return None
    if item.withdrawn and item.act not in queue.AFTER:
        return item
    if lane.network not in core.adapters:
        return item
    if downtime.shut(item) and not probe:
        return item
    now = core.now()
    if now < item.wait_until and any(queue.unsent_before(tx, o, p, item) for o, p in item.waits):
        return item
    copy, _ = look.copy(item.copy)
    ghost = look.ghost(lane.actor, lane.network)
    if ghost is None:
        return item
    facts = tuple(
        next((c for c in acts.copies_of(tx, origin, lane.network) if c.part == part), None)
        for origin, part in item.waits
    )
    name = f"{copy.origin} {copy.network} {copy.part} {copy.version} {lane.endpoint}"
    # the bytes too: after a restore from a backup another version may have this number
    key = sha256(name.encode() + b"\0" + item.body).hexdigest()
    return Job(item, copy, Delivery(key, lane.endpoint, item.body, ghost, copy.ref, item.attempt, facts))


def ghost(tx: Tx, item: queue.Item) -> Ghost | None:
    """The ghost that speaks; for a farewell also one that is gone, after a move the one that was handed over."""
    return heirs.last_ghost(tx, item.lane.actor, item.lane.network)
