"""`bridged check` for the AT Protocol: can others tell who our accounts are, and do they read what is said?"""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec
import sqlalchemy as sa

from adapters.atproto import feeds, ours
from adapters.atproto.config import EMBEDDED, AtprotoConfig, IngestConfig
from adapters.atproto.documents import MAX_DOCUMENT
from adapters.atproto.firehose import address
from adapters.atproto.identity import DOCUMENT, WEB, WELL_KNOWN
from adapters.atproto.pds import firehose
from adapters.atproto.pds.tables import SPANS, repos
from bridged.api import EgressFailed, EgressRefused, Finding, Host, Tx

_WAITING: Final = 1000
"""Events that wait for their turn, from which on an operator is told to do something."""
_ASK = "ask for more where you are read: docs/atproto.md says how"


async def findings(host: Host, config: AtprotoConfig) -> Sequence[Finding]:
    found = [await _handle(host, config)]
    did = await _bot(host)
    if did.startswith(WEB):
        found.append(await _document(host, did))
    if config.plc != EMBEDDED:
        found.append(await _directory(host, config.plc))
    if config.appview:
        url = f"{config.appview}/xrpc/app.bsky.actor.getProfile?actor={quote(did)}"
        found.append(await _known(host, "AppView", url, "appview"))
    found.append(await _stream(host, config.ingest))
    for relay in config.crawlers:
        hostname = urlsplit(host.site.base_url).netloc
        url = f"{relay}/xrpc/com.atproto.sync.getHostStatus?hostname={quote(hostname)}"
        found.append(await _known(host, f"relay {relay}", url, "crawlers"))
    return [*found, *await host.read(lambda tx: _pace(tx, host.now(), config.pace.accounts))]


async def _bot(host: Host) -> str:
    made = await host.read(lambda tx: ours.of(tx, feeds.BOT))
    return made.did if made is not None else ""


async def _handle(host: Host, config: AtprotoConfig) -> Finding:
    """The bot's handle leads to its DID, as the world sees it."""
    what = "AT Protocol handle"
    made = await host.read(lambda tx: ours.of(tx, feeds.BOT))
    if made is None:
        return Finding(what, False, "the bot has no account there yet", "start the bridge once")
    if config.plc == EMBEDDED:
        # there is no such name outside: whoever is in a closed network asks us
        base = host.site.base_url
        url = f"{base}/xrpc/com.atproto.identity.resolveHandle?handle={made.handle}"
    else:
        url = f"https://{made.handle}{WELL_KNOWN}"
    mend = (
        f"let DNS lead *.{host.site.handle_domain} to this bridge, with a certificate for it, and let the web server in"
        f" front pass {WELL_KNOWN} on with its Host; docs/atproto.md says how, and how DNS alone can do it"
    )
    try:
        answer = await host.http.get(url, limit=4096)
    except (EgressFailed, EgressRefused) as error:
        return Finding(what, False, f"{url}: {error.why}", mend)
    ok = answer.status == 200 and made.did.encode() in answer.body
    said = f"@{made.handle} is {made.did}" if ok else f"{url} answers {answer.status} without {made.did}"
    return Finding(what, ok, said, "" if ok else mend)


async def _document(host: Host, did: str) -> Finding:
    """A did:web is what its host says of it, to the world: DNS alone is not enough."""
    what, url = "AT Protocol did:web", f"https://{did.removeprefix(WEB)}{DOCUMENT}"
    mend = (
        f"let DNS lead *.{host.site.handle_domain} to this bridge, with a certificate for it, and let the web server in"
        f" front pass {DOCUMENT} on with its Host; docs/atproto.md says how"
    )
    try:
        answer = await host.http.get(url, limit=MAX_DOCUMENT)
    except (EgressFailed, EgressRefused) as error:
        return Finding(what, False, f"{url}: {error.why}", mend)
    ok = answer.status == 200 and f'"{did}"'.encode() in answer.body
    said = "the bot's document is found" if ok else f"{url} answers {answer.status} without {did}"
    return Finding(what, ok, said, "" if ok else mend)


async def _directory(host: Host, plc: str) -> Finding:
    what, url = "PLC directory", f"{plc}/_health"
    if plc.startswith("https://") and not host.site.base_url.startswith("https://"):
        mend = "set adapters.atproto.plc to embedded before the bridge runs, or base_url to an address with https"
        return Finding(what, False, f"{plc} is for all to read, and {host.site.base_url} is not", mend)
    did = await _bot(host)
    try:
        answer = await host.http.get(url, limit=1 << 16)
        ok, said = answer.status == 200, f"{url} answers {answer.status}"
        known = await host.http.get(f"{plc}/{did}", limit=MAX_DOCUMENT) if ok and did.startswith("did:plc:") else None
    except (EgressFailed, EgressRefused) as error:
        ok, known, said = False, None, f"{url}: {error.why}"
    if known is not None and known.status in (404, 410):
        mend = "set adapters.atproto.plc to the directory that the accounts were made with"
        return Finding(what, False, f"{plc} does not know the bot, {did}", mend)
    return Finding(what, ok, said, "" if ok else "check the address in adapters.atproto.plc")


async def _known(host: Host, what: str, url: str, key: str) -> Finding:
    """Whether somebody who reads us knows of us: that they do not yet is no fault of a new bridge."""
    try:
        answer = await host.http.get(url, limit=1 << 16)
    except (EgressFailed, EgressRefused) as error:
        return Finding(what, False, f"{url}: {error.why}", f"check the address in adapters.atproto.{key}")
    if answer.status in (400, 404):
        mend = "a new bridge is read some minutes after it first says something; later, see that base_url is reached"
        return Finding(what, False, "it has not heard of us yet", mend)
    if answer.status != 200:
        return Finding(what, False, f"{url} answers {answer.status}", "try again later")
    try:
        status = msgspec.json.decode(answer.body, type=dict[str, Any]).get("status", "active")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        status = "active"
    ok = not isinstance(status, str) or status in ("active", "idle")
    return Finding(what, ok, "knows us" if ok else f"has us as {status}", "" if ok else _ASK)


async def _stream(host: Host, ingest: IngestConfig) -> Finding:
    url = ingest.jetstream or ingest.firehose
    if url is None:
        return Finding("AT Protocol stream", True, "nobody there is listened to: no ingest is set")
    what = f"stream {url}"
    if ingest.firehose:
        url = address(ingest.firehose)
    try:
        socket = await host.http.websocket(url, max_size=1 << 20)
    except (EgressFailed, EgressRefused) as error:
        return Finding(what, False, error.why, "check the address in adapters.atproto.ingest")
    await socket.close()
    return Finding(what, True, "connects")


def _pace(tx: Tx, now: float, accounts: int) -> list[Finding]:
    """What relays may still be shown, and how many accounts there are of those that they take."""
    budget = firehose.budget(tx, now)
    spans = zip(budget.left, budget.most, SPANS, strict=True)
    said = ", ".join(f"{left:,} of {most:,} this {span}" for left, most, span in spans)
    ok = budget.waiting < _WAITING
    query = sa.select(sa.func.count()).select_from(repos).where(repos.c.status == "active")
    there = int(tx.execute(query).scalar_one())
    fits = there <= accounts
    return [
        Finding("AT Protocol pace", ok, f"{said}; {budget.waiting:,} events wait", "" if ok else _ASK),
        Finding("AT Protocol accounts", fits, f"{there:,} of {accounts:,} that relays take", "" if fits else _ASK),
    ]
