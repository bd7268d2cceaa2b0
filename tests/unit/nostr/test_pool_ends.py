"""A relay that breaks off in the moment in which nobody is to listen to it any more."""

import asyncio

import pytest

from adapters.nostr import pool
from adapters.nostr.connection import Ended
from adapters.nostr.listening import Listener
from tests.unit.nostr.fake_host import FakeHost
from tests.unit.nostr.scripted_relay import Client, scripted
from tests.unit.nostr.test_nostr_pool import ALICE, authenticate


async def test_listening_ends_when_the_relay_breaks_off_at_that_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    listens = asyncio.Event()

    async def run(_: Listener) -> None:
        listens.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Ended("closed") from None

    async def script(client: Client) -> None:
        await client.hold()

    monkeypatch.setattr(Listener, "run", run)
    async with scripted(script) as server:
        relay = pool.Relay(server.url, pool.Shared(FakeHost(ALICE), authenticate))
        task = asyncio.create_task(relay.run())
        await listens.wait()
        task.cancel()
        await asyncio.wait([task], timeout=60)
        assert task.cancelled()
