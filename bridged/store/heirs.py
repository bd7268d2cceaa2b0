"""Who goes on for somebody that moved: their ghost over there speaks, from then on, for what was done before, too."""

from collections.abc import Callable

from sqlalchemy import select

from bridged.model import Ghost, Ref
from bridged.store import identity
from bridged.store.engine import Tx
from bridged.store.schema import acts

MOVES = 5
"""How often in a row somebody may have moved."""


def ghost_for(tx: Tx, owner: Ref, network: str) -> Ghost | None:
    """The live ghost of `owner` there, else of whom they have moved to."""
    return _ghost(tx, owner, network, identity.ghost_for)


def last_ghost(tx: Tx, owner: Ref, network: str) -> Ghost | None:
    """The newest ghost of `owner` there, living or gone, else of whom they have moved to."""
    return _ghost(tx, owner, network, identity.last_ghost)


def _ghost(tx: Tx, owner: Ref, network: str, find: Callable[[Tx, Ref, str], Ghost | None]) -> Ghost | None:
    seen = {owner}
    while (ghost := find(tx, owner, network)) is None:
        heir = moved_to(tx, owner)
        if heir is None or heir in seen or len(seen) > MOVES:
            return None
        owner = heir
        seen.add(heir)
    return ghost


def moved_to(tx: Tx, owner: Ref) -> Ref | None:
    """The account that somebody has moved to last."""
    id = tx.execute(
        select(acts.c.target_id)
        .where(acts.c.network == owner.network, acts.c.actor == owner.id, acts.c.kind == "Move")
        .where(acts.c.target_network == owner.network)
        .order_by(acts.c.at.desc())
        .limit(1)
    ).scalar()
    return Ref(owner.network, id) if id else None


def line(tx: Tx, heir: Ref) -> list[Ref]:
    """The account, and those that have moved to it, directly or by way of others."""
    found, new = [heir], [heir]
    while new and len(found) <= MOVES:
        new = [ref for each in new for ref in _moved_from(tx, each) if ref not in found]
        found += new
    return found


def _moved_from(tx: Tx, heir: Ref) -> list[Ref]:
    rows = tx.execute(
        select(acts.c.actor)
        .where(acts.c.target_network == heir.network, acts.c.target_id == heir.id, acts.c.kind == "Move")
        .where(acts.c.network == heir.network)
        .distinct()
        .limit(MOVES)
    )
    return [Ref(heir.network, r.actor) for r in rows if moved_to(tx, Ref(heir.network, r.actor)) == heir]
