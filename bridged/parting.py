"""A follow ends: by the word of whoever followed, or because they are out of reach."""

from bridged.core import Core
from bridged.model import Activity, Delete, Ref
from bridged.store import acts, follows, ledger
from bridged.store.engine import Tx
from bridged.store.signals import EARS
from bridged.tell import tell


def part(core: Core, tx: Tx, gone: Activity, target: Ref, heard_at: float) -> None:
    """Ends the follow of `target` that `gone` deletes, there as well."""
    assert isinstance(gone.act, Delete)
    follows.drop(tx, gone.actor, target)
    # where whole lists are sent, the follow left no copy under its own name
    there = core.adapters.get(target.network)
    whole = there is not None and there.capabilities.follows == "open"
    if whole or target.network in acts.networks_with(tx, gone.act.target):
        tell(core, tx, gone, target.network, heard_at)
    tx.signal(EARS)


def lose(core: Core, tx: Tx, follower: Ref, target: Ref, endpoint: str, why: str) -> None:
    """Ends the follow of somebody whose `endpoint` is gone: nothing reaches them any more."""
    made = follows.made_by(tx, follower, target)
    if made is None:
        return
    now = core.now()
    ledger.write(tx, now, "unreached", follower, actor=target, to=follower.network, endpoint=endpoint, reason=why)
    part(core, tx, Activity(Ref.made(made.network, made.id, "unreached"), follower, now, Delete(made)), target, now)
    acts.strike(tx, made)
