"""Does what the agenda says, when it is due; doing it again is harmless."""

from bridged import agenda
from bridged.adapter import Envelope
from bridged.core import Core
from bridged.model import Activity, Delete, Post, Ref
from bridged.notes import note
from bridged.polls import Polls
from bridged.store import acts, inboxes
from bridged.store.engine import Tx
from bridged.store.signals import INBOX, OUTBOX
from bridged.tell import tell
from bridged.threads import Budget, Threads, resolve


class Timed:
    def __init__(self, core: Core, threads: Threads, polls: Polls) -> None:
        self.core, self.threads, self.polls = core, threads, polls

    async def do(self, envelope: Envelope) -> None:
        """Raises Unreachable."""
        entry = agenda.entry_of(envelope)
        self.core.log.info("agenda", do=entry.do, about=str(entry.about))
        match entry.do:
            case "expire":
                await self.core.store.write(lambda tx: self._expire(tx, entry.about))
            case "count":
                await self.polls.count(entry.about, closing=False)
            case "close":
                await self.polls.count(entry.about, closing=True)
            case "answers":
                await self._answers(entry.about)
            case "recent":
                await self._recent(entry.about)

    def _expire(self, tx: Tx, ref: Ref) -> None:
        core, known = self.core, acts.find(tx, ref)
        if known is None or not known.live:
            return
        now = core.now()
        body = known.activity.act.body if isinstance(known.activity.act, Post) else None
        if body is None or body.expires is None or body.expires > now:
            return  # it was edited, and lives longer
        gone = Activity(Ref(ref.network, f"{ref.id}#expired"), known.activity.actor, now, Delete(ref))
        for network in sorted(acts.networks_with(tx, ref)):
            note(core, tx, "carried", gone, "expired", network)
            tell(core, tx, gone, network, now)
        acts.strike(tx, ref)
        tx.signal(OUTBOX)

    async def _answers(self, ref: Ref) -> None:
        """What answers the post, shown wherever the post is, where its authors may be bridged."""
        core, budget = self.core, Budget()
        adapter = core.adapters.get(ref.network)
        if adapter is None:
            return
        where = await core.store.read(lambda tx: acts.networks_with(tx, ref))
        for envelope in await adapter.answers(ref):
            for heard in self.threads.read(envelope):
                if not isinstance(heard.act, Post):
                    continue
                activity = await core.store.read(lambda tx, a=heard: resolve(tx, a))
                for network in sorted(where):
                    await self.threads.show(activity, network, budget)

    async def _recent(self, ref: Ref) -> None:
        adapter = self.core.adapters.get(ref.network)
        if adapter is None:
            return
        envelopes = await adapter.recent(ref)

        def unit(tx: Tx) -> None:
            if sum(inboxes.add(tx, e) for e in envelopes):
                tx.signal(INBOX)

        await self.core.store.write(unit)
