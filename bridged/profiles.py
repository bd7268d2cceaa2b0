"""How an account looks now: asked at its home, kept, and shown by its ghosts when it has changed."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import sha256

from bridged import persons
from bridged.adapter import Unreachable
from bridged.consent import keep
from bridged.core import Core
from bridged.files import kept_for
from bridged.model import Account, Activity, Ghost, Profile, Ref
from bridged.notes import Unit, note
from bridged.store import blobs, identity, notices
from bridged.store.engine import Tx
from bridged.store.signals import OUTBOX
from bridged.tell import tell

DAY = 86400.0
WEEK = 7 * DAY
GRACE = 2 * DAY
"""Seconds for which a name is kept that its host no longer confirms; it is looked at daily meanwhile."""
SOON = 300.0
"""Seconds after which an account is looked at again whose pictures were not to be had just now."""
_LOST = "alias"


class Profiles:
    def __init__(self, core: Core) -> None:
        self.core = core

    async def look(self, ref: Ref) -> Account | None:
        """The account as its home shows it now, kept and shown; None when it is gone. Raises Unreachable."""
        core = self.core
        found = await core.adapters[ref.network].account(ref)
        if found is None:
            return None
        known = await core.store.read(lambda tx: identity.account(tx, found.ref))
        if known is not None and _emptied(known, found):
            raise Unreachable(f"{ref} shows nothing at all, as if its profile had not been found")
        now = core.now()
        cause = Activity(Ref(ref.network, f"{found.ref.id}#profile:{now:.0f}"), found.ref, now, Profile(found))
        await core.store.write(await self.shown(found, cause, now))
        return await core.store.read(lambda tx: identity.account(tx, found.ref))

    async def shown(self, account: Account, activity: Activity, heard_at: float) -> Unit:
        """To be written: the account looks like this now, as `activity` says."""
        core, ref = self.core, account.ref
        steady = await core.store.read(lambda tx: _steady(tx, account, core.now()))
        proved = await persons.prove(core, account)
        names = await self._names(steady)
        coming = await self._pictures(activity, steady)

        def unit(tx: Tx) -> None:
            now = core.now()
            old = identity.account(tx, ref)
            lost = steady.alias != account.alias
            if not lost:
                notices.drop(tx, ref, _LOST)
            elif notices.at(tx, ref, _LOST) is None:
                notices.put(tx, ref, _LOST, now)
            due = now + SOON if coming else _due(ref, now, DAY if lost else WEEK)
            keep(core, tx, steady, due)
            persons.settle(core, tx, ref, proved, due)
            if identity.standing(tx, ref) == "out":
                return
            renamed = {_rename(core, tx, ghost, handle) for ghost, handle in names}
            ghosts = {g.ref.network for g in identity.ghosts_of(tx, ref)}
            told = ghosts & (renamed | self._repainted(tx, steady) if steady == old else ghosts)
            if told:
                note(core, tx, "heard", activity, "profile")
            for network in sorted(told):
                tell(core, tx, replace(activity, act=Profile(steady)), network, heard_at)
            tx.signal(OUTBOX)

        return unit

    async def _pictures(self, activity: Activity, account: Account) -> bool:
        """Fetches the account's pictures for where it is shown; whether some may still come."""
        core, profile = self.core, replace(activity, act=Profile(account))
        ghosts = await core.store.read(lambda tx: identity.ghosts_of(tx, account.ref))
        networks = sorted({g.ref.network for g in ghosts} & core.adapters.keys())
        return any([await core.media.prepare(profile, n, core.adapters[n].capabilities.blobs) for n in networks])

    def _repainted(self, tx: Tx, account: Account) -> set[str]:
        """Where pictures of the account are to be had that are not shown yet."""
        profile, found = Activity(account.ref, account.ref, 0.0, Profile(account)), set[str]()
        for network, adapter in self.core.adapters.items():
            files, _ = kept_for(tx, profile, network, adapter.capabilities.blobs, "")
            if {f.sha256 for f in files.values() if f is not None} - blobs.used(tx, network, account.ref):
                found.add(network)
        return found

    async def _names(self, account: Account) -> list[tuple[Ghost, str]]:
        """Ghosts of the account that would be called otherwise if they were made now."""
        core = self.core
        found: list[tuple[Ghost, str]] = []
        for ghost in await core.store.read(lambda tx: identity.ghosts_of(tx, account.ref)):
            adapter = core.adapters.get(ghost.ref.network)
            if adapter is None or ghost.custody != "hosted":
                continue
            try:
                # as whom it was made for: an adapter that keeps identities is not to make another
                minted = await adapter.mint(
                    replace(account, ref=ghost.keyed), taken_by_others(core, account.ref, ghost.ref.network)
                )
            except Unreachable:
                continue
            if minted.handle != ghost.handle:
                found.append((ghost, minted.handle))
        return found


def taken_by_others(core: Core, owner: Ref, network: str) -> Callable[[str], Awaitable[bool]]:
    """Says of a handle on `network` whether somebody else's ghost has it, or had it."""

    async def taken(handle: str) -> bool:
        return await core.store.read(lambda tx: identity.handle_taken(tx, network, handle, owner))

    return taken


def _rename(core: Core, tx: Tx, ghost: Ghost, handle: str) -> str:
    """The network where a ghost got a new name; "" when somebody else has got that meanwhile."""
    network = ghost.ref.network
    if identity.handle_taken(tx, network, handle, ghost.owner):
        return ""
    identity.rename_ghost(tx, ghost, handle)
    core.log.info("renamed", ghost=str(ghost.ref), was=ghost.handle, now=handle)
    return network


def _steady(tx: Tx, account: Account, now: float) -> Account:
    """The account with its old alias as long as one that is not confirmed may come back."""
    old = identity.account(tx, account.ref)
    if old is None or not old.alias or account.alias:
        return account
    lost = notices.at(tx, account.ref, _LOST)
    return replace(account, alias=old.alias) if lost is None or now - lost < GRACE else account


def _emptied(known: Account, found: Account) -> bool:
    def empty(account: Account) -> bool:
        return not (account.name or account.bio.plain or account.avatar)

    return empty(found) and not empty(known)


def _due(ref: Ref, now: float, within: float) -> float:
    """When to look again: spread over the last third of the time, since many are seen at once."""
    share = int.from_bytes(sha256(f"{ref} {now:.0f}".encode()).digest()[:2]) / 65536
    return now + within * (1 - share / 3 if within == WEEK else 1)
