"""Fixtures of the ActivityPub tests."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from adapters.activitypub.adapter import ActivityPub, Config
from bridged.api import Heard
from tests.unit.activitypub.door import Door
from tests.unit.activitypub.fake import FakeHost


@pytest.fixture
async def door():
    host = FakeHost(Heard(full=frozenset({"https://peer.test/users/alice"})))
    adapter = ActivityPub(Config(), host)
    await adapter.start()
    app = web.Application(client_max_size=1 << 21)
    app.add_routes(adapter.routes())
    async with TestClient(TestServer(app)) as client:
        yield Door(host, adapter, client)
