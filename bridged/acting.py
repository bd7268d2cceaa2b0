"""What each kind of act sets in motion: the plan for one activity, as units for station 2's transaction.

`plan` reads, fetches and mints, all of which may be repeated; the units it returns only write. Follows and
membership are in `following.py`.
"""

from collections.abc import Mapping
from dataclasses import replace

from bridged import persons
from bridged.adapter import Unreachable
from bridged.commands import Commands
from bridged.consent import REFUSES
from bridged.core import Core
from bridged.digest import gather
from bridged.echoes import FRESH, Echoes
from bridged.following import Following, Wait
from bridged.gates import gate
from bridged.ghosts import Ghosts
from bridged.lists import Lists, Plan
from bridged.media import WAITS
from bridged.model import (
    BOT,
    Accept,
    Account,
    Act,
    Activity,
    Approve,
    Block,
    BlockList,
    Delete,
    Edit,
    Follow,
    FollowList,
    Gate,
    Message,
    Move,
    Pin,
    PinList,
    Post,
    PostBody,
    Profile,
    QuoteRequest,
    React,
    Ref,
    Reject,
    Report,
    Repost,
    Tally,
    Vote,
    Zap,
)
from bridged.moderation import Moderation
from bridged.moves import Moves
from bridged.notes import Unit, dropping, note
from bridged.policy import Facts, refuse
from bridged.polls import Polls
from bridged.quotes import Quotes
from bridged.routing import destinations
from bridged.store import acts, early, follows, identity, pins
from bridged.store.engine import Tx
from bridged.store.signals import EARS
from bridged.tell import tell, there_of
from bridged.threads import FETCHES, Budget, Threads, resolve, roots
from bridged.withdrawing import Withdrawing, edited_early
from bridged.words import body_of, people_in, posts_in


