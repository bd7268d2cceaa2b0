"""`bridged add` and `bridged remove`: written into the database, carried out by the running daemon or the next."""

import asyncio
import contextlib
from pathlib import Path

from bridged.adapter import Unreachable
from bridged.cli.output import NO, USAGE, Failure, show
from bridged.cli.settled import carry_out
from bridged.config import Settings
from bridged.consent import ENDED, LEFT, REFUSES, join, leave
from bridged.core import Core
from bridged.daemon import opened
from bridged.model import Ghost, Ref
from bridged.store import identity
from bridged.store.engine import Tx
from bridged.trace import named

_HINDERED = {
    LEFT: "has left the bridge, and only they can come back: by following its account",
    REFUSES: "says in their profile that they must not be bridged, and that counts for more than your word; they can"
    " follow the bridge's account once they have taken it out",
    ENDED: "was removed for good: the identities that stood for it elsewhere have ended, and nothing can stand for it",
}
_LATER = "the running daemon makes it, or the next `bridged run`"


def add(file: Path, who: str, wait: float, as_json: bool) -> int:
    async def work(settings: Settings) -> int:
        async with opened(settings, mint=True) as daemon:
            core = daemon.core
            network, name = parts(core, who)
            ref = await found(core, network, name)
            ghost = await core.store.read(lambda tx: identity.ghost_at(tx, ref))
            if ghost is not None:
                raise Failure(f"{who} is an account this bridge made, for {ghost[0].owner}", NO)
            with contextlib.suppress(Unreachable):
                # what the profile says today counts, also against the operator
                await daemon.bridge.ghosts.account(ref, fresh=True)

            def unit(tx: Tx) -> tuple[bool, str | None]:
                already = identity.standing(tx, ref) == "in"
                return already, join(core, tx, ref, "operator")

            already, why = await core.store.write(unit)
            if why is not None:
                raise Failure(f"{who} {_HINDERED[why]}", NO)
            ghosts = await _ghosts(core, ref, wait)
            missing = sorted(core.others(network) - {g.ref.network for g in ghosts})
            said = "is bridged already" if already else "is bridged from now on"
            lines = [f"{who} {said}"]
            lines += [
                f"  on {g.ref.network}: {core.address(g)}  {named(core, g.ref, account=True).name}" for g in ghosts
            ]
            lines += [f"  on {n}: not there yet; {_LATER}" for n in missing]
            document = {
                "account": _told(core, ref),
                "already": already,
                "ghosts": [_told(core, g.ref) | {"handle": g.handle, "address": core.address(g)} for g in ghosts],
                "missing": missing,
            }
            show(document, lines, as_json)
            return 0

    return carry_out(file, work)


def remove(file: Path, who: str, for_good: bool, as_json: bool) -> int:
    async def work(settings: Settings) -> int:
        async with opened(settings, mint=True) as daemon:
            core = daemon.core
            network, name = parts(core, who)
            ref = await core.store.read(lambda tx: _remembered(core, tx, network, name))
            ref = ref or await found(core, network, name)

            def unit(tx: Tx) -> None:
                if (ghost := identity.ghost_at(tx, ref)) is not None:
                    raise Failure(f"{who} is an account this bridge made, for {ghost[0].owner}; remove that", NO)
                if for_good and identity.decided_by(tx, ref) == ENDED:
                    raise Failure(f"{who} was removed for good already", NO)
                if not for_good and (identity.standing(tx, ref) == "out" or not core.may(tx, ref)):
                    why = ": its profile says that it must not be" if identity.refuses(tx, ref) else ""
                    raise Failure(f"{who} is not bridged{why}", NO)
                leave(core, tx, ref, ENDED if for_good else "operator")

            await core.store.write(unit)
            listed = who in settings.accounts
            ended, done = ("brings a complaint", "deleted for ever") if for_good else ("brings it back", "deleted")
            lines = [
                f"{who} is bridged no longer" + (", and never will be again" if for_good else ""),
                f"  its copies and accounts elsewhere are {done} by the running daemon, or the next `bridged run`",
                *([f"  take it out of `accounts` in {file} too, or the next start {ended}"] if listed else []),
            ]
            show({"account": _told(core, ref), "still_listed": listed}, lines, as_json)
            return 0

    return carry_out(file, work)


def parts(core: Core, who: str) -> tuple[str, str]:
    """(network, handle) of an argument. Raises Failure."""
    network, colon, name = who.partition(":")
    if not colon or not name or network not in core.adapters:
        raise Failure(f"{who!r} is not NETWORK:HANDLE, with a NETWORK of {', '.join(sorted(core.adapters))}", USAGE)
    return network, name


async def found(core: Core, network: str, name: str) -> Ref:
    """The account, as its home says now. Raises Failure."""
    # an id that names itself needs nobody's word, say a key that has said nothing yet
    named = core.adapters[network].parse(name)
    try:
        ref = await core.adapters[network].find(name) or named
    except Unreachable as error:
        if named is None:
            raise Failure(f"no answer about {network}:{name}: {error}; try again later", NO) from error
        ref = named
    if ref is None:
        raise Failure(f"there is no account {name} on {network}", NO)
    return ref


def _remembered(core: Core, tx: Tx, network: str, name: str) -> Ref | None:
    """The member meant: its home need not be there any more."""
    meant = core.adapters[network].parse(name)
    refs = [ref for ref, _, _ in identity.members_of(tx, network)]
    if meant in refs:
        return meant
    wanted = name.removeprefix("@").lower()
    for account in identity.accounts_of(tx, refs):
        if wanted in (account.handle.lower(), account.alias.lower()):
            return account.ref
    return None


async def _ghosts(core: Core, ref: Ref, wait: float) -> list[Ghost]:
    """The account's ghosts, once a running daemon has made them all, or after `wait` seconds those there are."""
    loop = asyncio.get_running_loop()
    end = loop.time() + wait
    while True:
        found = await core.store.read(lambda tx: identity.ghosts_of(tx, ref))
        if core.others(ref.network) <= {g.ref.network for g in found} or loop.time() >= end:
            return sorted(found, key=lambda g: g.ref.network)
        await asyncio.sleep(0.1)


def _told(core: Core, ref: Ref) -> dict[str, str]:
    return {"network": ref.network, "id": ref.id, "name": named(core, ref, account=True).name}
