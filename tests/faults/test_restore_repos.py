"""Repositories after yesterday's backup was put back: no number, revision or identity is used again."""

import contextlib
import json
import random
from collections import defaultdict
from collections.abc import AsyncGenerator
from pathlib import Path

from adapters.atproto.crypto import PublicKey
from adapters.atproto.pds.firehose import JUMP, Event
from tests.unit.atproto.pds_kit import Reader, unpacked

from .kit import eventually
from .kit.daemon import Daemon, database
from .repos import served
from .repos.run import town
from .repos.town import Town

ACTS = 30
"""By three people, before the backup, after it, and after the restore."""


@contextlib.asynccontextmanager
async def directory(folder: Path) -> AsyncGenerator[Daemon]:
    """Another bridge, whose directory outlives ours."""
    daemon = Daemon(folder)
    daemon.config |= {"handle_domain": "plc.test", "adapters": {"activitypub": {}, "atproto": {"plc": "embedded"}}}
    await daemon.start()
    try:
        yield daemon
    finally:
        assert await daemon.stop() == 0


async def joins(made: Town, name: str) -> str:
    """The DID of somebody who follows the bot."""
    actor = made.peer.actor(name)
    follow = actor.follow(await made.daemon.actor_of("bridge"))
    assert await actor.send(follow, f"{made.daemon.base}/inbox") == 202

    async def did() -> str:
        rows = await made.daemon.rows(f"SELECT did FROM atproto_identities WHERE owner_id = '{actor.id}'")
        return rows[0]["did"]

    found = await eventually(did)
    await made.settled()
    return found


async def acts(made: Town, gate: int) -> None:
    await made.open(gate)
    await made.reached(gate)
    await made.settled()


async def test_repositories_go_on_after_a_restore_as_others_know_them(tmp_path: Path) -> None:
    """From SQLite into PostgreSQL: so it is the move from one to the other as well."""
    async with (
        database("postgresql") as second,
        directory(tmp_path / "plc") as plc,
        town(tmp_path / "bridge", "sqlite", 3, random.Random(7), plc=f"{plc.base}/plc") as (made, stream),
    ):
        daemon = made.daemon
        await daemon.start()
        await made.join()
        await made.settled()
        async with made.acting():
            await acts(made, ACTS)
            await stream.until_all()
            saved = len(stream.events)
            await daemon.cli("backup", str(tmp_path / "saved"))
            await acts(made, 2 * ACTS)
            newcomer = await joins(made, "newcomer")
            await stream.until_all()
            lost = len(stream.events)
            await daemon.kill()

            # all since the backup is lost here, and known elsewhere
            await daemon.restore(tmp_path / "saved", second)
            made.forget()
            await daemon.start()
            await acts(made, 3 * ACTS)
            assert await joins(made, "newcomer") == newcomer
            await made.open(3 * ACTS, last=True)
        await stream.until_all()

        dids = {did for did, _ in map(_repo, stream.events)}
        keys = {did: await served.key_of(plc, did) for did in dids}
        reader = _read(stream.events, saved, lost, keys)
        assert len(dids) == 5, "three people, the bot, and who came after the backup"
        assert len(stream.events) - lost > ACTS
        listed = json.loads((await daemon.get("/xrpc/com.atproto.sync.listRepos"))[2])["repos"]
        assert {repo["did"] for repo in listed} == dids
        for repo in listed:
            did = repo["did"]
            assert await served.repo(daemon, repo, reader.heads[did], reader.repos[did]) == []
        assert made.wrong == []
        assert await daemon.stop() == 0
        assert "Traceback" not in daemon.log, daemon.tail(60)


def _repo(event: Event) -> tuple[str, str]:
    """(DID, revision) that an event is about."""
    body = unpacked(event)[1]
    return body.get("repo") or body["did"], body.get("rev", "")


def _read(events: list[Event], saved: int, lost: int, keys: dict[str, PublicKey]) -> Reader:
    """A relay that followed it all: `saved` events are in the backup, `lost` had been told when it was put back."""
    reader = Reader(keys.__getitem__)
    for event in events[:saved]:
        reader.hear(event)
    held, trees = {did: dict(records) for did, records in reader.repos.items()}, dict(reader.heads)
    for event in events[saved:lost]:
        reader.hear(event)
    known = {**reader.heads}
    assert len(known) == len(held) + 1
    assert sum(known[did] != trees[did] for did in trees) >= 3, "more was said since the backup"

    numbers = [event.seq for event in events]
    assert numbers[:lost] == list(range(1, lost + 1))
    first = numbers[lost]
    assert first > lost + JUMP // 2
    assert numbers[lost:] == list(range(first, first + len(events) - lost))

    # everyone who is in the backup says where they stand, before anything else; under a revision that is new to all
    again = events[lost : lost + 2 * len(held)]
    assert sorted((unpacked(event)[0], _repo(event)[0]) for event in again) == sorted(
        (kind, did) for did in held for kind in ("#account", "#sync")
    )
    for event in again:
        reader.hear(event)
    for did, records in held.items():
        assert reader.heads[did][0] > known[did][0]
        assert reader.heads[did][1] == trees[did][1], "the tree as it was saved"
        reader.repos[did] = records
    # who came since then begins anew
    for did in known.keys() - held.keys():
        del reader.heads[did], reader.repos[did]
    for event in events[lost + 2 * len(held) :]:
        reader.hear(event)

    revs: defaultdict[str, list[str]] = defaultdict(list)
    for event in events:
        did, rev = _repo(event)
        if rev:
            revs[did].append(rev)
    assert {did: told for did, told in revs.items() if told != sorted(set(told))} == {}
    return reader
