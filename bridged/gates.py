"""Who may answer and quote a post, where its home says that beside it: heard after the post, before, or with it."""

from bridged.core import Core
from bridged.model import Activity, Gate, Post
from bridged.notes import Unit, note
from bridged.policy import Facts
from bridged.store import acts, early
from bridged.store.engine import Tx
from bridged.tell import tell


def gate(core: Core, activity: Activity, heard_at: float, facts: Facts) -> Unit:
    """Kept beside the post, and told wherever copies of it stand; what is said of it later has it by itself."""
    act = activity.act
    assert isinstance(act, Gate)

    def drop(why: str) -> None:
        core.metrics.dropped.labels(activity.ref.network, why).inc()

    def unit(tx: Tx) -> None:
        known = acts.find(tx, act.target)
        if known is not None and known.activity.actor != activity.actor:
            note(core, tx, "dropped", activity, "not-yours")
        elif known is None and not facts.bridged and not facts.ghosts:
            drop("concerns-nobody")
        elif not early.gate(tx, activity):
            drop("known")
        elif known is not None and known.live and isinstance(known.activity.act, Post):
            body = early.gated(tx, known.activity.act.body)
            if body == known.activity.act.body:
                drop("known")
                return
            acts.revise(tx, act.target, Post(body), known.activity.at)
            note(core, tx, "heard", activity, f"says who may answer or quote {act.target.id}")
            for network in sorted(acts.networks_with(tx, act.target)):
                note(core, tx, "carried", activity, "copies", network)
                tell(core, tx, activity, network, heard_at)

    return unit
