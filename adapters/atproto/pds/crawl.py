"""Relays are told that there is something to read here (com.atproto.sync.requestCrawl), and not too often."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from adapters.atproto.pds import firehose
from bridged.api import EgressFailed, EgressRefused, Host

EVERY: Final = 20 * 60.0
"""Seconds from one request to the next, over restarts too."""
METHOD: Final = "/xrpc/com.atproto.sync.requestCrawl"
_ASKED: Final = "crawl"
"""The cursor that keeps when that was."""


class Crawlers:
    """`run` asks each of `relays`, base URLs, to read `hostname`: once something is said, and when that was long ago.

    A relay that does not answer is asked again with the others, the next time.
    """

    def __init__(
        self,
        host: Host,
        relays: Sequence[str],
        hostname: str,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._host, self._relays, self._hostname, self._sleep = host, relays, hostname, sleep
        self._news = asyncio.Event()
        self._news.set()
        host.on(firehose.SIGNAL, lambda _: self._news.set())

    async def run(self) -> None:
        """Until cancelled; in one process at a time (`Host.alone`)."""
        while self._relays:
            await self._news.wait()
            asked = float(await self._host.cursor(_ASKED) or 0)
            wait = asked + EVERY - self._host.now()
            if 0 < wait <= EVERY:
                await self._sleep(wait)
                continue
            self._news.clear()
            await self._host.receive(cursor=(_ASKED, str(self._host.now())))
            for relay in self._relays:
                await self._ask(relay)

    async def _ask(self, relay: str) -> None:
        url, body = relay.rstrip("/") + METHOD, msgspec.json.encode({"hostname": self._hostname})
        try:
            answer = await self._host.http.post(url, body, headers={"Content-Type": "application/json"})
        except (EgressFailed, EgressRefused) as failed:
            self._host.log.warning("crawl_not_requested", relay=relay, why=failed.why)
            return
        if answer.status >= 300:
            self._host.log.warning("crawl_not_requested", relay=relay, why=f"status {answer.status}")
