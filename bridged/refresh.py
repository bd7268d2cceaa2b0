"""Looks at every account that has a ghost at least once a week: whether it is there, what it looks like, what it says.

A look that got no answer is repeated after ten minutes, then ever later, at least daily. Only an account that its home
has called gone for two weeks is let go of.
"""

import asyncio

from bridged.adapter import Unreachable
from bridged.consent import leave
from bridged.core import Core
from bridged.model import Ref
from bridged.profiles import DAY, Profiles
from bridged.store import identity, ledger, looks, notices
from bridged.store.engine import Tx

BATCH = 20
PARALLEL = 4
PAUSE = 60.0
"""Seconds between two batches: so at most 20 looks a minute."""
PAGE, PAGES = 100, 10
"""Accounts read at a time, to find those that are to be looked at, and how often at most."""
AGAIN = 3 * DAY
"""Seconds after which an account without a ghost is thought of again: it may have one by then."""
LOOK = 20.0
"""Seconds one look may take."""
GONE = 14 * DAY
LOOKS = 4
"""How often, and over how long, an account must be said to be gone before that is believed."""
MISSED = "gone"


class Refresh:
    def __init__(self, core: Core, profiles: Profiles) -> None:
        self.core, self.profiles = core, profiles
        self._room = asyncio.Semaphore(PARALLEL)

    async def run(self) -> None:
        while True:
            await self.step()
            await asyncio.sleep(PAUSE)

    async def step(self) -> int:
        """Looks at those most overdue; how many they were."""
        core = self.core
        now, networks = core.now(), sorted(core.adapters)
        due: dict[Ref, looks.Look] = {}
        for _ in range(PAGES):
            found, others = await core.store.read(lambda tx: looks.due(tx, networks, now, PAGE))
            due |= {look.account.ref: look for look in found[:BATCH]}
            if others:
                await core.store.write(lambda tx, refs=others: looks.pass_over(tx, refs, now + AGAIN))
            if len(due) >= BATCH or len(found) + len(others) < PAGE:
                break
        some = list(due.values())[:BATCH]
        await asyncio.gather(*(self._look(look) for look in some))
        return len(some)

    async def _look(self, look: looks.Look) -> None:
        core, ref = self.core, look.account.ref
        async with self._room:
            try:
                async with asyncio.timeout(LOOK):
                    found = await self.profiles.look(ref)
            except (Unreachable, TimeoutError) as e:
                core.log.info("look_in_vain", account=str(ref), why=str(e) or "no answer in time", tries=look.tries)
                await self._later(look)
            except Exception:
                # one account that cannot be read must not hold up the others
                core.log.exception("look_failed", account=str(ref))
                await self._later(look)
            else:
                if found is None:
                    await core.store.write(lambda tx: self._missed(tx, look))
                elif found.ref != ref:
                    # known under another id by now: the old one is left alone for a while
                    await self._later(look)

    async def _later(self, look: looks.Look) -> None:
        due = self.core.now() + backoff(look.tries)
        await self.core.store.write(lambda tx: looks.look_later(tx, look.account.ref, due))

    def _missed(self, tx: Tx, look: looks.Look) -> None:
        core, ref, now = self.core, look.account.ref, self.core.now()
        first = notices.at(tx, ref, MISSED)
        if first is None:
            notices.put(tx, ref, MISSED, now)
        elif now - first >= GONE and look.tries + 1 >= LOOKS and identity.ghosts_of(tx, ref):
            ledger.write(tx, now, "left", ref, actor=ref, reason="gone from its home for two weeks")
            leave(core, tx, ref, "gone")
        departed = identity.standing(tx, ref) == "out"
        looks.look_later(tx, ref, now + (30 * DAY if departed else GONE / LOOKS))


def backoff(tries: int) -> float:
    """Seconds until the look after `tries` + 1 in vain: ten minutes, then four times as long each, a day at most."""
    return min(DAY, 600.0 * 4 ** min(tries, 5))
