"""Feeds to browse the bridge by: all that is said by those bridged here, and by those of each network.

A feed is a record in the bot's repo, which names this server; the AppView asks here for what is in it
(app.bsky.feed.describeFeedGenerator, getFeedSkeleton; docs.bsky.app/docs/starter-templates/custom-feeds).
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from aiohttp import web

from adapters.atproto import cbor, ids, ours
from adapters.atproto.identity_tables import identities
from adapters.atproto.moments import spelled
from adapters.atproto.pds.tables import records, repos
from adapters.atproto.syntax import is_record_key
from adapters.atproto.tid import is_tid, make
from bridged.api import HOME, Busy, Host, Ref, Tx

COLLECTION: Final = "app.bsky.feed.generator"
EVERYONE: Final = "everyone"
BOT: Final = Ref(HOME, "bot")
MAX_PAGE: Final = 100
DAYS: Final = 30
"""How far back a feed goes."""
_MAX_TITLE: Final = 24
_LOOKED_AT: Final = 1000
"""Posts looked at for one page, answers to others included, which no feed shows."""
_CORS: Final = {"Access-Control-Allow-Origin": "*"}
# spelled as the index is, or it is not used
_POSTS: Final = sa.text("path > 'app.bsky.feed.post/' AND path < 'app.bsky.feed.post0'")


def service_did(domain: str) -> str:
    """Who this bridge is as a server (did:web; a port, which only localhost has, is escaped)."""
    return f"did:web:{domain.replace(':', '%3A')}"


def service_document(domain: str, base_url: str) -> dict[str, Any]:
    return {
        "@context": ["https://www.w3.org/ns/did/v1"],
        "id": service_did(domain),
        "service": [{"id": "#bsky_fg", "type": "BskyFeedGenerator", "serviceEndpoint": base_url}],
    }


def names(tx: Tx) -> list[str]:
    """The feeds there are: for everybody, and for each network that somebody was bridged from."""
    network = identities.c.owner_network
    return [EVERYONE, *tx.execute(sa.select(network).distinct().where(network != HOME).order_by(network)).scalars()]


def record(name: str, service: str, now: float) -> dict[str, Any]:
    """The declaration of a feed."""
    whose = "everyone bridged here" if name == EVERYONE else f"all who are bridged here from {name}"
    title = "Everyone bridged here" if name == EVERYONE else f"Bridged from {name}"
    return {
        "$type": COLLECTION,
        "did": service,
        "displayName": title[:_MAX_TITLE],
        "description": f"What is said by {whose}, newest first.",
        "createdAt": spelled(now),
    }


def page(tx: Tx, name: str, limit: int, before: str, oldest: str) -> tuple[list[str], str]:
    """URIs of posts, newest first, with keys below `before` ("" for all) and above `oldest`; and where to go on."""
    path = records.c.path
    query = (
        sa.select(path, records.c.body, repos.c.did)
        .join(repos, repos.c.id == records.c.repo)
        .join(identities, identities.c.did == repos.c.did)
        .where(_POSTS, path > f"{ids.POST}/{oldest}", repos.c.status == "active")
        .where(identities.c.owner_network == name if name != EVERYONE else identities.c.owner_network != HOME)
    )
    if before:
        query = query.where(path < f"{ids.POST}/{before}")
    found: list[str] = []
    last, looked = "", 0
    for row in tx.execute(query.order_by(path.desc()).limit(_LOOKED_AT)):
        last, looked = row.path.partition("/")[2], looked + 1
        if "reply" not in cbor.decode(bytes(row.body)):
            found.append(f"at://{row.did}/{row.path}")
        if len(found) == limit:
            return found, last
    return found, last if looked == _LOOKED_AT else ""


class Feeds:
    def __init__(self, host: Host) -> None:
        self._host, self._did = host, service_did(host.site.domain)

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get("/xrpc/app.bsky.feed.describeFeedGenerator", self._describe),
            web.get("/xrpc/app.bsky.feed.getFeedSkeleton", self._skeleton),
        ]

    async def _describe(self, _: web.Request) -> web.Response:
        try:
            feeds = await self._host.read(_declared)
        except Busy:
            return _error(503, "NotAvailable", "Cannot tell at the moment")
        return _json({"did": self._did, "feeds": [{"uri": uri} for uri in feeds]})

    async def _skeleton(self, request: web.Request) -> web.Response:
        asked, cursor = ids.split(request.query.get("feed", "")), request.query.get("cursor", "")
        limit = request.query.get("limit", "50")
        if not (limit.isascii() and limit.isdigit() and 0 < int(limit[:9]) <= MAX_PAGE):
            return _error(400, "InvalidRequest", f"limit is a number from 1 to {MAX_PAGE}")
        if cursor and not (is_record_key(cursor) and is_tid(cursor)):
            return _error(400, "InvalidRequest", "This is no cursor of ours")
        oldest = make(int((self._host.now() - DAYS * 86400) * 1e6), 0)

        def unit(tx: Tx) -> tuple[list[str], str] | None:
            if asked is None or f"at://{'/'.join(asked)}" not in _declared(tx):
                return None
            return page(tx, asked[2], int(limit), cursor, oldest)

        try:
            found = await self._host.read(unit)
        except Busy:
            return _error(503, "NotAvailable", "Cannot tell at the moment")
        if found is None:
            return _error(400, "UnknownFeed", "There is no such feed here")
        further = {"cursor": found[1]} if found[1] else {}
        return _json({"feed": [{"post": uri} for uri in await self._shown(found[0])], **further})

    async def _shown(self, uris: Sequence[str]) -> list[str]:
        """Without the posts of those who ask, at home, not to be shown around."""
        around: dict[str, bool] = {}
        for did in dict.fromkeys(map(_author, uris)):
            found = await self._host.ghost(ids.account_ref(did))
            around[did] = found is not None and found[1].discoverable
        return [uri for uri in uris if around[_author(uri)]]


def _author(uri: str) -> str:
    return uri.removeprefix("at://").partition("/")[0]


def _declared(tx: Tx) -> Sequence[str]:
    bot = ours.of(tx, BOT)
    return [f"at://{bot.did}/{COLLECTION}/{name}" for name in names(tx)] if bot is not None else []


def _json(value: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json", headers=_CORS)


def _error(status: int, name: str, message: str) -> web.Response:
    return _json({"error": name, "message": message}, status)
