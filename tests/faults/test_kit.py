"""The kit itself: a post each way, by the real process, between the scripted others."""

import json
from pathlib import Path

import pytest

from .kit import eventually
from .kit.canary import canary
from .kit.daemon import Daemon, database
from .kit.fediverse import Answer, Peer, once
from .kit.heard import until_heard
from .kit.nostr import Relay, client, npub, said


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_posts_cross_both_ways(kind: str, tmp_path: Path) -> None:
    async with database(kind) as store, Peer() as peer, Relay() as relay, canary("127.0.0.1", "127.0.0.3") as bird:
        daemon = Daemon(tmp_path, store, {"adapters": {"nostr": {"relays": [relay.url]}}})
        alice = peer.actor("alice")
        await relay.publish(said("nora", 0, json.dumps({"name": "nora"})))
        await daemon.start()
        inbox = f"{daemon.base}/inbox"

        nora = await daemon.actor_of(npub("nora"))
        for whom in (nora, await daemon.actor_of("bridge")):
            assert await alice.send(alice.follow(whom), inbox) == 202
        await eventually(lambda: len(peer.posts("Accept")) == 2)

        greeting = alice.create("from the fediverse")
        await until_heard(daemon, "activitypub", lambda: alice.send(greeting, inbox, scheme="rfc9421"))
        await eventually(lambda: [e for e in relay.events(kinds=[1]) if e["content"] == "from the fediverse"])

        peer.script = once(Answer(how="drop"))
        async with client(daemon.relay_url) as c:
            assert await c.publish(said("nora", 1, "from Nostr")) == (True, "")
        await eventually(lambda: len(peer.posts("Create")) == 2)
        posts = peer.posts("Create")
        assert posts[0].body == posts[1].body  # taken, but the answer was lost: the same again

        assert await daemon.metric("bridged_deliveries_total", network="activitypub", outcome="retry") == 1
        assert {row["step"] for row in await daemon.ledger()} >= {"heard", "sent", "retry"}
        assert await daemon.cli("trace", posts[0].json["object"]["id"])
        assert daemon.rss() > 1 << 24
        await daemon.kill()
        await daemon.start()
        assert await daemon.stop() == 0
        assert bird.hits == []
