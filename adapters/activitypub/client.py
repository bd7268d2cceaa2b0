"""Reading other servers: documents, keys of actors, WebFinger. The instance actor signs every fetch."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urldefrag

from adapters.activitypub import tables
from adapters.activitypub.ids import Urls, split_acct
from adapters.activitypub.profiles import account_of
from adapters.activitypub.reading import Object, read_object
from adapters.activitypub.shapes import (
    ACTOR_TYPES,
    AS2_TYPE,
    LD_TYPE,
    MAX_ID,
    ident,
    is_as2,
    objects,
    origin,
    same_origin,
    text,
    types,
)
from adapters.activitypub.signatures import MAX_PEM
from adapters.activitypub.signer import Scheme, Signer
from bridged.api import Account, EgressFailed, EgressRefused, Host, Malformed, Response, Unreachable

MAX_JRD = 1 << 16
MAX_KEYS = 8
MAX_FETCHES = 64
"""Fetches at once: strangers can make us fetch, so they share this."""
MAX_AT_HOST = 4
"""Fetches at once from one host: one that is slow must not hold up all the others."""
MAX_WAITING = 512
"""Fetches that may wait for their turn; beyond that, senders are asked to come back."""
MAX_WAITING_AT_HOST = 64
"""Those of them that may be for one host."""
REFETCH_AFTER = 60.0
"""Seconds for which a look at an actor counts, while no key that it found has fitted."""
_MAX_LOOKS = 1000
KEYS_FOR = 60.0
"""Seconds for which an actor's stored keys come out of memory: another process may have stored newer ones."""
_MAX_HELD = 4096
_TRANSIENT = frozenset({408, 421, 425, 429})
_ACCEPT = f"{AS2_TYPE}, {LD_TYPE}"


@dataclass(frozen=True, slots=True)
class Found:
    """A document, and the address that it came from in the end."""

    url: str
    document: Object
    body: bytes


@dataclass(slots=True)
class _Gate:
    """Who fetches from one host, and who waits to."""

    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_AT_HOST))
    waiting: int = 0


