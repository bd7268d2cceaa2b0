"""Complaints about people of another network: kept for the operator, and passed on to where they are at home.

They are passed on by the bot, never in the name of who complained, and at most once a day about one account: a
report is heard for nothing, so it must not become a way to trouble somebody.
"""

from dataclasses import replace

from bridged.core import Core
from bridged.ghosts import Ghosts
from bridged.model import BOT, Activity, Ref, Report
from bridged.notes import Unit, dropping, note
from bridged.store import acts, notices
from bridged.store.engine import Tx
from bridged.tell import tell

DAY = 86400.0


class Moderation:
    def __init__(self, core: Core, ghosts: Ghosts) -> None:
        self.core, self.ghosts = core, ghosts

    async def report(self, activity: Activity, heard_at: float) -> list[Unit]:
        """Raises Unreachable."""
        core, act = self.core, activity.act
        assert isinstance(act, Report)
        named = act.target
        # some complain about a post alone: then its author is meant
        meant = await core.store.read(lambda tx: _author(tx, named))
        if meant is not None:
            act = replace(act, target=meant[0], posts=(meant[1], *act.posts))
        complaint, network = act, act.target.network
        if network == activity.actor.network or network not in core.adapters:
            return [dropping(core, activity, "concerns-nobody", told=False)]
        await self.ghosts.ensure(core.bot(), network)
        await self.ghosts.account(complaint.target)
        here, there = core.adapters[activity.ref.network].capabilities, core.adapters[network].capabilities
        private = "Report" in here.discreet
        public = "Report" not in there.discreet
        # what was said in confidence is not told to all the world
        text = "" if private and public else act.text
        spoken = replace(activity, actor=BOT, act=replace(act, text=text))

        def unit(tx: Tx) -> None:
            if not acts.record(tx, replace(activity, act=complaint), complaint.target):
                return
            note(core, tx, "reported", activity, f"{complaint.reason}: {complaint.text}"[:500])
            today = f"reported:{core.now() // DAY:.0f}"
            if core.settings.reports == "operator":
                note(core, tx, "dropped", activity, "reports-stay-here")
            elif notices.tell_once(tx, complaint.target, today, core.now()):
                note(core, tx, "carried", activity, "report", network)
                tell(core, tx, spoken, network, heard_at)
            else:
                note(core, tx, "dropped", activity, "reported-today-already")

        return [unit]


def _author(tx: Tx, ref: Ref) -> tuple[Ref, Ref] | None:
    """(author, origin) of the post that `ref` is, or is a copy of."""
    copy = acts.copy_at(tx, ref)
    known = acts.find(tx, copy.origin if copy else ref)
    return (known.activity.actor, known.activity.ref) if known else None
