"""Files in records: `blob` objects as JSON has them read, and those of our own files made. Pure."""

from typing import Any, Final, cast
from urllib.parse import quote, urlencode

from adapters.atproto.cid import RAW, Cid
from bridged.api import Malformed, web_url

_MAX_MIME: Final = 100


def blob_url(blob: Any, did: str, pds: str) -> str:
    """Where the file can be had: at the host of its owner. "" for no blob, or no known host."""
    cid = cid_of(blob)
    if cid is None or not pds:
        return ""
    query = urlencode({"did": did, "cid": str(cid)}, quote_via=quote, safe=":")
    return web_url(f"{pds}/xrpc/com.atproto.sync.getBlob?{query}") or ""


def cid_of(blob: Any) -> Cid | None:
    """The content id of a blob's bytes; None for no blob."""
    found = cast(dict[str, Any], blob) if isinstance(blob, dict) else {}
    link: Any = found.get("ref")
    # records of 2022 have `{"cid": …, "mimeType": …}`
    text: Any = cast(dict[str, Any], link).get("$link") if isinstance(link, dict) else found.get("cid")
    if not isinstance(text, str):
        return None
    try:
        return Cid.parse(text)
    except Malformed:
        return None


def sha256_of(blob: Any) -> str:
    """The SHA-256 of a blob's bytes, which its id consists of, in hex; "" for a blob of another kind."""
    cid = cid_of(blob)
    return cid[4:].hex() if cid is not None and cid.codec == RAW else ""


def mime_of(blob: Any) -> str:
    value: Any = cast(dict[str, Any], blob).get("mimeType") if isinstance(blob, dict) else None
    return value if isinstance(value, str) and "/" in value and value.isascii() and len(value) <= _MAX_MIME else ""
