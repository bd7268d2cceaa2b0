"""Negentropy sessions of one client (NIP-77)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from adapters.nostr.filters import DEFAULT_BOUNDS, BadFilter
from adapters.nostr.negentropy import BadMessage, Negentropy
from adapters.nostr.relay import frames, limits

Pairs = Callable[[frames.Filter, int], Awaitable[list[tuple[int, str]]]]
"""(created_at, id) of what meets a filter, as many as wanted at most."""
_TOO_MANY: Final = "blocked: this query is too big"


class Records:
    """What the sessions of all clients hold together."""

    def __init__(self) -> None:
        self.held = 0


class Syncs:
    """`end` is told of sessions that end by themselves. After `close` nothing is held."""

    def __init__(self, records: Records, pairs: Pairs, end: Callable[[str, str], None]) -> None:
        self._records, self._pairs, self._end = records, pairs, end
        self._open: dict[str, tuple[Negentropy, asyncio.TimerHandle]] = {}

    async def answer(self, frame: frames.Sync) -> bytes:
        """The frame to answer NEG-OPEN and NEG-MSG with. Raises Busy."""
        name = frame.subscription
        if frame.filter is not None:
            why = await self._start(name, frame.filter)
            if why:
                return frames.sync_ended(name, why)
        if name not in self._open:
            return frames.sync_ended(name, "closed: no such session is open")
        try:
            reply = await asyncio.to_thread(self._open[name][0].answer, frame.message)
        except BadMessage as bad:
            self.close(name)
            return frames.sync_ended(name, f"invalid: {bad}")
        return frames.sync(name, reply)

    def close(self, name: str) -> None:
        session = self._open.pop(name, None)
        if session is not None:
            session[1].cancel()
            self._records.held -= len(session[0])

    def close_all(self) -> None:
        for name in list(self._open):
            self.close(name)

    async def _start(self, name: str, source: bytes) -> str:
        """Why it is refused, else "". One of the same name ends first."""
        self.close(name)
        if len(self._open) >= limits.SYNCS:
            return f"blocked: at most {limits.SYNCS} sessions"
        most = limits.SYNC_RECORDS
        try:
            (filter_,) = frames.parse_filters([source], msgspec.structs.replace(DEFAULT_BOUNDS, limit=most))
        except BadFilter as bad:
            return f"invalid: {bad.reason}"
        # Room is taken before the store is asked, for as much as may come.
        if self._records.held + most > limits.ALL_SYNC_RECORDS:
            return "blocked: too many sessions of all clients, try again later"
        self._records.held += most
        try:
            pairs = await self._pairs(filter_, most + 1)
            session = await asyncio.to_thread(Negentropy, pairs) if len(pairs) <= most else None
        finally:
            self._records.held -= most
        if session is None:
            return _TOO_MANY
        self._records.held += len(session)
        timer = asyncio.get_running_loop().call_later(limits.SYNC_TIME, self._expire, name)
        self._open[name] = session, timer
        return ""

    def _expire(self, name: str) -> None:
        self.close(name)
        self._end(name, f"closed: a session lasts at most {limits.SYNC_TIME:.0f} seconds")
