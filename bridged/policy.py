"""Why an activity is not carried: an ordered list of small rules, each of which gives a reason or None (pure)."""

from collections.abc import Callable
from dataclasses import dataclass, field

from bridged.model import BOT, Activity, Delete, Edit, Follow, FollowList, Post, Profile, Ref
from bridged.words import body_of


@dataclass(frozen=True, slots=True)
class Facts:
    """All that policy and routing look at. Networks are names.

    consent, answers   the settings for the actor's network
    standing           "in", "out" or None: what was decided about the actor
    ours               the actor is one of our ghosts, or the act is one of our copies
    seen               None, "live" or "deleted": what is on record under the act's ref
    blocked            somebody it is aimed at has blocked the actor
    audience           networks with followers of the actor
    aimed              home networks of the bridged accounts that it names, answers or is about
    targets            those accounts
    present            networks where what it is about can be seen
    ghosts             networks where the actor has a ghost
    sinks              every network but the actor's
    """

    activity: Activity
    consent: str = "opt-in"
    answers: str = "bridge"
    standing: str | None = None
    ours: bool = False
    seen: str | None = None
    blocked: bool = False
    audience: frozenset[str] = frozenset()
    aimed: frozenset[str] = frozenset()
    targets: frozenset[Ref] = field(default_factory=frozenset[Ref])
    present: frozenset[str] = frozenset()
    ghosts: frozenset[str] = frozenset()
    sinks: frozenset[str] = field(default_factory=frozenset[str])


Rule = Callable[[Facts], str | None]


def own_copy(f: Facts) -> str | None:
    return "own-copy" if f.ours else None


def bridged_elsewhere(f: Facts) -> str | None:
    body = body_of(f.activity)
    mark = f.activity.mark or (body.mark if body else "")
    return "copy-of-another-bridge" if mark and not isinstance(f.activity.act, Delete) else None


def not_public(f: Facts) -> str | None:
    body = body_of(f.activity)
    return "not-public" if body and body.audience not in ("public", "unlisted") else None


def late(f: Facts) -> str | None:
    return "deleted-before" if f.seen == "deleted" and not isinstance(f.activity.act, Delete) else None


def twice(f: Facts) -> str | None:
    return "known" if f.seen == "live" and not isinstance(f.activity.act, Edit | Delete | Profile | Post) else None


def opted_out(f: Facts) -> str | None:
    act = f.activity.act
    # following the bot, also by a whole list, is the way back
    returns = act == Follow(BOT) or (isinstance(act, FollowList) and BOT in act.targets)
    return "opted-out" if f.standing == "out" and not returns and not isinstance(act, Delete) else None


def blocked(f: Facts) -> str | None:
    return "blocked" if f.blocked and not isinstance(f.activity.act, Delete) else None


RULES: tuple[Rule, ...] = (own_copy, bridged_elsewhere, not_public, late, twice, opted_out, blocked)


def refuse(facts: Facts) -> str | None:
    """The first reason not to carry it, or None."""
    return next((why for rule in RULES if (why := rule(facts))), None)
