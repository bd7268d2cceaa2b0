"""Databases of earlier versions, as `make.py` made them, go on under today's code, and serve the ids they had."""

import contextlib
import gzip
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from adapters.atproto.adapter import Atproto
from adapters.atproto.pds import firehose
from adapters.nostr.event import parse_event
from bridged.api import Ref
from bridged.backup import backup, restore
from bridged.store import acts, dump
from bridged.store import settings as kept
from bridged.store.engine import Tx
from bridged.testing import Harness
from tests import databases
from tests.unit.atproto import pds_kit

from .life import ADAPTERS, MAYA, ZOE, Outside, Town, networks, plain

HERE = Path(__file__).parent
VERSIONS = sorted({path.name.partition(".")[0] for path in HERE.glob("*.sql.gz")})


def unpacked(name: str) -> str:
    return gzip.decompress((HERE / name).read_bytes()).decode()


async def put_back(version: str, store: str, folder: Path) -> dict[str, Any]:
    """The database as it was; what is in it."""
    kind = "sqlite" if store == "sqlite" else "postgresql"
    script = unpacked(f"{version}.{kind}.sql.gz")
    if kind == "sqlite":
        os.makedirs(folder)
        with contextlib.closing(sqlite3.connect(folder / "bridged.sqlite3")) as database:
            database.executescript(script)
    else:
        connection = await databases.connected(store)
        await connection.execute(script.replace("CREATE SCHEMA public;", ""))
        await connection.close()
    return json.loads(unpacked(f"{version}.{kind}.json.gz"))


class Old:
    """A bridge of today over a database of then; `was` is what was in it."""

    def __init__(self, bridge: Harness, outside: Outside, was: dict[str, Any]) -> None:
        self.bridge, self.outside, self.was = bridge, outside, was
        self.town = Town(bridge, outside)
        self.town.count = was["count"]
        bridge.clock.at = was["clock"]

    def copy(self, origin: str, network: str) -> str:
        """The id under which a post stood when the version ended."""
        return [c[5] for c in self.was["copies"] if (c[1], c[2], c[3], c[6]) == (origin, network, 0, 0)][-1]

    async def events(self, kind: int) -> list[Any]:
        """What is on our own relay, oldest first."""
        rows = await self.bridge.read(
            lambda tx: [bytes(r[0]) for r in tx.execute(text("SELECT body FROM nostr_events"))]
        )
        found = [parse_event(row) for row in rows]
        return sorted((e for e in found if e.kind == kind), key=lambda e: e.created_at)


@pytest.fixture(params=VERSIONS)
async def old(request: pytest.FixtureRequest, bare_store_url: str, tmp_path: Path) -> AsyncIterator[Old]:
    was = await put_back(request.param, bare_store_url, tmp_path / "var")
    outside = Outside()
    adapters, more = networks(request.param)
    async with Harness(adapters, data_dir=tmp_path / "var", store=bare_store_url, http=outside, **more) as bridge:
        yield Old(bridge, outside, was)


def test_there_is_a_database_of_every_issue_before_this() -> None:
    assert VERSIONS == ["issue-2", "issue-3", "issue-4", "issue-5"]


async def test_old_database_is_upgraded_and_serves_all_it_had(old: Old) -> None:
    now = await old.town.standing()
    assert {tuple(g) for g in old.was["ghosts"]} <= {tuple(g) for g in now["ghosts"]}
    assert len(old.was["copies"]) > 10
    newest = {(*c[:4],): c for c in old.was["copies"]}
    for origin_network, origin, network, part, version, ref, gone, served in old.was["copies"]:
        if ref is None:
            continue
        copy = await old.bridge.hosts[network].copy(Ref(network, ref))
        assert copy is not None, ref
        if newest[origin_network, origin, network, part][4] == version and copy.part == part:
            assert (plain(copy.served), int(copy.gone)) == (served, gone), ref
    assert now["waiting"] == old.was["waiting"] != []


async def test_old_database_goes_on_where_it_stopped(old: Old) -> None:
    bridge, outside, town, was = old.bridge, old.outside, old.town, old.was
    outside.mend(ZOE)
    await town.bridge.wait(4 * 3600)
    arrived = [body.decode() for url, body, _ in outside.posted if url == f"{ZOE}/inbox"]
    assert arrived == [body for endpoint, body in was["waiting"] if endpoint == f"{ZOE}/inbox"] != []
    # heard by the old version, decided by this one
    assert [e.content for e in await old.events(1)].count("heard, not decided") == 1

    # what was said then is edited, deleted, answered and repeated now
    first, words = old.copy(was["first"], "nostr"), old.copy(was["words"], "activitypub")
    await town.edit(was["second"], "words, edited again")
    assert [e.content for e in await old.events(1)].count("words, edited again") == 1
    await town.event(5, "", ["e", was["words"]], ["k", "1"])
    for actor in (MAYA, ZOE):
        assert words in [a["object"]["id"] for a in outside.inbox(actor, "Delete")]
    answer = await town.event(1, "a late answer", ["e", first, "", "root"])
    said = [a for a in outside.inbox(MAYA, "Create") if a["object"]["id"].endswith(answer.id)]
    assert said[0]["object"]["inReplyTo"] == was["first"]
    new = await town.note("said today")
    assert (await bridge.copies(Ref("activitypub", new), "nostr"))[0].ref is not None
    await town.activity({"type": "Delete", "object": {"id": was["first"], "type": "Tombstone"}})
    assert first not in [e.id for e in await old.events(1)]

    # and nothing of it twice
    before = len(outside.posted)
    note = town._note(was["third"], "words to be deleted")
    await town.activity({"type": "Create", "object": note})
    known = await bridge.read(lambda tx: acts.find(tx, Ref("activitypub", was["third"])))
    assert known is not None
    assert not known.live
    assert "words to be deleted" not in [e.content for e in await old.events(1)]
    assert len(outside.posted) == before


