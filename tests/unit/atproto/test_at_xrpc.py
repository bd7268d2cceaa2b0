"""The PDS as others ask it: files that verify, pages, errors by their names."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from adapters.atproto import cbor
from adapters.atproto.cid import RAW, Cid
from adapters.atproto.pds import store
from adapters.atproto.pds.store import Repo, Repos, Write
from adapters.atproto.pds.xrpc import Xrpc
from adapters.atproto.repo import car, commit, mst
from adapters.atproto.repo.mst import Nodes
from bridged.api import Blob
from bridged.store.engine import Store
from tests.unit.atproto.pds_kit import LIKE, NOW, POST, did, key, opened, post

ALICE = did(0)
KEYS = [f"3jzfcijpj2z{a}{b}" for a in "234" for b in "abcdefghij"]


PICTURE = b"not really a picture"


def pictured(cid: Cid) -> dict[str, Any]:
    image = {"$type": "blob", "ref": cid, "mimeType": "image/png", "size": len(PICTURE)}
    return {**post("x"), "embed": {"$type": "app.bsky.embed.images", "images": [{"alt": "", "image": image}]}}


class Pds:
    def __init__(self, db: Store, client: "TestClient[Any, Any]") -> None:
        self.db, self.client, self.repos = db, client, Repos()

    async def write(self, *writes: Write, who: str = ALICE, at: float = NOW) -> Repo:
        return await self.db.write(lambda tx: self.repos.apply(tx, who, key(who), writes, at))

    async def ask(self, name: str, status: int = 200, **query: Any) -> Any:
        async with self.client.get(f"/xrpc/com.atproto.{name}", params=query) as answer:
            assert answer.status == status, await answer.text()
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            return await answer.json() if "json" in answer.content_type else await answer.read()

    async def error(self, name: str, status: int = 400, **query: Any) -> str:
        return (await self.ask(name, status, **query))["error"]


@pytest.fixture(params=["sqlite", "postgresql"])
async def pds(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pds]:
    async with opened(tmp_path, request.param) as db:
        file = tmp_path / "file"
        file.write_bytes(PICTURE)

        async def blob(sha256: bytes) -> tuple[Blob, Path] | None:
            known = Cid.of(PICTURE, RAW)[4:] == sha256
            return (Blob(sha256, "image/png", len(PICTURE), 1, 1), file) if known else None

        host: Any = SimpleNamespace(
            read=db.read, blob=blob, site=SimpleNamespace(domain="bridge.test", handle_domain="bridge.test")
        )

        async def did_of(handle: str) -> str | None:
            return ALICE if handle == "alice.test" else None

        async def describe(who: str) -> tuple[str, dict[str, Any]] | None:
            return ("alice.test", {"id": who}) if who == ALICE else None

        app = web.Application()
        app.add_routes(Xrpc(host, did_of, describe).routes())
        async with TestClient(TestServer(app)) as client:
            it = Pds(db, client)
            await db.write(lambda tx: it.repos.create(tx, ALICE, "alice.test", key(ALICE), NOW))
            yield it


async def test_whole_repo_verifies(pds: Pds):
    repo = await pds.write(*(Write(POST, rkey, post(rkey)) for rkey in KEYS))
    root, blocks = car.read(await pds.ask("sync.getRepo", did=ALICE), 1 << 20)
    made = commit.read(blocks[root])
    assert (made.rev, made.data) == (repo.rev, repo.root)
    assert made.signed_by(key(ALICE).public)
    nodes = Nodes(blocks.get)
    records = dict(mst.walk(nodes, nodes.node(made.data, None)))
    assert sorted(records) == sorted(f"{POST}/{rkey}" for rkey in KEYS)
    assert all(cbor.decode(blocks[cid])["text"] == path.partition("/")[2] for path, cid in records.items())


async def test_repo_since_a_revision_is_what_came_after(pds: Pds):
    before = await pds.write(*(Write(POST, rkey, post(rkey)) for rkey in KEYS))
    _, old = car.read(await pds.ask("sync.getRepo", did=ALICE), 1 << 20)
    after = await pds.write(Write(POST, "3jzfcijpj2zzz", post("new")), Write(POST, KEYS[3], None))
    root, new = car.read(await pds.ask("sync.getRepo", did=ALICE, since=before.rev), 1 << 20)
    assert root == after.head_cid
    assert len(new) < len(old)
    nodes = Nodes({**old, **new}.get)
    records = dict(mst.walk(nodes, nodes.node(after.root, None)))
    assert len(records) == len(KEYS)
    _, none = car.read(await pds.ask("sync.getRepo", did=ALICE, since=after.rev), 1 << 20)
    assert set(none) == {root}


async def test_record_is_proved_and_so_is_its_absence(pds: Pds):
    repo = await pds.write(*(Write(POST, rkey, post(rkey)) for rkey in KEYS))
    for rkey in (KEYS[7], "3jzfcijpj2zzz"):
        root, blocks = car.read(await pds.ask("sync.getRecord", did=ALICE, collection=POST, rkey=rkey), 1 << 20)
        assert root == repo.head_cid
        nodes = Nodes(blocks.get)
        found = mst.get(nodes, nodes.node(commit.read(blocks[root]).data, None), f"{POST}/{rkey}")
        assert (found is not None) == (rkey in KEYS)
        assert found is None or cbor.decode(blocks[found])["text"] == rkey


async def test_record_is_shown_by_did_and_by_handle(pds: Pds):
    await pds.write(Write(POST, KEYS[0], post("x")))
    for who in (ALICE, "alice.test", "ALICE.test"):
        shown = await pds.ask("repo.getRecord", repo=who, collection=POST, rkey=KEYS[0])
        assert shown["uri"] == f"at://{ALICE}/{POST}/{KEYS[0]}"
        assert shown["value"] == post("x")
        assert Cid.parse(shown["cid"]) == Cid.of(cbor.encode(post("x")))
    assert await pds.error("repo.getRecord", repo=ALICE, collection=POST, rkey=KEYS[1]) == "RecordNotFound"
    other = str(Cid.of(b"other"))
    assert await pds.error("repo.getRecord", repo=ALICE, collection=POST, rkey=KEYS[0], cid=other) == "RecordNotFound"


async def test_records_are_paged_either_way(pds: Pds):
    await pds.write(*(Write(POST, rkey, post(rkey)) for rkey in KEYS))
    for reverse, order in (("false", KEYS[::-1]), ("true", KEYS)):
        seen: list[str] = []
        query: dict[str, Any] = {"repo": ALICE, "collection": POST, "limit": 7, "reverse": reverse}
        while True:
            page = await pds.ask("repo.listRecords", **query)
            seen += [each["value"]["text"] for each in page["records"]]
            if "cursor" not in page:
                break
            query["cursor"] = page["cursor"]
        assert seen == order


async def test_repo_is_described(pds: Pds):
    like = {"$type": LIKE, "subject": {"uri": f"at://{ALICE}/{POST}/x", "cid": str(Cid.of(b"x"))}}
    await pds.write(
        Write(POST, KEYS[0], post("x")), Write(LIKE, KEYS[0], {**like, "createdAt": "2023-11-14T22:13:20.000Z"})
    )
    said = await pds.ask("repo.describeRepo", repo="alice.test")
    assert said["collections"] == [LIKE, POST]
    assert (said["handle"], said["did"], said["handleIsCorrect"]) == ("alice.test", ALICE, True)
    server = await pds.ask("server.describeServer")
    assert server["did"] == "did:web:bridge.test"
    assert server["availableUserDomains"] == [".bridge.test"]


async def test_blocks_are_given_all_or_none(pds: Pds):
    repo = await pds.write(Write(POST, KEYS[0], post("x")))
    wanted = [repo.head_cid, repo.root, Cid.of(cbor.encode(post("x")))]
    _, found = car.read(await pds.ask("sync.getBlocks", did=ALICE, cids=[str(cid) for cid in wanted]), 1 << 20)
    assert set(found) == set(wanted)
    other = str(Cid.of(b"other"))
    assert await pds.error("sync.getBlocks", did=ALICE, cids=[str(repo.root), other]) == "BlockNotFound"
    assert await pds.error("sync.getBlocks", did=ALICE, cids=["x"]) == "InvalidRequest"
    assert await pds.error("sync.getBlocks", did=ALICE) == "InvalidRequest"


async def test_status_and_latest_commit_follow_the_account(pds: Pds):
    repo = await pds.write(Write(POST, KEYS[0], post("x")))
    assert await pds.ask("sync.getLatestCommit", did=ALICE) == {"cid": str(repo.head_cid), "rev": repo.rev}
    assert await pds.ask("sync.getRepoStatus", did=ALICE) == {"did": ALICE, "active": True, "rev": repo.rev}
    for status, name in (
        ("deactivated", "RepoDeactivated"),
        ("takendown", "RepoTakendown"),
        ("deleted", "RepoNotFound"),
    ):
        await pds.db.write(lambda tx, to=status: store.set_status(tx, ALICE, to, NOW))
        assert await pds.ask("sync.getRepoStatus", did=ALICE) == {"did": ALICE, "active": False, "status": status}
        for method in ("sync.getRepo", "sync.getLatestCommit", "sync.listBlobs"):
            assert await pds.error(method, did=ALICE) == name
        assert await pds.error("repo.getRecord", repo=ALICE, collection=POST, rkey=KEYS[0]) == name
        assert await pds.error("sync.getRecord", did=ALICE, collection=POST, rkey=KEYS[0]) == name
    assert [each["active"] for each in (await pds.ask("sync.listRepos"))["repos"]] == [False]


async def test_repos_are_paged(pds: Pds):
    for n in range(1, 6):
        who = did(n)
        await pds.db.write(lambda tx, who=who: pds.repos.create(tx, who, "x.test", key(who), NOW))
    first = await pds.ask("sync.listRepos", limit=4)
    rest = await pds.ask("sync.listRepos", limit=4, cursor=first["cursor"])
    assert [each["did"] for each in first["repos"] + rest["repos"]] == [did(n) for n in range(6)]
    assert "cursor" not in rest


@pytest.mark.parametrize(
    ("name", "query", "error"),
    [
        ("sync.getRepo", {}, "InvalidRequest"),
        ("sync.getRepo", {"did": "alice.test"}, "InvalidRequest"),
        ("sync.getRepoStatus", {}, "InvalidRequest"),
        ("sync.getRepoStatus", {"did": did(9)}, "RepoNotFound"),
        ("sync.getRepo", {"did": did(9)}, "RepoNotFound"),
        ("sync.getRepo", {"did": ALICE, "since": "yesterday"}, "InvalidRequest"),
        ("repo.getRecord", {"repo": ALICE, "collection": "x", "rkey": "y"}, "InvalidRequest"),
        ("repo.getRecord", {"repo": ALICE, "collection": POST, "rkey": "a/b"}, "InvalidRequest"),
        ("repo.getRecord", {"repo": "nobody.test", "collection": POST, "rkey": "a"}, "RepoNotFound"),
        ("repo.listRecords", {"repo": ALICE, "collection": POST, "limit": "101"}, "InvalidRequest"),
        ("repo.listRecords", {"repo": ALICE, "collection": POST, "limit": "-1"}, "InvalidRequest"),
        ("repo.listRecords", {"repo": ALICE, "collection": POST, "cursor": "a b"}, "InvalidRequest"),
        ("sync.listRepos", {"cursor": "x"}, "InvalidRequest"),
        ("sync.listBlobs", {"did": ALICE, "cursor": "x"}, "InvalidRequest"),
    ],
)
async def test_wrong_question_gets_its_error(pds: Pds, name: str, query: dict[str, str], error: str):
    assert await pds.error(name, **query) == error


async def test_head_of_a_repo_is_its_headers_alone(pds: Pds):
    await pds.write(Write(POST, KEYS[0], post("x")))
    reader, writer = await asyncio.open_connection(pds.client.host, pds.client.port)
    path = f"/xrpc/com.atproto.sync.getRepo?did={ALICE}"
    writer.write(f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"application/vnd.ipld.car" in head
    assert body == b""


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT"])
async def test_unknown_method_is_told_as_xrpc_tells_it(pds: Pds, verb: str):
    name = "sync.getRepo" if verb == "PUT" else "server.createSession"
    async with pds.client.request(verb, f"/xrpc/com.atproto.{name}") as answer:
        assert answer.status == 404
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert (await answer.json())["error"] == "MethodNotImplemented"


async def test_browser_may_ask_with_headers_of_its_own(pds: Pds):
    wanted = {"Origin": "https://app.test", "Access-Control-Request-Method": "GET"}
    async with pds.client.options("/xrpc/com.atproto.sync.getRepo", headers=wanted) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "*" in answer.headers["Access-Control-Allow-Headers"]


async def test_accounts_are_not_made_for_strangers(pds: Pds):
    async with pds.client.post("/xrpc/com.atproto.server.createAccount", json={}) as answer:
        assert answer.status == 403
        assert (await answer.json())["error"] == "AccountCreationDisabled"


async def test_blob_is_served_while_a_record_refers_to_it(pds: Pds):
    cid = Cid.of(PICTURE, RAW)
    assert await pds.error("sync.getBlob", did=ALICE, cid=str(cid)) == "BlobNotFound"
    await pds.write(Write(POST, KEYS[0], pictured(cid)), Write(POST, KEYS[1], pictured(Cid.of(b"other", RAW))))
    async with pds.client.get("/xrpc/com.atproto.sync.getBlob", params={"did": ALICE, "cid": str(cid)}) as answer:
        assert await answer.read() == PICTURE
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert str(cid) in (await pds.ask("sync.listBlobs", did=ALICE))["cids"]
    assert len((await pds.ask("sync.listBlobs", did=ALICE, limit=1))["cids"]) == 1
    assert await pds.error("sync.getBlob", did=ALICE, cid=str(Cid.of(b"other", RAW))) == "BlobNotFound"
    assert await pds.error("sync.getBlob", did=ALICE, cid="x") == "InvalidRequest"
    await pds.write(Write(POST, KEYS[0], None))
    assert await pds.error("sync.getBlob", did=ALICE, cid=str(cid)) == "BlobNotFound"
