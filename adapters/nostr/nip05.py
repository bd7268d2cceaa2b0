"""NIP-05: checking other people's names, and serving those of our ghosts."""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec
from aiohttp import web

from adapters.nostr import ids
from bridged.api import Account, EgressFailed, Host, Ref, Rejected, Unreachable

MAX_ANSWER: Final = 64 * 1024
PATH: Final = "/.well-known/nostr.json"
MAX_NAME: Final = 320
_LOOKUPS: Final = 8
"""Look-ups of names on other networks at one time: each of them asks strangers' servers."""
_LOOKUP_SECONDS: Final = 15.0

_LOCAL: Final = re.compile("[a-z0-9._-]{1,64}")
_DOMAIN: Final = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?::[0-9]{1,5})?"
)
_ASKED: Final = re.compile(r"[a-z0-9._-]{1,320}")
_HEADERS: Final = {"Access-Control-Allow-Origin": "*"}


def split(name: str) -> tuple[str, str] | None:
    """(local part, domain) in lower case of `name@domain`, or of `domain` alone, which is `_@domain`."""
    local, at, domain = name.strip().lower().removesuffix(":443").rpartition("@")
    if not at:
        local = "_"
    if len(domain) > 253 or _LOCAL.fullmatch(local) is None or _DOMAIN.fullmatch(domain) is None:
        return None
    return local, domain


async def find(host: Host, name: str) -> Ref | None:
    """The account that the domain says has this name; None when it says no such thing. Raises Unreachable.

    Redirects are not followed (NIP-05): an answer that came from elsewhere counts as none.
    """
    parts = split(name)
    if parts is None:
        return None
    local, domain = parts
    url = f"https://{domain}{PATH}?name={local}"
    try:
        answer = await host.http.get(url, headers={"Accept": "application/json"}, limit=MAX_ANSWER, redirects=0)
    except EgressFailed as failed:
        raise Unreachable(failed.why) from None
    except Rejected:
        return None
    if answer.status >= 500 or answer.status == 429:
        raise Unreachable(f"status {answer.status}")
    if answer.status != 200:
        return None
    pubkey = named(answer.body, local)
    return None if pubkey is None else ids.account_ref(pubkey)


def named(body: bytes, local: str) -> str | None:
    try:
        document: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    names: object = cast(dict[str, Any], document).get("names") if isinstance(document, dict) else None
    value: object = cast(dict[str, Any], names).get(local) if isinstance(names, dict) else None
    return value if isinstance(value, str) and ids.is_hex(value) else None


class Names:
    """Answers `/.well-known/nostr.json` for our ghosts, making them where somebody may be bridged."""

    def __init__(self, host: Host, relays: Sequence[str]) -> None:
        self._host, self._relays = host, tuple(relays)
        self._lookups = asyncio.Semaphore(_LOOKUPS)

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self.serve)]

    async def serve(self, request: web.Request) -> web.Response:
        """`?name=` as NIP-05 says; an unknown name gets an empty list of names, a failed look-up 503."""
        asked = request.query.get("name", "").lower()
        if _ASKED.fullmatch(asked) is None:
            return self._answer(asked, None)
        try:
            return self._answer(asked, await self._pubkey(asked))
        except (Unreachable, TimeoutError):
            return web.json_response(
                {"error": "cannot tell at the moment"}, status=503, headers={**_HEADERS, "Retry-After": "60"}
            )

    async def _pubkey(self, name: str) -> str | None:
        found = await self._host.ghost_named(self._host.site.bot if name == "_" else name)
        if found is None and (source := source_name(name)) is not None:
            if self._lookups.locked():
                raise Unreachable("too many look-ups at once")
            async with self._lookups, asyncio.timeout(_LOOKUP_SECONDS):
                found = await self._host.lookup(source)
        return None if found is None else found[0].ref.id

    def _answer(self, name: str, pubkey: str | None) -> web.Response:
        names = {} if pubkey is None else {name: pubkey}
        document: dict[str, object] = {"names": names}
        if pubkey is not None and self._relays:
            document["relays"] = {pubkey: list(self._relays)}
        return web.json_response(document, headers=_HEADERS)


def source_name(name: str) -> str | None:
    """The handle a ghost's name was made of: `alice_at_host` -> `alice@host`. Hosts hold no `_`."""
    local, mark, domain = name.rpartition("_at_")
    if mark:
        return f"{local}@{domain}" if local and domain else None
    # Networks whose handles are plain domain names.
    return name if "." in name.strip(".") else None


def ghost_name(account: Account) -> str:
    """The NIP-05 local part for somebody's ghost: the handle with `_at_` for `@`, in NIP-05's alphabet.

    A handle that does not fit is brought near to it and told apart by a hash.
    """
    wanted = account.handle.lower().replace("@", "_at_")
    if _ASKED.fullmatch(wanted) is not None and len(wanted) <= 200:
        return wanted
    return hashed_name(account)


def hashed_name(account: Account) -> str:
    """Another name for the same account, that nobody else's ghost has."""
    near = re.sub("[^a-z0-9._-]", "-", account.handle.lower().replace("@", "_at_"))[:180]
    return f"{near}-{hashlib.sha256(str(account.ref).encode()).hexdigest()[:10]}"
