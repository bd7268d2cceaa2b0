"""What other bridges put on their copies. Pure."""

from adapters.activitypub.reading import Object
from adapters.activitypub.shapes import ident, links, objects, origin

BRIDGES = ("brid.gy", "momostr.pink", "mostr.pub")
"""Hosts, with all below them, where everybody is a copy of somebody on a network that we bridge as well."""


def mark_of(source: Object) -> str:
    """The original on another network that an object or actor is a copy of, or "".

    Told by FEP-fffd (a `canonical` link, or `proxyOf`), else by a host known to be a bridge: then all that is
    known of the original is the copy's own id.
    """
    for href, rel, _ in links(source.get("url")):
        if rel == "canonical" and ":" in href and not href.startswith(("http:", "https:")):
            return href
    for proxied in objects(source.get("proxyOf")):
        if found := ident(proxied.get("proxied")):
            return found
    said = ident(source)
    host = origin(said)
    return said if any(host == bridge or host.endswith(f".{bridge}") for bridge in BRIDGES) else ""
