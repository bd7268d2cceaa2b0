"""Reading people where they write: relays beside the configured ones, chosen, left and replaced."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters.nostr import listening, outbox, pool, relaylists
from adapters.nostr.event import Event, sign
from adapters.nostr.pool import Pool
from adapters.nostr.relays import RelayList
from bridged.api import EgressRefused, Heard
from tests.unit.nostr.fake_host import FakeHost
from tests.unit.nostr.relay_kit import opened
from tests.unit.nostr.scripted_relay import Client, scripted

NOW = 1_700_000_100
SECRETS = {name: hashlib.sha256(name.encode()).digest() for name in ("alice", "bob", "bot")}


def said(by: str, kind: int = 1, content: str = "hello", *tags: tuple[str, ...], at: int = NOW - 10) -> Event:
    return sign(SECRETS[by], kind, at, tags, content)


ALICE, BOB = said("alice").pubkey, said("bob").pubkey


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "SETTLE", 0.0)
    monkeypatch.setattr(listening, "HOLD_FOR", 0.0)
    monkeypatch.setattr(pool, "OUTBOX_TRIES", 1)


def writes_at(host: FakeHost, account: str, *urls: str) -> None:
    """Straight into the table: relays on loopback are in no list that anybody is believed."""
    row = {"at": 1, "write": " ".join(urls), "read": "", "dm_at": 0, "dm": ""}
    with host.database.begin() as tx:
        tx.execute(relaylists.table.insert().values(pubkey=account, **row))


@contextlib.asynccontextmanager
async def running(host: FakeHost, *configured: str, most: int = 30, own: str = "") -> AsyncIterator[Pool]:
    made = Pool(configured, host, lambda _url, _challenge: said("bot", 22242), own=own, outbox=most)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def answer(client: Client, *events: Event) -> None:
    """Every question."""
    while True:
        _, name, *filters = await client.expect("REQ")
        for event in events:
            if any(event.pubkey in f.get("authors", ()) and event.kind in f["kinds"] for f in filters):
                await client.event(name, event)
        await client.say("EOSE", name)


async def test_accounts_are_read_from_the_relays_they_write_to() -> None:
    mine = said("alice")

    async def script(client: Client) -> None:
        await answer(client, mine, said("bob"))

    host = FakeHost(Heard(full=frozenset({ALICE, BOB}), ghosts=frozenset({"cc" * 32})))
    async with scripted(script) as relay:
        writes_at(host, ALICE, relay.url)
        async with running(host):
            await host.until(lambda: bool(host.received))
    assert [envelope.id for envelope in host.received] == [mine.id]
    asked = [filter_ for client in relay.clients for frame in client.frames for filter_ in frame[2:]]
    assert asked
    assert all(filter_.get("authors", filter_.get("#P")) == [ALICE] for filter_ in asked)


async def test_nobody_is_read_elsewhere_when_it_is_turned_off_or_configured_anyway() -> None:
    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(answer) as relay:
        writes_at(host, ALICE, relay.url)
        async with running(host, most=0):
            await asyncio.sleep(0.05)
        async with running(host, own=relay.url):
            await host.until_gauge("nostr_outbox_relays")
            await asyncio.sleep(0.05)
        assert not relay.clients


async def test_a_relay_list_that_arrives_opens_a_connection_and_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configured relay tells where Alice writes; there her post is."""
    mine = said("alice", 1, "elsewhere")
    listed = said("alice", 10002, "", ("r", "wss://alice.example"))

    async def configured(client: Client) -> None:
        await answer(client, listed)

    async def hers(client: Client) -> None:
        await answer(client, mine)

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(configured) as relay, scripted(hers) as other:
        host.http.routes["wss://alice.example"] = other.url
        async with running(host, relay.url) as made:
            await host.until(lambda: bool(host.received))
            assert await made.lists.of([ALICE]) == {
                ALICE: RelayList(NOW - 10, ("wss://alice.example",), ("wss://alice.example",))
            }
    assert [(envelope.id, envelope.channel) for envelope in host.received] == [(mine.id, "wss://alice.example")]


