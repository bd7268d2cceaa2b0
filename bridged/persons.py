"""Finds out whether somebody has an account of their own on another network, and believes only what both sides say.

Two proofs count: each account names the other as its own; or one host vouches for one name on both networks. Nobody is
asked whether some other bridge has a copy of somebody: see ADR 6.
"""

import asyncio
from collections.abc import Iterable, Mapping

from bridged.adapter import Sink, Unreachable
from bridged.consent import keep
from bridged.core import Core
from bridged.model import Account, Ghost, Ref
from bridged.store import identity, persons
from bridged.store.engine import Tx

CLAIMS = 5
"""How many of the addresses that an account claims are followed up, for each network."""
PATIENCE = 6.0
"""Seconds that may be spent on one network."""

Proved = Mapping[str, Account | None]
"""Network -> the account there, or None where there is none. A network that gave no answer is left out."""


async def prove(core: Core, account: Account) -> Proved:
    """Looks for accounts of the same human on every other network."""
    found: dict[str, Account | None] = {}
    for network in sorted(core.others(account.ref.network)):
        try:
            async with asyncio.timeout(PATIENCE):
                found[network] = await _counterpart(core, account, network)
        except (Unreachable, TimeoutError):
            core.log.info("person_unproved", account=str(account.ref), network=network)
    return found


def settle(core: Core, tx: Tx, ref: Ref, proved: Proved, due_at: float) -> None:
    """Keeps what was proved, and drops what no longer is."""
    for network, other in proved.items():
        if other is None:
            persons.drop(tx, ref, network)
            continue
        if identity.account(tx, other.ref) is None:
            keep(core, tx, other, due_at)
        persons.put(tx, ref, other.ref, core.now())


def instead(tx: Tx, ref: Ref, network: str) -> Ghost | None:
    """The person's own account on `network`, if it makes a ghost there needless: they have not asked for one."""
    return None if identity.standing(tx, ref) == "in" else persons.linked(tx, ref, network)


def own(tx: Tx, ref: Ref) -> frozenset[str]:
    """The networks where the account needs no ghost."""
    return frozenset() if identity.standing(tx, ref) == "in" else frozenset(persons.of(tx, ref))


async def _counterpart(core: Core, account: Account, network: str) -> Account | None:
    """The proved account on `network`. Raises Unreachable when none is, and some could not be looked at."""
    home, there = core.adapters[account.ref.network], core.adapters[network]
    claimed = await _meant(there, account.same_as)
    missed: Unreachable | None = None
    for ref in dict.fromkeys(claimed):
        try:
            other = await _account(core, there, ref)
            if other is not None and await _claims(home, other.same_as, account.ref):
                return other
        except Unreachable as e:
            missed = e
    for name, ref in await _namesakes(core, account, there):
        other = await _account(core, there, ref)
        if other is not None and name in (other.alias.lower(), other.handle.lower()):
            return other
    if missed is not None:
        raise missed
    return None


async def _claims(home: Sink, claims: Iterable[str], ref: Ref) -> bool:
    """Whether one of the claims leads to the account `ref`: as it is written, or as its home shows it."""
    named = list(dict.fromkeys(await _meant(home, claims)))
    if ref in named:
        return True
    for other in named:
        found = await home.account(other)
        if found is not None and found.ref == ref:
            return True
    return False


async def _meant(there: Sink, claims: Iterable[str]) -> list[Ref]:
    """Who the claims name over there; what is a name to look up, is looked up. Raises Unreachable."""
    found: list[Ref] = []
    for claim in claims:
        ref = there.parse(claim) or await there.find(claim)
        if ref is not None:
            found.append(ref)
        if len(found) == CLAIMS:
            break
    return found


async def _namesakes(core: Core, account: Account, there: Sink) -> list[tuple[str, Ref]]:
    """Accounts over there that the host of the account's name calls by the same name."""
    if account.alias:
        name = account.alias.lower()
        found = await there.find(name)
        return [(name, found)] if found else []
    # not asked of every host there is: only those are found whom we have seen there
    name = account.handle.lower()
    known = await core.store.read(lambda tx: identity.accounts_called(tx, there.network, name))
    return [(name, ref) for ref in known]


async def _account(core: Core, there: Sink, ref: Ref) -> Account | None:
    """The account as its home shows it; None for one that we, or another bridge, made."""
    found = await there.account(ref)
    if found is None or found.mark or await core.store.read(lambda tx: identity.ghost_at(tx, found.ref)) is not None:
        return None
    return found
