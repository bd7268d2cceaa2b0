"""The list of processes that share one PostgreSQL; tests/faults/test_processes.py kills real ones."""

from sqlalchemy import update

from bridged.store import processes, schema
from bridged.store.engine import Store, Tx
from bridged.store.upgrade import CORE


async def test_process_takes_others_for_dead_and_never_itself(scratch_beside: str) -> None:
    """Its own sign of life may be old by the time its turn comes to look: where it alone is busy, nobody else is."""
    store = Store(scratch_beside)
    await store.open()
    try:
        await store.migrate(CORE, "bridged_version")

        def unit(tx: Tx) -> tuple[int, int, list[int], list[int]]:
            me, other = (processes.enter(tx, "here", pid, "web") for pid in (1, 2))
            tx.execute(update(schema.processes).values(seen_at=0.0))
            return me, other, processes.bury(tx, me, 9.0), [p.id for p in processes.living(tx)]

        me, other, buried, living = await store.write(unit)
        assert (buried, living) == ([other], [me])
    finally:
        await store.close()
