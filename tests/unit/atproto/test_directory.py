"""The embedded PLC directory, over HTTP as its clients see it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from adapters.atproto import directory as rooms
from adapters.atproto import plc
from adapters.atproto.crypto import SigningKey
from adapters.atproto.directory import Directory
from adapters.atproto.plc import Operation, State
from bridged.api import Malformed
from bridged.testing.fakehost import FakeHost
from tests.unit.atproto.stored_host import host_on

OPERATOR, OURS, SIGNING = (SigningKey(bytes([n]) * 32) for n in range(1, 4))
Client = TestClient[web.Request, web.Application]


@pytest.fixture(params=["sqlite", "postgresql"])
async def host(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FakeHost]:
    async with host_on(request.param, tmp_path) as host:
        yield host


@pytest.fixture
async def client(host: FakeHost) -> AsyncIterator[Client]:
    app = web.Application()
    app.add_routes(Directory(host).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


def state(handle: str = "a.bridge.test") -> State:
    keys = [OPERATOR.public.did_key(), OURS.public.did_key()]
    return plc.new(signing_key=SIGNING.public.did_key(), rotation_keys=keys, handle=handle, pds="https://bridge.test")


def after(operation: Operation, handle: str, key: SigningKey = OURS) -> Operation:
    return plc.sign(state(handle), operation.cid, key)


async def post(client: Client, did: str, operation: Operation | object) -> int:
    fields = dict(operation.fields) if isinstance(operation, Operation) else operation
    async with client.post(f"/plc/{did}", json=fields) as answer:
        return answer.status


async def get(client: Client, path: str) -> tuple[int, Any]:
    async with client.get(f"/plc/{path}") as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if "\n" not in text else [json.loads(line) for line in text.split("\n")]


async def test_directory_gives_back_what_it_took(client: Client) -> None:
    first = plc.sign(state(), None, OURS)
    second = after(first, "b.bridge.test")
    assert await post(client, quote(first.did, safe=""), first) == 200
    assert await post(client, first.did, second) == 200
    status, document = await get(client, first.did)
    assert (status, document["id"], document["alsoKnownAs"]) == (200, first.did, ["at://b.bridge.test"])
    assert document["verificationMethod"] == [
        {
            "id": f"{first.did}#atproto",
            "type": "Multikey",
            "controller": first.did,
            "publicKeyMultibase": SIGNING.public.multikey(),
        }
    ]
    assert document["service"][0]["serviceEndpoint"] == "https://bridge.test"
    _, data = await get(client, f"{first.did}/data")
    assert data["rotationKeys"] == list(state().rotation_keys)
    assert await get(client, f"{first.did}/log/last") == (200, dict(second.fields))
    assert await get(client, f"{first.did}/log") == (200, [dict(first.fields), dict(second.fields)])
    _, audit = await get(client, f"{first.did}/log/audit")
    assert plc.audit(first.did, audit) == second.state


async def test_directory_refuses_what_does_not_follow(client: Client, host: FakeHost) -> None:
    first = plc.sign(state(), None, OURS)
    assert await post(client, "did:plc:" + "a" * 24, first) == 400
    assert await post(client, first.did, first) == 200
    assert await post(client, first.did, first) == 400
    assert await post(client, first.did, after(first, "b.test", SIGNING)) == 400
    assert await post(client, first.did, {**after(first, "b.test").fields, "more": 1}) == 400
    assert await post(client, first.did, [1]) == 400
    async with client.post(f"/plc/{first.did}", data=b"{") as answer:
        assert answer.status == 400
    async with client.post(f"/plc/{first.did}", data=b"[" * rooms.MAX_BODY + b"[") as answer:
        assert answer.status == 400
    async with client.post(f"/plc/{first.did}", data=b"[" * rooms.MAX_BODY) as answer:
        assert answer.status == 400
    assert host.refusals == [
        f"plc_{why}" for why in ("genesis", "order", "signature", "operation", "operation", "json", "size", "json")
    ]
    assert await post(client, first.did, after(first, "b.test")) == 200


async def test_directory_asks_nothing_of_the_writer_for_what_it_refuses(
    client: Client, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = plc.sign(state(), None, OURS)
    assert await post(client, first.did, first) == 200
    writes: list[object] = []
    write = host.write

    async def read(unit: Any) -> Any:
        return await write(unit)

    async def counted(unit: Any) -> Any:
        writes.append(unit)
        return await write(unit)

    monkeypatch.setattr(host, "read", read)
    monkeypatch.setattr(host, "write", counted)
    assert await post(client, first.did, after(first, "b.test", SIGNING)) == 400
    assert writes == []
    assert await post(client, first.did, after(first, "b.test")) == 200
    assert len(writes) == 1


@pytest.mark.parametrize("path", ["", "/data", "/log", "/log/last", "/log/audit"])
async def test_directory_knows_nobody_it_was_not_told_of(client: Client, path: str) -> None:
    status, said = await get(client, f"did:plc:{'a' * 24}{path}")
    assert status == 404
    assert "not registered" in said["message"]


async def test_directory_shows_nothing_of_who_has_ended(client: Client) -> None:
    first = plc.sign(state(), None, OURS)
    end = plc.sign(None, first.cid, OURS)
    assert [await post(client, first.did, op) for op in (first, end)] == [200, 200]
    assert (await get(client, first.did))[0] == 404
    assert (await get(client, f"{first.did}/data"))[0] == 404
    assert (await get(client, f"{first.did}/log/last"))[1]["type"] == "plc_tombstone"
    assert await post(client, first.did, after(end, "b.test")) == 400


async def test_directory_lets_a_stronger_key_undo(client: Client, host: FakeHost) -> None:
    first = plc.sign(state(), None, OURS)
    stolen = after(first, "thief.test")
    rescue = after(first, "owner.test", OPERATOR)
    for operation in (first, stolen, rescue):
        assert await post(client, first.did, operation) == 200
    _, audit = await get(client, f"{first.did}/log/audit")
    assert [entry["nullified"] for entry in audit] == [False, True, False]
    found = plc.audit(first.did, audit)
    assert found is not None
    assert found.handle == "owner.test"
    assert len((await get(client, f"{first.did}/log"))[1]) == 2
    assert await post(client, first.did, after(stolen, "again.test")) == 400
    host.at += 72 * 3600 + 1
    assert await post(client, first.did, plc.sign(state("late.test"), first.cid, OPERATOR)) == 400


async def test_directory_takes_ten_operations_an_hour(client: Client, host: FakeHost) -> None:
    last = plc.sign(state(), None, OURS)
    did = last.did
    assert await post(client, did, last) == 200
    for number in range(9):
        last = after(last, f"a{number}.test")
        assert await post(client, did, last) == 200
    host.at += 3590
    assert await post(client, did, after(last, "b.test")) == 400
    assert host.refusals == ["plc_rate"]
    host.at += 11
    assert await post(client, did, after(last, "b.test")) == 200


async def test_directory_takes_so_many_new_identities_an_hour(
    client: Client, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "NEW_PER_HOUR", 2)
    made = [plc.sign(state(f"a{number}.test"), None, OURS) for number in range(3)]
    assert [await post(client, first.did, first) for first in made] == [200, 200, 429]
    assert await post(client, made[0].did, after(made[0], "b.test")) == 200
    host.at += 3600
    assert await post(client, made[2].did, made[2]) == 200


async def test_export_is_paged_by_number_and_by_time(client: Client, host: FakeHost) -> None:
    made = [plc.sign(state(f"a{number}.test"), None, OURS) for number in range(3)]
    for first in made:
        assert await post(client, first.did, first) == 200
        host.at += 1
    _, all_ = await get(client, "export")
    assert [line["did"] for line in all_] == [first.did for first in made]
    assert all_[0] == {
        "did": made[0].did,
        "operation": dict(made[0].fields),
        "cid": str(made[0].cid),
        "createdAt": "2026-09-21T14:13:20.000Z",
        "nullified": False,
    }
    assert (await get(client, f"export?after={all_[0]['createdAt']}"))[1] == all_[1:]
    _, page = await get(client, "export?after=0&count=2")
    assert [(line["seq"], line["type"]) for line in page] == [(1, "sequenced_op"), (2, "sequenced_op")]
    _, rest = await get(client, "export?after=2")
    assert rest["did"] == made[2].did
    for query in ("count=0", "count=x", "count=-1", "after=yesterday"):
        assert (await get(client, f"export?{query}"))[0] == 400


async def test_add_dates_grow_when_the_clock_does_not(host: FakeHost) -> None:
    directory = Directory(host)
    first = plc.sign(state(), None, OURS)
    await host.write(lambda tx: directory.add(tx, first.did, first))
    host.at -= 3600
    stolen = after(first, "b.test")
    await host.write(lambda tx: directory.add(tx, first.did, stolen))
    rescue = after(first, "c.test", OPERATOR)
    await host.write(lambda tx: directory.add(tx, first.did, rescue))
    found = await host.read(lambda tx: directory.state(tx, first.did))
    assert found is not None
    assert found.handle == "c.test"


async def test_add_refuses_what_is_too_big(host: FakeHost) -> None:
    big = plc.sign(State((OURS.public.did_key(),), {}, tuple(f"{n}{'é' * 250}" for n in range(9)), {}), None, OURS)
    with pytest.raises(Malformed, match="size"):
        await host.write(lambda tx: Directory(host).add(tx, big.did, big))


async def test_directory_answers_resolvers_that_drop_the_path(client: Client) -> None:
    first = plc.sign(state(), None, OURS)
    # as it is, since URL would write colons
    spelled = [URL(f"/{did}", encoded=True) for did in (first.did, quote(first.did, safe=""))]
    for url in spelled:
        async with client.get(url) as answer:
            assert answer.status == 404
            assert "not registered" in (await answer.json())["message"]
    assert await post(client, first.did, first) == 200
    for url in spelled:
        async with client.get(url) as answer:
            assert (await answer.json(content_type=None))["id"] == first.did
    async with client.get(f"/did:web:{first.did}") as answer:
        assert "not registered" not in await answer.text()


async def test_health_names_the_version(client: Client) -> None:
    assert await get(client, "_health") == (200, {"version": "0"})
