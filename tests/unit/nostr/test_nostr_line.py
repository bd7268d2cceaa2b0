"""Relays that are not listened to: one connection for all that is said within a minute."""

import asyncio

import pytest

from adapters.nostr import line
from adapters.nostr import pool as pool_module
from adapters.nostr.event import to_json
from adapters.nostr.pool import Pool
from bridged.api import Retry, Sent
from tests.unit.nostr.fake_host import FakeHost
from tests.unit.nostr.scripted_relay import Client, scripted
from tests.unit.nostr.test_nostr_pool import authenticate, post


async def _accept(client: Client) -> None:
    while True:
        await client.say("OK", (await client.expect("EVENT"))[1]["id"], True, "")


async def _accept_one(client: Client) -> None:
    await client.say("OK", (await client.expect("EVENT"))[1]["id"], True, "")
    await client.socket.close()


async def _silent(client: Client) -> None:
    await client.hold()


@pytest.fixture(autouse=True)
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute is half a second, so that nothing is left open when a test ends."""
    monkeypatch.setattr(line.Line.__init__, "__defaults__", (0.5,))


def _pool() -> Pool:
    return Pool([], FakeHost(), authenticate)


async def test_events_one_after_the_other_go_over_one_connection() -> None:
    async with scripted(_accept) as relay:
        pool = _pool()
        for number in range(5):
            assert await pool.publish(relay.url, to_json(post(f"{number}"))) == Sent()
        assert len(relay.clients) == 1
        await asyncio.wait_for(relay.clients[0].socket.wait_closed(), 60)


async def test_events_at_the_same_time_go_over_one_connection() -> None:
    async with scripted(_accept) as relay:
        pool = _pool()
        await asyncio.gather(*(pool.publish(relay.url, to_json(post(f"{number}"))) for number in range(5)))
        assert len(relay.clients) == 1


async def test_a_connection_the_relay_closed_is_made_anew() -> None:
    async with scripted(_accept_one, _accept) as relay:
        pool = _pool()
        await pool.publish(relay.url, to_json(post("one")))
        await asyncio.wait_for(relay.clients[0].socket.wait_closed(), 60)
        for _ in range(50):  # until our side has read it too
            try:
                await pool.publish(relay.url, to_json(post("two")))
                break
            except Retry:
                await asyncio.sleep(0.02)
        assert len(relay.clients) == 2


async def test_a_connection_without_an_answer_is_given_up() -> None:
    async with scripted(_silent, _accept) as relay:
        pool = _pool()
        with pytest.raises(Retry):
            await pool.publish(relay.url, to_json(post("one")), timeout=0.1)
        await asyncio.wait_for(relay.clients[0].socket.wait_closed(), 60)
        assert await pool.publish(relay.url, to_json(post("two"))) == Sent()
        assert len(relay.clients) == 2


async def test_connections_to_strangers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_OTHERS", 1)
    monkeypatch.setattr(line.Line.__init__, "__defaults__", (3600.0,))
    async with scripted(_accept) as first, scripted(_accept) as second:
        pool = _pool()
        await pool.publish(first.url, to_json(post("one")))
        await pool.publish(second.url, to_json(post("two")))
        await asyncio.wait_for(first.clients[0].socket.wait_closed(), 60)
        pool._relay(second.url).retire()
        await asyncio.wait_for(second.clients[0].socket.wait_closed(), 60)