async def test_a_relay_that_is_given_up_is_replaced_by_another_of_the_account() -> None:
    first, second = said("alice", 1, "first"), said("alice", 1, "second")

    async def dying(client: Client) -> None:
        await client.event((await client.expect("REQ"))[1], first)
        await gone.wait()

    async def other(client: Client) -> None:
        await answer(client, second)

    gone = asyncio.Event()
    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(dying) as a, scripted(other) as b, scripted(other) as c:
        # only as many connections as there are relays at first
        writes_at(host, ALICE, "wss://1.example", "wss://2.example", "wss://3.example")
        host.http.routes |= {"wss://1.example": a.url, "wss://2.example": b.url, "wss://3.example": c.url}
        async with running(host, most=1):
            await host.until(lambda: len(host.received) == 1)
            gone.set()
            await host.until(lambda: len(host.received) == 2)
    assert [envelope.channel for envelope in host.received] == ["wss://1.example", "wss://2.example"]


async def test_a_relay_that_may_not_be_connected_to_is_given_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "OUTBOX_TRIES", 4)
    mine = said("alice")
    host = FakeHost(Heard(full=frozenset({ALICE})))

    async def other(client: Client) -> None:
        await answer(client, mine)

    async with scripted(other) as relay:
        writes_at(host, ALICE, "wss://1.example", "wss://2.example")
        host.http.routes |= {"wss://1.example": EgressRefused("address"), "wss://2.example": relay.url}
        async with running(host, most=1):
            await host.until(lambda: bool(host.received))
    assert host.received[0].channel == "wss://2.example"


async def test_connections_follow_who_is_heard() -> None:
    async def script(client: Client) -> None:
        await answer(client, said("alice", 1, "a"), said("bob", 1, "b"))

    host = FakeHost(Heard(full=frozenset({ALICE})))
    async with scripted(script) as hers, scripted(script) as his:
        writes_at(host, ALICE, hers.url)
        writes_at(host, BOB, his.url, hers.url)
        async with running(host):
            await host.until(lambda: len(host.received) == 1)
            assert not his.clients
            await host.hear(Heard(full=frozenset({ALICE, BOB})))
            await host.until(lambda: len(host.received) == 2)
            await host.hear(Heard())
            async with asyncio.timeout(60):
                await hers.clients[0].socket.wait_closed()
            assert {envelope.signer.id for envelope in host.received} == {ALICE, BOB}


async def test_lists_dated_in_the_future_are_not_believed() -> None:
    host = FakeHost()
    lists = relaylists.RelayLists(host)
    await lists.note([said("alice", 10002, "", ("r", "wss://x.example"), at=NOW + 10**6)])
    assert await lists.of([ALICE]) == {}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_relay_lists_are_kept_by_the_newest(kind: str, tmp_path: Path) -> None:
    x, y = "wss://x.example", "wss://y.example"
    async with opened(kind, tmp_path) as store:
        host = FakeHost()
        host.read, host.write = store.read, store.write  # type: ignore[method-assign]
        lists = relaylists.RelayLists(host)
        changes: list[None] = []
        lists.on_change = lambda: changes.append(None)
        await lists.note([said("alice", 10002, "", ("r", x, "write")), said("alice", 1)])
        await lists.note([said("alice", 10050, "", ("relay", y)), said("bob", 10002, "", ("r", y), at=7)])
        await lists.note([said("alice", 10002, "", ("r", y), at=NOW - 11)])
        assert await lists.of([ALICE, BOB, "cc" * 32]) == {
            ALICE: RelayList(NOW - 10, (x,), (), NOW - 10, (y,)),
            BOB: RelayList(7, (y,), (y,)),
        }
        assert len(changes) == 2
        columns = await store.read(lambda tx: sa.inspect(tx.conn).get_columns("nostr_relay_lists"))
        assert [column["name"] for column in columns] == [column.name for column in relaylists.table.columns]
