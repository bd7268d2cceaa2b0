"""Accounts as their app.bsky.actor.profile shows them. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from adapters.atproto import ids
from adapters.atproto.blobs import blob_url
from adapters.atproto.facets import read_text
from adapters.atproto.labels import NOT_FOR_STRANGERS, values_of
from adapters.atproto.moments import moment
from bridged.api import Account, Text, clean_name, find_links, find_tags, web_url

MAX_ABOUT: Final = 2560
"""Bytes of a description."""
MAX_CLAIMS: Final = 10
"""Addresses of a profile that are looked at: one may be the person's own elsewhere."""
_MAX_NAME: Final = 64
_MAX_WORD: Final = 200

_REFUSAL: Final = re.compile(r"(?<![\w#])#(nobridge|nobot)(?!\w)", re.IGNORECASE)
_COPIED: Final = ("bridgedOriginalUrl", "bridgyOriginalUrl", "fediverseId")
_BRIDGE_LABEL: Final = "bridged-from-"


def account_of(did: str, handle: str, pds: str, profile: Mapping[str, Any] | None) -> Account:
    """The account as its profile record shows it; None is one that has none. Raises Malformed("text").

    `handle` must lead back to `did`; with "" the DID stands in for it. That it is not to be shown to who is not signed
    in is a refusal: on other networks nobody is.
    """
    record = profile or {}
    about = read_text(record.get("description", ""), None, max_bytes=MAX_ABOUT)
    labels = values_of(record)
    website, pronouns = record.get("website"), record.get("pronouns")
    fields = (
        ("Website", (web_url(website) or "") if isinstance(website, str) else ""),
        ("Pronouns", clean_name(pronouns, _MAX_WORD) if isinstance(pronouns, str) else ""),
    )
    name = record.get("displayName")
    bio = find_tags(find_links(Text(about.plain.strip())))  # its readers find links and tags by themselves
    claims = (fields[0][1], *(link for link in bio.targets("link") if isinstance(link, str)))
    refusal = _REFUSAL.search(about.plain)
    refuses = f"#{refusal[1].lower()}" if refusal else NOT_FOR_STRANGERS if NOT_FOR_STRANGERS in labels else ""
    return Account(
        ref=ids.account_ref(did),
        handle=handle or did,
        name=clean_name(name, _MAX_NAME) if isinstance(name, str) else "",
        bio=bio,
        avatar=blob_url(record.get("avatar"), did, pds),
        banner=blob_url(record.get("banner"), did, pds),
        url=ids.VIEWER + (handle or did),
        uri=f"at://{did}",
        fields=tuple(field for field in fields if field[1]),
        bot="bot" in labels,
        refuses=refuses,
        same_as=tuple(dict.fromkeys(claim for claim in claims if claim))[:MAX_CLAIMS],
        since=moment(record.get("createdAt")),
        mark=mark_of(record),
        detail={"pds": pds} if pds else {},
    )


def mark_of(record: Mapping[str, Any]) -> str:
    """What a post or profile is a copy of, as it says itself; "" for an original."""
    for name in _COPIED:
        value = record.get(name)
        if isinstance(value, str) and value:
            return value[:2048]
    return next((label for label in values_of(record) if label.startswith(_BRIDGE_LABEL)), "")


def pinned(profile: Mapping[str, Any]) -> str:
    """The URI of the post kept at the top; "" for none."""
    post = profile.get("pinnedPost")
    uri = cast(dict[str, Any], post).get("uri") if isinstance(post, dict) else None
    return uri if isinstance(uri, str) and ids.is_post(uri) else ""
