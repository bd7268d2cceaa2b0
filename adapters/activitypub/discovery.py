"""How others find us: WebFinger, host-meta, NodeInfo."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from adapters.activitypub.documents import (
    JRD_TYPE,
    NODEINFO_VERSIONS,
    host_meta,
    host_meta_xrd,
    nodeinfo,
    nodeinfo_links,
    resource_descriptor,
)
from adapters.activitypub.ids import Urls, name_elsewhere, native, split_acct
from adapters.activitypub.serving import COME_BACK, Memory, answer, error
from adapters.activitypub.shapes import MAX_ID, origin
from bridged.api import Account, Busy, Ghost, Host, Unreachable

MAX_RELS = 16


@dataclass(frozen=True, slots=True)
class Located:
    """An actor: its name as `user@host`, its id, page and picture."""

    name: str
    actor: str
    page: str
    avatar: str = ""


class Discovery:
    """`instance_name` is the username of the instance actor."""

    def __init__(self, host: Host, urls: Urls, instance_name: str) -> None:
        self._host = host
        self._urls = urls
        self._instance_name = instance_name
        self._memory = Memory(host.now)

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get("/.well-known/webfinger", self.webfinger),
            web.get("/.well-known/host-meta", self.host_meta),
            web.get("/.well-known/host-meta.json", self.host_meta_json),
            web.get("/.well-known/nodeinfo", self.nodeinfo_links),
            web.get("/nodeinfo/{version}", self.nodeinfo),
        ]

    async def webfinger(self, request: web.Request) -> web.Response:
        """RFC 7033. A name or address that we do not know is looked up on the other networks, and gets its ghost."""
        resource = request.query.get("resource", "")
        if not resource or len(resource) > MAX_ID:
            return error(400, "resource_missing" if not resource else "resource_too_long")
        try:
            found = await self._resource(resource)
        except Unreachable:
            return error(503, "unreachable", {"Retry-After": str(COME_BACK)})
        except Busy as busy:
            return error(503, "busy", {"Retry-After": str(max(1, round(busy.after)))})
        if found is None:
            return error(404, "not_found")
        rels = request.query.getall("rel", [])[:MAX_RELS]
        document = resource_descriptor(f"acct:{found.name}", found.actor, found.page, found.avatar, rels)
        return answer(request, orjson.dumps(document), JRD_TYPE)

    async def host_meta(self, request: web.Request) -> web.Response:
        """RFC 6415: XRD, or JSON where that is asked for."""
        if "json" in request.headers.get("Accept", ""):
            return await self.host_meta_json(request)
        return answer(request, host_meta_xrd(self._urls.base), "application/xrd+xml; charset=utf-8")

    async def host_meta_json(self, request: web.Request) -> web.Response:
        return answer(request, orjson.dumps(host_meta(self._urls.base)), "application/json")

    async def nodeinfo_links(self, request: web.Request) -> web.Response:
        """NodeInfo discovery."""
        return answer(request, orjson.dumps(nodeinfo_links(self._urls.base)), "application/json")

    async def nodeinfo(self, request: web.Request) -> web.Response:
        """NodeInfo 2.0 and 2.1."""
        version = request.match_info["version"]
        if version not in NODEINFO_VERSIONS:
            return error(404, "not_found")
        site = self._host.site

        async def make() -> bytes:
            counts = await self._host.counts()
            about = f"{site.domain} is a bridge: its accounts stand for people of other networks."
            users, posts = counts.get("ghosts", 0), counts.get("posts", 0)
            return orjson.dumps(nodeinfo(version, site.version, site.bot_name, about, users, posts))

        kept = await self._memory.get(version, make)
        kind = f'application/json; profile="http://nodeinfo.diaspora.software/ns/schema/{version}#"'
        return error(404, "not_found") if kept is None else answer(request, kept.body, kind)

    async def named(self, username: str) -> Located | None:
        """Our actor with this username; made, if need be, for whom it stands elsewhere.

        Who has an account of their own here is that account, under its own name. Raises Unreachable.
        """
        lowered = username.lower()
        if lowered == self._instance_name:
            return self._instance
        found = await self._host.ghost_named(username) or await self._host.ghost_named(lowered)
        return self._located(found or await self._host.lookup(name_elsewhere(lowered)))

    @property
    def _instance(self) -> Located:
        return Located(f"{self._instance_name}@{self._host.site.domain}", self._urls.instance, self._urls.base)

    async def _resource(self, resource: str) -> Located | None:
        """The actor that a WebFinger resource names: an account, or any address or id of one. Raises Unreachable."""
        if resource == self._urls.instance:
            return self._instance
        account = split_acct(resource)
        if account is not None and "://" not in resource:
            username, server = account
            ours = (self._host.site.domain.lower(), origin(self._urls.base))
            return await self.named(username) if server in ours else None
        if self._urls.owns(resource):
            found = await self._host.ghost(native(resource))
            if found is not None:
                return self._located(found)
            path = urlsplit(resource).path
            if path.startswith("/@"):
                return await self.named(path[2:])
        ref = await self._host.bring(resource)
        return self._located(await self._host.ghost(ref)) if ref is not None else None

    def _located(self, found: tuple[Ghost, Account] | None) -> Located | None:
        if found is None:
            return None
        ghost, account = found
        if ghost.custody == "linked":
            return Located(ghost.handle, ghost.ref.id, ghost.ref.id)
        page = account.url if origin(account.url) else ghost.ref.id
        return Located(f"{ghost.handle}@{self._host.site.domain}", ghost.ref.id, page, account.avatar)
