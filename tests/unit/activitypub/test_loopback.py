"""Two bridges meet over real HTTP on loopback: look-up, signed fetch, follow, post, delete."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from adapters.activitypub.adapter import ActivityPub, Config
from bridged.api import Activity, Delete, Delivery, Follow, Heard, Post, PostBody, Ref, Text, View
from bridged.egress import Egress
from tests.unit.activitypub.fake import HOME, NOW, FakeHost


@asynccontextmanager
async def bridge() -> AsyncIterator[tuple[FakeHost, ActivityPub]]:
    port = unused_port()
    host = FakeHost(base_url=f"http://127.0.0.1:{port}")
    host.ghosts.clear()
    egress = Egress(user_agent="test", count=lambda _: None, allow=[ip_network("127.0.0.0/8")])
    host.http = egress
    adapter = ActivityPub(Config(), host)
    await adapter.start()
    app = web.Application()
    app.add_routes(adapter.routes())
    async with TestServer(app, host="127.0.0.1", port=port):
        try:
            yield host, adapter
        finally:
            await egress.close()


async def test_two_bridges_understand_each_other():
    async def free(_: str) -> bool:
        return False

    async with bridge() as (here, ours), bridge() as (there, theirs):
        us, them = await ours.mint(HOME, free), await theirs.mint(HOME, free)
        here.ghosts[us.ref.id], there.ghosts[them.ref.id] = (us, HOME), (them, HOME)
        target = await ours.account(them.ref)
        assert target is not None
        assert target.endpoint == f"{there.site.base_url}/inbox"
        assert target.mark == HOME.uri
        follow = Activity(Ref("nostr", "f0"), HOME.ref, NOW, Follow(target.ref))
        post = PostBody(Ref("nostr", "f1"), HOME.ref, Text("hello there"), NOW)
        said = [follow, Activity(post.ref, HOME.ref, NOW, Post(post))]
        said.append(Activity(Ref("nostr", "f2"), HOME.ref, NOW, Delete(post.ref)))
        there.listening = Heard(full=frozenset({us.ref.id}))
        for activity in said:
            view = View(NOW, us, HOME, accounts={target.ref: target}, recipients=(target,))
            part = ours.encode(activity, view).parts[0]
            sent = await ours.deliver(Delivery("k", part.endpoints[0], part.body, us, part.ref, 1))
            assert sent.note == "HTTP 202, cavage"
        acts = [activity.act for envelope in there.received for activity in theirs.decode(envelope)]
        assert acts[0] == Follow(them.ref)
        assert acts[1].body.text.plain == "hello there"
        assert acts[2] == Delete(acts[1].body.ref)
        assert all(envelope.signer == us.ref for envelope in there.received)
