"""Reading people where they write (NIP-65): which relays are listened to beside the configured ones, and for whom.

Planned anew when somebody else is heard, when relay lists arrive, and when a relay is given up: then another of
its people's relays takes its place for a while.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Final

from adapters.nostr import plan, relays
from adapters.nostr.event import Event
from adapters.nostr.filters import Filter
from adapters.nostr.listening import Hearing
from adapters.nostr.relaylists import RelayLists
from bridged.api import Heard, Host, Unreachable

SETTLE = 1.0
"""Seconds between two plans at least: changes come in heaps."""
REPLAN: Final = 600.0
GIVEN_UP_FOR: Final = 3600.0
ASK_AGAIN: Final = 24 * 3600.0
"""Seconds after which somebody without a relay list is asked for one again."""


class Assigned:
    """Whom one relay is listened to for. A `Hearing`."""

    def __init__(self, accounts: frozenset[str]) -> None:
        self._heard = Heard(full=accounts)
        self._changed = asyncio.Event()

    def assign(self, accounts: frozenset[str]) -> None:
        if accounts != self._heard.full:
            self._heard = Heard(full=accounts)
            self._changed.set()

    def heard(self) -> Heard:
        return self._heard

    async def heard_change(self, since: Heard) -> Heard:
        while self._heard == since:
            self._changed.clear()
            await self._changed.wait()
        return self._heard


class Outbox:
    """`run` in a task of its own.

    given   relays that everybody is read from anyway
    most    connections at once; 0: none
    listen  listens to one relay until cancelled, or until it is given up
    query   asks the configured relays. Raises Unreachable
    """

    def __init__(
        self,
        host: Host,
        lists: RelayLists,
        given: Collection[str],
        most: int,
        listen: Callable[[str, Hearing], Awaitable[None]],
        query: Callable[[Sequence[Filter]], Awaitable[Sequence[tuple[Event, str]]]],
    ) -> None:
        self._host, self._lists, self._given, self._most = host, lists, given, most
        self._listen, self._query = listen, query
        self._listening: dict[str, tuple[Assigned, asyncio.Task[None]]] = {}
        self._given_up: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._stale = asyncio.Event()

    async def run(self) -> None:
        if not self._most:
            await asyncio.Event().wait()
        self._lists.on_change = self._stale.set
        self._listening.clear()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            while True:
                self._stale.clear()
                await self._plan(group)
                await asyncio.sleep(SETTLE)
                with suppress(TimeoutError):
                    async with asyncio.timeout(REPLAN):
                        await self._stale.wait()

    async def _watch(self) -> None:
        heard = self._host.heard()
        while True:
            heard = await self._host.heard_change(heard)
            self._stale.set()

    async def _plan(self, group: asyncio.TaskGroup) -> None:
        now = asyncio.get_running_loop().time()
        heard = self._host.heard().full
        self._given_up = {url: until for url, until in self._given_up.items() if until > now}
        known = await self._lists.of(heard)
        usable = {
            account: [url for url in found.write if url not in self._given_up] for account, found in known.items()
        }
        wanted = relays.cover(usable, self._given, self._most, self._listening)
        for url in [url for url in self._listening if url not in wanted]:
            self._listening.pop(url)[1].cancel()
        for url, accounts in wanted.items():
            if url in self._listening:
                self._listening[url][0].assign(accounts)
            else:
                assigned = Assigned(accounts)
                self._listening[url] = assigned, group.create_task(self._keep(url, assigned))
        self._host.gauge("nostr_outbox_relays", float(len(self._listening)))
        await self._ask(heard - known.keys(), now)

    async def _keep(self, url: str, assigned: Assigned) -> None:
        await self._listen(url, assigned)
        self._given_up[url] = asyncio.get_running_loop().time() + GIVEN_UP_FOR
        self._listening.pop(url, None)
        self._stale.set()

    async def _ask(self, unknown: Collection[str], now: float) -> None:
        """The configured relays, for the lists of some whose are not known; of others in the next round."""
        self._asked = {account: at for account, at in self._asked.items() if at + ASK_AGAIN > now}
        some = sorted(account for account in unknown if account not in self._asked)[: plan.CHUNK]
        if not some:
            return
        with suppress(Unreachable):
            found = await self._query([Filter(authors=frozenset(some), kinds=relays.LISTS)])
            await self._lists.note(event for event, _ in found)
            self._asked |= dict.fromkeys(some, now)
            self._stale.set()