class Acting:
    def __init__(self, core: Core, ghosts: Ghosts, threads: Threads) -> None:
        self.core, self.ghosts, self.threads = core, ghosts, threads
        self.following = Following(core, ghosts)
        self.polls = Polls(core, ghosts, threads)
        self.quotes = Quotes(core, ghosts)
        self.moves = Moves(core, ghosts)
        self.moderation = Moderation(core, ghosts)
        self.lists = Lists(core)
        self.withdrawing = Withdrawing(core, self.following)
        self.commands = Commands(core, ghosts)
        self.echoes = Echoes(core.settings.same_words)

    async def plan(self, raw: Activity, heard_at: float, channel: str, *, attempt: int) -> list[Unit]:
        """What to write for one activity. Raises Unreachable (while early attempts may still find what is missing)."""
        core = self.core
        activity, facts = await core.store.read(lambda tx: self._facts(tx, raw))
        body = body_of(activity) if facts.fresh else None
        if body is not None and self.echoes.too_many(activity.actor, body, core.now()):
            facts = replace(facts, echoes=True)
        why = refuse(facts)
        if why:
            return [dropping(core, activity, why, told=bool(facts.ghosts or facts.aimed) and not facts.ours)]
        act = activity.act
        match act:
            case Follow():
                return await self.following.follow(activity, heard_at, facts)
            case FollowList():
                return await self.following.whole_list(activity, heard_at, attempt, self._facts)
            case Accept() | Reject():
                return [self.following.answer(activity, heard_at)]
            case Delete():
                return [lambda tx: self.withdrawing.delete(tx, activity, heard_at, facts)]
            case Profile():
                return await self._profile(activity, heard_at, facts)
            case BlockList():
                return await self.lists.blocks(activity, self._plain(heard_at, channel, attempt), attempt)
            case PinList():
                return await self.lists.pins(activity, self._plain(heard_at, channel, attempt))
            case Pin():
                told = await self._carry(activity, heard_at, channel, facts, attempt)
                return [lambda tx: self._pin(tx, activity, facts), *told]
            case Vote():
                return await self.polls.vote(activity, heard_at, facts)
            case Tally():
                return await self.polls.tally(activity, heard_at)
            case QuoteRequest():
                return await self.quotes.asked(activity, heard_at)
            case Approve():
                return await self.quotes.approved(activity, heard_at)
            case Gate():
                return [gate(core, activity, heard_at, facts)]
            case Report():
                return await self.moderation.report(activity, heard_at)
            case Move():
                return await self.moves.within(activity, heard_at, facts)
            case Message():
                return await self.commands.obey(activity, attempt < PATIENCE)
            case Block(target) if target == BOT:
                return [lambda tx: self.following.depart(tx, activity.actor, "blocked the bot")]
            case Block(target) if target.network != activity.actor.network:
                told = await self._carry(activity, heard_at, channel, facts, attempt)
                return [*told, lambda tx: self._block(tx, activity, target)]
            case Post() if facts.seen == "live":
                return await self._again(activity, heard_at, channel, attempt)
            case _:
                return await self._carry(activity, heard_at, channel, facts, attempt)

    def _plain(self, heard_at: float, channel: str, attempt: int) -> Plan:
        return lambda activity: self.plan(activity, heard_at, channel, attempt=attempt)

    def _pin(self, tx: Tx, activity: Activity, facts: Facts) -> None:
        """Kept for as long as there is a ghost to show it on; whose post it is was asked of its author alone."""
        act = activity.act
        assert isinstance(act, Pin)
        if act.target.network != activity.actor.network:
            return
        if not act.pinned:
            pins.drop(tx, activity.actor, act.target)
        elif facts.ghosts:
            known = acts.find(tx, act.target)
            if known is not None and known.live and known.activity.actor == activity.actor:
                pins.put(tx, activity.actor, act.target, activity.at)

    def _facts(self, tx: Tx, raw: Activity) -> tuple[Activity, Facts]:
        """The activity in home refs, and all that policy and routing need to know of it."""
        core = self.core
        activity = resolve(tx, raw)
        actor, network = activity.actor, activity.actor.network
        people = set(people_in(activity))
        for ref in posts_in(activity):
            known = acts.find(tx, ref)
            if known is not None:
                people.add(known.activity.actor)
        people.discard(actor)
        targets = {p for p in people if p.network != network and p != BOT and _reachable(core, tx, p, network)}
        known = acts.find(tx, activity.ref)
        standing, since = identity.standing(tx, actor), identity.shown_since(tx, actor)
        return activity, Facts(
            activity,
            consent=core.terms(tx, actor),
            answers=core.answers(network),
            unlisted=core.unlisted(network),
            standing=standing,
            refuses=identity.refuses(tx, actor),
            ours=identity.ghost_at(tx, raw.actor) is not None or acts.copy_at(tx, raw.ref) is not None,
            seen=_seen(tx, activity, known),
            blocked=bool(follows.blocked_by(tx, actor, list(people))),
            fresh=standing != "in" and (since is None or core.now() - since < FRESH),
            audience=frozenset(follows.audience_networks(tx, actor)),
            aimed=frozenset(p.network for p in targets),
            targets=frozenset(targets),
            present=frozenset(_present(tx, activity)),
            own=persons.own(tx, actor),
            ghosts=frozenset(g.ref.network for g in identity.ghosts_of(tx, actor)),
            sinks=core.others(network),
        )

    async def _carry(self, activity: Activity, heard_at: float, channel: str, facts: Facts, attempt: int) -> list[Unit]:
        """Posts, edits, likes, reposts and blocks: said on every network that routing names."""
        core = self.core
        where = destinations(facts)
        if (
            not where
            and facts.answers == "digest"
            and facts.targets
            and isinstance(activity.act, Post | React | Repost | Zap)
        ):
            return await self._digest(activity, facts)
        young = attempt < len(UNHEARD) and core.now() - heard_at < UNHEARD[-1]
        if not where and young and facts.bridged and await self._unheard(activity):
            raise Wait(UNHEARD[attempt], "about a post that may still be on its way")
        if not where:
            dropped = dropping(core, activity, "concerns-nobody", told=False)
            return [lambda tx: edited_early(tx, activity, facts), dropped]
        try:
            account = await self.ghosts.account(activity.actor)
        except Unreachable:
            if attempt < PATIENCE:
                raise
            return [dropping(core, activity, "actor-unreachable", told=True)]
        if account is None or account.mark:
            return [dropping(core, activity, "actor-gone" if account is None else "copy-of-another-bridge", told=True)]
        if account.refuses:
            return [dropping(core, activity, REFUSES, told=True)]
        left, coming = FETCHES, False
        for network in sorted(where):
            await self.ghosts.ensure(account, network)
            budget = Budget(left)
            try:
                await self.threads.bring(activity, network, budget)
            except Unreachable:
                if attempt < PATIENCE:
                    raise
            left = budget.left
            coming |= await core.media.prepare(activity, network, core.adapters[network].capabilities.blobs)
        if coming and attempt < len(WAITS):
            raise Wait(WAITS[attempt], "for files that may still come")
        return [lambda tx: self._say(tx, activity, heard_at, channel, where)]

    async def _digest(self, activity: Activity, facts: Facts) -> list[Unit]:
        """Not carried: those it is aimed at are told in the digest of this hour."""
        core = self.core
        try:
            account = await self.ghosts.account(activity.actor)
        except Unreachable:
            account = None
        who = account.handle if account else activity.actor.id

        def unit(tx: Tx) -> None:
            if acts.record(tx, activity, _target(activity), roots(tx, activity)):
                note(core, tx, "dropped", activity, "digest")
                for target in sorted(facts.targets):
                    gather(core, tx, activity, target, who)

        return [unit]

    async def _unheard(self, activity: Activity) -> bool:
        """Whether it is about a post of its network that nobody here has heard of."""
        act = activity.act
        if not isinstance(act, React | Zap):
            return False
        return await self.core.store.read(lambda tx: acts.find(tx, act.target)) is None

    def _say(self, tx: Tx, activity: Activity, heard_at: float, channel: str, where: Mapping[str, str]) -> None:
        core = self.core
        activity = resolve(tx, activity)  # once more: meanwhile it may have turned out what another bridge copied
        act = activity.act
        if isinstance(act, Edit):
            known = acts.find(tx, act.body.ref)
            if known is None or not known.live or known.activity.actor != activity.actor:
                note(core, tx, "dropped", activity, "not-yours" if known and known.live else "unknown-post")
                return
            if activity.at < known.activity.at:
                note(core, tx, "dropped", activity, "older-than-known")
                return
            if _reads_alike(act.body, known.activity.act):
                core.metrics.dropped.labels(activity.ref.network, "known").inc()
                return
            act = Edit(early.gated(tx, act.body))
            activity = replace(activity, act=act)
            acts.revise(tx, act.body.ref, Post(act.body), activity.at)
        elif isinstance(act, Post):
            newest = resolve(tx, early.newest(tx, activity))
            if not acts.record(tx, newest, act.body.reply_to, roots(tx, newest)):
                return
            known = acts.find(tx, activity.ref)
            assert known is not None
            activity = replace(activity, act=resolve(tx, known.activity).act)
            identity.note_page(tx, act.body.url, act.body.ref)
        elif not acts.record(tx, activity, _target(activity)):
            return
        elif isinstance(act, React | Repost) and any(
            acts.networks_with(tx, k.activity.ref) for k in acts.alike(tx, activity)
        ):
            # liked twice, or shown by a group as itself and as the act that made it: kept, should the other be undone
            core.metrics.dropped.labels(activity.ref.network, "known").inc()
            return
        note(core, tx, "heard", activity, channel)
        for network, why in where.items():
            if isinstance(act, React | Repost | Zap | Pin) and there_of(tx, act.target, network) is None:
                note(core, tx, "dropped", activity, "target-not-there", network)
                continue
            note(core, tx, "carried", activity, why, network)
            tell(core, tx, activity, network, heard_at)

    def _block(self, tx: Tx, activity: Activity, target: Ref) -> None:
        """Counts here whether or not anybody over there is told."""
        acts.record(tx, activity, target)
        follows.block(tx, activity.actor, target, activity.ref)
        follows.drop(tx, target, activity.actor)
        tx.signal(EARS)

    async def _again(self, activity: Activity, heard_at: float, channel: str, attempt: int) -> list[Unit]:
        """A post heard before: a newer version of what can be replaced is an edit, all else a repetition."""
        core = self.core
        known = await core.store.read(lambda tx: acts.find(tx, activity.ref))
        body, old = body_of(activity), body_of(known.activity) if known else None
        if body is None or old is None or known is None or activity.at <= known.activity.at:
            return [dropping(core, activity, "known", told=False)]
        name = f"{activity.ref.id}@{activity.at:.0f}"
        edit = replace(activity, ref=Ref(activity.ref.network, name), act=Edit(body))
        return await self.plan(edit, heard_at, channel, attempt=attempt)

    async def _profile(self, activity: Activity, heard_at: float, facts: Facts) -> list[Unit]:
        """A new profile: kept, and shown wherever the account has a ghost."""
        core = self.core
        assert isinstance(activity.act, Profile)
        account = activity.act.account
        if not facts.ghosts:
            return [dropping(core, activity, "concerns-nobody", told=False)]
        asked = None
        try:
            # asked for again, since what its home shows now may be newer, and only home can vouch for an alias
            asked = await core.adapters[account.ref.network].account(account.ref)
        except Unreachable:
            old = await core.store.read(lambda tx: identity.account(tx, activity.actor))
            account = _filled(account, old) if old else account
        shown = await self.ghosts.profiles.shown(asked or account, activity, heard_at)

        def unit(tx: Tx) -> None:
            newer = follows.newer_list(tx, activity.actor, activity.ref, activity.at, "Profile")
            if newer or asked is not None:
                shown(tx)
            else:
                note(core, tx, "dropped", activity, "older-than-known")

        return [unit]


