"""Leave to quote: asked of ours and granted, asked by ours and shown once it is granted."""

from bridged.core import Core
from bridged.ghosts import Ghosts
from bridged.model import Accept, Activity, Approve, Post, QuoteRequest, Ref
from bridged.notes import Unit, dropping, note
from bridged.store import acts, identity
from bridged.store.engine import Tx
from bridged.tell import tell


class Quotes:
    def __init__(self, core: Core, ghosts: Ghosts) -> None:
        self.core, self.ghosts = core, ghosts

    async def asked(self, activity: Activity, heard_at: float) -> list[Unit]:
        """Somebody asks to quote a post of ours: what is public may be quoted. Raises Unreachable."""
        core, act = self.core, activity.act
        assert isinstance(act, QuoteRequest)
        if await self.ghosts.account(activity.actor) is None:
            return [dropping(core, activity, "actor-gone", told=False)]

        def unit(tx: Tx) -> None:
            known = acts.find(tx, act.target)
            network = activity.actor.network
            if known is None or not known.live or not isinstance(known.activity.act, Post):
                core.metrics.dropped.labels(network, "unknown-target").inc()
                return
            author = known.activity.actor
            if identity.ghost_for(tx, author, network) is None or not acts.record(tx, activity, act.target):
                core.metrics.dropped.labels(network, "known").inc()
                return
            note(core, tx, "heard", activity, f"asks to quote {act.target.id}")
            ref = Ref(author.network, f"accept:{activity.ref.network}:{activity.ref.id}")
            tell(core, tx, Activity(ref, author, heard_at, Accept(activity.ref)), network, heard_at)

        return [unit]

    async def approved(self, activity: Activity, heard_at: float) -> list[Unit]:
        """Whom one of ours quotes agrees, or does no longer: our copy of the quoting post shows the proof or none."""
        core, act = self.core, activity.act
        assert isinstance(act, Approve)

        def unit(tx: Tx) -> None:
            known = acts.find(tx, act.target)
            post = known.activity.act if known and known.live else None
            if known is None or not isinstance(post, Post) or post.body.quote is None:
                core.metrics.dropped.labels(activity.ref.network, "unknown-target").inc()
                return
            quoted = acts.find(tx, post.body.quote)
            if quoted is None or quoted.activity.actor != activity.actor:
                note(core, tx, "dropped", activity, "not-yours")
                return
            does = "agrees" if act.proof else "no longer agrees"
            note(core, tx, "heard", activity, f"{does} to be quoted by {act.target.id}")
            spoken = Activity(activity.ref, known.activity.actor, activity.at, act)
            tell(core, tx, spoken, activity.actor.network, heard_at)

        return [unit]
