"""The PDS over HTTP: `com.atproto.repo`, `com.atproto.sync` and `describeServer`, all of it to be read by anybody."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import web

from adapters.atproto import cbor
from adapters.atproto.cid import Cid
from adapters.atproto.feeds import service_did
from adapters.atproto.pds import reading, store
from adapters.atproto.pds.store import Repo
from adapters.atproto.repo import car
from adapters.atproto.syntax import is_did, is_handle, is_nsid, is_record_key
from adapters.atproto.tid import is_tid
from bridged.api import Busy, Host, Malformed, Tx

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Describe = Callable[[str], Awaitable[tuple[str, dict[str, Any]] | None]]
"""(handle, DID document) of a DID of ours."""

MAX_BLOCKS: Final = 200
"""Blocks that one may ask for at once."""
_EXPORTS: Final = 4
"""Whole repositories sent at a time, to one client one: each is held in memory meanwhile."""
_WAITING: Final = 100
"""Requests of one client for repositories at one time."""
_EXPORT_SECONDS: Final = 10.0
_SLOWEST: Final = 1 << 17
"""How long sending one may take, and the bytes a second that its reader has to take in beyond that."""
_CORS: Final = {"Access-Control-Allow-Origin": "*"}
_PREFLIGHT: Final = {
    **_CORS,
    "Access-Control-Allow-Headers": "Authorization, *",
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    "Access-Control-Max-Age": "86400",
}
_FILE: Final = {**_CORS, "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}
_CAR: Final = "application/vnd.ipld.car"
_INACTIVE: Final = {
    "deactivated": ("RepoDeactivated", "This account is not active"),
    "takendown": ("RepoTakendown", "This account was taken down"),
    "suspended": ("RepoSuspended", "This account is suspended"),
}


class Failed(Exception):
    """What is answered instead: an error of XRPC."""

    def __init__(self, name: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.name, self.message, self.status = name, message, status


class Xrpc:
    """Answers what may be asked of the repositories here.

    `did_of` gives the DID of a handle of ours, `describe` what there is to say of a DID.
    """

    def __init__(self, host: Host, did_of: Callable[[str], Awaitable[str | None]], describe: Describe) -> None:
        self._host, self._did_of, self._describe = host, did_of, describe
        self._exports = asyncio.Semaphore(_EXPORTS)
        self._clients: dict[str, tuple[asyncio.Semaphore, int]] = {}
        """Of each client that asks for repositories: its turns, and how many of its requests there are."""

    def routes(self) -> Iterable[web.RouteDef]:
        answers: dict[str, Handler] = {
            "server.describeServer": self._describe_server,
            "repo.describeRepo": self._describe_repo,
            "repo.getRecord": self._get_record,
            "repo.listRecords": self._list_records,
            "sync.getRepo": self._get_repo,
            "sync.getRecord": self._sync_record,
            "sync.getBlocks": self._get_blocks,
            "sync.getLatestCommit": self._latest,
            "sync.getRepoStatus": self._status,
            "sync.listRepos": self._list_repos,
            "sync.listBlobs": self._list_blobs,
            "sync.getBlob": self._get_blob,
        }
        return [
            *(web.get(f"/xrpc/com.atproto.{name}", partial(_answered, answer)) for name, answer in answers.items()),
            web.post("/xrpc/com.atproto.server.createAccount", partial(_answered, _no_accounts)),
            web.route("*", "/xrpc/{name}", partial(_answered, _no_method)),  # paths without a part come before it
        ]

    async def _describe_server(self, _: web.Request) -> web.Response:
        site = self._host.site
        return _json(
            {
                "did": service_did(site.domain),
                "availableUserDomains": [f".{site.handle_domain}"],
                "inviteCodeRequired": True,
            }
        )

    async def _describe_repo(self, request: web.Request) -> web.Response:
        repo = await self._repo(request, "repo")
        said = await self._describe(repo.did)
        handle, document = said or ("handle.invalid", {})
        return _json(
            {
                "handle": handle,
                "did": repo.did,
                "didDoc": document,
                "collections": await self._host.read(lambda tx: reading.collections(tx, repo)),
                "handleIsCorrect": said is not None,
            }
        )

    async def _get_record(self, request: web.Request) -> web.Response:
        repo, path = await self._repo(request, "repo"), _path(request)
        found = await self._host.read(lambda tx: reading.record(tx, repo, path))
        cid = request.query.get("cid")
        if found is None or (cid and cid != str(found.cid)):
            raise Failed("RecordNotFound", "There is no such record")
        return _json(_shown(repo, found))

    async def _list_records(self, request: web.Request) -> web.Response:
        repo, collection = await self._repo(request, "repo"), _collection(request)
        limit, cursor = _number(request, "limit", 50, 100), request.query.get("cursor", "")
        if cursor and not is_record_key(cursor):
            raise Failed("InvalidRequest", "This is no cursor of ours")
        forward = request.query.get("reverse") == "true"
        found = await self._host.read(lambda tx: reading.page(tx, repo, collection, limit, cursor, not forward))
        further = {"cursor": found[-1].rkey} if len(found) == limit else {}
        return _json({"records": [_shown(repo, each) for each in found], **further})

    async def _get_repo(self, request: web.Request) -> web.StreamResponse:
        since = request.query.get("since", "")
        if since and not is_tid(since):
            raise Failed("InvalidRequest", "since is a revision")
        repo = await self._repo(request, "did")
        if request.method == "HEAD":  # whatever is written to it is sent, and read as the next answer
            return web.StreamResponse(headers={**_CORS, "Content-Type": _CAR})
        async with self._turn(request.remote or ""), self._exports:
            pieces = await self._host.read(lambda tx: _still(tx, repo, since))
            response = web.StreamResponse(headers={**_CORS, "Content-Type": _CAR})
            try:
                async with asyncio.timeout(_EXPORT_SECONDS + sum(map(len, pieces)) / _SLOWEST):
                    await response.prepare(request)
                    for start in range(0, len(pieces), 256):
                        await response.write(b"".join(pieces[start : start + 256]))
                    await response.write_eof()
            except TimeoutError:
                self._host.dropped("export_slow_reader")
                if request.transport is not None:
                    request.transport.abort()
        return response

    @asynccontextmanager
    async def _turn(self, client: str) -> AsyncGenerator[None]:
        """One after the other for each client: who does not read what it asked for holds up nobody else."""
        room, waiting = self._clients.get(client) or (asyncio.Semaphore(1), 0)
        if waiting >= _WAITING:
            raise Failed("NotAvailable", "Too many at once", 503)
        self._clients[client] = room, waiting + 1
        try:
            async with room:
                yield
        finally:
            room, waiting = self._clients.pop(client)
            if waiting > 1:
                self._clients[client] = room, waiting - 1

    async def _sync_record(self, request: web.Request) -> web.Response:
        path, did = _path(request), (await self._repo(request, "did")).did
        return _file(await self._host.read(lambda tx: reading.proved(tx, _active(tx, did), path)))

    async def _get_blocks(self, request: web.Request) -> web.Response:
        names = request.query.getall("cids", [])
        if not 0 < len(names) <= MAX_BLOCKS:
            raise Failed("InvalidRequest", f"From 1 to {MAX_BLOCKS} cids")
        cids = [_cid(name) for name in names]
        repo = await self._repo(request, "did")
        found = await self._host.read(lambda tx: reading.blocks(tx, repo, cids))
        if any(cid not in found for cid in cids):
            raise Failed("BlockNotFound", "The repository has not all of these blocks")
        return _file(car.write(repo.head_cid, found.items()))

    async def _latest(self, request: web.Request) -> web.Response:
        repo = await self._repo(request, "did")
        return _json({"cid": str(repo.head_cid), "rev": repo.rev})

    async def _status(self, request: web.Request) -> web.Response:
        did = request.query.get("did", "")
        if not is_did(did):
            raise Failed("InvalidRequest", "did names a repository")
        repo = await self._host.read(lambda tx: store.find(tx, did))
        if repo is None:
            raise Failed("RepoNotFound", "There is no such repository here")
        return _json({"did": repo.did, **_standing(repo)})

    async def _list_repos(self, request: web.Request) -> web.Response:
        limit, after = _number(request, "limit", 500, 1000), _number(request, "cursor", 0, 1 << 53, least=0)
        found = list(await self._host.read(lambda tx: reading.repositories(tx, after, limit)))
        shown = [{"did": each.did, "head": str(each.head_cid), "rev": each.rev, **_standing(each)} for each in found]
        further = {"cursor": str(found[-1].id)} if len(found) == limit else {}
        return _json({"repos": shown, **further})

    async def _list_blobs(self, request: web.Request) -> web.Response:
        limit, since = _number(request, "limit", 500, 1000), request.query.get("since", "")
        cursor = _cid(request.query["cursor"]) if request.query.get("cursor") else None
        repo = await self._repo(request, "did")
        found = await self._host.read(lambda tx: reading.blobs(tx, repo, limit, cursor, since))
        further = {"cursor": str(found[-1])} if len(found) == limit else {}
        return _json({"cids": [str(cid) for cid in found], **further})

    async def _get_blob(self, request: web.Request) -> web.StreamResponse:
        cid = _cid(request.query.get("cid", ""))
        repo = await self._repo(request, "did")
        referred = await self._host.read(lambda tx: reading.has_blob(tx, repo, cid))
        found = await self._host.blob(bytes(cid[4:])) if referred else None
        if found is None:
            raise Failed("BlobNotFound", "The repository has no such blob")
        blob, path = found
        return web.FileResponse(path, headers={**_FILE, "Content-Type": blob.mime})

    async def _repo(self, request: web.Request, name: str) -> Repo:
        """The active repository that is asked about by DID, or by handle where that is usual. Raises Failed."""
        asked = request.query.get(name, "")
        if name == "repo" and is_handle(asked):
            asked = await self._did_of(asked.lower()) or asked
        elif not is_did(asked):
            raise Failed("InvalidRequest", f"{name} names a repository")
        return await self._host.read(lambda tx: _active(tx, asked))


async def _answered(answer: Handler, request: web.Request) -> web.StreamResponse:
    try:
        return await answer(request)
    except Failed as failed:
        return _json({"error": failed.name, "message": failed.message}, failed.status)
    except Busy:
        return _json({"error": "NotAvailable", "message": "Cannot tell at the moment"}, 503, {"Retry-After": "10"})


async def _no_accounts(_: web.Request) -> web.Response:
    raise Failed("AccountCreationDisabled", "This server is for bridged accounts alone", 403)


async def _no_method(request: web.Request) -> web.Response:
    """Browsers ask first whether they may ask, wherever a request has headers of its own."""
    if request.method == "OPTIONS":
        return web.Response(status=204, headers=_PREFLIGHT)
    raise Failed("MethodNotImplemented", "There is no such method here", 404)


def _active(tx: Tx, did: str) -> Repo:
    repo = store.find(tx, did)
    if repo is None or repo.status == "deleted":
        raise Failed("RepoNotFound", "There is no such repository here")
    if repo.status != "active":
        raise Failed(*_INACTIVE[repo.status])
    return repo


def _still(tx: Tx, repo: Repo, since: str) -> list[bytes]:
    """The repository as it is in this very snapshot: commit and tree belong together."""
    return reading.whole(tx, _active(tx, repo.did), since)


def _standing(repo: Repo) -> dict[str, Any]:
    return {"active": True, "rev": repo.rev} if repo.status == "active" else {"active": False, "status": repo.status}


def _shown(repo: Repo, found: reading.Record) -> dict[str, Any]:
    value = cbor.to_json(cbor.decode(found.body))
    return {"uri": f"at://{repo.did}/{found.path}", "cid": str(found.cid), "value": value}


def _collection(request: web.Request) -> str:
    collection = request.query.get("collection", "")
    if not is_nsid(collection):
        raise Failed("InvalidRequest", "collection is an NSID")
    return collection


def _path(request: web.Request) -> str:
    rkey = request.query.get("rkey", "")
    if not is_record_key(rkey):
        raise Failed("InvalidRequest", "rkey is a record key")
    return f"{_collection(request)}/{rkey}"


def _cid(text: str) -> Cid:
    try:
        return Cid.parse(text)
    except Malformed as bad:
        raise Failed("InvalidRequest", "This is no CID of a repository") from bad


def _number(request: web.Request, name: str, default: int, most: int, least: int = 1) -> int:
    text = request.query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and least <= int(text) <= most):
        raise Failed("InvalidRequest", f"{name} is a number from {least} to {most}")
    return int(text)


def _json(value: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(value)
    return web.Response(body=body, status=status, content_type="application/json", headers={**_CORS, **(headers or {})})


def _file(body: bytes) -> web.Response:
    return web.Response(body=body, content_type=_CAR, headers=_CORS)