UNHEARD = (60.0, 600.0)
"""Seconds after which a like is looked at again that came before what it is about."""
PATIENCE = 6
"""Attempts for which an activity waits for what it refers to; then it goes without."""


def _filled(account: Account, old: Account) -> Account:
    """A profile as it was told, with what only its home can say as it was known before."""
    endpoint, detail = account.endpoint or old.endpoint, {**old.detail, **account.detail}
    return replace(account, alias=old.alias, endpoint=endpoint, detail=detail)


def _reads_alike(new: PostBody, known: Act) -> bool:
    """Whether an edit changed nothing but the votes of a poll, which are told otherwise."""

    def words(body: PostBody) -> PostBody:
        options = [replace(o, votes=0) for o in body.poll.options] if body.poll else []
        poll = replace(body.poll, options=tuple(options), voters=0, closed=False) if body.poll else None
        return replace(body, poll=poll, at=0.0, detail={})

    return isinstance(known, Post) and new.poll is not None and words(new) == words(known.body)


def _seen(tx: Tx, activity: Activity, known: acts.Known | None) -> str | None:
    if known is None:
        return "deleted" if early.forestalled(tx, activity.ref, activity.actor) else None
    return "deleted" if not known.live else None if known.shown else "live"


def _target(activity: Activity) -> Ref | None:
    match activity.act:
        case Post(body):
            return body.reply_to
        case React(target) | Repost(target) | Zap(target) | Pin(target) | Follow(target) | Block(target):
            return target
        case _:
            return None


def _reachable(core: Core, tx: Tx, person: Ref, network: str) -> bool:
    """Whether what is said on `network` to this person may cross: they are bridged, or took part there themselves."""
    if core.may(tx, person):
        return True
    return identity.standing(tx, person) is None and identity.ghost_for(tx, person, network) is not None


def _present(tx: Tx, activity: Activity) -> set[str]:
    """Networks where what the activity is about can be seen."""
    match activity.act:
        case Edit(body):
            return acts.networks_with(tx, body.ref)
        case Delete(target):
            return acts.networks_with(tx, target)
        case React(target) | Repost(target) | Zap(target):
            return acts.networks_with(tx, target) | {target.network}
        case Block(target):
            return {target.network}
        case _:
            return set()
