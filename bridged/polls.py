"""Polls that stand on several networks: votes heard on one are cast on the other, and the count goes round.

A network whose votes are discreet counts them itself and tells the result (`Tally`). Of all others the votes are
public: we hear them, and count.
"""

from dataclasses import replace

from bridged import agenda
from bridged.core import Core
from bridged.ghosts import Ghosts
from bridged.model import BOT, Activity, Poll, Post, PostBody, Ref, Tally, Vote
from bridged.notes import Unit, dropping, note
from bridged.policy import Facts
from bridged.store import acts, polls
from bridged.store.engine import Tx
from bridged.store.signals import EARS, OUTBOX
from bridged.tell import tell
from bridged.threads import Threads

PAUSE = 60.0
"""Seconds for which votes are gathered before the new count is told."""


def chosen(poll: Poll, vote: Vote) -> tuple[int, ...]:
    """The places of the options that a vote names: by id, by name, or by place; what fits none is left out."""
    ids = {o.id: n for n, o in reversed(list(enumerate(poll.options)))}
    names = {o.name: n for n, o in reversed(list(enumerate(poll.options)))}
    places = {str(n): n for n in range(len(poll.options))}
    lookups = (names,) if vote.named else (ids, names, places)
    found: dict[int, None] = {}
    for choice in vote.choices:
        place = next((lookup[choice] for lookup in lookups if choice in lookup), None)
        if place is not None:
            found[place] = None
    return tuple(found)[: None if poll.multiple else 1]


def discreetly(core: Core, activity: Activity, network: str) -> Activity:
    """The activity as it may be said on `network`: by the bot, where it was private at home and is public there."""
    kind = acts.kind_of(activity.act)
    here, there = core.adapters[activity.ref.network].capabilities, core.adapters[network].capabilities
    return replace(activity, actor=BOT) if kind in here.discreet - there.discreet else activity


class Polls:
    def __init__(self, core: Core, ghosts: Ghosts, threads: Threads) -> None:
        self.core, self.ghosts, self.threads = core, ghosts, threads

    async def vote(self, activity: Activity, heard_at: float, facts: Facts) -> list[Unit]:
        """Counts a vote, and casts it at the poll's home when that is elsewhere. Raises Unreachable."""
        core, act = self.core, activity.act
        assert isinstance(act, Vote)
        known = await core.store.read(lambda tx: acts.find(tx, act.target))
        body = _poll_body(known)
        if known is None or body is None or body.poll is None:
            return [dropping(core, activity, "unknown-target", told=False)]
        poll = body.poll
        places = chosen(poll, act)
        if not places:
            return [dropping(core, activity, "no-such-choice", told=True)]
        if poll.closed or (poll.ends is not None and activity.at > poll.ends):
            return [dropping(core, activity, "poll-closed", told=True)]
        home = act.target.network
        if home not in core.adapters:
            return [dropping(core, activity, "adapter-off", told=True)]
        away = activity.actor.network != home
        if away and not (facts.standing == "in" or facts.consent == "open" or facts.answers == "bridge"):
            return [dropping(core, activity, "answers-dropped", told=True)]
        named = replace(act, choices=tuple(poll.options[n].id for n in places), named=False)
        spoken = discreetly(core, replace(activity, act=named), home) if away else activity
        if away:
            account = await self.ghosts.account(spoken.actor)
            if account is None or account.mark:
                return [dropping(core, activity, "actor-gone", told=True)]
            await self.ghosts.ensure(account, home)
            await self.ghosts.account(body.author)

        def unit(tx: Tx) -> None:
            before = polls.choices_of(tx, act.target, activity.actor)
            if not acts.record(tx, activity, act.target):
                return
            if act.named and before and not poll.multiple:
                note(core, tx, "dropped", activity, "voted-before")
                return
            # where votes come one choice at a time, each adds to those before
            now_chosen = sorted({*before, *places}) if act.named else places
            polls.cast(tx, act.target, activity.actor, now_chosen, activity.at)
            note(core, tx, "heard", activity, "votes")
            if "Vote" not in core.adapters[home].capabilities.discreet:
                due = (core.now() // PAUSE + 1) * PAUSE
                agenda.order(tx, "count", act.target, core.now(), due)
            if away:
                note(core, tx, "carried", activity, "answer", home)
                tell(core, tx, spoken, home, heard_at)

        return [unit]

    async def tally(self, activity: Activity, heard_at: float) -> list[Unit]:
        """The poll's home has counted."""
        act = activity.act
        assert isinstance(act, Tally)

        def unit(tx: Tx) -> None:
            known = acts.find(tx, act.target)
            body = _poll_body(known)
            if known is None or body is None or body.poll is None:
                self.core.metrics.dropped.labels(activity.ref.network, "unknown-target").inc()
            elif known.activity.actor != activity.actor:
                note(self.core, tx, "dropped", activity, "not-yours")
            elif body.poll.closed:
                self.core.metrics.dropped.labels(activity.ref.network, "known").inc()
            else:
                self._counted(tx, known.activity, body, act.poll, activity.ref, heard_at)

        return [unit]

    async def count(self, ref: Ref, *, closing: bool) -> None:
        """Counts the votes of a poll anew, or asks its home to. Raises Unreachable."""
        core = self.core
        known = await core.store.read(lambda tx: acts.find(tx, ref))
        body = _poll_body(known)
        if known is None or body is None or body.poll is None or body.poll.closed or ref.network not in core.adapters:
            return
        at_home: Poll | None = None
        if "Vote" in core.adapters[ref.network].capabilities.discreet:
            for envelope in await core.adapters[ref.network].fetch(ref):
                for heard in self.threads.read(envelope):
                    if heard.ref == ref and isinstance(heard.act, Post):
                        at_home = heard.act.body.poll

        def unit(tx: Tx) -> None:
            again = acts.find(tx, ref)
            body = _poll_body(again)
            if again is None or body is None or body.poll is None:
                return
            poll = at_home or _recount(tx, ref, body.poll)
            if closing:
                poll = replace(poll, closed=True)
            now = core.now()
            self._counted(tx, again.activity, body, poll, Ref(ref.network, f"{ref.id}#tally:{now:.0f}"), now)
            tx.signal(OUTBOX)

        await core.store.write(unit)

    def _counted(self, tx: Tx, asked: Activity, body: PostBody, poll: Poll, cause: Ref, at: float) -> None:
        """Keeps the new count and tells it wherever copies of the poll stand."""
        core = self.core
        if poll == body.poll or len(poll.options) != len(body.poll.options if body.poll else ()):
            return
        acts.revise(tx, asked.ref, Post(replace(body, poll=poll)), asked.at)
        if poll.closed:
            polls.close(tx, asked.ref)
            tx.signal(EARS)
        told = Activity(cause, asked.actor, at, Tally(asked.ref, poll))
        for network in sorted(acts.networks_with(tx, asked.ref)):
            note(core, tx, "carried", told, "copies", network)
            tell(core, tx, told, network, at)


def _poll_body(known: acts.Known | None) -> PostBody | None:
    if known is None or not known.live or not isinstance(known.activity.act, Post):
        return None
    return known.activity.act.body


def _recount(tx: Tx, ref: Ref, poll: Poll) -> Poll:
    counts, voters = polls.count(tx, ref, len(poll.options))
    options = tuple(replace(o, votes=n) for o, n in zip(poll.options, counts, strict=True))
    return replace(poll, options=options, voters=voters)
