"""The collections of our actors and objects: outbox, followers, following, featured, tags, replies.

All of them come out of a memory: they are what floods ask for.
"""

from collections.abc import Iterable

import orjson
from aiohttp import web

from adapters.activitypub.documents import (
    Document,
    collection_document,
    create_of,
    dump,
    hashtag,
    page_document,
    whole_collection,
)
from adapters.activitypub.ids import Urls, native
from adapters.activitypub.serving import Make, Memory, absent, elsewhere, error, form, number, served
from bridged.api import Ghost, Host, Ref

PAGE = 20
"""Members on one page of a collection."""
MAX_FEATURED = 20
"""Members of the collections that have no pages."""
COUNTED = 200
"""An outbox longer than this says that it has this many."""
_OUTBOX = ("Post", "Repost")


class Collections:
    def __init__(self, host: Host, urls: Urls) -> None:
        self._host = host
        self._urls = urls
        self._memory = Memory(host.now)

    def routes(self) -> Iterable[web.RouteDef]:
        user = "/users/{network}/{slug}"
        return [
            web.get("/actor/{collection:outbox|followers|following}", self.instance),
            web.get(f"{user}/outbox", self.outbox),
            web.get(f"{user}/{{collection:followers|following}}", self.people),
            web.get(f"{user}/collections/featured", self.featured),
            web.get(f"{user}/collections/tags", self.tags),
            web.get("/objects/{network}/{slug}/replies", self.replies),
        ]

    async def instance(self, request: web.Request) -> web.Response:
        """The instance actor posts nothing and follows nobody."""
        url = f"{self._urls.instance}/{request.match_info['collection']}"
        return served(request, dump(whole_collection(url, [])))

    async def outbox(self, request: web.Request) -> web.Response:
        """Recent posts as Creates, and Announces, newest first."""
        actor, url = self._asked(request, "/outbox")
        before = number(request.query.get("before"))
        paged = "page" in request.query or before is not None
        query = "" if not paged else "page=true" if before is None else f"page=true&before={before}"

        async def make() -> bytes | None:
            found = await self._host.ghost(native(actor))
            if found is None:
                return None
            if not paged:
                return dump(collection_document(url, await self._count(found[0]), "page=true"))
            return dump(await self._outbox_page(found[0], url, query, before))

        return await self._serve(request, actor, f"{url}?{query}", make)

    async def people(self, request: web.Request) -> web.Response:
        """Followers and following."""
        name = request.match_info["collection"]
        actor, url = self._asked(request, f"/{name}")
        page = _page(request)
        if page is None:
            return error(404, "not_found")
        listed = self._host.followers if name == "followers" else self._host.following

        async def make() -> bytes | None:
            found = await self._host.ghost(native(actor))
            if found is None:
                return None
            total, refs = await listed(found[0], PAGE if page else 0, max(0, page - 1) * PAGE)
            return _listed(url, "OrderedCollection", page, total, refs)

        return await self._serve(request, actor, f"{url}?{page}", make)

    async def replies(self, request: web.Request) -> web.Response:
        """What is known here to answer one of our objects, oldest first."""
        post, url = self._asked(request, "/replies")
        page = _page(request)
        if page is None:
            return error(404, "not_found")

        async def make() -> bytes | None:
            copy = await self._host.copy(native(post))
            if copy is None or copy.gone or not copy.served:
                return None
            total, refs = await self._host.answers(native(post), PAGE if page else 0, max(0, page - 1) * PAGE)
            return _listed(url, "Collection", page, total, refs)

        return await self._serve(request, post, f"{url}?{page}", make)

    async def featured(self, request: web.Request) -> web.Response:
        """The posts kept at the top of the profile, whole."""
        actor, url = self._asked(request, "/collections/featured")

        async def make() -> bytes | None:
            found = await self._host.ghost(native(actor))
            if found is None:
                return None
            copies = (await self._host.pinned(found[0]))[:MAX_FEATURED]
            return dump(whole_collection(url, [_bare(copy.served) for copy in copies if copy.served]))

        return await self._serve(request, actor, url, make)

    async def tags(self, request: web.Request) -> web.Response:
        """The hashtags that the profile names."""
        actor, url = self._asked(request, "/collections/tags")

        async def make() -> bytes | None:
            found = await self._host.ghost(native(actor))
            if found is None:
                return None
            names = found[1].bio.tags()[:MAX_FEATURED]
            return dump(whole_collection(url, [hashtag(name, self._urls) for name in names], "Collection"))

        return await self._serve(request, actor, url, make)

    def _asked(self, request: web.Request, end: str) -> tuple[str, str]:
        """(whose, address) of the collection asked for, whatever the query says."""
        url = f"{self._urls.base}{request.path}"
        return url.removesuffix(end), url

    async def _serve(self, request: web.Request, owner: str, key: str, make: Make) -> web.Response:
        if form(request) == "page":
            return elsewhere(owner)
        kept = await self._memory.get(key, make)
        if kept is None:
            return await absent(self._host, request, owner)
        return served(request, kept.body, changed=kept.changed)

    async def _count(self, ghost: Ghost) -> int:
        return len(await self._host.copies_by(ghost, _OUTBOX, COUNTED))

    async def _outbox_page(self, ghost: Ghost, url: str, query: str, before: int | None) -> Document:
        copies = await self._host.copies_by(ghost, _OUTBOX, PAGE + 1, before)
        items = [_outbox_item(copy.served, self._urls) for _, copy in copies[:PAGE] if copy.served]
        following = f"page=true&before={copies[PAGE - 1][0]}" if len(copies) > PAGE else ""
        return page_document(url, query, items, following)


def _page(request: web.Request) -> int | None:
    """The page asked for; 0 for the collection itself, None for one that cannot be."""
    if "page" not in request.query:
        return 0
    page = number(request.query["page"])
    return page if page is not None and 1 <= page <= 1_000_000 else None


def _listed(url: str, kind: str, page: int, total: int, refs: list[Ref]) -> bytes:
    if not page:
        return dump(collection_document(url, total, "page=1", kind))
    following = f"page={page + 1}" if page * PAGE < total else ""
    return dump(page_document(url, f"page={page}", [ref.id for ref in refs], following, kind))


def _bare(body: bytes) -> Document:
    document: Document = orjson.loads(body)
    document.pop("@context", None)
    return document


def _outbox_item(body: bytes, urls: Urls) -> Document:
    document = _bare(body)
    return document if "object" in document else create_of(document, urls)
