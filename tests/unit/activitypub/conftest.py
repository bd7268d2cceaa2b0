"""Fixtures of the ActivityPub tests."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from adapters.activitypub.adapter import ActivityPub, Config
from bridged.api import HOME as BRIDGE
from bridged.api import Account, Heard, Ref
from tests.unit.activitypub.door import Door
from tests.unit.activitypub.fake import BOT, FakeHost
from tests.unit.activitypub.site import Site


@pytest.fixture
async def door():
    host = FakeHost(Heard(full=frozenset({"https://peer.test/users/alice"})))
    adapter = ActivityPub(Config(), host)
    await adapter.start()
    app = web.Application(client_max_size=1 << 21)
    app.add_routes(adapter.routes())
    async with TestClient(TestServer(app)) as client:
        yield Door(host, adapter, client)


@pytest.fixture
async def site():
    host = FakeHost()
    host.ghosts[BOT.ref.id] = (BOT, Account(Ref(BRIDGE, "bot"), "bridge", name="The bridge", bot=True))
    adapter = ActivityPub(Config(), host)
    await adapter.start()
    app = web.Application()
    app.add_routes(adapter.routes())
    async with TestClient(TestServer(app)) as client:
        yield Site(host, adapter, client)
