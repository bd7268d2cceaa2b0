"""What deliveries tell of their hosts, kept in mind: which are down, and who may try them (see `breaker.py`)."""

from bridged import breaker
from bridged.adapter import LOCAL, EgressFailed, Retry
from bridged.breaker import Trouble
from bridged.core import Core
from bridged.retry import GIVE_UP
from bridged.store import hosts
from bridged.store.engine import Tx
from bridged.store.queue import Item, Lane


class Silence(EgressFailed):
    """The attempt took too long."""


class Fault(Retry):
    """A mistake of ours, which says nothing of the other side."""


def shut(item: Item) -> bool:
    """Whether the item's host is down, as far as the item knows."""
    return item.trouble is not None and item.trouble.shut and item.lane.endpoint != LOCAL


def probe(core: Core, tx: Tx, lane: Lane) -> bool:
    """Whether the lane's head may be the probe of its host now; then all other lanes wait to hear of it."""
    now = core.now()
    until = now + breaker.PROBE
    if not hosts.probe(tx, lane.host, now, until):
        return False
    hosts.park(tx, lane.host, now, until, now - GIVE_UP)
    return True


def worse(core: Core, tx: Tx, item: Item, failure: Retry, *, probe: bool) -> Trouble | None:
    """One more failure; the trouble that the host is in."""
    host, now = item.lane.host, core.now()
    before = hosts.of(tx, host)
    if isinstance(failure, Fault):
        return before
    silent = isinstance(failure, EgressFailed)
    trouble = breaker.failed(
        before, host, item.lane.id, now, failure.why, silent=silent, probe=probe, after=failure.after
    )
    if trouble != before and hosts.put(tx, trouble) and trouble.shut:
        hosts.park(tx, host, now, trouble.until, now - GIVE_UP)
        core.log.warning("host_down", host=host, why=failure.why, again_in=round(trouble.until - now))
    return trouble


def better(core: Core, tx: Tx, item: Item, *, probe: bool) -> None:
    """The host answered. One that is shut is opened by its probe alone: others were under way before."""
    trouble = hosts.of(tx, item.lane.host) if item.trouble is not None else None
    if trouble is None or (trouble.shut and not probe):
        return
    hosts.forget(tx, trouble.host)
    if trouble.shut:
        hosts.release(tx, trouble.host, core.now())
        core.log.info("host_back", host=trouble.host, after=round(core.now() - trouble.since))
