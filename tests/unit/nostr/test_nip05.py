"""NIP-05: checking names of others and serving ours."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from adapters.nostr import nip05
from adapters.nostr.ids import account_ref
from bridged.api import Account, EgressFailed, EgressRefused, Ghost, Ref, Response, Unreachable
from tests.unit.nostr.fake_host import FakeHost

KEY, OTHER = "ab" * 32, "cd" * 32
RELAYS = ("wss://bridge.test/relay", "wss://relay.test")


def page(document: object, *, status: int = 200, url: str = "") -> Response:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Response(status, url or "https://example.com/.well-known/nostr.json?name=alice", {}, body)


async def found(answer: Response | Exception, name: str = "alice@example.com") -> Ref | None:
    host = FakeHost()
    host.http.pages["https://example.com/.well-known/nostr.json?name=alice"] = answer
    return await nip05.find(host, name)


async def test_find_gives_the_key_the_domain_names() -> None:
    assert await found(page({"names": {"alice": KEY, "bob": OTHER}})) == account_ref(KEY)


async def test_find_reads_names_in_any_case() -> None:
    assert await found(page({"names": {"alice": KEY}}), "Alice@Example.COM") == account_ref(KEY)


@pytest.mark.parametrize(
    "answer",
    [
        page({"names": {"bob": KEY}}),
        page({"names": {"alice": KEY.upper()}}),
        page({"names": {"alice": KEY[:-1]}}),
        page({"names": {"alice": "npub1xyz"}}),
        page({"names": {"alice": 5}}),
        page({"names": [KEY]}),
        page({"alice": KEY}),
        page([]),
        page(b"<html>"),
        page(b"\xff\xfe"),
        page(b"[" * 60_000),
        page({"names": {"alice": KEY}}, status=404),
        page({"names": {"alice": KEY}}, url="https://elsewhere.example/.well-known/nostr.json?name=alice"),
        EgressRefused("address"),
    ],
    ids=str,
)
async def test_find_concludes_that_there_is_nobody(answer: Response | Exception) -> None:
    """A redirected answer counts as none (NIP-05)."""
    assert await found(answer) is None


@pytest.mark.parametrize("answer", [EgressFailed("timeout"), page({}, status=503), page({}, status=429)], ids=str)
async def test_find_concludes_nothing_from_silence(answer: Response | Exception) -> None:
    with pytest.raises(Unreachable):
        await found(answer)


@pytest.mark.parametrize(
    "name",
    ["", "@", "a b@example.com", "a@exa mple.com", "a@b/c", "a@b?c", "a@-b.com", "ä@example.com", "a@" + "b" * 300],
)
async def test_find_asks_nobody_for_what_is_no_name(name: str) -> None:
    host = FakeHost()
    assert await nip05.find(host, name) is None
    assert host.http.asked == []


@asynccontextmanager
async def serving(host: FakeHost) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    app = web.Application()
    app.add_routes(nip05.Names(host, RELAYS).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


def ghost(owner: str, key: str) -> tuple[Ghost, Account]:
    ref = Ref("activitypub", owner)
    return Ghost(ref, account_ref(key), "x"), Account(ref, owner)


async def test_serving_names_a_ghost_and_its_relays() -> None:
    host = FakeHost()
    host.ghosts["alice_at_social.test"] = ghost("alice@social.test", KEY)
    async with serving(host) as client:
        answer = await client.get("/.well-known/nostr.json?name=alice_at_social.test")
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.content_type == "application/json"
        assert await answer.json() == {
            "names": {"alice_at_social.test": KEY},
            "relays": {KEY: list(RELAYS)},
        }
    assert host.looked_up == []


async def test_serving_an_unknown_name_looks_the_person_up() -> None:
    host = FakeHost()
    host.lookups["al_at_ice@social.test"] = ghost("al_at_ice@social.test", KEY)
    async with serving(host) as client:
        answer = await client.get("/.well-known/nostr.json?name=al_at_ice_at_social.test")
        assert (await answer.json())["names"] == {"al_at_ice_at_social.test": KEY}


@pytest.mark.parametrize("name", ["bridge", "_"])
async def test_serving_names_the_bot(name: str) -> None:
    host = FakeHost()
    host.ghosts["bridge"] = ghost("bot", OTHER)
    async with serving(host) as client:
        answer = await client.get("/.well-known/nostr.json", params={"name": name})
        assert (await answer.json())["names"] == {name: OTHER}


@pytest.mark.parametrize("name", ["nobody_at_social.test", "nobody", "", "../etc", "a" * 400, "x_at_", "é_at_b.c"])
async def test_serving_names_nobody(name: str) -> None:
    async with serving(FakeHost()) as client:
        answer = await client.get("/.well-known/nostr.json", params={"name": name})
        assert answer.status == 200
        assert await answer.json() == {"names": {}}


async def test_serving_says_so_when_it_cannot_tell() -> None:
    host = FakeHost()
    host.lookups["alice@social.test"] = Unreachable("no answer")
    async with serving(host) as client:
        answer = await client.get("/.well-known/nostr.json?name=alice_at_social.test")
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


def account(handle: str) -> Account:
    return Account(Ref("activitypub", f"https://social.test/{handle}"), handle)


hosts = st.from_regex(r"[a-z0-9]{1,20}(\.[a-z0-9]{2,10}){1,3}", fullmatch=True)
users = st.from_regex(r"[A-Za-z0-9_.-]{1,30}", fullmatch=True)


@given(users, hosts)
def test_ghost_names_lead_back_to_the_handle(user: str, host: str) -> None:
    name = nip05.ghost_name(account(f"{user}@{host}"))
    assert nip05.source_name(name) == f"{user.lower()}@{host}"


@given(st.text(min_size=1, max_size=400))
def test_ghost_names_keep_to_the_alphabet(handle: str) -> None:
    for name in (nip05.ghost_name(account(handle)), nip05.hashed_name(account(handle))):
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
        assert 0 < len(name) <= 200


def test_ghost_names_outside_the_alphabet_are_told_apart() -> None:
    assert nip05.ghost_name(account("é@a.test")) != nip05.ghost_name(account("è@a.test"))
