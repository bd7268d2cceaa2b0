"""`bridged check` for ActivityPub: do others find us at our public address?"""

from collections.abc import Sequence
from urllib.parse import quote

from adapters.activitypub.ids import Urls
from adapters.activitypub.reading import Object, read_object
from adapters.activitypub.shapes import is_as2, objects, origin, text
from bridged.api import EgressFailed, EgressRefused, Finding, Host, Malformed

_MEND = (
    "Check base_url and domain in bridge.yaml, DNS, the certificate, and that the web server in front passes "
    "this path on with the Host header unchanged."
)


async def findings(host: Host, urls: Urls) -> Sequence[Finding]:
    """WebFinger of the bot as another server would ask for it, host-meta, the actor it leads to, and NodeInfo."""
    site = host.site
    resource = f"acct:{site.bot}@{site.domain}"
    # Others know only the domain: where base_url is elsewhere, the domain must send them on.
    scheme = urls.base.partition("://")[0]
    start = urls.base if origin(urls.base) == site.domain.lower() else f"{scheme}://{site.domain}"
    found, said = await _read(host, f"{start}/.well-known/webfinger?resource={quote(resource, safe='')}")
    named = {text(link.get("href")) for link in objects((found or {}).get("links")) if is_as2(text(link.get("type")))}
    looped = urls.bot in named and text((found or {}).get("subject")) == resource
    if found is not None and not looped:
        said = f"the answer for {resource} does not lead to {urls.bot}"
    meta, meta_said = await _read(host, f"{start}/.well-known/host-meta.json")
    actor, actor_said = await _read(host, urls.bot)
    right = actor is not None and actor.get("id") == urls.bot
    info, info_said = await _read(host, f"{urls.base}/.well-known/nodeinfo")
    return (
        Finding("ActivityPub WebFinger", looped, f"{resource} found" if looped else said, "" if looped else _MEND),
        Finding("host-meta", meta is not None, meta_said, "" if meta else _MEND),
        Finding("ActivityPub actor", right, urls.bot if right else actor_said, "" if right else _MEND),
        Finding("NodeInfo", info is not None, info_said, "" if info else _MEND),
    )


async def _read(host: Host, url: str) -> tuple[Object | None, str]:
    """(document, what happened)."""
    try:
        response = await host.http.get(url, headers={"Accept": "application/activity+json, application/json"})
    except (EgressFailed, EgressRefused) as failed:
        return None, f"{url}: {failed.why}"
    if response.status != 200:
        return None, f"{url}: HTTP {response.status}"
    try:
        return read_object(response.body), f"{url} answers"
    except Malformed as malformed:
        return None, f"{url}: {malformed.reason}"