@pytest.mark.parametrize("old", [version for version in VERSIONS if networks(version)[1]], indirect=True)
async def test_repositories_of_an_old_database_go_on_from_their_last_commit(old: Old) -> None:
    bridge, repos = old.bridge, {did: (rev, root) for did, rev, _, root, _ in old.was["repos"]}
    assert len(repos) == 3, "of the bot, of maya and of nora"
    last = await bridge.read(firehose.last)
    note = await old.town.note("said today")
    events = await bridge.read(lambda tx: firehose.after(tx, last, 100, bridge.clock()))
    assert [event.seq for event in events] == list(range(last + 1, last + 1 + len(events)))
    said: list[str] = []
    for _, body in map(pds_kit.unpacked, events):
        rev, root = repos.pop(body["repo"], ("", ""))
        assert body["since"] == rev or not rev, "from the commit that the old version made last"
        assert bytes(body["prevData"]).hex() == root or not root
        said += [f"at://{body['repo']}/{op['path']}" for op in body["ops"]]
    assert len(repos) < 3
    copy = (await bridge.copies(Ref("activitypub", note), "atproto"))[0].ref
    assert copy is not None
    assert copy.id in said


async def test_network_that_joins_an_old_database_has_what_is_said_from_then_on(
    bare_store_url: str, tmp_path: Path
) -> None:
    was = await put_back("issue-4", bare_store_url, tmp_path / "var")
    outside = Outside()
    third = {"atproto": {"plc": "embedded"}}
    async with Harness(
        [*ADAPTERS, Atproto], data_dir=tmp_path / "var", store=bare_store_url, http=outside, configs=third
    ) as bridge:
        old = Old(bridge, outside, was)
        note = await old.town.note("said to three networks")
        nostr, there = [await bridge.copies(Ref("activitypub", note), n) for n in ("nostr", "atproto")]
        assert nostr[0].ref is not None
        assert there[0].ref is not None
        repo = there[0].ref.id.removeprefix("at://").partition("/")[0]
        ghost = await bridge.ghost(Ref("activitypub", MAYA), "atproto")
        assert (ghost.ref.id, ghost.handle) == (repo, "maya-at-peer-example.bridge.test")
        # what was said before is not said anew there, but can be answered and taken back
        await old.town.activity({"type": "Delete", "object": {"id": was["first"], "type": "Tombstone"}})
        await old.town.activity({"type": "Delete", "object": {"id": note, "type": "Tombstone"}})
        assert (await bridge.copies(Ref("activitypub", note), "atproto"))[0].gone
        assert not await bridge.copies(Ref("activitypub", was["second"]), "atproto")


@pytest.mark.parametrize("bare_store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("version", VERSIONS)
async def test_backup_of_an_old_database_is_restored_and_upgraded(
    version: str, bare_store_url: str, tmp_path: Path, scratch_beside: str
) -> None:
    """A backup made beside the old schema; into the other kind of database."""
    was = await put_back(version, bare_store_url, tmp_path / "old")
    for name in ("old", "new"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "secret.key").touch(0o600)
        (tmp_path / name / "secret.key").write_text("harness." * 4)
    with contextlib.closing(sqlite3.connect(tmp_path / "old" / "bridged.sqlite3")) as database, database:
        database.execute("INSERT INTO settings (name, value) VALUES ('domain', 'bridge.test')")
    outside = Outside()
    adapters, more = networks(version)
    before = Harness(adapters, data_dir=tmp_path / "old", **more)
    made = await backup(before.settings, {}, tmp_path / "saved", lambda *_: None)
    assert made.revisions["bridged"] < "0009"
    after = Harness(adapters, data_dir=tmp_path / "new", store=scratch_beside, http=outside, **more)
    await restore(after.settings, {}, tmp_path / "saved", lambda *_: None)
    await after.open()
    try:
        town = Old(after, outside, was)
        assert (await town.town.standing())["copies"][:1] == was["copies"][:1]
        assert await after.read(_upgraded)
        outside.mend(ZOE)
        await town.bridge.wait(4 * 3600)
        assert outside.inbox(ZOE)
    finally:
        await after.close()


def _upgraded(tx: Tx) -> bool:
    return (dump.revision(tx, "bridged") or "") >= "0005" and kept.get(tx, "restored_at") is not None
