"""Accounts and the ghosts that stand for them: fetched, minted and looked up when somebody needs them."""

import asyncio
from functools import partial

from bridged.adapter import Unreachable
from bridged.core import Core
from bridged.model import BOT, HOME, Account, Activity, Ghost, Profile, Ref
from bridged.store import identity, ledger
from bridged.store.engine import Tx
from bridged.tell import tell

FRESH = 7 * 86400.0
"""Seconds after which a stored account is asked for again."""
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
        self._lookups = asyncio.Semaphore(LOOKUPS)

    async def account(self, ref: Ref) -> Account | None:
        """The account, from the store or its home; None when there is none. Raises Unreachable if never seen."""
        core = self.core
        if ref == BOT:
            return core.bot()
        known, age = await core.store.read(
            lambda tx: (identity.account(tx, ref), identity.account_age(tx, ref, core.now()))
        )
        if known is not None and age is not None and age < FRESH:
            return known
        adapter = core.adapters.get(ref.network)
        if adapter is None:
            return known
        try:
            found = await adapter.account(ref)
        except Unreachable:
            if known is None:
                raise
            return known
        # who is gone says so with a Delete: one failed look is no reason to forget somebody
        kept = found or known
        if kept is not None:
            await core.store.write(lambda tx: identity.save_account(tx, kept, core.now()))
        return kept

    async def ensure(self, account: Account, network: str, *, passing: bool = False) -> Ghost:
        """The ghost of `account` on `network`; made, with its profile told there, if there is none.

        Consent is the caller's business; for somebody named in `passing` it is read once more as the ghost is made.
        Raises Unreachable.
        """
        core = self.core
        known = await core.store.read(lambda tx: identity.ghost_for(tx, account.ref, network))
        if known is not None:
            return known

        async def taken(handle: str) -> bool:
            return await core.store.read(lambda tx: identity.handle_taken(tx, network, handle, account.ref))

        def unit(tx: Tx, ghost: Ghost) -> Ghost | None:
            again = identity.ghost_for(tx, account.ref, network)
            if again is not None:
                return again
            if passing and not core.may(tx, account.ref):
                raise Unreachable(f"{account.ref} left while it was looked up")
            now = core.now()
            if identity.account(tx, account.ref) is None or account.ref.network == HOME:
                identity.save_account(tx, account, now)
            if not identity.add_ghost(tx, ghost, now):
                return None
            ledger.write(tx, now, "minted", account.ref, actor=account.ref, to=network, ref=ghost.ref)
            tell(core, tx, Activity(account.ref, account.ref, now, Profile(account)), network, now)
            tx.on_commit(core.ears.touch)
            tx.on_commit(core.outbox_wake.set)
            return identity.ghost_for(tx, account.ref, network)

        for _ in range(MINTS):
            ghost = await core.adapters[network].mint(account, taken)
            made = await core.store.write(partial(unit, ghost=ghost))
            if made is not None:
                return made
        raise Unreachable(f"no handle to be had for {account.ref} on {network}")

    async def wanted(self, ref: Ref, network: str) -> Ghost | None:
        """The ghost of somebody named in passing: made if they may be bridged; None if not, or not to be had."""
        core = self.core
        known = await core.store.read(lambda tx: identity.ghost_for(tx, ref, network))
        if known is not None or ref.network not in core.adapters:
            return known
        if not await core.store.read(lambda tx: core.may(tx, ref)):
            return None
        try:
            account = await self.account(ref)
            if account is None or account.mark:
                return None
            return await self.ensure(account, network, passing=True)
        except Unreachable:
            return None

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
                    if ref is None or not await self.core.store.read(lambda tx, r=ref: self.core.may(tx, r)):
                        continue
                    account = await self.account(ref)
                    if account is None or account.mark:
                        continue
                    return await self.ensure(account, network, passing=True), account
            except (Unreachable, TimeoutError):
                silent = True
        if silent:
            raise Unreachable(f"no answer about {name}")
        return None
