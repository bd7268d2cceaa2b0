"""Commands that people write to the bot: `start`, `stop`, `status`, `help`.

Anybody may ask. The answer goes to the sender alone, once for each message, and so many an hour; bots get none, so that
no two ever talk to each other for ever.
"""

import re

from bridged import wording
from bridged.adapter import Unreachable
from bridged.bot import write_to
from bridged.consent import ENDED, hindrance, join, leave
from bridged.core import Core
from bridged.ghosts import Ghosts
from bridged.model import BOT, Account, Activity, Message, Ref, Text
from bridged.notes import Unit, dropping, note
from bridged.store import acts, follows, identity, notices, queued
from bridged.store.engine import Tx

ANSWERS = 10
"""Answers one person gets in an hour."""
_HOUR = 3600.0
_WEEK = 7 * 86400.0
_RATE = "answers"
_KEPT = frozenset({"operator", "config", ENDED})
"""What the operator decided stays decided: else `stop` and `start` would undo it."""
_EDGES = re.compile(r"^\W+|\W+$")


class Commands:
    def __init__(self, core: Core, ghosts: Ghosts) -> None:
        self.core, self.ghosts = core, ghosts

    async def obey(self, activity: Activity, patient: bool) -> list[Unit]:
        """What one message to the bot sets in motion. Raises Unreachable, if `patient`."""
        core = self.core
        assert isinstance(activity.act, Message)
        word = command(activity.act.text)
        try:
            # who wants to start may just have changed their profile for it
            account = await self.ghosts.account(activity.actor, fresh=word == "start")
        except Unreachable:
            if patient:
                raise
            return [dropping(core, activity, "actor-unreachable", told=False)]
        if account is None or account.mark or account.bot:
            return [dropping(core, activity, "a-bot-writes" if account else "actor-gone", told=False)]
        return [lambda tx: self._answer(tx, activity, account, word)]

    def _answer(self, tx: Tx, activity: Activity, account: Account, word: str) -> None:
        core, actor = self.core, activity.actor
        # what was said is nobody's business once it is answered
        if not acts.record(tx, Activity(activity.ref, actor, activity.at, Message((BOT,), Text())), BOT):
            return
        speaks = self._allowed(tx, actor)
        said = self._do(tx, account, word)
        note(core, tx, "heard", activity, "writes to the bot")
        if speaks:
            write_to(core, tx, actor, f"answer:{activity.ref}", said)
        else:
            note(core, tx, "dropped", activity, "too-many-messages")

    def _allowed(self, tx: Tx, actor: Ref) -> bool:
        """Whether another answer is due (a leaky bucket: the time at which it would be empty is kept)."""
        now, each = self.core.now(), _HOUR / ANSWERS
        empty = max(notices.at(tx, actor, _RATE) or 0.0, now) + each
        if empty > now + _HOUR:
            return False
        notices.put(tx, actor, _RATE, empty)
        return True

    def _do(self, tx: Tx, account: Account, word: str) -> Text:
        core, ref = self.core, account.ref
        match word:
            case "start":
                why = hindrance(core, tx, ref, "person")
                if why is not None:
                    return wording.hindered(core, why, account)
                already = identity.standing(tx, ref) == "in"
                if not already:
                    join(core, tx, ref, "person")
                return wording.started(core, ref.network, already=already)
            case "stop":
                return self._stop(tx, ref)
            case "status":
                return wording.status(self._standing(tx, ref))
            case _:
                return wording.help_text(core, ref.network, "" if word == "help" else word)

    def _stop(self, tx: Tx, ref: Ref) -> Text:
        core = self.core
        was = core.may(tx, ref) or bool(identity.ghosts_of(tx, ref))
        if identity.standing(tx, ref) != "out" or identity.decided_by(tx, ref) not in _KEPT:
            leave(core, tx, ref, "person")
        return wording.stopped(was=was)

    def _standing(self, tx: Tx, ref: Ref) -> wording.Standing:
        core = self.core
        ghosts = [
            (g, f"{core.address(g)} ({core.adapters[g.ref.network].names(g.ref, account=True)})",
             follows.count(tx, ref, g.ref.network))
            for g in identity.ghosts_of(tx, ref)
            if g.ref.network in core.adapters
        ]  # fmt: skip
        waiting, failed, reason = queued.of_actor(tx, ref, core.now() - _WEEK)
        return wording.Standing(
            core.may(tx, ref),
            identity.decided_by(tx, ref),
            identity.decided_at(tx, ref),
            ghosts,
            waiting,
            failed,
            reason,
        )


def command(text: Text) -> str:
    """The first word that is no mention, in lower case and without what surrounds it; "help" for nothing.

    At most 30 letters of it: it may be repeated to the sender.
    """
    letters = list(text.plain[:2000])
    for span in text.spans:
        if span.kind == "mention":
            letters[span.start : span.end] = " " * len(letters[span.start : span.end])
    for word in "".join(letters).split():
        bare = _EDGES.sub("", word).lower()
        if bare and not word.startswith("@"):
            return bare[:30]
    return "help"
