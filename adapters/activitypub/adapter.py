"""The ActivityPub adapter: glue between the contract and the rooms of this folder."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from adapters.activitypub import checks, ids, tables
from adapters.activitypub.client import Client
from adapters.activitypub.decode import decode
from adapters.activitypub.delivery import deliver
from adapters.activitypub.encode import ACTS, Encoder
from adapters.activitypub.inbox import Inbox
from adapters.activitypub.pages import Pages
from adapters.activitypub.reader import Reader
from adapters.activitypub.signatures import RsaKey
from adapters.activitypub.signer import Signer
from bridged.api import (
    API_VERSION,
    HOME,
    Account,
    Activity,
    Capabilities,
    Delivery,
    Envelope,
    Finding,
    Ghost,
    Host,
    Outgoing,
    Ref,
    Rejected,
    Sent,
    Tx,
    View,
)

PRUNE_EVERY = 3600.0
"""Seconds between two looks at the size of our own tables."""


class Config(BaseModel):
    """`adapters.activitypub` of bridge.yaml: nothing to set yet."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ActivityPub:
    """The fediverse: heard at our inboxes, written to at theirs."""

    network: ClassVar[str] = ids.NETWORK
    api_version: ClassVar[int] = API_VERSION
    config_type: ClassVar[type[BaseModel]] = Config
    migrations: ClassVar[Path | None] = Path(__file__).parent / "migrations"
    capabilities: ClassVar[Capabilities] = Capabilities(
        acts=ACTS,
        follows="request",
        hearing="push",
        ids="derived",
        edits=True,
        discreet=frozenset({"Message", "Report", "Vote"}),
    )

    def __init__(self, config: Config, host: Host) -> None:
        self._host = host
        self._urls = ids.Urls(host.site.base_url)
        self._instance_name = ids.instance_name(host.site.domain)
        self._started: _Started | None = None

    async def start(self) -> None:
        """Load the instance's one RSA key, made on the first start: keys of their own would cost too much."""
        pem = await self._host.secret("rsa", lambda: RsaKey.generate().private_pem())
        self._started = _Started(self._host, self._urls, RsaKey.load(pem), self._instance_name)

    async def run(self) -> None:
        """What arrives, arrives at the inboxes; here only the tables are kept small."""
        while True:
            await asyncio.sleep(PRUNE_EVERY)
            await self._host.write(tables.prune)

    def routes(self) -> Iterable[web.RouteDef]:
        return self._ready.pages.routes()

    def streams(self) -> Iterable[web.RouteDef]:
        return ()

    async def serve(self) -> None:
        """There are no streams."""

    def parse(self, text: str) -> Ref | None:
        return ids.parse(text)

    def names(self, ref: Ref, *, account: bool = False) -> str:
        return ref.id

    def decode(self, envelope: Envelope) -> Sequence[Activity]:
        return decode(envelope)

    async def find(self, name: str) -> Ref | None:
        """The actor behind `user@host`, if the account it shows bears that name. Raises Unreachable."""
        named = ids.split_name(name)
        found = await self._ready.client.webfinger(*named) if named else None
        if found is None:
            return None
        subject, actor = found
        account = await self._ready.client.account(actor)
        return account.ref if account and account.handle.lower() == subject.lower() else None

    async def account(self, ref: Ref) -> Account | None:
        return await self._ready.client.account(ref.id)

    async def fetch(self, ref: Ref) -> Sequence[Envelope]:
        found = await self._ready.reader.post(ref.id)
        return [found] if found else []

    async def answers(self, ref: Ref) -> Sequence[Envelope]:
        return await self._ready.reader.answers(ref.id)

    async def recent(self, ref: Ref) -> Sequence[Envelope]:
        return await self._ready.reader.recent(ref.id)

    def hints(self) -> Sequence[str]:
        site = self._host.site
        return (
            f"On Mastodon and other fediverse servers, search for @npub1…@{site.domain} to find a Nostr "
            f"user; one whose NIP-05 name is name@host is also @name_at_host@{site.domain}.",
            f"To be seen from other networks yourself, follow @{site.bot}@{site.domain}; unfollow it to end that.",
        )

    async def check(self) -> Sequence[Finding]:
        return await checks.findings(self._host, self._urls)

    async def mint(self, account: Account, taken: Callable[[str], Awaitable[bool]]) -> Ghost:
        """A ghost shares the instance's key, so there is nothing to make but its name."""
        ref = ids.native(self._urls.user(account.ref))
        wanted = [self._host.site.bot] if account.ref.network == HOME else ids.usernames(account)
        for handle in wanted[:-1]:
            if handle.lower() != self._instance_name and not await taken(handle):
                return Ghost(account.ref, ref, handle)
        return Ghost(account.ref, ref, wanted[-1])

    def encode(self, activity: Activity, view: View) -> Outgoing:
        return self._ready.encoder.encode(activity, view)

    async def deliver(self, item: Delivery) -> Sent:
        return await deliver(item, self._host, self._ready.signer)

    def apply(self, tx: Tx, item: Delivery) -> Sent:
        """ActivityPub has no endpoint of our own: nothing is ever sent to LOCAL."""
        raise Rejected("no_local_endpoint")

    @property
    def _ready(self) -> "_Started":
        if self._started is None:
            raise RuntimeError("start() comes first")
        return self._started


class _Started:
    """What exists once the key is known."""

    def __init__(self, host: Host, urls: ids.Urls, key: RsaKey, instance_name: str) -> None:
        self.signer = Signer(host, key)
        self.client = Client(host, urls, self.signer)
        self.reader = Reader(host, self.client)
        self.encoder = Encoder(urls, host.site.domain, key.public_pem)
        inbox = Inbox(host, urls, self.client)
        self.pages = Pages(host, urls, inbox, key.public_pem, instance_name)
