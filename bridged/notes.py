"""What station 2 writes into the ledger about an activity."""

from collections.abc import Callable

from bridged.core import Core
from bridged.model import Activity
from bridged.store import ledger
from bridged.store.engine import Tx

Unit = Callable[[Tx], None]


def note(core: Core, tx: Tx, step: str, activity: Activity, reason: str = "", to: str = "") -> None:
    """One ledger row; drops are counted as well."""
    if step == "dropped":
        core.metrics.dropped.labels(activity.ref.network, reason).inc()
    ledger.write(tx, core.now(), step, activity.ref, actor=activity.actor, to=to, reason=reason)


def dropping(core: Core, activity: Activity, reason: str, *, told: bool) -> Unit:
    """A unit that counts a drop, and with `told` lets the ledger know: it concerns somebody we bridge."""

    def unit(tx: Tx) -> None:
        if told:
            note(core, tx, "dropped", activity, reason)
        else:
            core.metrics.dropped.labels(activity.ref.network, reason).inc()

    return unit
