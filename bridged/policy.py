"""Why an activity is not carried: an ordered list of small rules, each of which gives a reason or None (pure)."""

from collections.abc import Callable
from dataclasses import dataclass, field

from bridged.model import (
    BOT,
    Activity,
    Delete,
    Edit,
    Follow,
    FollowList,
    Message,
    Post,
    Profile,
    React,
    Ref,
    Report,
    Repost,
    Zap,
)
from bridged.words import body_of


@dataclass(frozen=True, slots=True)
class Facts:
    """All that policy and routing look at. Networks are names.

    consent, answers   the settings for the actor's network
    unlisted           the setting for posts there that are not to be shown around: carry or drop
    standing           "in", "out" or None: what was decided about the actor
    refuses            the actor's profile says that it must not be bridged
    ours               the actor is one of our ghosts, or the act is one of our copies
    seen               None, "live" or "deleted": what is on record under the act's ref
    blocked            somebody it is aimed at has blocked the actor
    fresh              the actor is new here, and nobody decided about them
    echoes             many others who are new here said the same lately
    audience           networks with followers of the actor
    aimed              home networks of the bridged accounts that it names, answers or is about
    targets            those accounts
    present            networks where what it is about can be seen
    own                networks where the actor has a proved account of their own and needs no ghost
    ghosts             networks where the actor has a ghost
    sinks              every network but the actor's
    """

    activity: Activity
    consent: str = "opt-in"
    answers: str = "bridge"
    unlisted: str = "carry"
    standing: str | None = None
    refuses: bool = False
    ours: bool = False
    seen: str | None = None
    blocked: bool = False
    fresh: bool = False
    echoes: bool = False
    audience: frozenset[str] = frozenset()
    aimed: frozenset[str] = frozenset()
    targets: frozenset[Ref] = field(default_factory=frozenset[Ref])
    present: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    ghosts: frozenset[str] = frozenset()
    sinks: frozenset[str] = field(default_factory=frozenset[str])

    @property
    def bridged(self) -> bool:
        """Whether what the actor says in public may go everywhere, asked or not."""
        return self.standing == "in" or self.consent == "open"


Rule = Callable[[Facts], str | None]


def own_copy(f: Facts) -> str | None:
    return "own-copy" if f.ours else None


def bridged_elsewhere(f: Facts) -> str | None:
    body = body_of(f.activity)
    mark = f.activity.mark or (body.mark if body else "")
    return "copy-of-another-bridge" if mark and not isinstance(f.activity.act, Delete) else None


def not_public(f: Facts) -> str | None:
    body, act = body_of(f.activity), f.activity.act
    if isinstance(act, Message):  # only the bot is written to
        return None if BOT in act.to else "not-public"
    return "not-public" if body and body.audience not in ("public", "unlisted") else None


def unlisted(f: Facts) -> str | None:
    body = body_of(f.activity)
    return "unlisted" if body and body.audience == "unlisted" and f.unlisted == "drop" else None


def late(f: Facts) -> str | None:
    return "deleted-before" if f.seen == "deleted" and not isinstance(f.activity.act, Delete) else None


def twice(f: Facts) -> str | None:
    return "known" if f.seen == "live" and not isinstance(f.activity.act, Edit | Delete | Profile | Post) else None


def _always_heard(f: Facts) -> bool:
    """What those who are not bridged may do: take back, and turn to the bot, also by a whole list of follows."""
    act = f.activity.act
    returns = act == Follow(BOT) or (isinstance(act, FollowList) and BOT in act.targets)
    return returns or isinstance(act, Delete | Message)


def says_no(f: Facts) -> str | None:
    return "profile-says-no" if f.refuses and not _always_heard(f) else None


def opted_out(f: Facts) -> str | None:
    return "opted-out" if f.standing == "out" and not _always_heard(f) else None


def own_account(f: Facts) -> str | None:
    said = isinstance(f.activity.act, Post | React | Repost | Zap)
    return "has-own-account-there" if said and f.own and f.sinks <= f.own else None


def blocked(f: Facts) -> str | None:
    # who troubles somebody does not get rid of complaints by blocking them
    return "blocked" if f.blocked and not isinstance(f.activity.act, Delete | Report) else None


def echoed(f: Facts) -> str | None:
    return "same-words" if f.echoes else None


RULES: tuple[Rule, ...] = (
    own_copy, bridged_elsewhere, not_public, unlisted, late, twice, says_no, opted_out, own_account, blocked, echoed
)  # fmt: skip


def refuse(facts: Facts) -> str | None:
    """The first reason not to carry it, or None."""
    return next((why for rule in RULES if (why := rule(facts))), None)
