"""Our own PLC directory against strangers: they may keep identities of theirs there, and nobody else's."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from adapters.atproto import plc
from adapters.atproto.cid import Cid
from adapters.atproto.crypto import SigningKey
from adapters.atproto.plc import Operation, State

from .kit.heaven import HANDLES, did_at
from .kit.watch import calm
from .test_threats_at_outside import Stage, opened

pytestmark = pytest.mark.asyncio(loop_scope="module")
MALLORY = SigningKey(b"m" * 32)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with opened(tmp_path_factory.mktemp("directory"), posts=1) as made:
        yield made


def state(handle: str, key: SigningKey = MALLORY, pds: str = "https://evil.example") -> State:
    own = key.public.did_key()
    return plc.new(signing_key=own, rotation_keys=[own], handle=handle, pds=pds)


def genesis(handle: str, key: SigningKey = MALLORY) -> Operation:
    return plc.sign(state(handle, key), None, key)


async def post(stage: Stage, did: str, operation: Operation | bytes, under: str = "/plc/") -> tuple[int, str]:
    body = operation if isinstance(operation, bytes) else json.dumps(dict(operation.fields)).encode()
    url = f"{stage.daemon.base}{under}{did}"
    async with aiohttp.ClientSession() as session, session.post(url, data=body) as answer:
        return answer.status, await answer.text()


async def log(stage: Stage, did: str) -> list[dict[str, Any]]:
    status, _, body = await stage.daemon.get(f"/plc/{did}/log/audit")
    assert status == 200
    return json.loads(body)


async def document(stage: Stage, did: str) -> Any:
    return json.loads((await stage.daemon.get(f"/plc/{did}"))[2])


async def test_strangers_operations_on_our_identities_are_refused(stage: Stage) -> None:
    """By a key of theirs, after any operation there is: changes, ends, undoings; and our own ones once more."""
    for did in (stage.did, stage.bot):
        before, shown = await log(stage, did), await document(stage, did)
        prevs = [Cid.parse(entry["cid"]) for entry in before]
        forged = [
            *(plc.sign(state(f"stolen.{HANDLES}"), prev, MALLORY) for prev in prevs),
            *(plc.sign(None, prev, MALLORY) for prev in prevs),
            genesis(f"stolen.{HANDLES}"),
            plc.sign(state("x.test"), Cid.of(b"never was"), MALLORY),
        ]
        ours = [json.dumps(entry["operation"]).encode() for entry in before]
        first = before[0]["operation"]
        bent = [
            json.dumps({**first, "prev": str(prevs[-1])}).encode(),
            json.dumps({**first, "rotationKeys": [MALLORY.public.did_key()]}).encode(),
            json.dumps({**first, "sig": first["sig"][:-2] + "AA"}).encode(),
            json.dumps({**first, "more": 1}).encode(),
            json.dumps({**first, "type": "create"}).encode(),
            *(
                b"",
                b"{}",
                b"[]",
                b"null",
                b"[" * 5000,
                b'{"type":' * 2000,
                b"\xff\xfe",
                json.dumps(first).encode()[:-1],
            ),
        ]
        for operation in (*forged, *ours, *bent):
            for under in ("/plc/", "/"):
                status, said = await post(stage, did, operation, under)
                assert status == 400, said
        assert await log(stage, did) == before
        assert await document(stage, did) == shown
    assert await stage.daemon.metric("bridged_refused_total", reason="plc_signature") >= 2
    assert await stage.daemon.metric("bridged_refused_total", reason="plc_order") >= 2
    await stage.good()


async def test_identity_that_claims_somebody_elses_handle_does_not_get_it(stage: Stage) -> None:
    handle = (await document(stage, stage.did))["alsoKnownAs"][0].removeprefix("at://")
    for claimed in (handle, f"bridge.{HANDLES}"):
        made = genesis(claimed)
        assert (await post(stage, made.did, made))[0] == 200
        assert (await document(stage, made.did))["alsoKnownAs"] == [f"at://{claimed}"]
        status, body = await stage.asked("repo.describeRepo", f"repo={claimed}")
        assert (status, json.loads(body)["did"]) == (200, stage.bot if claimed.startswith("bridge.") else stage.did)
        assert await did_at(stage.daemon, claimed) != made.did
        status, _ = await stage.asked("sync.getRepo", f"did={made.did}")
        assert status == 400, "it has no repository here"
    await stage.good()


async def test_operation_that_is_large_or_odd_is_refused(stage: Stage) -> None:
    own = MALLORY.public.did_key()
    odd = [
        plc.new(signing_key=own, rotation_keys=[own], handle="x" * 3900 + ".test", pds="https://x.example"),
        plc.new(signing_key=own, rotation_keys=[own], handle="a.test", pds="https://" + "x" * 600),
        plc.new(signing_key="did:key:zNothing0", rotation_keys=[own], handle="b.test", pds="https://x.example"),
        plc.new(signing_key=own, rotation_keys=["did:key:zQ3nothing"], handle="c.test", pds="https://x.example"),
        plc.new(signing_key=own, rotation_keys=[], handle="d.test", pds="https://x.example"),
        plc.new(signing_key=own, rotation_keys=[own] * 11, handle="e.test", pds="https://x.example"),
    ]
    for each in odd:
        made = plc.sign(each, None, MALLORY)
        assert (await post(stage, made.did, made))[0] == 400, each
        assert (await stage.daemon.get(f"/plc/{made.did}"))[0] == 404
    made = genesis("elsewhere.test")
    for did in ("did:plc:" + "a" * 24, "did:plc:../../x", "did:web:x.example", "x" * 3000, made.did.upper()):
        assert (await post(stage, did, made))[0] in (400, 404)
    assert (await post(stage, made.did, b'{"x":"' + b"x" * 20_000 + b'"}'))[0] == 400
    assert (await post(stage, made.did, b"x" * (2 << 20)))[0] in (400, 413)
    await stage.good()


async def test_identity_has_ten_operations_an_hour(stage: Stage) -> None:
    first = made = genesis("busy.test")
    assert (await post(stage, first.did, made))[0] == 200
    statuses: list[int] = []
    for n in range(12):
        following = plc.sign(state(f"busy{n}.test"), made.cid, MALLORY)
        status, said = await post(stage, first.did, following)
        statuses.append(status)
        made = following if status == 200 else made
        assert status == 200 or "within last hour" in said
    assert statuses == [200] * 9 + [400] * 3
    assert len(await log(stage, first.did)) == 10
    await stage.good()


async def test_flood_of_new_identities_ends_at_its_limit_and_ours_are_made_all_the_same(stage: Stage) -> None:
    statuses: list[int] = []
    began = time.time()

    async def some(number: int) -> None:
        for n in range(35):
            made = genesis(f"flood{number}-{n}.test")
            statuses.append((await post(stage, made.did, made))[0])

    async with calm(stage.daemon):
        await asyncio.gather(*(some(number) for number in range(10)))
    if int(began // 3600) == int(time.time() // 3600):
        assert statuses.count(429) >= 40
    assert set(statuses) == {200, 429}
    known = len(await stage.daemon.rows("SELECT DISTINCT did FROM atproto_plc"))
    assert known < 320
    # somebody new joins: an identity of ours is none of a stranger's
    bob = stage.peer.actor("bob")
    assert await bob.send(bob.follow(await stage.daemon.actor_of("bridge")), f"{stage.daemon.base}/inbox") == 202
    await stage.settled()
    rows = await stage.daemon.rows("SELECT handle FROM atproto_identities WHERE handle LIKE 'bob-at-%'")
    assert len(rows) == 1
    assert await did_at(stage.daemon, rows[0]["handle"])
    await stage.good()
