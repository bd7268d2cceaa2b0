"""Who others are: DID to document, handle to DID, and both ways (atproto.com/specs/did, atproto.com/specs/handle).

A handle proves itself at `https://HANDLE/.well-known/atproto-did`, or in a DNS record, which we have no means to read:
for that the AppView is asked, which is trusted with much else. A handle in a document counts once it leads back.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final
from urllib.parse import quote

import msgspec

from adapters.atproto import documents, plc
from adapters.atproto.crypto import PublicKey
from adapters.atproto.directory import Directory
from adapters.atproto.documents import MAX_DOCUMENT, Document
from adapters.atproto.handles import label_under
from adapters.atproto.memory import Memory
from adapters.atproto.syntax import is_did, is_handle
from bridged.api import EgressFailed, Host, Malformed, Rejected, Response, Unreachable

GOOD_FOR: Final = 6 * 3600.0
"""Seconds that a document or handle is believed; `#identity` events end it sooner."""
MISSING_FOR: Final = 300.0
AGAIN: Final = 60.0
"""Seconds that must pass until a signature that fails is reason to look at a document again."""
INVALID: Final = "handle.invalid"
"""Stands for a handle that does not lead back."""
STRANGER_SECONDS: Final = 3.0
"""How long the host of a handle or a did:web may take: others wait for it too."""
WELL_KNOWN: Final = "/.well-known/atproto-did"
WEB: Final = "did:web:"
DOCUMENT: Final = "/.well-known/did.json"
"""Where the host that a did:web names has its document."""
MAX_ID: Final = 1000
"""Characters of a DID that may become a ref."""

_NOWHERE: Final = frozenset(["alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion"])
_TRANSIENT: Final = frozenset({408, 421, 425, 429})


class Resolver:
    """Looks at others.

    directory  the address of a PLC directory, or the embedded one
    appview    who is asked about handles, "" for nobody
    ours       the DID of a handle below `handle_domain`, if somebody has it: we are not asked over the network
    """

    def __init__(
        self,
        host: Host,
        directory: str | Directory,
        appview: str,
        ours: Callable[[str], Awaitable[str | None]],
    ) -> None:
        self._host, self._appview, self._ours = host, appview.rstrip("/"), ours
        self._directory = directory.rstrip("/") if isinstance(directory, str) else directory
        self._documents: Memory[Document] = Memory(host.now, found=GOOD_FOR, missing=MISSING_FOR)
        self._handles: Memory[str] = Memory(host.now, found=GOOD_FOR, missing=MISSING_FOR)

    async def document(self, did: str) -> Document | None:
        """What the document of `did` says, its handle being only claimed; None when there is none.

        Raises Unreachable.
        """
        if not can_be(did):
            return None
        if isinstance(self._directory, Directory) and plc.is_did(did):
            return await self._embedded(self._directory, did)
        return await self._documents.get(did, self._look)

    async def resolve(self, did: str) -> Document | None:
        """The same, with the handle that leads back to it, or `INVALID`. Raises Unreachable.

        A handle that nobody answers for now is not believed either, unless it was of late.
        """
        found = await self.document(did)
        if found is None:
            return None
        try:
            back = await self.did_of(found.handle) if found.handle else None
        except Unreachable:
            back = None
        return found if back == did else replace(found, handle=INVALID)

    async def did_of(self, handle: str) -> str | None:
        """The DID that a handle leads to; whether that one claims the handle is another question.

        Raises Unreachable.
        """
        handle = handle.lower()
        if not is_handle(handle) or handle.rpartition(".")[2] in _NOWHERE:
            return None
        if label_under(self._host.site.handle_domain, handle) is not None:
            return await self._ours(handle)
        return await self._handles.get(handle, self._ask)

    async def key_again(self, did: str) -> PublicKey | None:
        """The key that signs for `did`, looked at anew since a signature failed; None when that was just done.

        Raises Unreachable.
        """
        if not can_be(did):
            return None
        if isinstance(self._directory, Directory) and plc.is_did(did):
            return None  # that was read anew already
        age = self._documents.age(did)
        if age is not None and 0 <= age < AGAIN:
            return None
        found = await self._documents.get(did, self._look, within=AGAIN)
        return found.key if found else None

    def forget(self, did: str, handle: str = "") -> None:
        """Something changed about this identity (`#identity`): what was known of it counts no more."""
        self._documents.forget(did)
        if handle:
            self._handles.forget(handle.lower())

    async def _embedded(self, directory: Directory, did: str) -> Document | None:
        state = await self._host.read(lambda tx: directory.state(tx, did))
        return self._read(did, msgspec.json.encode(documents.document_of(did, state))) if state is not None else None

    async def _look(self, did: str) -> Document | None:
        if did.startswith(WEB):
            try:
                answer = await self._strange(f"https://{did.removeprefix(WEB)}{DOCUMENT}", redirects=0)
            except Rejected:
                return None
        else:
            answer = await self._trusted(f"{self._directory}/{did}")
        return self._read(did, answer.body) if answer is not None else None

    def _read(self, did: str, body: bytes) -> Document | None:
        try:
            return documents.read(did, body)
        except Malformed as bad:
            self._host.refused(f"document_{bad.reason}")
            return None

    async def _ask(self, handle: str) -> str | None:
        """At the handle itself, then the AppView. Raises Unreachable."""
        silent: Unreachable | None = None
        try:
            answer = await self._strange(f"https://{handle}{WELL_KNOWN}")
        except Rejected:
            answer = None
        except Unreachable as none:
            answer, silent = None, none
        did = _said(answer.body) if answer is not None else None
        if did is not None:
            return did
        if not self._appview:
            if silent is not None:
                raise silent
            return None
        url = f"{self._appview}/xrpc/com.atproto.identity.resolveHandle?handle={quote(handle)}"
        answer = await self._trusted(url)
        return _named(answer.body) if answer is not None else None

    async def _trusted(self, url: str) -> Response | None:
        """From an address of the operator's: that it is forbidden says nothing of whom it was asked about."""
        try:
            return await self._get(url)
        except Rejected as refused:
            raise Unreachable(refused.why) from None

    async def _strange(self, url: str, redirects: int = 3) -> Response | None:
        """From a host that anybody may have named. Raises Unreachable, Rejected."""
        try:
            async with asyncio.timeout(STRANGER_SECONDS):
                return await self._get(url, redirects)
        except TimeoutError:
            raise Unreachable("it takes too long") from None

    async def _get(self, url: str, redirects: int = 3) -> Response | None:
        """None where the other side says no. Raises Unreachable, Rejected."""
        try:
            answer = await self._host.http.get(url, limit=MAX_DOCUMENT, redirects=redirects)
        except EgressFailed as failed:
            raise Unreachable(failed.why) from None
        if answer.status >= 500 or answer.status in _TRANSIENT:
            raise Unreachable(f"status {answer.status}")
        return answer if 200 <= answer.status < 300 else None


def can_be(did: str) -> bool:
    """Whether it is a DID of a kind that AT knows: did:plc, or did:web of a host without a port or path."""
    if len(did) > MAX_ID:
        return False
    host = did.removeprefix(WEB)
    return plc.is_did(did) or (
        did.startswith(WEB) and host == host.lower() and is_handle(host) and host.rpartition(".")[2] not in _NOWHERE
    )


def _said(body: bytes) -> str | None:
    """The DID that a plain text is."""
    try:
        text = body.decode().strip()
    except UnicodeDecodeError:
        return None
    return text if is_did(text) and can_be(text) else None


def _named(body: bytes) -> str | None:
    try:
        value: object = msgspec.json.decode(body, type=dict[str, msgspec.Raw]).get("did")
        did = msgspec.json.decode(value, type=str) if isinstance(value, msgspec.Raw) else ""
    except (msgspec.MsgspecError, UnicodeError):
        return None
    return did if can_be(did) else None
