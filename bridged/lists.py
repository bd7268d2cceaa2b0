"""Whole lists that replace all earlier ones, of blocks and of pinned posts: the difference, act by act."""

from collections.abc import Awaitable, Callable, Sequence

from bridged.core import Core
from bridged.following import CONFIRM, SMALL, Wait
from bridged.model import Act, Activity, Block, BlockList, Delete, Pin, PinList, Ref
from bridged.notes import Unit
from bridged.store import follows, pins
from bridged.store.engine import Tx

PINS = 20
"""How many pinned posts of one account are taken up: each may have to be fetched."""
MOMENT = 1e-4
"""Seconds between the changes that one list makes, so that they keep their order."""
Plan = Callable[[Activity], Awaitable[list[Unit]]]


class Lists:
    """`blocks` and `pins` plan what has changed; `plan` is how each single act would be."""

    def __init__(self, core: Core) -> None:
        self.core = core

    async def blocks(self, activity: Activity, plan: Plan, attempt: int) -> list[Unit]:
        """Raises Wait the first time a list lost more than half: clients are known to send empty ones by mistake."""
        assert isinstance(activity.act, BlockList)
        actor = activity.actor
        had = await self.core.store.read(lambda tx: follows.blocks_of(tx, actor))
        want = dict.fromkeys(t for t in activity.act.targets if t.network != actor.network)
        lost = [t for t in had if t not in want]
        if len(had) >= SMALL and len(lost) * 2 > len(had) and attempt == 0:
            raise Wait(CONFIRM, "a list of blocks lost more than half of its names")
        changes: list[tuple[Ref, Act]] = [(t, Block(t)) for t in want if t not in had]
        changes += [(t, Delete(had[t])) for t in lost]
        return await self._each(activity, changes, plan, "BlockList")

    async def pins(self, activity: Activity, plan: Plan) -> list[Unit]:
        assert isinstance(activity.act, PinList)
        had = await self.core.store.read(lambda tx: pins.of(tx, activity.actor))
        want = activity.act.targets[:PINS]
        changes: list[tuple[Ref, Act]] = [(t, Pin(t, pinned=False)) for t in had if t not in want]
        # last to first, so that the first is the one pinned latest
        changes += [(t, Pin(t)) for t in reversed(want) if t not in had]
        return await self._each(activity, changes, plan, "PinList")

    async def _each(self, whole: Activity, changes: Sequence[tuple[Ref, Act]], plan: Plan, kind: str) -> list[Unit]:
        units: list[Unit] = []
        for number, (target, act) in enumerate(changes):
            sign = "-" if isinstance(act, Delete) or (isinstance(act, Pin) and not act.pinned) else ""
            ref = Ref.made(whole.ref.network, whole.ref.id, f"{sign}{target.network}", target.id)
            units += await plan(Activity(ref, whole.actor, whole.at + number * MOMENT, act))

        def unit(tx: Tx) -> None:
            if follows.newer_list(tx, whole.actor, whole.ref, whole.at, kind):
                for each in units:
                    each(tx)

        return [unit]
