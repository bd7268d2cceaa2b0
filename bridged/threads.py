"""Brings over what a post refers to: parents, roots and quotes that nobody over there has seen yet."""

import asyncio
from dataclasses import dataclass, field, replace

from bridged import agenda
from bridged.adapter import Envelope, Malformed, Unreachable
from bridged.core import Core
from bridged.ghosts import Ghosts
from bridged.model import Activity, Post, Ref, Report
from bridged.policy import Facts, refuse
from bridged.store import acts, early, identity, ledger, twins
from bridged.store.engine import Tx
from bridged.store.signals import OUTBOX
from bridged.tell import tell, there_of
from bridged.words import canonical, people_in, posts_in

PEOPLE = 10
"""How many of those that one post names are looked up."""
FETCHES = 20
"""How many posts one activity may make us fetch."""
SEARCHES = 8
"""Searches by address at once: strangers can ask for them."""
_ADDRESSES = ("https://", "http://")
SEARCH = 9.0
"""Seconds one of them may take on one network."""


@dataclass
class Budget:
    left: int = FETCHES
    seen: set[Ref] = field(default_factory=set[Ref])


def resolve(tx: Tx, activity: Activity) -> Activity:
    """`activity` with the refs of ghosts and copies, ours and other bridges', replaced by what they stand for."""

    def ours(ref: Ref) -> Ref:
        found = identity.ghost_at(tx, ref)
        return found[0].owner if found else ref

    def person(ref: Ref) -> Ref:
        owner = ours(ref)
        return owner if owner != ref else twins.original(tx, ref) or ref

    def thing(ref: Ref) -> Ref:
        copy = acts.copy_at(tx, ref)
        return copy.origin if copy else twins.original(tx, ref) or ref

    # whose copy an account claims to be is its own word: nobody else is reported for what it does
    return canonical(activity, ours if isinstance(activity.act, Report) else person, thing)


def roots(tx: Tx, activity: Activity) -> Ref | None:
    """The first post of the thread an activity belongs to: as its network says, else as its parent's."""
    if not isinstance(activity.act, Post):
        return None
    body = activity.act.body
    parent = acts.find(tx, body.reply_to) if body.reply_to else None
    if parent is not None and parent.root is not None:
        return parent.root
    return body.root or body.reply_to


