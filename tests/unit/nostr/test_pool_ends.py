"""A relay that breaks off in the moment in which nobody is to listen to it any more."""

import pytest

from adapters.nostr import pool
from adapters.nostr.connection import Ended
from adapters.nostr.listening import Listener
from tests.unit.ends import BreaksOff
from tests.unit.nostr.fake_host import FakeHost
from tests.unit.nostr.scripted_relay import Client, scripted
from tests.unit.nostr.test_nostr_pool import ALICE, authenticate


async def test_listening_ends_when_the_relay_breaks_off_at_that_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    listening = BreaksOff(Ended("closed"))
    monkeypatch.setattr(Listener, "run", listening.run)
    async with scripted(Client.hold) as server:
        await listening.ends(pool.Relay(server.url, pool.Shared(FakeHost(ALICE), authenticate)).run())
