"""A relay that takes only so much of us: it is shown no more, in order, nothing is lost, and it is not pestered.

No relay's crawler installs: what asks and reads here is scripted from the specs (com.atproto.sync.requestCrawl,
subscribeRepos, getHostStatus).
"""

import asyncio
import contextlib
import time
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from adapters.atproto import cbor, frames

from .kit import eventually
from .kit.clock import Clock
from .kit.daemon import Daemon
from .kit.fediverse import Answer, Got, Peer
from .kit.heaven import HANDLES
from .kit.sky import as_json
from .test_threats_at_outside import SUBSCRIBE

SECOND = 5
POSTS = 80
CRAWL = "/xrpc/com.atproto.sync.requestCrawl"


class Crawler:
    """Reads on from where it was, however often the other side goes away: (when, number, kind) of all it was shown."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon, self.shown = daemon, list[tuple[float, int, str]]()

    async def run(self) -> None:
        while True:
            cursor = self.shown[-1][1] if self.shown else 0
            with contextlib.suppress(ConnectionClosed, OSError, TimeoutError):
                async with connect(f"ws://{self.daemon.domain}{SUBSCRIBE}?cursor={cursor}", max_size=None) as socket:
                    async for frame in socket:
                        assert isinstance(frame, bytes)
                        kind, start = frames.split(frame)
                        self.shown.append((time.monotonic(), cbor.decode(frame[start:], 5_000_000)["seq"], kind))
            await asyncio.sleep(0.2)


async def test_relay_is_shown_no_more_than_it_takes_in_order_and_all_of_it(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    async with Peer() as peer, Peer("127.0.0.2") as relay:
        relay.script = _relay
        daemon = Daemon(tmp_path, config={"handle_domain": HANDLES}, env=clock.env)
        pace = {"second": SECOND, "hour": 1000, "day": 9000}
        daemon.config["adapters"] = {
            "activitypub": {},
            "atproto": {"plc": "embedded", "pace": pace, "crawlers": [relay.base]},
        }
        await daemon.start()
        crawler = Crawler(daemon)
        reading = asyncio.create_task(crawler.run())
        alice = peer.actor("alice")
        assert await alice.send(alice.follow(await daemon.actor_of("bridge")), f"{daemon.base}/inbox") == 202
        await eventually(lambda: peer.posts("Accept"))
        for n in range(POSTS):
            assert await alice.send(alice.create(f"number {n}"), f"{daemon.base}/inbox") == 202

        async def told() -> bool:
            return (await daemon.metric("bridged_atproto_events_waiting")) > 0

        await eventually(told)
        assert (await daemon.metric("bridged_atproto_events_left", per="second")) < SECOND
        checked = await daemon.cli("check", ok=(0, 1))
        (said,) = [each for each in checked["findings"] if each["what"] == "AT Protocol pace"]
        assert f"of {SECOND} this second" in said["said"]
        assert "of 9,000 this day" in said["said"]

        # a death in the middle of it: what waits goes on waiting, and nothing is shown twice
        await daemon.kill()
        await daemon.start()

        async def all_said() -> bool:
            rows = "SELECT seq FROM atproto_events WHERE kind = 'commit'"
            return len(await daemon.rows(rows)) >= POSTS

        await eventually(all_said)
        numbers = [row["seq"] for row in await daemon.rows("SELECT seq FROM atproto_events ORDER BY seq")]
        await eventually(lambda: len(crawler.shown) >= len(numbers), timeout=90)
        assert [seq for _, seq, _ in crawler.shown] == numbers
        times = [at for at, _, _ in crawler.shown]
        for at in times:
            within = sum(at <= other < at + 1 for other in times)
            # a bucket may be full, and fills while it is emptied; and what is read late is read together
            assert within <= 2 * SECOND + 3, f"{within} within a second"
        assert len(times) / (times[-1] - times[0]) < SECOND * 1.3

        # asked to come once, over the restart too, and again when that was long ago
        assert [got.json for got in relay.got if got.path == CRAWL] == [{"hostname": daemon.domain}]
        await daemon.stop()
        clock.ahead(21 * 60.0)
        await daemon.start()
        assert await alice.send(alice.create("and one more"), f"{daemon.base}/inbox") == 202
        await eventually(lambda: sum(got.path == CRAWL for got in relay.got) == 2)
        await eventually(lambda: len(crawler.shown) > len(numbers))
        assert sum(got.path == CRAWL for got in relay.got) == 2
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert await daemon.stop() == 0
        assert "Traceback" not in daemon.log, daemon.tail(60)


def _relay(got: Got) -> Answer | None:
    if "getHostStatus" in got.path:
        return as_json({"hostname": "x", "status": "active"})
    return as_json({}) if got.path == CRAWL else None
