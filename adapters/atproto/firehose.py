"""The raw stream of a relay, or of one PDS (`com.atproto.sync.subscribeRepos`), trusted with nothing but to pass on.

Its cursor is `seq`, exclusive. Numbers grow, with gaps. A stream that has fewer than we read says FutureCursor, one
that no longer has what we missed says OutdatedCursor: either way every repo we keep is looked at anew.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from adapters.atproto import frames
from adapters.atproto.envelopes import Standing
from adapters.atproto.frames import MAX_FRAME
from adapters.atproto.identity import Resolver
from adapters.atproto.intake import Intake, People, Renamed, Stood
from adapters.atproto.repos import Missed, Repos, Said
from adapters.atproto.stream import SAVE_EVERY, Ended, Stream
from adapters.atproto.syntax import parse_datetime
from adapters.atproto.wanted import Wanted
from bridged.api import EgressFailed, Host, Malformed

PATH: Final = "/xrpc/com.atproto.sync.subscribeRepos"
_LEEWAY: Final = 1 << 20
"""Bytes above the largest frame that are let in, to be dropped: else the connection would end over it."""


def address(url: str, query: str = "") -> str:
    """Where the stream is of a host that is written `wss://host`."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, PATH, query, ""))


class Firehose:
    """`url` as `wss://host`."""

    def __init__(
        self,
        host: Host,
        url: str,
        resolver: Resolver,
        people: People,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
        *,
        save_every: float = SAVE_EVERY,
    ) -> None:
        self._repos = Repos(host, resolver, Intake(host, people), pause)
        self._stream = Stream(host, Dialect(url, host), self._repos.store, pause, save_every=save_every)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stream.run())
            group.create_task(self._repos.run())


class Dialect:
    """The frame read last is looked into only when its place is asked for: most are for nobody here."""

    max_frame = MAX_FRAME + _LEEWAY

    def __init__(self, url: str, host: Host) -> None:
        self._url, self._host = url, host
        self.cursor_key = f"firehose {url}"
        self._cursor, self._last = "", b""
        self._lost = False

    @property
    def cursor(self) -> str:
        if self._last:
            frame, self._last = self._last, b""
            try:
                self._move(frames.body(frame, frames.split(frame)[1]))
            except Malformed as bad:
                self._host.refused(bad.reason)
        return self._cursor

    @cursor.setter
    def cursor(self, place: str) -> None:
        self._cursor, self._last = place, b""

    def url(self, wanted: Wanted) -> str:
        # without a cursor it goes on with what happens from now on
        return address(self._url, f"cursor={self.cursor}" if self.cursor and not self._lost else "")

    def hear(self, wanted: Wanted) -> None:
        """Nothing is to be told: all is sent to everybody."""

    def refused(self, failed: EgressFailed) -> None:
        """Tried again as it is."""

    def skip(self, count: int) -> None:
        self.cursor = str(int(self.cursor) + count)

    def take(self, frame: bytes, wanted: Wanted) -> Said | None:
        kind, start = frames.split(frame)
        if kind in ("", "#info"):
            return self._told(kind, frames.body(frame, start))
        if len(frame) > MAX_FRAME:
            raise Malformed("frame_size")
        if self._lost:  # counted anew from here on
            self._lost, self._cursor = False, ""
        self._last = frame
        return self._event(kind, frame, start, wanted) if wanted.names(frame) else None

    def _event(self, kind: str, frame: bytes, start: int, wanted: Wanted) -> Said | None:
        said = frames.body(frame, start)
        self._last = b""
        self._move(said)
        match kind, said:
            case "#commit", _:
                return frames.read_commit(said)
            case "#sync", _:
                return frames.read_sync(said)
            case "#account", {"did": str(did), "active": bool(active), "time": str(time)}:
                status = said.get("status")
                standing = Standing(did, active, status if isinstance(status, str) and not active else "")
                return Stood(standing, self._at(time)) if did in wanted.theirs else None
            case "#identity", {"did": str(did), "time": str(time)}:
                return Renamed(did, self._at(time)) if did in wanted.theirs else None
            case (("#account" | "#identity"), _):
                raise Malformed("frame")
            case _:
                return None  # a kind there was none of yet

    def _move(self, said: dict[str, Any]) -> None:
        """Raises Malformed("seq") for a number that does not grow: the cursor stays where it is."""
        seq = said.get("seq")
        if type(seq) is not int or seq <= int(self._cursor or -1):
            raise Malformed("seq")
        self._cursor = str(seq)

    def _told(self, kind: str, said: dict[str, Any]) -> Missed | None:
        """What is said of the stream itself. Raises Ended with an error."""
        name = str(said.get("name" if kind else "error"))[:40]
        if name in ("OutdatedCursor", "FutureCursor"):
            self._host.log.error("atproto_missed", stream=self.cursor_key, why=name, cursor=self.cursor)
        if not kind:
            self._lost = name == "FutureCursor"
            raise Ended(name, Missed(name) if self._lost else None)
        return Missed(name) if name == "OutdatedCursor" else None

    def _at(self, time: str) -> float:
        return min(parse_datetime(time), self._host.now())
