"""An inbox to knock at."""

import json
from typing import Any

from aiohttp.test_utils import TestClient

from adapters.activitypub.adapter import ActivityPub
from tests.unit.activitypub.fake import GHOST, FakeHost, Peer


class Door:
    """One inbox of a running adapter, and Alice who writes to it."""

    def __init__(self, host: FakeHost, adapter: ActivityPub, client: TestClient[Any, Any]) -> None:
        self.host, self.adapter, self.client = host, adapter, client
        self.alice = Peer(host)

    async def send(self, activity: object, by: Peer | None = None, *, path: str = "/inbox", **how: Any) -> int:
        body = activity if isinstance(activity, bytes) else json.dumps(activity).encode()
        return await self.post(body, (by or self.alice).signed(body, path=path, **how), path)

    async def post(self, body: Any, headers: dict[str, str], path: str = "/inbox") -> int:
        async with self.client.post(path, data=body, headers=headers) as response:
            self.answer = response
            return response.status

    def decoded(self) -> list[Any]:
        return [activity.act for envelope in self.host.received for activity in self.adapter.decode(envelope)]

    async def still_good(self) -> None:
        """After every bad case a good one must still pass."""
        before = len(self.host.received)
        assert await self.send(self.alice.activity("Follow", GHOST.ref.id, 999)) == 202
        assert len(self.host.received) == before + 1
