"""Work the bridge gives itself, as envelopes from its own pseudo-network: so it survives a crash like all else.

join      an account is bridged from now on
leave     an account is no longer bridged: every copy is deleted, page by page, then its ghosts
"""

from itertools import product

import msgspec

from bridged import agenda
from bridged.adapter import Envelope
from bridged.consent import Chore
from bridged.core import Core
from bridged.ghosts import Ghosts
from bridged.model import BOT, HOME, Activity, Delete, Follow, Ref
from bridged.store import acts, follows, heirs, identity, ledger
from bridged.store.engine import Tx
from bridged.store.signals import EARS, INBOX, OUTBOX
from bridged.tell import tell
from bridged.threads import Threads

PAGE = 50


class Chores:
    def __init__(self, core: Core, ghosts: Ghosts, threads: Threads) -> None:
        self.core, self.ghosts, self.threads = core, ghosts, threads

    async def do(self, envelope: Envelope) -> None:
        """Does one chore; doing it again is harmless. Raises Unreachable."""
        chore = msgspec.json.decode(envelope.body, type=Chore)
        self.core.log.info("chore", do=chore.do, account=str(chore.account))
        match chore.do:
            case "join":
                await self._join(chore.account, envelope.id)
            case "leave":
                # all of it at one go, so that a join that comes after finds it done
                while not await self._leave(chore.account, for_good=chore.for_good):
                    pass

    async def _join(self, ref: Ref, cause: str) -> None:
        """Ghosts on every other network; where an account is heard only by its followers, the bot follows it."""
        core = self.core
        account = await self.ghosts.account(ref)
        if account is None or await core.store.read(lambda tx: identity.standing(tx, ref)) != "in":
            return
        for network in sorted(core.others(ref.network)):
            await self.ghosts.ensure(account, network)
        home = core.adapters.get(ref.network)
        if home is not None and home.capabilities.hearing == "push":
            await self.ghosts.ensure(core.bot(), ref.network)

            def unit(tx: Tx) -> None:
                if follows.state_of(tx, BOT, ref) is None:
                    now = core.now()
                    follow = Activity(Ref(HOME, f"follow:{cause}"), BOT, now, Follow(ref))
                    acts.record(tx, follow, ref)
                    follows.put(tx, BOT, ref, follow.ref, "asked", now)
                    tell(core, tx, follow, ref.network, now)
                    tx.signal(OUTBOX)
                # what was said before nobody pushed to us
                agenda.order(tx, "recent", ref, core.now())
                tx.signal(INBOX)
                tx.signal(EARS)

            await core.store.write(unit)
        else:
            await core.store.write(lambda tx: tx.signal(EARS))

    async def _leave(self, ref: Ref, *, for_good: bool) -> bool:
        """One page of deletes; the farewell once nothing is left."""
        core = self.core

        def unit(tx: Tx) -> bool:
            now = core.now()
            left = 0
            mine = {g.ref.network for g in identity.ghosts_of(tx, ref)}
            handed_over = {n for n in core.others(ref.network) - mine if heirs.ghost_for(tx, ref, n) is not None}
            # who moved here is spoken for by these ghosts: what they said goes as well
            pairs = [*product(sorted(mine), heirs.line(tx, ref)), *product(sorted(handed_over), [ref])]
            for network, actor in pairs:
                for known in acts.origins_with_copies(tx, actor, network, PAGE):
                    origin = known.activity.ref
                    gone = Activity(Ref(origin.network, f"{origin.id}#withdrawn"), actor, now, Delete(origin))
                    for other in acts.networks_with(tx, origin):
                        tell(core, tx, gone, other, now)
                    acts.strike(tx, origin)
                    left += 1
            if left:
                return False
            if for_good:  # what went before comes back to say that it ends
                for network in core.others(ref.network):
                    if (last := identity.last_ghost(tx, ref, network)) is not None:
                        identity.add_ghost(tx, last, now)
            for ghost in identity.ghosts_of(tx, ref):
                name = f"{ref.id}#{'ended' if for_good else 'left'}:{ghost.ref.network}:{now}"
                farewell = Activity(Ref(ref.network, name), ref, now, Delete(ref, for_good))
                tell(core, tx, farewell, ghost.ref.network, now)
                identity.end_ghost(tx, ghost)
            self._unfollow(tx, ref, now)
            if identity.standing(tx, ref) != "in":  # else they came back meanwhile, and follow anew
                follows.forget(tx, ref)
            ledger.write(tx, now, "left", ref, actor=ref, reason="for good" if for_good else "")
            tx.signal(EARS)
            return True

        done = await core.store.write(unit)
        core.outbox_wake.set()
        return done

    def _unfollow(self, tx: Tx, ref: Ref, now: float) -> None:
        """Whoever of ours followed the account over there stops."""
        core = self.core
        network = ref.network
        for other in [HOME, *sorted(core.others(network))]:
            for follower in follows.followers(tx, ref, other) + follows.asking(tx, ref, other):
                made = follows.made_by(tx, follower, ref)
                if made is None or network not in acts.networks_with(tx, made):
                    continue
                undo = Activity(Ref(made.network, f"{made.id}#withdrawn"), follower, now, Delete(made))
                follows.drop(tx, follower, ref)
                tell(core, tx, undo, network, now)
                acts.strike(tx, made)
