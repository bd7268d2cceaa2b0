"""What is taken back: posts, likes, reposts, follows, blocks and accounts; and what is changed before it was heard."""

from dataclasses import replace

from bridged.core import Core
from bridged.following import Following
from bridged.model import Activity, Block, Delete, Edit, Follow, Post, React, Report, Repost, Vote
from bridged.notes import note
from bridged.policy import Facts
from bridged.routing import destinations
from bridged.store import acts, early, follows, heirs, pins
from bridged.store.engine import Tx
from bridged.tell import tell, there_of


class Withdrawing:
    def __init__(self, core: Core, following: Following) -> None:
        self.core, self.following = core, following

    def delete(self, tx: Tx, activity: Activity, heard_at: float, facts: Facts) -> None:
        core = self.core
        assert isinstance(activity.act, Delete)
        target = activity.act.target
        if target == activity.actor:
            if facts.ghosts or heirs.moved_to(tx, activity.actor):
                note(core, tx, "heard", activity, "account deleted")
                self.following.depart(tx, activity.actor, "account deleted")
            return
        known = acts.find(tx, target)
        if known is None:
            # it may still be on its way here: it shall not come back to life
            early.forestall(tx, target, activity.actor, activity.at)
            core.metrics.dropped.labels(activity.ref.network, "unknown-target").inc()
            return
        if known.activity.actor != activity.actor or not known.live:
            note(core, tx, "dropped", activity, "known" if not known.live else "not-yours")
            return
        note(core, tx, "heard", activity, f"takes back {target.id}")
        inner = known.activity.act
        if isinstance(inner, Follow):
            self._follow(tx, activity, known, inner, heard_at)
        else:
            self._other(tx, activity, known, heard_at, facts)
        acts.strike(tx, target)

    def _other(self, tx: Tx, activity: Activity, known: acts.Known, heard_at: float, facts: Facts) -> None:
        core, target, inner = self.core, known.activity.ref, known.activity.act
        if isinstance(inner, Post):
            pins.drop(tx, activity.actor, target)
        # votes and reports are kept: what the bot said for somebody, their ghost must not take back
        where = set[str]() if isinstance(inner, Vote | Report) else acts.networks_with(tx, target)
        if isinstance(inner, Block):
            follows.unblock(tx, activity.actor, inner.target)
            # where whole lists are said, the block left no copy under its own name
            where |= {inner.target.network} & facts.ghosts
        for network in sorted(where):
            note(core, tx, "carried", activity, "copies", network)
            tell(core, tx, activity, network, heard_at)
        if isinstance(inner, React | Repost) and where:
            self._done_again(tx, known, sorted(where), heard_at)

    def _follow(self, tx: Tx, activity: Activity, known: acts.Known, follow: Follow, heard_at: float) -> None:
        """Who followed anew since goes on following, though that was heard before this."""
        later = [k for k in acts.alike(tx, known.activity) if k.activity.at > known.activity.at]
        if not later:
            self.following.unfollow(tx, activity, follow.target, heard_at)
        elif follows.made_by(tx, activity.actor, follow.target) == known.activity.ref:
            follows.made_anew(tx, activity.actor, follow.target, later[0].activity.ref)

    def _done_again(self, tx: Tx, known: acts.Known, where: list[str], heard_at: float) -> None:
        """Whoever liked or reposted it once more meanwhile does so now: until now nobody was told."""
        for again in acts.alike(tx, known.activity)[:1]:
            act = again.activity.act
            assert isinstance(act, React | Repost)
            for network in where:
                if there_of(tx, act.target, network) is not None:
                    note(self.core, tx, "carried", again.activity, "done again", network)
                    tell(self.core, tx, again.activity, network, heard_at)


def edited_early(tx: Tx, activity: Activity, facts: Facts) -> None:
    """An edit of what stands nowhere: the post may come later, or be shown later, and then reads like this."""
    act = activity.act
    if not isinstance(act, Edit):
        return
    ref, post = act.body.ref, Post(act.body)
    known = acts.find(tx, ref)
    if known is None:
        wanted = destinations(replace(facts, activity=replace(activity, act=post)))
        if wanted and not early.forestalled(tx, ref, activity.actor):
            early.edit(tx, activity)
    elif known.live and known.activity.actor == activity.actor and known.activity.at < activity.at:
        acts.revise(tx, ref, Post(early.gated(tx, act.body)), activity.at)
