"""The embedded PLC directory, for localhost and closed networks: takes and refuses what `plc.directory` does.

It is served below `path` of the bridge's own address, so that `<base_url>/plc` stands where others have
`https://plc.directory`. Resolvers of others drop a path from the address they are given (`@atproto/identity` and
`@atproto-labs/did-resolver` do): what is about one DID is served from the root as well.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import orjson
import sqlalchemy as sa
from aiohttp import web

from adapters.atproto import plc
from adapters.atproto.cid import Cid
from adapters.atproto.constraints import refuse_too_often, refuse_unfit
from adapters.atproto.documents import document_of
from adapters.atproto.identity_tables import directory as table
from adapters.atproto.plc import MAX_LOG, Entry, Operation, State
from adapters.atproto.syntax import parse_datetime
from bridged.api import Host, Malformed, Tx

MAX_BODY: Final = 16 * 1024
MAX_PAGE: Final = 1000
NEW_PER_HOUR: Final = 300
"""New identities taken over HTTP: anybody may make one, and every one is kept for ever."""

_CORS: Final = {"Access-Control-Allow-Origin": "*"}
_NEWEST: Final = (table.c.seq, table.c.did, table.c.cid, table.c["at"], table.c.nullified, table.c.operation)


class Directory:
    """Answers for the table `atproto_plc`; `add` and `state` are for our own transactions."""

    def __init__(self, host: Host, path: str = "/plc") -> None:
        self._host, self._path = host, path
        self._hour: int = 0
        self._new: int = 0

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get(f"{self._path}/_health", self._health),
            web.get(f"{self._path}/export", self._export),
            *self._of_one(f"{self._path}/{{did}}"),
            *self._of_one("/{did:did:plc:[^/]+}"),
        ]

    def _of_one(self, path: str) -> Iterable[web.RouteDef]:
        return [
            web.get(path, self._document),
            web.post(path, self._post),
            web.get(f"{path}/data", self._data),
            web.get(f"{path}/log", self._log),
            web.get(f"{path}/log/last", self._last),
            web.get(f"{path}/log/audit", self._audit),
        ]

    def add(self, tx: Tx, did: str, operation: Operation) -> None:
        """Takes an operation that may follow. Raises Malformed with the reason why it may not."""
        at, undone = self._judge(tx, did, operation)
        if undone:
            cids = [str(cid) for cid in undone]
            tx.execute(sa.update(table).where(table.c.did == did, table.c.cid.in_(cids)).values(nullified=True))
        row = {"did": did, "cid": str(operation.cid), "at": at, "nullified": False}
        tx.execute(sa.insert(table).values(**row, operation=orjson.dumps(dict(operation.fields))))

    def _judge(self, tx: Tx, did: str, operation: Operation) -> tuple[int, tuple[Cid, ...]]:
        """When the operation comes, and what it undoes. Raises Malformed."""
        refuse_unfit(operation)
        log = _counting(tx, did)
        if len(log) >= MAX_LOG:
            raise Malformed("log")
        # the clock may stand still or go back, the log does not
        at = max(int(self._host.now() * 1000), log[-1].at + 1 if log else 0)
        undone = plc.follow(did, log, operation, at)
        if not undone:  # to recover is never too often
            refuse_too_often(log, at)
        return at, undone

    def state(self, tx: Tx, did: str) -> State | None:
        """What an identity is now; None when it ended or never was."""
        last = _last(tx, did)
        return last.state if last else None

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.read()
        did = request.match_info["did"]
        try:
            if len(body) > MAX_BODY:
                raise Malformed("size")
            operation = plc.read(_json(body))
            new = operation.prev is None
            if new and not self._room():
                return _message(429, "Too many new identities within the last hour")
            # first without the writer, which strangers must not keep busy with what comes to nothing
            await self._host.read(lambda tx: self._judge(tx, did, operation))
            await self._host.write(lambda tx: self.add(tx, did, operation))
            self._new += int(new)
        except Malformed as bad:
            self._host.refused(f"plc_{bad.reason}")
            often = bad.reason == "rate"
            said = (
                "Too many operations within last hour, day or week" if often else f"Not a valid operation: {bad.reason}"
            )
            return _message(400, said)
        return web.Response(text="OK", headers=_CORS)

    def _room(self) -> bool:
        hour = int(self._host.now() // 3600)
        if hour != self._hour:
            self._hour, self._new = hour, 0
        return self._new < NEW_PER_HOUR

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"version": self._host.site.version}, headers=_CORS)

    async def _document(self, request: web.Request) -> web.Response:
        return await self._state(request, "application/did+ld+json", document_of)

    async def _data(self, request: web.Request) -> web.Response:
        return await self._state(request, "application/json", _data_of)

    async def _state(
        self, request: web.Request, kind: str, form: Callable[[str, State], dict[str, Any]]
    ) -> web.Response:
        did = request.match_info["did"]
        last = await self._host.read(lambda tx: _last(tx, did))
        if last is None:
            return _message(404, f"DID not registered: {did[:100]}")
        if last.state is None:
            return _message(404, f"DID not available: {did[:100]}")
        return web.Response(body=orjson.dumps(form(did, last.state)), content_type=kind, headers=_CORS)

    async def _last(self, request: web.Request) -> web.Response:
        did = request.match_info["did"]
        last = await self._host.read(lambda tx: _last(tx, did))
        return _found(did, dict(last.fields) if last else None)

    async def _log(self, request: web.Request) -> web.Response:
        did = request.match_info["did"]
        log = await self._host.read(lambda tx: _counting(tx, did))
        return _found(did, [dict(entry.operation.fields) for entry in log])

    async def _audit(self, request: web.Request) -> web.Response:
        did = request.match_info["did"]
        rows = await self._host.read(lambda tx: _rows(tx, table.c.did == did, MAX_LOG))
        return _found(did, [_told(row) | {"nullified": row.nullified} for row in rows])

    async def _export(self, request: web.Request) -> web.Response:
        """`after` is a number (`seq`) or a time; what comes later, oldest first, a line each."""
        count, after = request.query.get("count", str(MAX_PAGE)), request.query.get("after", "")
        if not (count.isascii() and count.isdigit() and 0 < len(count) < 10 and int(count)):
            return _message(400, "Invalid count parameter")
        by_number = after.isascii() and after.isdigit() and len(after) < 16
        try:
            later = table.c.seq > int(after) if by_number else table.c["at"] > (_ms(after) if after else -1)
        except Malformed:
            return _message(400, "Invalid after parameter")
        rows = await self._host.read(lambda tx: _rows(tx, later, min(int(count), MAX_PAGE), by_number))
        if by_number:
            told = [_told(row) | {"seq": row.seq, "type": "sequenced_op"} for row in rows]
        else:
            told = [_told(row) | {"nullified": row.nullified} for row in rows]
        lines = b"\n".join(orjson.dumps(line) for line in told)
        return web.Response(body=lines, content_type="application/jsonlines", headers=_CORS)


def _rows(tx: Tx, where: Any, most: int, by_number: bool = True) -> Sequence[Any]:
    order = (table.c.seq,) if by_number else (table.c["at"], table.c.seq)
    return tx.execute(sa.select(*_NEWEST).where(where).order_by(*order).limit(most)).all()


def _counting(tx: Tx, did: str) -> list[Entry]:
    rows = _rows(tx, sa.and_(table.c.did == did, sa.not_(table.c.nullified)), MAX_LOG)
    return [Entry(_operation(row.operation), row.at) for row in rows]


def _last(tx: Tx, did: str) -> Operation | None:
    where = (table.c.did == did, sa.not_(table.c.nullified))
    row = tx.execute(sa.select(table.c.operation).where(*where).order_by(table.c.seq.desc()).limit(1)).first()
    return _operation(row.operation) if row else None


def _operation(stored: bytes) -> Operation:
    return plc.read(orjson.loads(stored))


def _told(row: Any) -> dict[str, Any]:
    operation = orjson.Fragment(row.operation)
    return {"did": row.did, "operation": operation, "cid": row.cid, "createdAt": _time(row.at)}


def _data_of(did: str, state: State) -> dict[str, Any]:
    return {
        "did": did,
        "verificationMethods": dict(state.verification_methods),
        "rotationKeys": list(state.rotation_keys),
        "alsoKnownAs": list(state.also_known_as),
        "services": {name: {"type": s.type, "endpoint": s.endpoint} for name, s in state.services.items()},
    }


def _found(did: str, what: Any) -> web.Response:
    if not what:
        return _message(404, f"DID not registered: {did[:100]}")
    return web.Response(body=orjson.dumps(what), content_type="application/json", headers=_CORS)


def _message(status: int, text: str) -> web.Response:
    return web.json_response({"message": text}, status=status, headers=_CORS)


def _json(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Malformed("json") from None


def _time(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03}Z"


def _ms(text: str) -> int:
    return round(parse_datetime(text) * 1000)
