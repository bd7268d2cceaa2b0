"""What others ask of our handles."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from adapters.atproto.naming import Names
from bridged.api import Account, Ghost, Ref, Unreachable
from bridged.testing.fakehost import FakeHost

DID, MADE = "did:plc:" + "a" * 24, "did:plc:" + "b" * 24
WEB = {"id": "did:web:carol-at-c-d.bridge.test"}
Client = TestClient[web.Request, web.Application]


def ghost(name: str, did: str, handle: str) -> tuple[Ghost, Account]:
    owner = Ref("activitypub", f"https://{name}")
    return Ghost(owner, Ref("atproto", did), handle), Account(owner, name)


class Host(FakeHost):
    silent = False

    async def lookup(self, name: str) -> tuple[Ghost, Account] | None:
        if self.silent:
            raise Unreachable("silent")
        return await super().lookup(name)


@pytest.fixture
def host() -> Host:
    host = Host()
    found = ghost("alice@c.d", DID, "alice-at-c-d.bridge.test")
    host.ghosts[found[0].ref] = found
    host.people["bob@c.d"] = ghost("bob@c.d", MADE, "bob-at-c-d.bridge.test")
    return host


@pytest.fixture
async def client(host: Host) -> AsyncIterator[Client]:
    async def document(did: str) -> dict[str, Any] | None:
        return WEB if did == WEB["id"] else None

    app = web.Application()
    app.add_routes(Names(host, document).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def asked(client: Client, path: str, host: str) -> tuple[int, str, str]:
    async with client.get(path, headers={"Host": host}) as answer:
        return answer.status, answer.content_type, await answer.text()


@pytest.mark.parametrize("host_header", ["alice-at-c-d.bridge.test", "ALICE-at-c-d.Bridge.test:8080"])
async def test_well_known_gives_the_did_of_the_host_asked_for(client: Client, host_header: str) -> None:
    assert await asked(client, "/.well-known/atproto-did", host_header) == (200, "text/plain", DID)


async def test_well_known_makes_who_may_be_bridged(client: Client) -> None:
    assert (await asked(client, "/.well-known/atproto-did", "bob-at-c-d.bridge.test"))[2] == MADE


@pytest.mark.parametrize(
    "name",
    [
        "bridge.test",
        "nobody-at-c-d.bridge.test",
        "a.alice-at-c-d.bridge.test",
        "alice-at-c-d.other.test",
        "x--y.bridge.test",
    ],
)
async def test_well_known_knows_nobody_else(client: Client, name: str) -> None:
    assert (await asked(client, "/.well-known/atproto-did", name))[0] == 404


async def test_well_known_says_when_it_cannot_tell(client: Client, host: Host) -> None:
    host.silent = True
    assert (await asked(client, "/.well-known/atproto-did", "bob-at-c-d.bridge.test"))[0] == 503
    assert (await asked(client, "/.well-known/atproto-did", "alice-at-c-d.bridge.test"))[0] == 200


async def test_resolve_handle_answers_as_the_lexicon_has_it(client: Client, host: Host) -> None:
    path = "/xrpc/com.atproto.identity.resolveHandle"

    async def answered(handle: str) -> tuple[int, Any]:
        async with client.get(path, params={"handle": handle}) as answer:
            return answer.status, await answer.json()

    assert await answered("Alice-at-c-d.bridge.test") == (200, {"did": DID})
    status, said = await answered("nobody.example.com")
    assert (status, said["error"]) == (400, "HandleNotFound")
    async with client.get(path) as answer:
        assert answer.status == 400
    host.silent = True
    assert (await answered("bob-at-c-d.bridge.test"))[0] == 503


async def test_did_json_is_served_by_host(client: Client) -> None:
    async with client.get("/.well-known/did.json", headers={"Host": "carol-at-c-d.bridge.test"}) as answer:
        assert await answer.json() == WEB
    async with client.get("/.well-known/did.json", headers={"Host": "bridge.test"}) as answer:
        assert answer.status == 404


async def test_ours_finds_only_who_is_there_already(host: Host) -> None:
    async def document(_: str) -> None:
        return None

    names = Names(host, document)
    assert await names.ours("alice-at-c-d.bridge.test") == DID
    assert await names.ours("bob-at-c-d.bridge.test") is None
    assert await names.ours("alice.example.com") is None


@pytest.mark.parametrize("query", ["", "?handle=", "?handle=alice", "?handle=%00.bridge.test"])
async def test_question_about_no_handle_is_refused(client: Client, query: str) -> None:
    async with client.get(f"/xrpc/com.atproto.identity.resolveHandle{query}") as answer:
        assert (answer.status, (await answer.json())["error"]) == (400, "InvalidRequest")