class Threads:
    def __init__(self, core: Core, ghosts: Ghosts) -> None:
        self.core, self.ghosts = core, ghosts
        self._searches = asyncio.Semaphore(SEARCHES)

    async def bring(self, activity: Activity, network: str, budget: Budget) -> None:
        """Makes what `activity` refers to, and whom it names, stand on `network`, where consent allows.

        Raises Unreachable when a post it refers to may exist but cannot be had now.
        """
        for ref in posts_in(activity):
            await self._bring_post(ref, network, budget)
        for ref in people_in(activity)[:PEOPLE]:
            if ref.network == network:
                await self._native(ref)
            elif await self.ghosts.wanted(ref, network) is None:
                await self._unmask(ref)

    async def _unmask(self, ref: Ref) -> None:
        """Whom another bridge's ghost stands for, so that a mention of it reaches them."""
        try:
            account = await self.ghosts.account(ref)
        except Unreachable:
            return
        person = self._marked(account.mark, ref.network) if account else None
        if person is not None:
            await self.core.store.write(lambda tx: twins.put(tx, ref, person))

    def _marked(self, mark: str, network: str) -> Ref | None:
        """The ref that the mark of another bridge names, of any network but `network`."""
        found = (a.parse(mark) for n, a in self.core.adapters.items() if mark and n != network)
        return next((ref for ref in found if ref is not None), None)

    async def _original(self, copy: Activity, budget: Budget) -> Ref | None:
        """What another bridge's copy of a post is a copy of, if its author there is that author's ghost."""
        assert isinstance(copy.act, Post)
        ref = self._marked(copy.mark or copy.act.body.mark, copy.ref.network)
        original = await self.known(ref, budget) if ref is not None else None
        ghost = await self.ghosts.account(copy.actor) if original is not None else None
        if original is None or ghost is None or self._marked(ghost.mark, copy.ref.network) != original.actor:
            return None

        def unit(tx: Tx) -> None:
            twins.put(tx, copy.ref, original.ref)
            twins.put(tx, copy.actor, original.actor)

        await self.core.store.write(unit)
        return original.ref

    async def found(self, text: str, network: str) -> Ref | None:
        """What a person means by `text`, at home on any other network, as it stands on `network`; see `Host.bring`.

        Raises Unreachable when somewhere no answer came and nobody else knew it.
        """
        if not text.startswith(_ADDRESSES) and all(
            self.core.adapters[other].parse(text) is None for other in self.core.others(network)
        ):
            return None
        if self._searches.locked():
            raise Unreachable("too many searches at once")
        silent = False
        async with self._searches:
            for other in sorted(self.core.others(network)):
                adapter = self.core.adapters[other]
                try:
                    async with asyncio.timeout(SEARCH):
                        ref = adapter.parse(text) or await adapter.find(text)
                        found = await self._stands(ref, network) if ref is not None else None
                except (Unreachable, TimeoutError):
                    silent = True
                    continue
                if found is not None:
                    return found
        if silent:
            raise Unreachable(f"no answer about {text}")
        return None

    async def _stands(self, ref: Ref, network: str) -> Ref | None:
        """The copy of the post, or the ghost of the account, brought over if need be and consent allows."""
        known = await self.core.store.read(lambda tx: there_of(tx, ref, network))
        if known is None:
            await self._bring_post(ref, network, Budget())
        there = await self.core.store.read(lambda tx: there_of(tx, ref, network))
        if there is not None:
            if known is None:
                await self.core.store.write(lambda tx: agenda.order(tx, "answers", ref, self.core.now()))
                self.core.inbox_wake.set()
            return there.ref
        ghost = await self.ghosts.wanted(ref, network)
        return ghost.ref if ghost else None

    async def _native(self, ref: Ref) -> None:
        try:
            await self.ghosts.account(ref)
        except Unreachable:
            self.core.log.info("account_unreachable", account=str(ref))

    async def known(self, ref: Ref, budget: Budget) -> Activity | None:
        """The post `ref`, from the record or its origin; None when it is gone, private or no post at all."""
        core = self.core
        found = await core.store.read(lambda tx: acts.find(tx, ref))
        if found is not None:
            return found.activity if found.live and isinstance(found.activity.act, Post) else None
        if ref.network not in core.adapters or budget.left <= 0:
            return None
        budget.left -= 1
        for envelope in await core.adapters[ref.network].fetch(ref):
            for activity in self.read(envelope):
                if activity.ref == ref and isinstance(activity.act, Post):
                    return await core.store.read(lambda tx, a=activity: resolve(tx, a))
        return None

    def read(self, envelope: Envelope) -> list[Activity]:
        """What a fetched envelope says; nothing if it is malformed."""
        try:
            return list(self.core.adapters[envelope.network].decode(envelope))
        except Malformed as e:
            self.core.metrics.dropped.labels(envelope.network, e.reason).inc()
            return []

    async def _bring_post(self, ref: Ref, network: str, budget: Budget) -> None:
        core = self.core
        if ref in budget.seen or len(budget.seen) >= FETCHES:
            return
        budget.seen.add(ref)
        if await core.store.read(lambda tx: there_of(tx, ref, network)) is not None:
            found = await core.store.read(lambda tx: acts.find(tx, ref))
            if found is not None and ref.network == network:
                await self._native(found.activity.actor)
            return
        activity = await self.known(ref, budget)
        if activity is None:
            return
        if activity.mark or (isinstance(activity.act, Post) and activity.act.body.mark):
            original = await self._original(activity, budget)
            if original is not None:
                await self._bring_post(original, network, budget)
            return
        await self.show(activity, network, budget)

    async def show(self, activity: Activity, network: str, budget: Budget) -> None:
        """Puts a post on record and, where its author may be bridged, on `network`, telling nobody."""
        core = self.core
        home = activity.ref.network == network
        if home:
            await self._native(activity.actor)
        else:
            home_of = activity.ref.network
            facts = Facts(activity, unlisted=core.unlisted(home_of), sinks=core.others(home_of))
            # a ghost is not enough: it may have been made for an answer to somebody bridged
            if refuse(facts) or not await core.store.read(lambda tx: core.may(tx, activity.actor)):
                return
            ghost = await self.ghosts.wanted(activity.actor, network)
            if ghost is None or ghost.custody == "linked":  # who has an account there speaks for themselves
                return
            try:
                await self.bring(activity, network, budget)
            except Unreachable:
                core.log.info("parent_unreachable", post=str(activity.ref), network=network)
            await core.media.prepare(activity, network, core.adapters[network].capabilities.blobs)

        def unit(tx: Tx) -> None:
            known = acts.find(tx, activity.ref)
            if early.forestalled(tx, activity.ref, activity.actor) or (known is not None and not known.live):
                return
            if not home and not core.may(tx, activity.actor):
                return  # all of it may have changed while we fetched
            newest = resolve(tx, early.newest(tx, activity))
            acts.record(tx, newest, _answered(activity), roots(tx, activity), shown=True)
            if not home and not acts.copies_of(tx, activity.ref, network):
                now = core.now()
                ledger.write(tx, now, "carried", activity.ref, actor=activity.actor, to=network, reason="context")
                tell(core, tx, replace(activity, act=newest.act), network, now, context=True)
                tx.signal(OUTBOX)

        await core.store.write(unit)


def _answered(activity: Activity) -> Ref | None:
    return activity.act.body.reply_to if isinstance(activity.act, Post) else None
