"""Accounts of the network as they are now: who they are, where they live, and their profile there."""

from typing import Any, Final, cast
from urllib.parse import urlencode

import msgspec

from adapters.atproto import ids
from adapters.atproto.envelopes import BEHIND, Person
from adapters.atproto.identity import INVALID, Resolver
from bridged.api import EgressFailed, EgressRefused, Host, Unreachable, web_url

RECORD_PATH: Final = "/xrpc/com.atproto.repo.getRecord"
STATUS_PATH: Final = "/xrpc/com.atproto.sync.getRepoStatus"
MAX_RECORD: Final = 64 * 1024
GONE: Final = (400, 404)
"""How hosts say that there is no such record or account."""


class Accounts:
    def __init__(self, host: Host, resolver: Resolver) -> None:
        self._host, self._resolver = host, resolver

    async def whereabouts(self, did: str) -> tuple[str, str]:
        """Handle, checked both ways, and address of the host; "" for what there is not. Raises Unreachable."""
        found = await self._resolver.resolve(did)
        return ("", "") if found is None else ("" if found.handle == INVALID else found.handle, found.pds)

    async def person(self, did: str) -> Person | None:
        """The account asked for anew; None when there is no such account. Raises Unreachable."""
        self._resolver.forget(did)
        found = await self._resolver.resolve(did)
        if found is None:
            return None
        handle = "" if found.handle == INVALID else found.handle
        profile = await self._record(found.pds, did, ids.PROFILE, "self") if found.pds else None
        if profile is None and found.pds and await self._gone(found.pds, did):
            return None
        return Person(did, handle, found.pds, profile)

    async def site(self, did: str, rkey: str) -> str:
        """The web address of a publication; "" for what has none. Raises Unreachable."""
        found = await self._resolver.resolve(did)
        record = await self._record(found.pds, did, ids.PUBLICATION, rkey) if found and found.pds else None
        url = record.get("url") if record else None
        return (web_url(url) or "") if isinstance(url, str) else ""

    async def _gone(self, pds: str, did: str) -> bool:
        """Whether its host says that the account is not there, or not to be shown: of such a one it has no profile."""
        query = urlencode({"did": did})
        try:
            answer = await self._host.http.get(f"{pds}{STATUS_PATH}?{query}", limit=MAX_RECORD)
            said = msgspec.json.decode(answer.body, type=dict[str, Any])
        except (EgressFailed, EgressRefused) as error:
            raise Unreachable(error.why) from None
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return False  # it does not know the question
        if answer.status == 200:
            status = said.get("status")
            return said.get("active") is False and not (isinstance(status, str) and status in BEHIND)
        return answer.status in GONE and said.get("error") == "RepoNotFound"

    async def _record(self, pds: str, did: str, collection: str, rkey: str) -> dict[str, Any] | None:
        query = urlencode({"collection": collection, "rkey": rkey, "repo": did})
        try:
            answer = await self._host.http.get(f"{pds}{RECORD_PATH}?{query}", limit=MAX_RECORD)
        except (EgressFailed, EgressRefused) as error:
            raise Unreachable(error.why) from None
        if answer.status in GONE:
            return None
        if answer.status != 200:
            raise Unreachable(f"status {answer.status}")
        try:
            value: object = msgspec.json.decode(answer.body, type=dict[str, Any]).get("value")
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise Unreachable("no record in the answer") from None
        return cast("dict[str, Any]", value) if isinstance(value, dict) else None
