"""What we serve on ActivityPub: WebFinger, NodeInfo, actors, collections, objects, activities."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from aiohttp import web

from adapters.activitypub.documents import (
    Document,
    actor_document,
    collection_document,
    create_of,
    dump,
    instance_actor,
    nodeinfo,
    nodeinfo_links,
    page_document,
    resource_descriptor,
    tombstone,
    with_plain_url,
)
from adapters.activitypub.ids import Urls, collection, name_elsewhere, native, split_acct
from adapters.activitypub.inbox import Inbox
from adapters.activitypub.shapes import AS2_TYPE, LD_TYPE, origin, web_url
from bridged.api import Account, Busy, Ghost, Host, Unreachable

PAGE = 20
"""Members on one page of a collection."""
MAX_AGE = 180
"""Seconds that caches may keep what we serve: long collections naively served invite floods."""
COUNTED = 200
"""An outbox longer than this says that it has this many."""
COME_BACK = 30
_OUTBOX = ("Post", "Repost")


class Pages:
    """Everything but the inboxes. `instance_name` is the username of the instance actor."""

    def __init__(self, host: Host, urls: Urls, inbox: Inbox, public_pem: str, instance_name: str) -> None:
        self._host = host
        self._urls = urls
        self._inbox = inbox
        self._pem = public_pem
        self._instance_name = instance_name

    def routes(self) -> Iterable[web.RouteDef]:
        """Every address of `ids.Urls`, the well-known ones and the inboxes. HEAD goes with every GET."""
        user = "/users/{network}/{slug}"
        return [
            web.get("/.well-known/webfinger", self.webfinger),
            web.get("/.well-known/nodeinfo", self.nodeinfo_links),
            web.get("/nodeinfo/{version}", self.nodeinfo),
            web.get("/actor", self.instance),
            web.get("/actor/{collection:outbox|followers|following}", self.instance_collection),
            web.post("/actor/inbox", self._inbox.post),
            web.post("/inbox", self._inbox.post),
            web.get(user, self.ghost),
            web.post(f"{user}/inbox", self._inbox.post_to_ghost),
            web.get(f"{user}/outbox", self.outbox),
            web.get(f"{user}/{{collection:followers|following}}", self.people),
            web.get("/objects/{network}/{slug}", self.copy),
            web.get("/activities/{network}/{slug}", self.copy),
            web.get("/activities/{network}/{slug}/create", self.create),
            web.get(
                "/activities/{network}/{slug}/{verb:accept|approval|delete|follow|quote|reject|undo|update}", self.copy
            ),
        ]

    async def webfinger(self, request: web.Request) -> web.Response:
        """RFC 7033. A name we do not know yet is looked up on the other networks, and gets its ghost."""
        resource = request.query.get("resource", "")
        if not resource:
            return _error(400, "resource_missing")
        try:
            found = await self._resource(resource)
        except Unreachable:
            return _error(503, "unreachable", {"Retry-After": str(COME_BACK)})
        except Busy as busy:
            return _error(503, "busy", {"Retry-After": str(max(1, round(busy.after)))})
        if found is None:
            return _error(404, "not_found")
        username, actor, profile = found
        document = resource_descriptor(f"acct:{username}@{self._host.site.domain}", actor, profile)
        return _answer(request, orjson.dumps(document), "application/jrd+json")

    async def nodeinfo_links(self, request: web.Request) -> web.Response:
        """NodeInfo discovery."""
        return _answer(request, orjson.dumps(nodeinfo_links(self._urls.base)), "application/json")

    async def nodeinfo(self, request: web.Request) -> web.Response:
        """NodeInfo 2.0 and 2.1."""
        version = request.match_info["version"]
        if version not in ("2.0", "2.1"):
            return _error(404, "not_found")
        counts = await self._host.counts()
        site = self._host.site
        users, posts = counts.get("ghosts", 0), counts.get("posts", 0)
        document = nodeinfo(version, site.version, site.bot_name, users, posts)
        kind = f'application/json; profile="http://nodeinfo.diaspora.software/ns/schema/{version}#"'
        return _answer(request, orjson.dumps(document), kind)

    async def instance(self, request: web.Request) -> web.Response:
        """The instance actor, served to everybody: two servers that both want signatures would never meet."""
        document = instance_actor(self._urls, self._instance_name, self._pem)
        return self._serve(request, dump(document))

    async def instance_collection(self, request: web.Request) -> web.Response:
        """The instance actor posts nothing and follows nobody."""
        url = f"{self._urls.instance}/{request.match_info['collection']}"
        document: Document = {"id": url, "type": "OrderedCollection", "totalItems": 0, "orderedItems": []}
        return self._serve(request, dump(document))

    async def ghost(self, request: web.Request) -> web.Response:
        """An actor; the page at home for browsers."""
        url = self._url(request)
        ref = native(url)
        found = await self._host.ghost(ref)
        if found is None:
            return await self._gone_or_unknown(request, url)
        ghost, account = found
        if _for_people(request) and origin(account.url):
            return _elsewhere(account.url)
        stored = await self._host.copy(ref)
        if stored is not None and stored.served and not stored.gone:
            body = stored.served
        else:
            body = dump(actor_document(ghost, account, self._urls, self._pem))
        # pubby 0.6 keeps an actor's url as text: with a list, all that we say to its users ends in errors there.
        plain = request.headers.get("User-Agent", "").startswith("pubby/")
        answer = self._serve(request, with_plain_url(body) if plain else body)
        answer.headers["Vary"] = "Accept, User-Agent"
        return answer

    async def outbox(self, request: web.Request) -> web.Response:
        """Recent posts as Creates, and Announces, newest first."""
        found = await self._owner(request)
        if isinstance(found, web.Response):
            return found
        ghost, _ = found
        url = collection(ghost.ref.id, "outbox")
        before = _number(request.query.get("before"))
        copies = await self._host.copies_by(ghost, _OUTBOX, PAGE + 1, before)
        if "page" not in request.query and before is None:
            total = len(copies) if len(copies) <= PAGE else await self._count(ghost)
            return self._serve(request, dump(collection_document(url, total)))
        items = [_outbox_item(copy.served, self._urls) for _, copy in copies[:PAGE] if copy.served]
        following = f"page=true&before={copies[PAGE - 1][0]}" if len(copies) > PAGE else ""
        query = "page=true" if before is None else f"page=true&before={before}"
        return self._serve(request, dump(page_document(url, query, items, following)))

    async def people(self, request: web.Request) -> web.Response:
        """Followers and following."""
        found = await self._owner(request)
        if isinstance(found, web.Response):
            return found
        ghost, _ = found
        name = request.match_info["collection"]
        page = _number(request.query.get("page"))
        listed = self._host.followers if name == "followers" else self._host.following
        url = f"{ghost.ref.id}/{name}"
        if "page" not in request.query:
            total, _ = await listed(ghost, 0)
            return self._serve(request, dump(collection_document(url, total, first="page=1")))
        if page is None or not 1 <= page <= 1_000_000:
            return _error(404, "not_found")
        total, refs = await listed(ghost, PAGE, (page - 1) * PAGE)
        following = f"page={page + 1}" if page * PAGE < total else ""
        items = [ref.id for ref in refs]
        return self._serve(request, dump(page_document(url, f"page={page}", items, following)))

    async def copy(self, request: web.Request) -> web.Response:
        """An object or activity, or its tombstone."""
        return await self._stored(request, self._url(request))

    async def create(self, request: web.Request) -> web.Response:
        """The activity that made one of our objects."""
        made = self._urls.created(self._url(request))
        return _error(404, "not_found") if made is None else await self._stored(request, made, wrap=True)

    async def _stored(self, request: web.Request, url: str, *, wrap: bool = False) -> web.Response:
        copy = await self._host.copy(native(url))
        if copy is None:
            return _error(404, "not_found")
        if copy.gone:
            body = copy.served if copy.served and not wrap else dump(tombstone(self._url(request)))
            return _answer(request, body, _kind(request), status=410)
        if not copy.served:
            return _error(404, "not_found")
        if not wrap and not _for_people(request):
            return self._serve(request, copy.served)
        document: Document = orjson.loads(copy.served)
        if _for_people(request):
            page = web_url(document.get("url"))
            return self._serve(request, copy.served) if page in ("", url) else _elsewhere(page)
        return self._serve(request, dump(create_of(document, self._urls)))

    async def _resource(self, resource: str) -> tuple[str, str, str] | None:
        """(username, actor, page) for a WebFinger resource. Raises Unreachable."""
        site = self._host.site
        found: tuple[Ghost, Account] | None
        if resource.startswith(("https://", "http://")):
            if resource == self._urls.instance:
                return self._instance_name, self._urls.instance, self._urls.base
            found = await self._host.ghost(native(resource)) if self._urls.owns(resource) else None
        else:
            named = split_acct(resource)
            if named is None or named[1] not in (site.domain.lower(), origin(self._urls.base)):
                return None
            username = named[0].lower()
            if username == self._instance_name:
                return self._instance_name, self._urls.instance, self._urls.base
            found = await self._host.ghost_named(named[0]) or await self._host.ghost_named(username)
            if found is None:
                found = await self._host.lookup(name_elsewhere(username))
        if found is None:
            return None
        ghost, account = found
        return ghost.handle, ghost.ref.id, account.url if origin(account.url) else ghost.ref.id

    async def _owner(self, request: web.Request) -> tuple[Ghost, Account] | web.Response:
        url = self._url(request).rpartition("/")[0]
        return await self._host.ghost(native(url)) or await self._gone_or_unknown(request, url)

    async def _gone_or_unknown(self, request: web.Request, url: str) -> web.Response:
        if await self._host.ghost_gone(native(url)):
            return _answer(request, dump(tombstone(url)), _kind(request), status=410)
        return _error(404, "not_found")

    async def _count(self, ghost: Ghost) -> int:
        return len(await self._host.copies_by(ghost, _OUTBOX, COUNTED))

    def _url(self, request: web.Request) -> str:
        return f"{self._urls.base}{request.path}"

    def _serve(self, request: web.Request, body: bytes) -> web.Response:
        return _answer(request, body, _kind(request))


def _outbox_item(served: bytes, urls: Urls) -> Document:
    document: Document = orjson.loads(served)
    document.pop("@context", None)
    return document if "object" in document else create_of(document, urls)


def _kind(request: web.Request) -> str:
    accept = request.headers.get("Accept", "")
    return LD_TYPE if "application/ld+json" in accept and AS2_TYPE not in accept else f"{AS2_TYPE}; charset=utf-8"


def _for_people(request: web.Request) -> bool:
    """Whether a browser asks: HTML named, and nothing of ActivityStreams."""
    accept = request.headers.get("Accept", "")
    return "text/html" in accept and "activity+json" not in accept and "ld+json" not in accept


def _answer(request: web.Request, body: bytes, kind: str, *, status: int = 200) -> web.Response:
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {
        "Content-Type": kind,
        "ETag": tag,
        "Cache-Control": f"public, max-age={MAX_AGE}",
        "Vary": "Accept",
        "Access-Control-Allow-Origin": "*",
    }
    if status == 200 and any(known.value == tag.strip('"') for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(status=status, body=body, headers=headers)


def _elsewhere(url: str) -> web.Response:
    return web.Response(status=303, headers={"Location": url, "Vary": "Accept"})


def _error(status: int, reason: str, headers: Mapping[str, str] | None = None) -> web.Response:
    said: dict[str, Any] = {"error": reason}
    return web.json_response(said, status=status, headers={"Access-Control-Allow-Origin": "*", **(headers or {})})


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None
