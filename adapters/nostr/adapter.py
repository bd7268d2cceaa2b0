"""The Nostr adapter: glue between the bridge, the relays and the pure rooms beside it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import urlsplit, urlunsplit

from aiohttp import web

from adapters.nostr import ids, messages, nip05, plan, relays, signing
from adapters.nostr.config import NostrConfig
from adapters.nostr.decode import account_of, decode
from adapters.nostr.encode import ACTS, encode
from adapters.nostr.event import BadEvent, Event, parse_event, sign, supersedes
from adapters.nostr.filters import Filter
from adapters.nostr.home import Home
from adapters.nostr.intake import Intake
from adapters.nostr.listening import envelope_of
from adapters.nostr.pen import Pen
from adapters.nostr.pool import Pool
from adapters.nostr.profiles import IDENTITIES
from adapters.nostr.relay import Relay
from bridged.api import (
    API_VERSION,
    HOME,
    LOCAL,
    Account,
    Activity,
    Capabilities,
    Delivery,
    EgressFailed,
    Envelope,
    Finding,
    Ghost,
    Host,
    Malformed,
    Outgoing,
    Ref,
    Rejected,
    Retry,
    Sent,
    Tx,
    Unreachable,
    View,
)

_BOT: Final = Ref(HOME, "bot")
_CLOCK_TOLERANCE: Final = 60.0
_NOT_ITS_SIGNERS: Final = frozenset({plan.RECEIPT, plan.GIFT_WRAP})
"""Kinds of events that say something of somebody else than who signed them: never fetched as posts."""


class Nostr:
    """Source and Sink."""

    network: ClassVar[str] = ids.NETWORK
    api_version: ClassVar[int] = API_VERSION
    config_type: ClassVar[type[NostrConfig]] = NostrConfig
    migrations: ClassVar[Path | None] = Path(__file__).parent / "migrations"
    capabilities: ClassVar[Capabilities] = Capabilities(
        acts=ACTS, follows="open", hearing="pull", ids="derived", edits=False, consent="open"
    )

    def __init__(self, config: NostrConfig, host: Host) -> None:
        self._host = host
        own = _relay_address(host.site.base_url, config.relay.path) if config.relay.enabled else ""
        configured = tuple(url for url in config.relays if url != own)
        self._home = Home(host.site.domain, own, configured, config.edits)
        self._pen = Pen(host.keys, own, (*((LOCAL,) if own else ()), *configured), config.pow)
        self._bot = ""
        self._intake = Intake(host, self._bot_key, lambda: self._pen.secret(_BOT), self.account)
        self._pool = Pool(
            configured,
            host,
            self._authenticate,
            self._bot_key,
            self._intake.admit,
            own=own,
            outbox=config.outbox.max_relays,
        )
        self._names = nip05.Names(host, self._home.public_relays)
        self._relay = Relay(host, config.relay, own, self.wants, self.admit) if own else None

    async def start(self) -> None:
        """Everything is derived: there is nothing to load."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pool.run())
            group.create_task(self._intake.run())

    def routes(self) -> Iterable[web.RouteDef]:
        return self._names.routes()

    def streams(self) -> Iterable[web.RouteDef]:
        return self._relay.routes() if self._relay else ()

    async def serve(self) -> None:
        if self._relay is not None:
            await self._relay.run()

    def parse(self, text: str) -> Ref | None:
        return ids.parse(text, self._host.site.base_url)

    def names(self, ref: Ref, *, account: bool = False) -> str:
        return ids.names(ref, account=account)

    def decode(self, envelope: Envelope) -> Sequence[Activity]:
        try:
            event = parse_event(envelope.body)
            if messages.is_for(event, self._bot_key()):
                return (messages.message_of(event, self._pen.secret(_BOT), self._bot_key()),)
        except BadEvent as bad:
            raise Malformed(bad.reason) from None
        return decode(event, channel=envelope.channel, received_at=envelope.received_at)

    async def find(self, name: str) -> Ref | None:
        """By npub, if it is heard already or the relays know its profile; or by a NIP-05 name as its domain has it."""
        if name.lower().startswith(("npub1", "nprofile1")):
            ref = ids.parse(name)
            heard = self._host.heard()
            if ref is None or ref.id in heard.full or ref.id in heard.known:
                return ref
            return ref if await self._search(_profile_of(ref.id)) else None
        return await nip05.find(self._host, name) if "@" in name else None

    async def account(self, ref: Ref) -> Account | None:
        """The newest kind 0 that the relays know, and where the account reads and writes (`relays.detail_of`).

        A key without a profile is an account all the same.
        """
        if not ids.is_hex(ref.id):
            return None
        lists = self._pool.lists
        found = await self._search(_account_of(ref.id), await self._writes_to(ref.id))
        await lists.note(event for event, _ in found)
        newest: dict[int, Event] = {}
        for event, _ in found:
            if event.kind not in newest or supersedes(event, newest[event.kind]):
                newest[event.kind] = event
        identities = newest.get(IDENTITIES)
        try:
            account = account_of(ref.id, newest.get(0), identities)
        except Malformed:
            account = account_of(ref.id, None, identities)
        known = (await lists.of([ref.id])).get(ref.id)
        if known is not None:
            account = replace(account, detail={**account.detail, **relays.detail_of(known)})
        return await self._with_alias(account)

    async def fetch(self, ref: Ref) -> Sequence[Envelope]:
        """The newest version of one post."""
        coordinates = ids.split_address(ref.id)
        also: Collection[str] = ()
        if coordinates is not None:
            kind, pubkey, name = coordinates
            also = await self._writes_to(pubkey)
            wanted = Filter(
                authors=frozenset({pubkey}),
                kinds=frozenset({kind}),
                tags=(("d", frozenset({name})),),
                limit=1,
            )
        elif ids.is_hex(ref.id):
            wanted = Filter(ids=frozenset({ref.id}), limit=1)
        else:
            return ()
        newest: tuple[Event, str] | None = None
        for event, url in await self._search(wanted, also):
            if newest is None or supersedes(event, newest[0]):
                newest = event, url
        if newest is None or newest[0].kind in _NOT_ITS_SIGNERS:
            return ()
        now = self._host.now()
        try:
            plan.refuse_untimely(newest[0], now)
        except Malformed:
            return ()
        return (envelope_of(*newest, now),)

    async def answers(self, ref: Ref) -> Sequence[Envelope]:
        return ()

    async def recent(self, ref: Ref) -> Sequence[Envelope]:
        return ()

    def hints(self) -> Sequence[str]:
        return (
            f"On Nostr, look up alice_at_mastodon.social@{self._host.site.domain} (a NIP-05 name) to find "
            "@alice@mastodon.social, and follow what you find.",
            *((f"The bridge's own relay is {self._home.relay}.",) if self._home.relay else ()),
        )

    async def mint(self, account: Account, taken: Callable[[str], Awaitable[bool]]) -> Ghost:
        """A derived key, and a NIP-05 name under our domain."""
        key = signing.public_key(self._pen.secret(account.ref)).hex()
        name = nip05.ghost_name(account)
        if await taken(name):
            name = nip05.hashed_name(account)
        return Ghost(account.ref, ids.account_ref(key), name)

    def encode(self, activity: Activity, view: View) -> Outgoing:
        drafts = encode(activity, view, self._home)
        return Outgoing(tuple(self._pen.part(part, view) for part in drafts.parts), drafts.losses)

    async def deliver(self, item: Delivery) -> Sent:
        return await self._pool.publish(item.endpoint, item.body)

    def apply(self, tx: Tx, item: Delivery) -> Sent:
        if self._relay is None:
            raise Rejected("the embedded relay is off", gone=True)
        self._relay.store(tx, parse_event(item.body))
        return Sent()

    def wants(self, event: Event) -> bool:
        """Whether a verified event is one of those the bridge listens for."""
        return plan.wanted(event, self._host.heard(), self._bot_key())

    async def admit(self, event: Event) -> Envelope:
        """What to hand in of a verified event from a client of the embedded relay.

        Raises Rejected, with the message for the client.
        """
        now = self._host.now()
        try:
            plan.refuse_untimely(event, now)
            envelope = await self._intake.admitted(event, self._home.relay, now)
        except Malformed as bad:
            self._host.dropped(bad.reason)
            raise Rejected(f"invalid: {bad.reason}") from None
        if event.kind in relays.LISTS and self.wants(event):
            await self._pool.lists.note([event])
        return envelope

    async def check(self) -> Sequence[Finding]:
        """Every relay, the bot's NIP-05 name as the world sees it, and the clock against the relays'."""
        findings = [await self._check_relay(url) for url in self._home.relays]
        findings.append(await self._check_name())
        findings.extend(await self._check_clock())
        return findings

    async def _check_relay(self, url: str) -> Finding:
        wanted = Filter(authors=frozenset({self._bot_key()}), kinds=frozenset({0}), limit=1)
        try:
            seconds = await self._pool.probe(url, [wanted])
        except (Retry, Rejected) as error:
            return Finding(
                f"relay {url}", False, error.why, "check the address, or take it out of adapters.nostr.relays"
            )
        return Finding(f"relay {url}", True, f"answered in {seconds * 1000:.0f} ms")

    async def _check_name(self) -> Finding:
        what, site = "NIP-05", self._host.site
        url = f"{site.base_url}{nip05.PATH}?name=_"
        mend = "let the web server in front pass /.well-known/nostr.json to the bridge, and check base_url"
        try:
            answer = await self._host.http.get(url, limit=nip05.MAX_ANSWER)
        except (EgressFailed, Rejected) as error:
            return Finding(what, False, f"{url}: {error.why}", mend)
        if answer.status != 200 or nip05.named(answer.body, "_") != self._bot_key():
            return Finding(what, False, f"{url} answers {answer.status} without the bot's key", mend)
        return Finding(what, True, f"_@{site.domain} is the bot")

    async def _check_clock(self) -> list[Finding]:
        findings: list[Finding] = []
        for url in self._home.relays:
            try:
                answer = await self._host.http.get("http" + url.removeprefix("ws"), limit=1 << 16)
                theirs = parsedate_to_datetime(answer.headers["date"]).timestamp()
            except (EgressFailed, Rejected, KeyError, ValueError):
                continue  # what is wrong with the relay is said elsewhere
            skew = self._host.now() - theirs
            ok = abs(skew) <= _CLOCK_TOLERANCE
            findings.append(Finding(f"clock against {url}", ok, f"{skew:+.0f} s", "" if ok else "run an NTP client"))
        return findings

    async def _with_alias(self, account: Account) -> Account:
        """The account with its NIP-05 name, if the name's domain agrees just now."""
        name = nip05.split(account.detail.get("nip05", ""))
        if name is None or name[1] == self._host.site.domain:
            return account
        alias = "@".join(name)
        try:
            found = await nip05.find(self._host, alias)
        except Unreachable:
            return account
        return replace(account, alias=alias) if found == account.ref else account

    async def _search(self, wanted: Filter, also: Collection[str] = ()) -> list[tuple[Event, str]]:
        """From the embedded relay, the configured ones, and `also`.

        Raises Unreachable when nothing was found nor asked.
        """
        here = await self._stored(wanted)
        try:
            return [*here, *await self._pool.query([wanted], also=also)]
        except Unreachable:
            if here:
                return here
            raise

    async def _writes_to(self, pubkey: str) -> Collection[str]:
        """Where an account is best asked for, as far as is known (NIP-65)."""
        known = (await self._pool.lists.of([pubkey])).get(pubkey)
        return () if known is None else [url for url in known.write if url != self._home.relay]

    async def _stored(self, wanted: Filter) -> list[tuple[Event, str]]:
        relay = self._relay
        if relay is None:
            return []
        found = await self._host.read(lambda tx: relay.query(tx, [wanted], 1))
        return [(event, self._home.relay) for event in found]

    def _bot_key(self) -> str:
        if not self._bot:  # asked for with every event
            self._bot = signing.public_key(self._pen.secret(_BOT)).hex()
        return self._bot

    def _authenticate(self, url: str, challenge: str) -> Event:
        """NIP-42, as the bot."""
        tags = [("relay", url), ("challenge", challenge)]
        return sign(self._pen.secret(_BOT), 22242, int(self._host.now()), tags, "")


def _profile_of(pubkey: str) -> Filter:
    return Filter(authors=frozenset({pubkey}), kinds=frozenset({0}), limit=1)


def _account_of(pubkey: str) -> Filter:
    # no limit: relays that keep old versions would fill it with those of one kind
    return Filter(authors=frozenset({pubkey}), kinds=frozenset({0, IDENTITIES}) | relays.LISTS)


def _relay_address(base_url: str, path: str) -> str:
    """The public address of the embedded relay."""
    parts = urlsplit(base_url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + path, "", ""))
