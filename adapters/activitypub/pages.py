"""What we serve on ActivityPub: actors, objects and activities; the rooms beside it serve the rest."""

from collections.abc import Iterable

import orjson
from aiohttp import web

from adapters.activitypub import readable
from adapters.activitypub.collections import Collections
from adapters.activitypub.discovery import Discovery
from adapters.activitypub.documents import (
    Document,
    actor_document,
    create_of,
    dump,
    instance_actor,
    tombstone,
    with_plain_url,
)
from adapters.activitypub.ids import Urls, native
from adapters.activitypub.inbox import Inbox
from adapters.activitypub.pasted import Pasted
from adapters.activitypub.serving import absent, answer, content_type, elsewhere, error, form, served
from adapters.activitypub.shapes import ident, web_url, when
from bridged.api import Host


class Pages:
    """Everything but the inboxes. `instance_name` is the username of the instance actor."""

    def __init__(self, host: Host, urls: Urls, inbox: Inbox, public_pem: str, instance_name: str) -> None:
        self._host = host
        self._urls = urls
        self._inbox = inbox
        self._pem = public_pem
        self._instance_name = instance_name
        self._discovery = Discovery(host, urls, instance_name)
        self._collections = Collections(host, urls)
        self._pasted = Pasted(host, self._discovery)

    def routes(self) -> Iterable[web.RouteDef]:
        """Every address of `ids.Urls`, the well-known ones and the inboxes. HEAD goes with every GET."""
        user = "/users/{network}/{slug}"
        return [
            *self._discovery.routes(),
            *self._collections.routes(),
            web.get("/actor", self.instance),
            web.post("/actor/inbox", self._inbox.post),
            web.post("/inbox", self._inbox.post),
            web.get(user, self.ghost),
            web.post(f"{user}/inbox", self._inbox.post_to_ghost),
            web.get("/objects/{network}/{slug}", self.copy),
            web.get("/activities/{network}/{slug}", self.copy),
            web.get("/activities/{network}/{slug}/create", self.create),
            web.get(
                "/activities/{network}/{slug}/{verb:accept|approval|delete|follow|quote|reject|undo|update}", self.copy
            ),
            *self._pasted.routes(),
        ]

    async def instance(self, request: web.Request) -> web.Response:
        """The instance actor, served to everybody: two servers that both want signatures would never meet."""
        if form(request) == "page":
            return elsewhere(self._urls.base)
        return served(request, dump(instance_actor(self._urls, self._instance_name, self._pem)))

    async def ghost(self, request: web.Request) -> web.Response:
        """An actor; for browsers its page at home, or ours where it has none."""
        url = self._url(request)
        ref = native(url)
        found = await self._host.ghost(ref)
        if found is None:
            return await absent(self._host, request, url)
        ghost, account = found
        stored = await self._host.copy(ref)
        if stored is not None and stored.served and not stored.gone:
            body = stored.served
        else:
            body = dump(actor_document(ghost, account, self._urls, self._pem))
        if form(request) == "page":
            return self._page(url, orjson.loads(body))
        # pubby 0.6 keeps an actor's url as text: with a list, all that we say to its users ends in errors there.
        plain = request.headers.get("User-Agent", "").startswith("pubby/")
        response = served(request, with_plain_url(body) if plain else body)
        response.headers["Vary"] = "Accept, User-Agent"
        return response

    async def copy(self, request: web.Request) -> web.Response:
        """An object or activity, or its tombstone."""
        return await self._stored(request, self._url(request))

    async def create(self, request: web.Request) -> web.Response:
        """The activity that made one of our objects."""
        made = self._urls.created(self._url(request))
        return error(404, "not_found") if made is None else await self._stored(request, made, wrap=True)

    async def _stored(self, request: web.Request, url: str, *, wrap: bool = False) -> web.Response:
        copy = await self._host.copy(native(url))
        if copy is None:
            return error(404, "not_found")
        if copy.gone:
            body = copy.served if copy.served and not wrap else dump(tombstone(self._url(request)))
            return answer(request, body, content_type(form(request)), status=410)
        if not copy.served:
            return error(404, "not_found")
        document: Document = orjson.loads(copy.served)
        if form(request) == "page":
            return self._page(url, document)
        body = dump(create_of(document, self._urls)) if wrap else copy.served
        return served(request, body, changed=_changed(document))

    def _page(self, url: str, document: Document) -> web.Response:
        """Where people read it: the original if that has a page, what it is about, or a page of our own."""
        home = web_url(document.get("url")) or ident(document.get("object"))
        if home and not self._urls.owns(home):
            return elsewhere(home)
        body = readable.page(document, self._host.site.bot_name, self._host.site.domain)
        headers = {
            "Content-Security-Policy": readable.POLICY,
            "Vary": "Accept",
            "Link": f'<{url}>; rel="alternate"; type="application/activity+json"',
        }
        return web.Response(text=body, content_type="text/html", charset="utf-8", headers=headers)

    def _url(self, request: web.Request) -> str:
        return f"{self._urls.base}{request.path}"


def _changed(document: Document) -> float | None:
    """Since when it reads like this, if it says so: votes, and leave to quote, are added without a date."""
    if document.keys() & {"votersCount", "quote"}:
        return None
    return when(document.get("updated")) or when(document.get("published"))
