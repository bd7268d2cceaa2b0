"""What was heard is handed in: with what the words need and no stream says, looked up on the way."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from adapters.atproto.articles import publication
from adapters.atproto.envelopes import (
    Change,
    Person,
    Standing,
    account_envelope,
    identity_envelope,
    record_envelope,
)
from adapters.atproto.patience import Patience
from adapters.atproto.wanted import ARTICLE, POST, PROFILE
from bridged.api import Envelope, Host, Unreachable

LOOK_AT_ONCE: Final = 16
_SHOWN: Final = frozenset({POST, PROFILE, ARTICLE})


class People(Protocol):
    """Whom a DID stands for, from caches where they are fresh. All raise Unreachable."""

    async def whereabouts(self, did: str) -> tuple[str, str]:
        """Handle, checked both ways, and the https address of the host; "" for what there is not."""
        ...

    async def person(self, did: str) -> Person | None:
        """Everything about the account as it is now, asked anew; None when there is no such account."""
        ...

    async def site(self, did: str, rkey: str) -> str:
        """The web address of a publication; "" for what has none."""
        ...


@dataclass(frozen=True, slots=True)
class Stood:
    """An account came or went; `at` as the stream dates it, so that the same event heard twice is one."""

    standing: Standing
    at: float


@dataclass(frozen=True, slots=True)
class Renamed:
    """Something about who a DID is may have changed: handle, key or host."""

    did: str
    at: float


Event = Change | Stood | Renamed


class Intake:
    """`patience` is how long all that arrived together waits for look-ups; what is not found by then goes without."""

    def __init__(self, host: Host, people: People) -> None:
        self._host, self._people = host, people
        self.patience = Patience()
        self._at_once = asyncio.Semaphore(LOOK_AT_ONCE)

    async def store(self, events: Sequence[Event], cursor: tuple[str, str]) -> None:
        """Raises Busy."""
        envelopes = await self.envelopes(events)
        await self._host.receive(*envelopes, cursor=cursor)

    async def envelopes(self, events: Sequence[Event]) -> list[Envelope]:
        """In the same order, without those that came to nothing."""
        clock = asyncio.get_running_loop().time
        began = clock()
        until = began + self.patience.seconds()
        found = await asyncio.gather(*(self._envelope(event, until) for event in events))
        self.patience.spent(clock() - began)
        return [envelope for envelope in found if envelope is not None]

    async def _envelope(self, event: Event, until: float) -> Envelope | None:
        match event:
            case Change():
                return record_envelope(await self._placed(event, until), self._host.now())
            case Stood(standing, at):
                return account_envelope(standing, at)
            case Renamed(did, at):
                try:
                    async with asyncio.timeout_at(until), self._at_once:
                        person = await self._people.person(did)
                except (Unreachable, TimeoutError):
                    # looked at again when the account is due, which every account is once in a while
                    self._host.log.warning("atproto_identity_unreachable", did=did)
                    return None
                return identity_envelope(person, at) if person is not None else None

    async def _placed(self, change: Change, until: float) -> Change:
        """With where its author is: profiles and posts show the handle, and files lie on the author's host."""
        if change.record is None or change.collection not in _SHOWN:
            return change
        try:
            async with asyncio.timeout_at(until), self._at_once:
                handle, pds = await self._people.whereabouts(change.did)
                part_of = publication(change.record) if change.collection == ARTICLE else None
                site = await self._people.site(*part_of) if part_of is not None else ""
        except (Unreachable, TimeoutError):
            self._host.log.warning("atproto_host_unknown", did=change.did, collection=change.collection)
            return change
        return msgspec.structs.replace(change, handle=handle, pds=pds, site=site)
