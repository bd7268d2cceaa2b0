"""AT Protocol's ids and the refs made of them. Pure.

An account's `Ref.id` is its DID, and the id of all that is done is the at:// URI of its record, with the DID in it and
never a handle, since handles change.
"""

from typing import Final
from urllib.parse import unquote, urlsplit

from adapters.atproto.syntax import is_did, is_handle, is_record_key, parse_at_uri
from bridged.api import Malformed, Ref

NETWORK: Final = "atproto"
VIEWER: Final = "https://bsky.app/profile/"
"""Where people read posts and profiles in a browser."""
MAX_ID: Final = 1000
"""Longest id that becomes a ref, in characters."""

POST: Final = "app.bsky.feed.post"
LIKE: Final = "app.bsky.feed.like"
REPOST: Final = "app.bsky.feed.repost"
FOLLOW: Final = "app.bsky.graph.follow"
BLOCK: Final = "app.bsky.graph.block"
PROFILE: Final = "app.bsky.actor.profile"
THREADGATE: Final = "app.bsky.feed.threadgate"
POSTGATE: Final = "app.bsky.feed.postgate"
ARTICLE: Final = "site.standard.document"
PUBLICATION: Final = "site.standard.publication"

_PAGES: Final = {
    "app.bsky.feed.generator": "feed",
    "app.bsky.graph.list": "lists",
}


def account_ref(did: str) -> Ref:
    return Ref(NETWORK, did)


def record_ref(did: str, collection: str, rkey: str) -> Ref:
    return Ref(NETWORK, f"at://{did}/{collection}/{rkey}")


def split(uri: str) -> tuple[str, str, str] | None:
    """(DID, collection, record key) of a record's URI; None for all else, URIs with a handle included."""
    if len(uri) > MAX_ID:
        return None
    try:
        found = parse_at_uri(uri)
    except Malformed:
        return None
    return (found.authority, found.collection, found.rkey) if found.rkey and is_did(found.authority) else None


def is_post(uri: str) -> bool:
    found = split(uri)
    return found is not None and found[1] == POST


def page(uri: str, handle: str = "") -> str:
    """The address at which a browser shows a record; of the author's profile for kinds that have no page."""
    found = split(uri)
    if found is None:
        return VIEWER + uri.removeprefix("at://").partition("/")[0]
    did, collection, rkey = found
    who = handle or did
    if collection == POST:
        return f"{VIEWER}{who}/post/{rkey}"
    if collection == "app.bsky.graph.starterpack":
        return f"https://bsky.app/starter-pack/{who}/{rkey}"
    kind = _PAGES.get(collection)
    return f"{VIEWER}{who}/{kind}/{rkey}" if kind else VIEWER + who


def parse(text: str) -> Ref | None:
    """The ref meant by a DID, an at:// URI, or a link to the viewer, if there is a DID in it; else None."""
    text = text.strip()
    if len(text) > MAX_ID:
        return None
    if text.startswith(VIEWER):
        text = _linked(text)
    if text.startswith("at://"):
        if is_did(text[5:]):
            return account_ref(text[5:])
        found = split(text)
        return record_ref(*found) if found else None
    return account_ref(text) if is_did(text) else None


def called(text: str) -> tuple[str, str]:
    """(handle, record key of a post or "") that a link to the viewer names somebody by; ("", "") for any other text."""
    uri = _linked(text) if text.startswith(VIEWER) and len(text) <= MAX_ID else ""
    who, _, path = uri.removeprefix("at://").partition("/")
    return (who.lower(), path.rpartition("/")[2]) if is_handle(who) else ("", "")


def names(ref: Ref) -> str:
    """How a person may write the ref, so that `parse` finds it again: it is readable as it is."""
    return ref.id


def _linked(url: str) -> str:
    """What a link to the viewer shows, as a DID or URI; "" for its other pages."""
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        return ""
    parts = path.strip("/").split("/")
    if len(parts) == 2:
        return parts[1]
    if len(parts) == 4 and parts[2] == "post" and is_record_key(parts[3]):
        return f"at://{parts[1]}/{POST}/{parts[3]}"
    return ""
