"""Follows across networks, and membership: following the bot is how a person asks to be bridged."""

from collections.abc import Callable
from dataclasses import replace

from bridged import agenda, consent, wording
from bridged.adapter import Unreachable
from bridged.bot import can_write, write_to
from bridged.core import Core
from bridged.ghosts import Ghosts
from bridged.model import BOT, Accept, Account, Activity, Delete, Follow, FollowList, Ref, Reject
from bridged.notes import Unit, dropping, note
from bridged.parting import part
from bridged.policy import Facts, refuse
from bridged.store import acts, follows, identity, notices
from bridged.store.engine import Tx
from bridged.store.signals import EARS, INBOX
from bridged.tell import tell

CONFIRM = 600.0
"""Seconds after which a follow list that lost more than half is believed."""
SMALL = 4
"""A list of fewer follows may shrink as it likes."""


class Wait(Exception):
    """To be looked at again after `seconds`."""

    def __init__(self, seconds: float, why: str) -> None:
        super().__init__(why)
        self.seconds = seconds


class Following:
    def __init__(self, core: Core, ghosts: Ghosts) -> None:
        self.core, self.ghosts = core, ghosts

    async def follow(self, activity: Activity, heard_at: float, facts: Facts) -> list[Unit]:
        """Somebody wants to hear somebody at home elsewhere."""
        core = self.core
        assert isinstance(activity.act, Follow)
        actor, target = activity.actor, activity.act.target
        if target.network == actor.network:
            return [dropping(core, activity, "concerns-nobody", told=False)]
        # what the profile says now decides whether somebody may join
        account = await self.ghosts.account(actor, fresh=target == BOT)
        if account is None or account.mark:
            return [dropping(core, activity, "actor-gone", told=True)]
        if target == BOT:
            return [lambda tx: self._join(tx, activity, account, heard_at)]
        if account.refuses:
            return [dropping(core, activity, consent.REFUSES, told=True)]
        if not await core.store.read(lambda tx: core.may(tx, target)):
            return [lambda tx: self._refuse(tx, activity, heard_at, "no-consent")]
        told = facts.standing == "in" or facts.consent == "open" or facts.answers == "bridge"
        if told:
            ghost = await self.ghosts.ensure(account, target.network)
            # who has an account of their own there can follow with that
            told = ghost.custody != "linked"
            await self.ghosts.account(target)
        return [lambda tx: self._follow(tx, activity, heard_at, told=told)]

    def _follow(self, tx: Tx, activity: Activity, heard_at: float, *, told: bool) -> None:
        core = self.core
        assert isinstance(activity.act, Follow)
        actor, target = activity.actor, activity.act.target
        if not acts.record(tx, activity, target):
            return
        made = follows.made_by(tx, actor, target)
        known = acts.find(tx, made) if made is not None else None
        if known is not None and known.live and known.activity.at > activity.at:
            # heard late: they have followed anew since
            self._accept(tx, activity, target, heard_at)
            return
        there = core.adapters[target.network].capabilities
        asked = there.follows == "request" and told
        if asked and follows.state_of(tx, actor, target) == "live":
            asked = False
        if there.hearing == "push" and not follows.audience_networks(tx, target):
            agenda.order(tx, "recent", target, core.now())
            tx.signal(INBOX)
        follows.put(tx, actor, target, activity.ref, "asked" if asked else "live", core.now())
        note(core, tx, "heard", activity, f"follows {target}")
        if not asked:
            self._accept(tx, activity, target, heard_at)
        if told:
            note(core, tx, "carried", activity, "answer", target.network)
            tell(core, tx, activity, target.network, heard_at)
        tx.signal(EARS)

    def _accept(self, tx: Tx, follow: Activity, target: Ref, heard_at: float) -> None:
        """Grants a follow in the name of whom it is aimed at, where its network expects an answer."""
        if self.core.adapters[follow.actor.network].capabilities.follows == "request":
            ref = Ref(target.network, f"accept:{follow.ref.network}:{follow.ref.id}")
            accept = Activity(ref, target, heard_at, Accept(follow.ref))
            tell(self.core, tx, accept, follow.actor.network, heard_at)

    def _refuse(self, tx: Tx, follow: Activity, heard_at: float, why: str) -> None:
        core = self.core
        assert isinstance(follow.act, Follow)
        target = follow.act.target
        acts.record(tx, follow, target)
        note(core, tx, "dropped", follow, why)
        network = follow.actor.network
        known = identity.ghost_for(tx, target, network) is not None
        if known and core.adapters[network].capabilities.follows == "request":
            ref = Ref(target.network, f"reject:{follow.ref.network}:{follow.ref.id}")
            tell(core, tx, Activity(ref, target, heard_at, Reject(follow.ref)), network, heard_at)

    def _join(self, tx: Tx, activity: Activity, account: Account, heard_at: float) -> None:
        core, actor = self.core, activity.actor
        why = consent.hindrance(core, tx, actor, "person")
        if why is not None:
            self._refuse(tx, activity, heard_at, why)
            told = notices.at(tx, actor, why)
            if why == consent.REFUSES and told is None and can_write(core, actor.network):
                notices.put(tx, actor, why, core.now())
                write_to(core, tx, actor, f"refused:{activity.ref}", wording.hindered(core, why, account))
            return
        if not acts.record(tx, activity, BOT):
            return
        note(core, tx, "heard", activity, "follows the bot: bridged from now on")
        consent.join(core, tx, actor, "person")
        follows.put(tx, actor, BOT, activity.ref, "live", core.now())
        self._accept(tx, activity, BOT, heard_at)

    def depart(self, tx: Tx, actor: Ref, why: str) -> None:
        """The account's owner wants it bridged no longer."""
        consent.leave(self.core, tx, actor, "person")
        self.core.log.info("departs", account=str(actor), why=why)

    def unfollow(self, tx: Tx, activity: Activity, target: Ref, heard_at: float) -> None:
        """A follow is taken back. `activity` is the Delete of it."""
        if target == BOT:
            follows.drop(tx, activity.actor, target)
            if identity.standing(tx, activity.actor) == "in":
                self.depart(tx, activity.actor, "unfollowed the bot")
            return
        part(self.core, tx, activity, target, heard_at)

    def answer(self, activity: Activity, heard_at: float) -> Unit:
        """An Accept or Reject of a follow that one of ours sent."""

        def unit(tx: Tx) -> None:
            core, act = self.core, activity.act
            assert isinstance(act, Accept | Reject)
            known = acts.find(tx, act.target)
            if known is None or not isinstance(known.activity.act, Follow):
                core.metrics.dropped.labels(activity.ref.network, "unknown-target").inc()
                return
            follower, target = known.activity.actor, known.activity.act.target
            if target != activity.actor:
                note(core, tx, "dropped", activity, "not-yours")
                return
            if isinstance(act, Accept):
                follows.grant(tx, follower, target)
            else:
                follows.drop(tx, follower, target)
            note(core, tx, "heard", activity, f"answers the follow by {follower}")
            adapter = core.adapters.get(follower.network)
            if adapter is not None and adapter.capabilities.follows == "request":
                tell(core, tx, activity, follower.network, heard_at)
            tx.signal(EARS)

        return unit

    async def whole_list(
        self,
        activity: Activity,
        heard_at: float,
        attempt: int,
        facts_of: Callable[[Tx, Activity], tuple[Activity, Facts]],
    ) -> list[Unit]:
        """A list that replaces all earlier ones: the difference to what is on record, as follows and unfollows.

        Raises Wait the first time a list lost more than half: clients are known to send empty ones by mistake.
        """
        core = self.core
        assert isinstance(activity.act, FollowList)
        actor = activity.actor
        had = await core.store.read(lambda tx: follows.refs_of(tx, actor))
        had = {t: ref for t, ref in had.items() if t.network != actor.network}
        want = dict.fromkeys(t for t in activity.act.targets if t.network != actor.network)
        lost = [t for t in had if t not in want]
        if len(had) >= SMALL and len(lost) * 2 > len(had) and attempt == 0:
            raise Wait(CONFIRM, "a follow list lost more than half of its names")
        units: list[Unit] = []
        for target in want:
            if target in had:
                continue
            ref = Ref.made(actor.network, activity.ref.id, target.network, target.id)
            raw = Activity(ref, actor, activity.at, Follow(target))
            _, facts = await core.store.read(lambda tx, r=raw: facts_of(tx, r))
            if BOT in want and facts.standing == "out":
                # who follows the bot again is about to be back in
                facts = replace(facts, standing=None)
            if refuse(facts) is None:
                try:
                    units += await self.follow(raw, heard_at, facts)
                except Unreachable:
                    core.log.info("follow_target_unreachable", target=str(target))
        for target in lost:
            ref = Ref.made(actor.network, activity.ref.id, f"-{target.network}", target.id)
            gone = Activity(ref, actor, activity.at, Delete(had[target]))

            def unit(tx: Tx, gone: Activity = gone, target: Ref = target, made: Ref = had[target]) -> None:
                note(core, tx, "heard", gone, f"unfollows {target}")
                self.unfollow(tx, gone, target, heard_at)
                acts.strike(tx, made)

            units.append(unit)

        def whole(tx: Tx) -> None:
            if follows.newer_list(tx, actor, activity.ref, activity.at):
                for each in units:
                    each(tx)

        return [whole]