class Client:
    """Look-ups at other servers. Nothing but Unreachable is raised, and nothing is concluded from that."""

    def __init__(self, host: Host, urls: Urls, signer: Signer) -> None:
        self._host = host
        self._urls = urls
        self._signer = signer
        self._slots = asyncio.Semaphore(MAX_FETCHES)
        self._waiting = 0
        self._gates: dict[str, _Gate] = {}
        self._running: dict[str, asyncio.Task[dict[str, str] | None]] = {}
        self._looks: OrderedDict[str, tuple[float, dict[str, str] | None]] = OrderedDict()
        self._held: OrderedDict[str, tuple[float, Mapping[str, str]]] = OrderedDict()

    async def document(self, url: str) -> Found | None:
        """The AS2 document at `url`; None when there is none for us. Raises Unreachable."""
        if not origin(url) or len(url) > MAX_ID or self._urls.owns(url):
            return None
        url = urldefrag(url).url
        for scheme in await self._signer.order(url):
            response = await self._get(url, scheme)
            if response is None:
                return None
            if response.status != 401:
                break
        else:
            return None
        if not 200 <= response.status < 300 or not is_as2(response.headers.get("content-type", "")):
            return None
        try:
            found = Found(response.url, read_object(response.body), response.body)
        except Malformed:
            return None
        await self._signer.took(url, scheme)
        return found

    async def at_home(self, url: str) -> Found | None:
        """As `document`, fetched at its own id: looked up again under that if need be.

        A document elsewhere on the same host proves nothing: it may be somebody's upload.
        """
        found = await self.document(url)
        if found is None:
            return None
        named = ident(found.document)
        if urldefrag(url).url != named:
            found = await self.document(named)
        if found is None or ident(found.document) != named or not same_origin(named, found.url):
            return None
        return found

    async def known_keys(self, actor: str) -> Mapping[str, str] | None:
        """The keys of an actor, by key id, as last seen; None for one never seen. No fetch."""
        at, held = self._held.get(actor, (0.0, None))
        if held is not None and 0 <= self._host.now() - at < KEYS_FOR:
            return held
        keys = await self._host.read(tables.keys_of(actor))
        if keys is not None:
            self._hold(actor, keys)
        return keys

    async def keys(self, actor: str) -> Mapping[str, str] | None:
        """The keys of an actor, as read there within the last REFETCH_AFTER seconds; None when nobody is there.

        They are not kept: whoever finds that one of them fits calls `keep_keys`. Raises Unreachable, which is no look.
        """
        at, found = self._looks.get(actor, (0.0, None))
        if actor in self._looks and 0 <= self._host.now() - at < REFETCH_AFTER:
            return found
        task = self._running.get(actor)
        if task is None:
            task = asyncio.create_task(self._look(actor))
            self._running[actor] = task
            task.add_done_callback(lambda done: self._looked(actor, done))
        return await asyncio.shield(task)

    async def keep_keys(self, actor: str, keys: Mapping[str, str]) -> None:
        """Remember keys that were read at the actor: one of them was proved to be in use, or the actor is wanted."""
        await self._host.write(tables.keep_keys(actor, keys, self._host.now()))
        self._looks.pop(actor, None)
        self._hold(actor, keys)

    async def account(self, url: str) -> Account | None:
        """The account of an actor, with the handle that both WebFinger and the actor confirm.

        None when there is none. Raises Unreachable.
        """
        found = await self.at_home(url)
        if found is None or not types(found.document) & ACTOR_TYPES:
            return None
        try:
            account = account_of(found.document)
        except Malformed:
            return None
        await self.keep_keys(account.ref.id, keys_in(found.document, account.ref.id))
        handle = await self._handle(account)
        return replace(account, handle=handle)

    async def webfinger(self, user: str, server: str) -> tuple[str, str] | None:
        """(subject as `user@host`, actor) for `acct:user@server` (RFC 7033); None when there is none.

        Raises Unreachable.
        """
        resource = quote(f"acct:{user}@{server}", safe="")
        url = f"https://{server}/.well-known/webfinger?resource={resource}"
        if not origin(url) or origin(url) == origin(self._urls.base):
            return None
        response = await self._get(url, None)
        if response is None or not 200 <= response.status < 300:
            return None
        try:
            document = read_object(response.body)
        except Malformed:
            return None
        subject = split_acct(text(document.get("subject")))
        for link in objects(document.get("links")):
            href = text(link.get("href"))
            if text(link.get("rel")) == "self" and is_as2(text(link.get("type"))) and origin(href):
                return ("@".join(subject) if subject else f"{user}@{server}"), href
        return None

    async def _handle(self, account: Account) -> str:
        """`user@host`. A host of handles that is not the actor's counts when both name each other."""
        user, _, server = account.handle.rpartition("@")
        try:
            at_home = await self.webfinger(user, server)
        except Unreachable:
            return account.handle
        if at_home is None or at_home[1] != account.ref.id:
            return account.handle
        named = split_acct(at_home[0])
        if named is None or named[1] == server:
            return account.handle
        elsewhere = await self.webfinger(*named)
        if elsewhere is None or elsewhere[1] != account.ref.id:
            return account.handle
        return "@".join(named)

    async def _get(self, url: str, scheme: Scheme | None) -> Response | None:
        """One GET, signed unless `scheme` is None. None when it can never be had. Raises Unreachable."""

        def sign(method: str, target: str) -> Mapping[str, str]:
            return self._signer.headers(scheme, self._urls.instance, method, target, None) if scheme else {}

        accept = _ACCEPT if scheme else "application/jrd+json, application/json"
        try:
            async with self._turn(url):
                response = await self._host.http.get(
                    url,
                    headers={"Accept": accept},
                    limit=1 << 20 if scheme else MAX_JRD,
                    sign=sign if scheme else None,
                )
        except (EgressRefused, ValueError):
            return None
        except EgressFailed as failed:
            raise Unreachable(failed.why) from None
        if response.status >= 500 or response.status in _TRANSIENT:
            raise Unreachable(f"http_{response.status}")
        return response

    @asynccontextmanager
    async def _turn(self, url: str) -> AsyncGenerator[None]:
        """One of the slots, once its host has one free: those who wait for a host hold none. Raises Unreachable."""
        server = origin(url)
        gate = self._gates.get(server) or _Gate()
        if self._waiting >= MAX_WAITING or gate.waiting >= MAX_WAITING_AT_HOST:
            raise Unreachable("too_many_fetches")
        self._gates[server] = gate
        self._waiting += 1
        gate.waiting += 1
        try:
            async with gate.free, self._slots:
                yield
        finally:
            self._waiting -= 1
            gate.waiting -= 1
            if not gate.waiting:
                self._gates.pop(server, None)

    def _hold(self, actor: str, keys: Mapping[str, str]) -> None:
        self._held[actor] = self._host.now(), keys
        self._held.move_to_end(actor)
        if len(self._held) > _MAX_HELD:
            self._held.popitem(last=False)

    def _looked(self, actor: str, task: asyncio.Task[dict[str, str] | None]) -> None:
        self._running.pop(actor, None)
        # Whoever waited may be gone: an error nobody collects is no news.
        if not task.cancelled() and task.exception() is None:
            self._looks[actor] = self._host.now(), task.result()
            self._looks.move_to_end(actor)
            if len(self._looks) > _MAX_LOOKS:
                self._looks.popitem(last=False)

    async def _look(self, actor: str) -> dict[str, str] | None:
        found = await self.document(actor)
        if found is None or ident(found.document) != actor or not same_origin(actor, found.url):
            return None
        return keys_in(found.document, actor)


def keys_in(document: Object, actor: str) -> dict[str, str]:
    """The keys an actor document names as its own, key id -> PEM."""
    found: dict[str, str] = {}
    for key in objects(document.get("publicKey")):
        named, pem = ident(key), text(key.get("publicKeyPem"))
        owner = ident(key.get("owner")) or actor
        if named and owner == actor and 0 < len(pem) <= MAX_PEM and len(found) < MAX_KEYS:
            found[named] = pem
    return found
