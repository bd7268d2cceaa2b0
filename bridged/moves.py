"""People who go on under another account: in with them goes what stands for them, out goes who follows their ghost."""

from dataclasses import replace

from bridged.adapter import Unreachable
from bridged.consent import Chore, keep
from bridged.consent import order as order_chore
from bridged.core import Core
from bridged.ghosts import Ghosts
from bridged.model import Account, Activity, Delete, Follow, Move, Profile, Ref
from bridged.notes import Unit, dropping, note
from bridged.policy import Facts
from bridged.store import acts, follows, identity
from bridged.store.engine import Tx
from bridged.store.signals import EARS, INBOX, OUTBOX
from bridged.tell import tell

FOLLOWERS = 1000
"""How many followers follow along at once; more than these follow the new account's ghost all the same."""


class NotProved(Exception):
    """The account moved to does not name the one that moves; the message says what to do."""


def claims(core: Core, account: Account, ref: Ref) -> bool:
    """Whether the account says that it is `ref` too."""
    adapter = core.adapters[ref.network]
    return any(text == ref.id or adapter.parse(text) == ref for text in account.same_as)


class Moves:
    def __init__(self, core: Core, ghosts: Ghosts) -> None:
        self.core, self.ghosts = core, ghosts

    async def within(self, activity: Activity, heard_at: float, facts: Facts) -> list[Unit]:
        """Somebody goes on as another account of their own network, which must say so as well. Raises Unreachable."""
        core, act, old = self.core, activity.act, activity.actor
        assert isinstance(act, Move)
        if not facts.ghosts or act.target.network != old.network or act.target == old:
            return [dropping(core, activity, "concerns-nobody", told=False)]
        new = await core.adapters[old.network].account(act.target)
        if new is None or new.mark or new.ref != act.target or not claims(core, new, old):
            return [dropping(core, activity, "move-unproved", told=True)]

        def unit(tx: Tx) -> None:
            if not acts.record(tx, activity, act.target):
                return
            now = core.now()
            note(core, tx, "heard", activity, f"goes on as {new.ref.id}")
            keep(core, tx, new, due_at=now)
            if identity.standing(tx, new.ref) == "out":
                return  # who said no there means it
            if identity.standing(tx, old) == "in":
                identity.set_standing(tx, new.ref, "in", identity.decided_by(tx, old) or "person", now)
                order_chore(tx, Chore("join", new.ref), now)
                tx.signal(INBOX)
            for ghost in identity.ghosts_of(tx, old):
                network = ghost.ref.network
                self._follow_along(tx, activity, network, new.ref, now)
                if identity.last_ghost(tx, new.ref, network) is not None:
                    continue  # they have one of their own there, or will have it again
                identity.hand_over(tx, ghost, new.ref)
                note(core, tx, "carried", activity, "copies", network)
                told = replace(activity, actor=new.ref, act=Profile(new))
                tell(core, tx, told, network, heard_at)
            tx.signal(EARS)

        return [unit]

    def _follow_along(self, tx: Tx, move: Activity, network: str, new: Ref, now: float) -> None:
        """Followers on `network` follow the new account, where following has to be asked for."""
        core, old = self.core, move.actor
        asked = core.adapters[old.network].capabilities.follows == "request"
        for follower in follows.followers(tx, old, network, FOLLOWERS):
            made = follows.made_by(tx, follower, old)
            ref = Ref.made(network, "moved", move.ref.id, follower.id)
            follow = Activity(ref, follower, now, Follow(new))
            if follows.state_of(tx, follower, new) is None and acts.record(tx, follow, new):
                told = identity.ghost_for(tx, follower, old.network) is not None
                follows.put(tx, follower, new, ref, "asked" if asked and told else "live", now)
                if told:
                    tell(core, tx, follow, old.network, now)
            follows.drop(tx, follower, old)
            if made is not None:
                undo = Activity(Ref.made(network, made.id, "moved"), follower, now, Delete(made))
                if old.network in acts.networks_with(tx, made):
                    tell(core, tx, undo, old.network, now)
                acts.strike(tx, made)

    async def out(self, owner: Ref, target: Ref) -> None:
        """The followers that the ghost of `owner` has on the network of `target` are sent to that account.

        Raises Unreachable; NotProved when the account does not name the ghost.
        """
        core = self.core
        account = await core.adapters[target.network].account(target)
        ghost = await core.store.read(lambda tx: identity.ghost_for(tx, owner, target.network))
        if ghost is None:
            raise NotProved(f"{owner} has no ghost on {target.network}: nobody there follows it")
        if account is None:
            raise Unreachable(f"nobody is found at {target}")
        if not claims(core, account, ghost.ref):
            raise NotProved(f"{account.handle} does not name {ghost.ref.id} as its own: add it as an alias there first")

        def unit(tx: Tx) -> None:
            now = core.now()
            ref = Ref.made(owner.network, f"{owner.id}#moved", target.id)
            move = Activity(ref, owner, now, Move(target))
            identity.save_account(tx, account, now)
            acts.record(tx, move, target)
            note(core, tx, "carried", move, "moved", target.network)
            tell(core, tx, move, target.network, now)
            tx.signal(OUTBOX)

        await core.store.write(unit)
