"""The list of processes that share one PostgreSQL; tests/faults/test_processes.py kills real ones."""

import asyncio
import os
import socket

import asyncpg
from sqlalchemy import update

from bridged.store import processes, schema
from bridged.store.engine import WRITER, Store, Tx
from bridged.store.upgrade import CORE

_it = schema.processes.c.id


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


async def test_process_that_was_stopped_in_the_midst_of_a_write_is_cut_off(scratch_beside: str) -> None:
    """As if SIGSTOP had come between two words to the database, which then waits for the rest of the question."""
    store, name = Store(scratch_beside), f"bridged {socket.gethostname()} {os.getpid()}"
    await store.open()
    stopped = await asyncpg.connect(scratch_beside.replace("+asyncpg", ""), server_settings={"application_name": name})
    try:
        await store.migrate(CORE, "bridged_version")
        me = await store.write(lambda tx: processes.enter(tx, socket.gethostname(), os.getpid(), "web"))
        store.process = me
        await stopped.execute(f"BEGIN; SELECT pg_advisory_xact_lock({WRITER})")
        await stopped.prepare("SELECT 1")
        waiting = asyncio.ensure_future(store.write(lambda tx: "written"))
        assert await store.read(lambda tx: processes.cut(tx, 9.0)) == [], "it has just been heard of"
        await store.claim(lambda tx: processes.enter(tx, socket.gethostname(), os.getpid(), "web"))
        await store.claim(lambda tx: tx.execute(update(schema.processes).where(_it == me).values(seen_at=0.0)))
        assert await store.read(lambda tx: processes.cut(tx, 9.0)) == [], "another of that name has just been heard of"
        await store.claim(lambda tx: tx.execute(update(schema.processes).values(seen_at=0.0)))
        assert await store.read(lambda tx: processes.cut(tx, 9.0)) == [stopped.get_server_pid()]
        async with asyncio.timeout(60):
            assert await waiting == "written"
    finally:
        await store.close()
        stopped.terminate()
