"""What the bot says to people: what happened, why, and what they can do next."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import gmtime, strftime

from bridged.core import Core
from bridged.model import Account, Ghost, Text

WORDS = "Write `start` to be bridged, `stop` to end that, `status` to see how it goes, or `help`."


@dataclass(frozen=True, slots=True)
class Standing:
    """What `status` tells somebody of themselves. `why` is who decided, `since` when (None: nobody did).

    `ghosts` come with how a link there is written, and how many follow them there. `failed` counts deliveries of the
    last week that failed for good, `reason` is the commonest reason.
    """

    bridged: bool
    why: str | None
    since: float | None
    ghosts: Sequence[tuple[Ghost, str, int]]
    waiting: int
    failed: int
    reason: str


def bot_name(core: Core) -> str:
    return f"@{core.settings.bot.username}@{core.settings.domain}"


def _networks(core: Core, network: str) -> str:
    return ", ".join(sorted(core.others(network))) or "other networks"


def _day(at: float) -> str:
    return strftime("%Y-%m-%d", gmtime(at))


def help_text(core: Core, network: str, unknown: str = "") -> Text:
    """The commands, and how to find people; `unknown` is a word that is none of them."""
    lines = [
        *([f"I do not know the word “{unknown}”."] if unknown else []),
        f"This is {bot_name(core)}, a bridge between networks: {', '.join(sorted(core.adapters))}.",
        WORDS,
        *core.adapters[network].hints(),
        "Put #nobridge into your profile to be left alone for good.",
        f"More: {core.settings.base_url}",
    ]
    return Text("\n".join(lines))


def started(core: Core, network: str, *, already: bool) -> Text:
    if already:
        return Text("You are bridged already; nothing has changed. Write `status` to see how it goes.")
    return Text(
        f"You are bridged from now on: what you post in public goes to {_networks(core, network)} as well, and what "
        "people there answer comes back to you. Your accounts there are being made now; write `status` in a minute "
        "to see what they are called. Write `stop` to end it."
    )


def hindered(core: Core, why: str, account: Account) -> Text:
    """Why somebody cannot join (see `consent.hindrance`)."""
    domain = core.settings.domain
    said = {
        "profile-says-no": f"You are not bridged, because your profile says {account.refuses}, and nobody who says so "
        "is. If you do want to be bridged, take that out of your profile first, then write `start` again.",
        "not-listed": "You are not bridged: here the operator decides who is, and you are not on the list. Ask the "
        f"operator of {domain} to add you.",
        "removed-by-operator": f"You are not bridged, because the operator of {domain} has removed you. Only they can "
        "change that.",
        "ended-for-good": f"You are not bridged, and cannot be any more: the operator of {domain} has ended the "
        "accounts that stood for you elsewhere for good. Another account of yours can be bridged.",
    }
    return Text(said[why])


def stopped(*, was: bool) -> Text:
    if not was:
        return Text("You are not bridged, and will not be until you ask for it. Write `start` to be bridged.")
    return Text(
        "You are bridged no longer. Nothing more of yours leaves your network, and the copies and accounts made for "
        "you elsewhere are being deleted. Write `start` to come back."
    )


def noticed(core: Core) -> Text:
    """To somebody who is bridged without having asked for it."""
    return Text(
        f"Somebody on another network looked you up, so {bot_name(core)} now shows your public profile and posts "
        "there, and brings you what people there answer. To stop that and have all copies deleted, write me `stop`, "
        "or block me; or put #nobridge into your profile. If that is fine with you, there is nothing to do. This is "
        "the only time that I write to you unasked."
    )


def status(standing: Standing) -> Text:
    since = f" since {_day(standing.since)}" if standing.since is not None else ""
    if standing.bridged:
        why = "" if standing.why else ", since that is the rule here for everybody on your network"
        lines = [f"You are bridged{since}{why}."]
    else:
        reasons = {
            "person": " because you ended it",
            "operator": " because the operator of this bridge decided so",
            "config": " because the operator of this bridge decided so",
            "profile": " because your profile says that you must not be",
            "gone": " because your account could not be found for a while",
            "ended-for-good": " because the accounts that stood for you were ended for good",
        }
        lines = [f"You are not bridged{since}{reasons.get(standing.why or '', '')}. Write `start` to be bridged."]
    for ghost, link, followers in standing.ghosts:
        lines.append(f"On {ghost.ref.network} you are {link}, followed by {followers} there.")
    if standing.waiting:
        lines.append(f"Deliveries that wait: {standing.waiting}.")
    if standing.failed:
        lines.append(
            f"Deliveries that failed in the last week: {standing.failed}, most often because: {standing.reason}"
        )
    return Text("\n".join(lines))
