"""Leave to quote: asked of ours and granted, asked by ours and shown once it is granted."""

from dataclasses import replace

from bridged.core import Core
from bridged.ghosts import Ghosts
from bridged.model import Accept, Activity, Approve, Delete, Post, QuoteRequest, Ref, Reject
from bridged.notes import Unit, dropping, note
from bridged.store import acts, identity
from bridged.store.engine import Tx
from bridged.tell import tell


class Quotes:
    def __init__(self, core: Core, ghosts: Ghosts) -> None:
        self.core, self.ghosts = core, ghosts

    async def asked(self, activity: Activity, heard_at: float) -> list[Unit]:
        """Somebody asks to quote a post of ours: they may, unless its author said otherwise. Raises Unreachable."""
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
            yes = known.activity.act.body.quotable or activity.actor == author
            answer = _answer("accept" if yes else "reject", author, activity.ref)
            said = Accept(activity.ref) if yes else Reject(activity.ref)
            tell(core, tx, Activity(answer, author, heard_at, said), network, heard_at)

        return [unit]

    async def approved(self, activity: Activity, heard_at: float) -> list[Unit]:
        """Who is quoted agrees, or does no longer. Our copy of the quoting post shows the proof or none, and leave that
        was asked of us is taken back at the home of the quoting post."""
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
            if "Approve" in core.adapters[activity.actor.network].capabilities.acts:
                tell(core, tx, spoken, activity.actor.network, heard_at)
            if not act.proof:
                for asked in acts.quotes_asked(tx, quoted.activity.ref, act.target):
                    leave = Delete(_answer("accept", activity.actor, asked.ref))
                    tell(core, tx, replace(activity, act=leave), asked.ref.network, heard_at)

        return [unit]


def _answer(word: str, author: Ref, request: Ref) -> Ref:
    return Ref(author.network, f"{word}:{request.network}:{request.id}")
