"""The AT Protocol adapter: glue between the contract and the rooms of this folder."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from aiohttp import web

from adapters.atproto import checks, feeds, ids, jetstream, reporting
from adapters.atproto.config import EMBEDDED, AtprotoConfig
from adapters.atproto.decode import decode
from adapters.atproto.directory import Directory
from adapters.atproto.encode import ACTS, BLOBS, encode
from adapters.atproto.firehose import Firehose
from adapters.atproto.home import Home
from adapters.atproto.hosting import Hosting
from adapters.atproto.identity import Resolver
from adapters.atproto.intake import Intake
from adapters.atproto.minting import Identities
from adapters.atproto.naming import Names
from adapters.atproto.pds import firehose
from adapters.atproto.pds.crawl import Crawlers
from adapters.atproto.pds.subscription import Subscription
from adapters.atproto.pds.tables import SPANS
from adapters.atproto.pds.xrpc import Xrpc
from adapters.atproto.people import Accounts
from adapters.atproto.reader import Reader
from adapters.atproto.stream import Stream
from bridged.api import (
    API_VERSION,
    Account,
    Activity,
    Busy,
    Capabilities,
    Delivery,
    Envelope,
    Finding,
    Ghost,
    Host,
    Outgoing,
    Ref,
    Sent,
    Tx,
    View,
)

TIDY_EVERY: Final = 3600.0
"""Seconds between two looks for events that are too old to be kept."""
AGAIN: Final = 5.0
"""Seconds that a job waits at least for a store that is busy."""
TELL_EVERY: Final = 15.0
"""Seconds between two looks at the pace, for /metrics."""


class Atproto:
    """Our own PDS for those who are bridged; others are heard on a stream."""

    network: ClassVar[str] = ids.NETWORK
    api_version: ClassVar[int] = API_VERSION
    config_type: ClassVar[type[AtprotoConfig]] = AtprotoConfig
    migrations: ClassVar[Path | None] = Path(__file__).parent / "migrations"
    capabilities: ClassVar[Capabilities] = Capabilities(
        acts=ACTS,
        follows="open",
        hearing="pull",
        ids="derived",
        edits=True,
        consent="opt-in",
        handles="host",
        discreet=frozenset({"Report"}),
        blobs=BLOBS,
    )

    def __init__(self, config: AtprotoConfig, host: Host) -> None:
        self._config, self._host = config, host
        self._home = Home(config.long_posts, config.moderation.url if config.moderation else "", config.articles)
        directory = Directory(host) if config.plc == EMBEDDED else config.plc
        self._directory = directory if isinstance(directory, Directory) else None
        self._names = Names(host, self._document)
        self._identities = Identities(
            host,
            directory,
            operator=config.operator_key,
            web=config.did_method == "web",
            changed=lambda tx, did, state: self._hosting.changed(tx, did, state),
        )
        self._hosting = Hosting(self._identities, feeds.service_did(host.site.domain), host.now)
        self._resolver = Resolver(host, directory, config.appview, self._names.ours)
        self._accounts = Accounts(host, self._resolver)
        self._reader = Reader(host, self._resolver, self._accounts, config.appview)
        self._feeds = feeds.Feeds(host)
        self._xrpc = Xrpc(host, self._names.ours, self._described)
        self._subscription = Subscription(host)
        self._crawlers = Crawlers(host, config.crawlers, urlsplit(host.site.base_url).netloc)

    async def start(self) -> None:
        """The pace as it is set now; and if the database was put back, what was said since is not said again."""
        pace, restored = self._config.pace, await self._host.restored()

        def unit(tx: Tx) -> None:
            firehose.set_pace(tx, (pace.second, pace.hour, pace.day))
            firehose.jump(tx, restored)

        await self._host.write(unit)
        while await self._host.write(self._hosting.stand):
            pass

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._host.alone("ingest", self._listen))
            for name, job in (("crawl", self._crawlers.run), ("tidy", self._tidy)):
                group.create_task(self._host.alone(name, partial(self._patiently, name, job)))
            group.create_task(self._patiently("plc", self._identities.run))

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            *self._names.routes(),
            *self._xrpc.routes(),
            *self._feeds.routes(),
            *(self._directory.routes() if self._directory else ()),
        ]

    def streams(self) -> Iterable[web.RouteDef]:
        return self._subscription.streams()

    async def serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._subscription.run())
            group.create_task(self._tell())

    def parse(self, text: str) -> Ref | None:
        return ids.parse(text)

    def names(self, ref: Ref, *, account: bool = False) -> str:
        return ids.names(ref)

    def decode(self, envelope: Envelope) -> Sequence[Activity]:
        return decode(envelope)

    async def find(self, name: str) -> Ref | None:
        return await self._reader.find(name)

    async def account(self, ref: Ref) -> Account | None:
        return await self._reader.account(ref.id)

    async def fetch(self, ref: Ref) -> Sequence[Envelope]:
        found = await self._reader.post(ref)
        return [found] if found is not None else []

    async def answers(self, ref: Ref) -> Sequence[Envelope]:
        return await self._reader.answers(ref)

    async def recent(self, ref: Ref) -> Sequence[Envelope]:
        return await self._reader.recent(ref.id)

    def hints(self) -> Sequence[str]:
        domain = self._host.site.handle_domain
        return (
            f"On Bluesky, look up alice-at-mastodon-social.{domain} to find @alice@mastodon.social, and npub1….{domain}"
            " to find a Nostr user; follow what you find.",
            f"To be seen from other networks yourself, follow {self._host.site.bot}.{domain} there; to end that,"
            " unfollow or block it.",
        )

    async def check(self) -> Sequence[Finding]:
        return await checks.findings(self._host, self._config)

    async def mint(self, account: Account, taken: Callable[[str], Awaitable[bool]]) -> Ghost:
        return await self._identities.mint(account, taken)

    def encode(self, activity: Activity, view: View) -> Outgoing:
        return encode(activity, view, self._home)

    async def deliver(self, item: Delivery) -> Sent:
        """Only reports leave by themselves: all else is read from us."""
        assert self._config.moderation is not None, "reports are written only where there is a service for them"
        key = self._identities.signing_key(item.actor.keyed, item.actor.generation)
        return await reporting.deliver(self._host, item, key, self._config.moderation.did)

    def apply(self, tx: Tx, item: Delivery) -> Sent:
        return self._hosting.apply(tx, item)

    async def _patiently(self, name: str, job: Callable[[], Awaitable[None]]) -> None:
        """Does the job again once the store takes what it has: nobody is to stop listening for that."""
        while True:
            try:
                return await job()
            except Busy as busy:
                self._host.log.warning("atproto_job_waits_for_store", job=name, why=busy.why)
                await asyncio.sleep(max(AGAIN, busy.after))

    async def _listen(self) -> None:
        ingest, host = self._config.ingest, self._host
        if ingest.jetstream is not None:
            dialect = jetstream.dialect(ingest.jetstream, host)
            await Stream(host, dialect, Intake(host, self._accounts).store).run()
        elif ingest.firehose is not None:
            await Firehose(host, ingest.firehose, self._resolver, self._accounts).run()
        else:
            await asyncio.Event().wait()

    async def _tidy(self) -> None:
        kept = self._config.firehose * 86400.0
        while True:
            await self._host.write(lambda tx: firehose.expire(tx, self._host.now() - kept))
            await asyncio.sleep(TIDY_EVERY)

    async def _tell(self) -> None:
        """The pace, and what is left of it, in /metrics."""
        while True:
            try:
                budget = await self._host.read(lambda tx: firehose.budget(tx, self._host.now()))
                self._host.gauge("events_waiting", budget.waiting)
                for span, left in zip(SPANS, budget.left, strict=True):
                    self._host.gauge("events_left", left, per=span)
            except Busy:
                pass
            await asyncio.sleep(TELL_EVERY)

    async def _document(self, did: str) -> dict[str, Any] | None:
        """What stands at /.well-known/did.json of a host: of this bridge, or of a ghost that is a did:web."""
        site = self._host.site
        if did == f"did:web:{site.domain.partition(':')[0]}":
            return feeds.service_document(site.domain, site.base_url)
        return await self._identities.document(did)

    async def _described(self, did: str) -> tuple[str, dict[str, Any]] | None:
        """(handle, document) of a DID of ours."""
        ghost, document = await self._host.ghost(ids.account_ref(did)), await self._identities.described(did)
        return (ghost[0].handle, document) if ghost is not None and document is not None else None
