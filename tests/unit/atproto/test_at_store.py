"""Repositories in the store: what was told is what is kept, through any changes; nothing twice, nothing half."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.atproto.cid import RAW, Cid
from adapters.atproto.pds import firehose, reading, store, tables
from adapters.atproto.pds.store import NoRepo, Repo, Repos, Write
from adapters.atproto.repo import mst
from adapters.atproto.repo.mst import Nodes
from bridged.api import Malformed, Tx
from bridged.store.engine import Store
from tests.unit.atproto.pds_kit import LIKE, NOW, POST, Reader, did, key, opened, post, unpacked

ALICE = did(0)


@pytest.fixture(params=["sqlite", "postgresql"])
async def db(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path, request.param) as it:
        yield it


@pytest.fixture
def repos() -> Repos:
    return Repos()


async def create(db: Store, repos: Repos, who: str = ALICE) -> Repo:
    return await db.write(lambda tx: repos.create(tx, who, "alice.test", key(who), NOW))


async def apply(db: Store, repos: Repos, *writes: Write, who: str = ALICE, at: float = NOW) -> Repo:
    return await db.write(lambda tx: repos.apply(tx, who, key(who), writes, at))


async def events(db: Store, after: int = 0) -> list[firehose.Event]:
    return await db.read(lambda tx: firehose.after(tx, after, 100_000, NOW + 1))


async def heard(db: Store) -> Reader:
    reader = Reader()
    for event in await events(db):
        reader.hear(event)
    return reader


async def kinds(db: Store, after: int = 0) -> list[str]:
    return [unpacked(event)[0] for event in await events(db, after)]


async def rows(db: Store, table: sa.Table) -> list[Any]:
    return await db.read(lambda tx: tx.execute(sa.select(table)).all())


async def test_tables_are_those_of_the_migration(db: Store):
    every = (tables.repos, tables.nodes, tables.records, tables.record_blobs, tables.events, tables.sequence)

    def unit(tx: Tx) -> dict[str, set[tuple[str, bool]]]:
        inspector = sa.inspect(tx.conn)
        return {t.name: {(c["name"], bool(c["nullable"])) for c in inspector.get_columns(t.name)} for t in every}

    assert await db.read(unit) == {t.name: {(c.name, bool(c.nullable)) for c in t.columns} for t in every}


async def test_new_repo_is_told_of_once(db: Store, repos: Repos):
    made = await create(db, repos)
    assert await kinds(db) == ["#identity", "#account", "#commit"]
    assert await create(db, repos) == made
    assert len(await events(db)) == 3
    reader = await heard(db)
    assert reader.heads[ALICE] == (made.rev, made.root)
    assert reader.handles[ALICE] == "alice.test"


async def test_writes_are_one_commit(db: Store, repos: Repos):
    await create(db, repos)
    writes = [Write(POST, f"3jzfcijpj2z{n}a", post(str(n))) for n in range(2, 8)]
    after = await apply(db, repos, *writes)
    assert await kinds(db, 3) == ["#commit"]
    reader = await heard(db)
    assert sorted(reader.repos[ALICE]) == [write.path for write in writes]
    assert reader.heads[ALICE] == (after.rev, after.root)


async def test_saying_it_again_changes_nothing(db: Store, repos: Repos):
    await create(db, repos)
    once = await apply(db, repos, Write(POST, "3jzfcijpj2z2a", post("x")))
    assert await apply(db, repos, Write(POST, "3jzfcijpj2z2a", post("x")), Write(POST, "3jzfcijpj2z3a", None)) == once
    assert len(await events(db)) == 4


async def test_record_that_its_lexicon_refuses_leaves_all_as_it_was(db: Store, repos: Repos):
    await create(db, repos)
    before = [await rows(db, table) for table in (tables.repos, tables.nodes, tables.records, tables.events)]
    bad = {**post("x"), "createdAt": "yesterday"}
    with pytest.raises(Malformed):
        await apply(db, repos, Write(POST, "3jzfcijpj2z2a", post("x")), Write(POST, "3jzfcijpj2z3a", bad))
    assert [await rows(db, t) for t in (tables.repos, tables.nodes, tables.records, tables.events)] == before


@pytest.mark.parametrize(
    ("writes", "reason"),
    [
        ([Write(POST, "3jzfcijpj2z2a", post("x")), Write(POST, "3jzfcijpj2z2a", None)], "ops"),
        (
            [
                Write(
                    POST,
                    f"3jzfcijp{n:05}".replace("0", "a").replace("1", "b").replace("8", "c").replace("9", "d"),
                    post("x"),
                )
                for n in range(201)
            ],
            "ops",
        ),
    ],
)
async def test_more_than_a_commit_may_bring_is_refused(db: Store, repos: Repos, writes: list[Write], reason: str):
    await create(db, repos)
    with pytest.raises(Malformed, match=reason):
        await apply(db, repos, *writes)


async def test_number_of_a_unit_that_failed_is_not_skipped(db: Store, repos: Repos):
    await create(db, repos)

    def fails(tx: Tx) -> None:
        repos.apply(tx, ALICE, key(ALICE), [Write(POST, "3jzfcijpj2z2a", post("lost"))], NOW)
        raise KeyError("afterwards")

    with pytest.raises(KeyError):
        await db.write(fails)
    await apply(db, repos, Write(POST, "3jzfcijpj2z2b", post("kept")))
    await apply(db, repos, Write(POST, "3jzfcijpj2z2a", post("lost")))
    assert [event.seq for event in await events(db)] == [1, 2, 3, 4, 5]
    await heard(db)


async def test_number_is_not_used_again_when_all_events_are_gone(db: Store, repos: Repos):
    await create(db, repos)
    await db.write(lambda tx: firehose.expire(tx, NOW + 1))
    assert await events(db) == []
    await apply(db, repos, Write(POST, "3jzfcijpj2z2a", post("x")))
    assert [event.seq for event in await events(db)] == [4]


async def test_revision_grows_though_the_clock_goes_back(db: Store, repos: Repos):
    revs = [(await create(db, repos)).rev]
    for n, at in enumerate((NOW - 3600, NOW, NOW - 1e9, NOW + 5)):
        revs.append((await apply(db, repos, Write(POST, f"3jzfcijpj2z2{'abcd'[n]}", post("x")), at=at)).rev)
    assert revs == sorted(set(revs))
    await heard(db)


async def test_status_is_told_and_a_return_says_where_the_repo_stands(db: Store, repos: Repos):
    await create(db, repos)
    for status in ("deactivated", "deactivated", "active"):
        await db.write(lambda tx, to=status: store.set_status(tx, ALICE, to, NOW))
    assert await kinds(db, 3) == ["#account", "#account", "#sync"]
    assert (await heard(db)).status[ALICE] == "active"


async def test_commit_of_who_is_not_active_is_not_told(db: Store, repos: Repos):
    await create(db, repos)
    await db.write(lambda tx: store.set_status(tx, ALICE, "deactivated", NOW))
    after = await apply(db, repos, Write(POST, "3jzfcijpj2z2a", post("x")))
    assert await kinds(db, 3) == ["#account"]
    assert await db.write(lambda tx: store.set_status(tx, ALICE, "active", NOW)) == store.replace(
        after, status="active"
    )


async def test_deleted_repo_leaves_nothing_but_the_word_of_it(db: Store, repos: Repos):
    await create(db, repos)
    await create(db, repos, did(1))
    await apply(db, repos, Write(POST, "3jzfcijpj2z2a", post("secret words")))
    await db.write(lambda tx: store.set_status(tx, ALICE, "deleted", NOW))
    assert [unpacked(e)[1].get("did") or unpacked(e)[1]["repo"] for e in await events(db)] == [
        ALICE,
        did(1),
        did(1),
        did(1),
        ALICE,
    ]
    assert not any(b"secret words" in event.frame for event in await events(db))
    assert not await rows(db, tables.records)
    assert len(await rows(db, tables.nodes)) == 1
    for unit in (
        lambda tx: repos.apply(tx, ALICE, key(ALICE), [Write(POST, "3jzfcijpj2z2a", post("x"))], NOW),
        lambda tx: store.set_status(tx, ALICE, "active", NOW),
    ):
        with pytest.raises(NoRepo):
            await db.write(unit)


async def test_deleted_repo_begins_anew_where_it_was(db: Store, repos: Repos):
    await create(db, repos)
    await apply(db, repos, Write(POST, "3jzfcijpj2z2a", post("before")))
    before = await db.read(lambda tx: store.find(tx, ALICE))
    await db.write(lambda tx: store.set_status(tx, ALICE, "deleted", NOW))
    again = await create(db, repos)
    assert before is not None
    assert (again.id, again.status, again.rev > before.rev) == (before.id, "active", True)
    told = [unpacked(event) for event in await events(db)][-3:]
    assert [(kind, body.get("active"), body.get("rev")) for kind, body in told] == [
        ("#identity", None, None),
        ("#account", True, None),
        ("#sync", None, again.rev),
    ]
    await apply(db, repos, Write(POST, "3jzfcijpj2z2b", post("after")))
    assert [row.path for row in await rows(db, tables.records)] == [f"{POST}/3jzfcijpj2z2b"]
    commit = unpacked((await events(db))[-1])[1]
    assert (commit["since"], commit["prevData"]) == (again.rev, again.root)


async def test_repo_that_is_not_there_takes_nothing(db: Store, repos: Repos):
    with pytest.raises(NoRepo):
        await apply(db, repos, Write(POST, "3jzfcijpj2z2a", post("x")))
    with pytest.raises(NoRepo):
        await db.write(lambda tx: store.set_status(tx, ALICE, "deactivated", NOW))


async def test_blobs_of_a_record_come_and_go_with_it(db: Store, repos: Repos):
    await create(db, repos)
    one, two = (Cid.of(bytes([n]), RAW) for n in range(2))

    def pictured(*blobs: Cid) -> dict[str, Any]:
        images = [
            {"alt": "", "image": {"$type": "blob", "ref": blob, "mimeType": "image/png", "size": 1}} for blob in blobs
        ]
        return {**post("x"), "embed": {"$type": "app.bsky.embed.images", "images": images}}

    await apply(db, repos, Write(POST, "3jzfcijpj2z2a", pictured(one, two)))
    assert {bytes(row.cid) for row in await rows(db, tables.record_blobs)} == {one, two}
    await apply(db, repos, Write(POST, "3jzfcijpj2z2a", pictured(two)))
    assert [bytes(row.cid) for row in await rows(db, tables.record_blobs)] == [two]
    await apply(db, repos, Write(POST, "3jzfcijpj2z2a", None))
    assert not await rows(db, tables.record_blobs)


async def test_replay_of_500_random_changes_is_what_20_repos_hold(db: Store, repos: Repos):
    chance = random.Random(5)
    held: dict[str, dict[tuple[str, str], dict[str, Any]]] = {did(n): {} for n in range(20)}
    for who in held:
        await create(db, repos, who)
    for turn in range(500):
        who = chance.choice(list(held))
        writes: dict[tuple[str, str], dict[str, Any] | None] = {}
        for _ in range(chance.choice((1, 1, 1, 1, 3, 12))):
            place = POST, f"3jzfcijpj2z{chance.choice('234567abcdefgh')}{chance.choice('abcdefghi')}"
            writes[place] = chance.choice([None, post(f"{turn} {chance.random()}"), post("the same")])
        await apply(db, repos, *(Write(*place, record) for place, record in writes.items()), who=who, at=NOW + turn)
        held[who] = {p: r for p, r in {**held[who], **writes}.items() if r is not None}
        if chance.random() < 0.05:
            repos = Repos()  # as after a restart
    reader = await heard(db)
    assert [event.seq for event in await events(db)] == list(range(1, reader.seq + 1))
    for who, records in held.items():
        repo = await db.read(lambda tx, who=who: store.find(tx, who))
        assert repo is not None
        assert reader.heads[who] == (repo.rev, repo.root)
        assert sorted(reader.repos[who]) == sorted("/".join(place) for place in records)
        kept = [row for row in await rows(db, tables.records) if row.repo == repo.id]
        assert {row.path: bytes(row.cid) for row in kept} == reader.repos[who]
        assert all(reader.bodies[Cid(row.cid)] == bytes(row.body) for row in kept)
        blocks = {Cid(row.cid): bytes(row.body) for row in await rows(db, tables.nodes) if row.repo == repo.id}
        nodes = Nodes(blocks.get)
        nodes.seen = {}
        assert dict(mst.walk(nodes, nodes.node(repo.root, None))) == reader.repos[who]
        assert set(nodes.seen) == set(blocks), "a node was left behind"
        assert await db.read(lambda tx, repo=repo, of=list(blocks): reading.blocks(tx, repo, of)) == blocks
    assert {row.settled for row in await rows(db, tables.nodes)} == {0, 1}, "both kinds were looked up"


async def test_a_commit_reads_the_way_to_what_changes_and_no_more(db: Store, repos: Repos):
    await create(db, repos)
    for start in range(0, 1000, 200):
        names = (f"3jzfcij{n // 100}{n // 10 % 10}{n % 10}" for n in range(start + 1000, start + 1200))
        letters = str.maketrans("0189", "abcd")
        await apply(
            db,
            repos,
            *(
                Write(
                    LIKE,
                    (n[:7] + n[7:].translate(letters) + "2222")[:13].ljust(13, "2"),
                    {
                        "$type": LIKE,
                        "subject": {"uri": f"at://{did(1)}/{POST}/3jzfcijpj2z2a", "cid": str(Cid.of(n.encode()))},
                        "createdAt": "2023-11-14T22:13:20.000Z",
                    },
                )
                for n in names
            ),
        )
    count = len(await rows(db, tables.nodes))
    asked: list[str] = []

    def unit(tx: Tx) -> None:
        execute = tx.execute

        def counted(statement: Any, parameters: Any = None) -> Any:
            asked.append(str(statement.statement))
            return execute(statement, parameters)

        tx.execute = counted  # pyright: ignore[reportAttributeAccessIssue]
        Repos().apply(tx, ALICE, key(ALICE), [Write(POST, "3jzfcijpj2z2a", post("x"))], NOW)

    await db.write(unit)
    reads = sum("FROM atproto_nodes" in words and words.startswith("SELECT") for words in asked)
    assert count > 200
    assert 2 <= reads <= 20
