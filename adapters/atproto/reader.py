"""What others have said, read at their homes when somebody asks for it.

A record is asked of the host that its author's document names, which holds the author's key: what it says is what the
author says. The AppView is asked only which posts answer another, and they are then read at their homes.
"""

import asyncio
from typing import Any, Final, cast
from urllib.parse import quote, urlencode

import msgspec

from adapters.atproto import cbor, ids
from adapters.atproto.cid import Cid
from adapters.atproto.envelopes import Change, Person, record_envelope
from adapters.atproto.identity import Resolver
from adapters.atproto.people import GONE, Accounts
from adapters.atproto.profiles import account_of, pinned
from bridged.api import (
    Account,
    EgressFailed,
    Envelope,
    Host,
    Malformed,
    Ref,
    Rejected,
    Unreachable,
)

MAX_RECORD: Final = 2 << 20
MAX_PAGE: Final = 4 << 20
MAX_ANSWERS: Final = 40
RECENT: Final = 20
"""Posts that are shown of somebody who is newly followed."""
_AT_ONCE: Final = 8


class Reader:
    """`appview` is asked for answers, "" for nobody."""

    def __init__(self, host: Host, resolver: Resolver, accounts: Accounts, appview: str) -> None:
        self._host, self._resolver, self._accounts, self._appview = host, resolver, accounts, appview

    async def find(self, name: str) -> Ref | None:
        """The account with this handle or DID, or what a page of the viewer shows. Raises Unreachable."""
        name = name.strip().removeprefix("@")
        if ids.parse(name) is not None:
            named = ids.parse(name)
            return named if named is not None and await self._resolver.document(_owner(named.id)) is not None else None
        handle, rkey = ids.called(name)
        did = await self._resolver.did_of(handle or name)
        found = await self._resolver.document(did) if did is not None else None
        # a page may have been linked to under a name that is another by now; a name alone must be claimed
        if found is None or (not handle and found.handle != name.lower()):
            return None
        return ids.record_ref(found.did, ids.POST, rkey) if rkey else ids.account_ref(found.did)

    async def account(self, did: str) -> Account | None:
        """Raises Unreachable."""
        person = await self._accounts.person(did)
        if person is None:
            return None
        try:
            return account_of(did, person.handle, person.pds, person.profile)
        except Malformed:
            return account_of(did, person.handle, person.pds, None)

    async def post(self, ref: Ref) -> Envelope | None:
        """The record, as its host has it now; None when it is gone, or no post. Raises Unreachable."""
        place = ids.split(ref.id)
        if place is None or place[1] != ids.POST:
            return None
        did, collection, rkey = place
        handle, pds = await self._accounts.whereabouts(did)
        if not pds:
            return None
        query = urlencode({"repo": did, "collection": collection, "rkey": rkey})
        said = await self._asked(f"{pds}/xrpc/com.atproto.repo.getRecord?{query}", MAX_RECORD)
        return None if said is None else self._envelope(said, did, handle, pds)

    async def recent(self, did: str) -> list[Envelope]:
        """The account's newest posts, what it keeps at the top, and its profile, which says so. Raises Unreachable."""
        person = await self._accounts.person(did)
        if person is None or not person.pds:
            return []
        query = urlencode({"repo": did, "collection": ids.POST, "limit": RECENT})
        said = await self._asked(f"{person.pds}/xrpc/com.atproto.repo.listRecords?{query}", MAX_PAGE)
        listed = said.get("records") if said is not None else None
        posts = [
            self._envelope(each, did, person.handle, person.pds)
            for each in (cast("list[Any]", listed)[:RECENT] if isinstance(listed, list) else ())
        ]
        if person.profile is not None:
            top = pinned(person.profile)
            if top and not any(post is not None and post.id.startswith(f"{top}#") for post in posts):
                posts.append(await self.post(Ref(ids.NETWORK, top)))
            posts.insert(0, self._profile(person))
        return [envelope for envelope in reversed(posts) if envelope is not None]

    def _profile(self, person: Person) -> Envelope | None:
        uri = ids.record_ref(person.did, ids.PROFILE, "self").id
        try:
            cid = str(Cid.of(cbor.encode(cbor.from_json(person.profile))))
        except Malformed:
            return None
        said = {"uri": uri, "cid": cid, "value": person.profile}
        return self._envelope(said, person.did, person.handle, person.pds)

    async def answers(self, ref: Ref) -> list[Envelope]:
        """Raises Unreachable."""
        if not self._appview or not ids.is_post(ref.id):
            return []
        query = f"uri={quote(ref.id)}&depth=1&parentHeight=0"
        said = await self._asked(f"{self._appview}/xrpc/app.bsky.feed.getPostThread?{query}", MAX_PAGE)
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def read(uri: str) -> Envelope | None:
            try:
                async with at_once:
                    return await self.post(Ref(ids.NETWORK, uri))
            except Unreachable:
                return None

        uris = _answers(said) if said is not None else []
        found = await asyncio.gather(*(read(uri) for uri in uris if ids.is_post(uri)))
        return [envelope for envelope in found if envelope is not None]

    def _envelope(self, said: Any, did: str, handle: str, pds: str) -> Envelope | None:
        """Of a record as XRPC shows it; None for what is not what its CID says."""
        shown: dict[str, Any] = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
        uri, cid, value = shown.get("uri"), shown.get("cid"), shown.get("value")
        place = ids.split(uri) if isinstance(uri, str) else None
        if place is None or place[0] != did or not isinstance(cid, str) or not isinstance(value, dict):
            self._host.refused("record_shape")
            return None
        try:
            record = cbor.from_json(cast("dict[str, Any]", value))
            if str(Cid.of(cbor.encode(record))) != cid:
                raise Malformed("cid")
            change = Change(did, place[1], place[2], "create", cid, "", cbor.to_json(record), handle, pds)
            return record_envelope(change, self._host.now())
        except (Malformed, ValueError) as bad:
            self._host.refused(f"record_{bad.reason if isinstance(bad, Malformed) else 'id'}")
            return None

    async def _asked(self, url: str, limit: int) -> dict[str, Any] | None:
        """What is answered; None where there is nothing. Raises Unreachable."""
        try:
            answer = await self._host.http.get(url, limit=limit)
        except (EgressFailed, Rejected) as error:
            raise Unreachable(error.why) from None
        if answer.status in GONE:
            return None
        if answer.status != 200:
            raise Unreachable(f"status {answer.status}")
        try:
            return msgspec.json.decode(answer.body, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise Unreachable("no JSON in the answer") from None


def _owner(id: str) -> str:
    """The DID in the id of an account or a record."""
    return id.removeprefix("at://").partition("/")[0]


def _answers(said: dict[str, Any]) -> list[str]:
    """URIs of the posts that a thread shows below its first."""
    thread: object = said.get("thread")
    replies: object = cast("dict[str, Any]", thread).get("replies") if isinstance(thread, dict) else None
    found: list[str] = []
    for reply in cast("list[Any]", replies)[:MAX_ANSWERS] if isinstance(replies, list) else ():
        match reply:
            case {"post": {"uri": str(uri)}}:
                found.append(uri)
            case _:
                continue
    return found
