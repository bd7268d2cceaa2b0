"""A running adapter, asked from outside, and things it said before."""

import json
from typing import Any

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, make_mocked_request

from adapters.activitypub.adapter import ActivityPub
from bridged.api import Activity, Copy, Post, PostBody, Ref, Repost, Text, There, View
from tests.unit.activitypub.fake import AS2, GHOST, HOME, NOW, FakeHost

ACTOR = f"/users/nostr/{'ab' * 32}"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class Site:
    def __init__(self, host: FakeHost, adapter: ActivityPub, client: TestClient[Any, Any]) -> None:
        self.host, self.adapter, self.client = host, adapter, client

    async def get(self, path: str, accept: str = AS2, **headers: str) -> tuple[ClientResponse, Any]:
        wanted = {"Accept": accept, **headers}
        async with self.client.get(path, headers=wanted, allow_redirects=False) as response:
            body = await response.read()
            return response, json.loads(body) if body and body.startswith(b"{") else body

    def request(self, path: str, **headers: str) -> web.Request:
        """A request as a handler gets it, without a connection."""
        return make_mocked_request("GET", path, headers={"Accept": AS2, **headers})

    def post(self, number: int) -> Copy:
        ref = Ref("nostr", f"{number:064x}")
        post = Post(PostBody(ref, HOME.ref, Text(f"post {number}"), NOW, url="https://njump.example/x"))
        return self.say(ref, post)

    def repost(self, number: int) -> Copy:
        target = Ref("activitypub", "https://peer.test/notes/1")
        there = {target: There(target, target, Ref("activitypub", "https://peer.test/users/bob"))}
        return self.say(Ref("nostr", f"{number:064x}"), Repost(target), there=there)

    def say(self, ref: Ref, act: Any, **more: Any) -> Copy:
        out = self.adapter.encode(Activity(ref, HOME.ref, NOW, act), View(NOW, GHOST, HOME, **more))
        part = out.parts[0]
        copy = Copy(ref, "activitypub", 0, part.ref, part.served)
        assert part.ref is not None
        self.host.copies[part.ref.id] = copy
        self.host.outbox.append(copy)
        return copy
