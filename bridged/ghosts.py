"""Accounts and the ghosts that stand for them: fetched, minted and looked up when somebody needs them."""

import asyncio
from dataclasses import replace
from functools import partial

from bridged import persons
from bridged.adapter import Unreachable
from bridged.bot import can_write, write_to
from bridged.core import Core
from bridged.model import BOT, HOME, Account, Activity, Ghost, Profile, Ref
from bridged.profiles import DAY, WEEK, Profiles, taken_by_others
from bridged.seams import seam
from bridged.store import heirs, identity, ledger, looks, notices
from bridged.store.engine import Tx
from bridged.store.signals import EARS, OUTBOX
from bridged.tell import tell
from bridged.wording import noticed

MINTS = 3
"""How often a ghost is named anew when somebody else took its handle in the meantime."""
LOOKUPS = 16
"""Look-ups by name at once: strangers can ask for them."""
LOOKUP = 8.0
"""Seconds a look-up by name may take in all."""


class Ghosts:
    """Get-or-create for accounts and ghosts. I/O first, then one transaction; twice is harmless."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.profiles = Profiles(core)
        self._lookups = asyncio.Semaphore(LOOKUPS)

    async def account(self, ref: Ref, *, fresh: bool = False) -> Account | None:
        """The account, from the store or, if that is old or with `fresh`, from its home; None when there is none.

        Raises Unreachable if never seen.
        """
        core = self.core
        if ref == BOT:
            return core.bot()

        def unit(tx: Tx) -> tuple[Account | None, float, bool]:
            age = identity.account_age(tx, ref, core.now())
            return identity.account(tx, ref), WEEK if age is None else age, bool(identity.ghosts_of(tx, ref))

        known, age, shown = await core.store.read(unit)
        if known is not None and not fresh:
            if shown and age > DAY:
                # nobody waits for that: `refresh.py` looks at it next
                await core.store.write(lambda tx: looks.nudge(tx, ref, core.now()))
            # a no is not remembered for long
            if shown or age < (DAY if known.refuses else WEEK):
                return known
        if ref.network not in core.adapters:
            return known
        try:
            # who is gone says so with a Delete: one failed look is no reason to forget somebody
            return await self.profiles.look(ref) or known
        except Unreachable:
            if known is None:
                raise
            return known

    async def ensure(self, account: Account, network: str, *, passing: bool = False) -> Ghost:
        """The ghost of `account` on `network`; made, with its profile told there, if there is none.

        Somebody who has an account of their own there, and has not asked for a ghost, needs none: then it is that
        account, with custody `linked`. Consent is the caller's business; for somebody named in `passing` it is read
        once more as the ghost is made. Raises Unreachable.
        """
        core = self.core
        known = await core.store.read(lambda tx: _stands(tx, account.ref, network))
        if known is not None:
            return known
        taken = taken_by_others(core, account.ref, network)

        def unit(tx: Tx, ghost: Ghost) -> Ghost | None:
            again = identity.ghost_for(tx, account.ref, network)
            if again is not None:
                return again
            if identity.refuses(tx, account.ref) or (passing and not core.may(tx, account.ref)):
                raise Unreachable(f"{account.ref} left while it was looked up")
            now = core.now()
            if identity.account(tx, account.ref) is None or account.ref.network == HOME:
                identity.save_account(tx, account, now)
            if not identity.add_ghost(tx, ghost, now):
                return None
            ledger.write(tx, now, "minted", account.ref, actor=account.ref, to=network, ref=ghost.ref)
            tell(core, tx, replace(profile, at=now), network, now)
            if coming:
                looks.nudge(tx, account.ref, now)
            if passing:
                self._notice(tx, account)
            seam("ghost.minting")
            tx.signal(EARS)
            tx.signal(OUTBOX)
            return identity.ghost_for(tx, account.ref, network)

        profile = Activity(account.ref, account.ref, core.now(), Profile(account))
        coming = await core.media.prepare(profile, network, core.adapters[network].capabilities.blobs)
        for _ in range(MINTS):
            ghost = await core.adapters[network].mint(account, taken)
            made = await core.store.write(partial(unit, ghost=ghost))
            if made is not None:
                seam("ghost.minted")
                return made
        raise Unreachable(f"no handle to be had for {account.ref} on {network}")

    async def wanted(self, ref: Ref, network: str) -> Ghost | None:
        """The ghost of somebody named in passing: made if they may be bridged; None if not, or not to be had."""
        core = self.core
        known = await core.store.read(lambda tx: _stands(tx, ref, network))
        if known is not None or ref.network not in core.adapters:
            return known
        try:
            account = await self._bridgeable(ref)
            if account is None:
                return None
            return await self.ensure(account, network, passing=True)
        except Unreachable:
            return None

    async def _bridgeable(self, ref: Ref) -> Account | None:
        """The account, if consent and its profile let it be bridged. Raises Unreachable."""
        core = self.core

        def unit(tx: Tx) -> bool:
            return core.may(tx, ref)

        # whose profile said no is looked at all the same: it may say so no longer
        if not await core.store.read(lambda tx: unit(tx) or identity.decided_by(tx, ref) in identity.UNDONE):
            return None
        account = await self.account(ref)
        if account is None or account.mark or not await core.store.read(unit):
            return None
        return account

    def _notice(self, tx: Tx, account: Account) -> None:
        """Tells somebody, once, that they are bridged although they did not ask for it."""
        core, ref = self.core, account.ref
        if not core.settings.notice or identity.standing(tx, ref) is not None or not can_write(core, ref.network):
            return
        if notices.at(tx, ref, "bridged") is None:
            notices.put(tx, ref, "bridged", core.now())
            write_to(core, tx, ref, f"notice:{ref}", noticed(core))

    async def lookup(self, name: str, network: str) -> tuple[Ghost, Account] | None:
        """The account called `name` on any other network, and its ghost on `network`, where consent allows.

        Raises Unreachable when somewhere no answer came and nobody else knew it.
        """
        if self._lookups.locked():
            raise Unreachable("too many look-ups at once")
        async with self._lookups:
            return await self._lookup(name, network)

    async def _lookup(self, name: str, network: str) -> tuple[Ghost, Account] | None:
        silent = False
        for other in sorted(self.core.others(network)):
            try:
                async with asyncio.timeout(LOOKUP):
                    ref = await self.core.adapters[other].find(name)
                    account = await self._bridgeable(ref) if ref else None
                    if account is None:
                        continue
                    return await self.ensure(account, network, passing=True), account
            except (Unreachable, TimeoutError):
                silent = True
        if silent:
            raise Unreachable(f"no answer about {name}")
        return None


def _stands(tx: Tx, ref: Ref, network: str) -> Ghost | None:
    """The live ghost, also of whom they have moved to, or the person's own account in its place."""
    return heirs.ghost_for(tx, ref, network) or persons.instead(tx, ref, network)
