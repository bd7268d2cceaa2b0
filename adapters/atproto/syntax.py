"""How identifiers and formatted strings are spelled (atproto.com/specs; lexicon string formats). Pure.

Each check takes text of any length and content, and takes time that grows with the length at most.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final
from urllib.parse import quote

from adapters.atproto.tid import is_tid
from bridged.api import Malformed

__all__ = [
    "AtUri",
    "is_at_identifier",
    "is_at_uri",
    "is_cid",
    "is_datetime",
    "is_did",
    "is_handle",
    "is_language",
    "is_nsid",
    "is_record_key",
    "is_tid",
    "is_uri",
    "parse_at_uri",
    "parse_datetime",
    "uri_of",
]

MAX_DID: Final = 2048
MAX_HANDLE: Final = 253
MAX_NSID: Final = 317
MAX_RECORD_KEY: Final = 512
MAX_URI: Final = 8192
MAX_DATETIME: Final = 64
MAX_LANGUAGE: Final = 128

_DID: Final = re.compile("did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]")
_LABEL: Final = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_NAMED: Final = "[a-zA-Z](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_HANDLE: Final = re.compile(f"(?:{_LABEL}\\.)+{_NAMED}")
_NSID: Final = re.compile(f"{_NAMED}(?:\\.{_LABEL})+\\.[a-zA-Z][a-zA-Z0-9]{{0,62}}")
_RECORD_KEY: Final = re.compile("[a-zA-Z0-9._:~-]{1,512}")
_CID: Final = re.compile("[a-zA-Z0-9+=]{8,256}")
_URI: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:[^\s\x00-\x20\x7f]+")
_NO_URI: Final = re.compile("[^!-~]+")
_DATETIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,20}))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII
)
_LANGUAGE: Final = re.compile(
    """
    (?: (?-i:[a-z]{2,3}) (?:-[a-z]{3}){0,3} | (?-i:[a-z]{5,8}) )
    (?: -[a-z]{4} )? (?: -(?:[a-z]{2}|[0-9]{3}) )?
    (?P<variants> (?: -(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}) )* )
    (?P<extensions> (?: -[0-9a-wy-z](?:-[a-z0-9]{2,8})+ )* )
    (?: -x(?:-[a-z0-9]{1,8})+ )?
    | x(?:-[a-z0-9]{1,8})+
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_SINGLETON: Final = re.compile("-([0-9a-z])(?=-)", re.IGNORECASE)
_GRANDFATHERED: Final = re.compile(
    """
    en-gb-oed | i-(?:ami|bnn|default|enochian|hak|klingon|lux|mingo|navajo|pwn|tao|tay|tsu) | sgn-(?:be-fr|be-nl|ch-de)
    | art-lojban | cel-gaulish | no-(?:bok|nyn) | zh-(?:guoyu|hakka|min|min-nan|xiang)
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_EPOCH: Final = date(1970 + 400, 1, 1).toordinal()
_YEAR_ZERO: Final = -62_167_219_200


def is_did(text: str) -> bool:
    return len(text) <= MAX_DID and _DID.fullmatch(text) is not None


def is_handle(text: str) -> bool:
    """Whether it is spelled like a handle, in any case; `.test` and the like pass."""
    return len(text) <= MAX_HANDLE and _HANDLE.fullmatch(text) is not None


def is_at_identifier(text: str) -> bool:
    return is_did(text) or is_handle(text)


def is_nsid(text: str) -> bool:
    return len(text) <= MAX_NSID and _NSID.fullmatch(text) is not None


def is_record_key(text: str) -> bool:
    return _RECORD_KEY.fullmatch(text) is not None and text not in (".", "..")


def is_cid(text: str) -> bool:
    """Whether it could be a content id of any kind; links are held to more (`cid.py`)."""
    return _CID.fullmatch(text) is not None and not text.startswith("Qm")


def is_uri(text: str) -> bool:
    return len(text) <= MAX_URI and _URI.fullmatch(text) is not None


def uri_of(url: str) -> str:
    """The address in ASCII and with its scheme in lower case, as a URI is (RFC 3986): some readers refuse a record over
    any other. As it is, where it gets too long."""
    if url.isascii() and url.startswith("http"):
        return url
    scheme, colon, rest = url.partition(":")
    written = _NO_URI.sub(lambda found: quote(found[0], errors="replace"), scheme.lower() + colon + rest)
    return written if len(written) <= MAX_URI else url


@dataclass(frozen=True, slots=True)
class AtUri:
    """`at://authority[/collection[/rkey]]`; what is missing is empty."""

    authority: str
    collection: str = ""
    rkey: str = ""

    def __str__(self) -> str:
        return "at://" + "/".join(part for part in (self.authority, self.collection, self.rkey) if part)


def parse_at_uri(text: str) -> AtUri:
    """Raises Malformed("at_uri"). Without fragment or query, as records have them."""
    if len(text) <= MAX_URI and text.startswith("at://"):
        parts = text[5:].split("/")
        checks = (is_at_identifier, is_nsid, is_record_key)
        if len(parts) <= 3 and all(check(part) for check, part in zip(checks, parts, strict=False)):
            return AtUri(*parts)
    raise Malformed("at_uri")


def is_at_uri(text: str) -> bool:
    try:
        parse_at_uri(text)
    except Malformed:
        return False
    return True


def parse_datetime(text: str) -> float:
    """Seconds since 1970. Raises Malformed("datetime") for other spellings, days that are none, and before year 0."""
    found = _DATETIME.fullmatch(text) if len(text) <= MAX_DATETIME else None
    if found is None or text.endswith("-00:00"):
        raise Malformed("datetime")
    year, month, day, hour, minute, second = map(int, found.group(1, 2, 3, 4, 5, 6))
    offset = 0
    if found[8]:
        if int(found[9]) > 23 or int(found[10]) > 59:
            raise Malformed("datetime")
        offset = (int(found[9]) * 60 + int(found[10])) * (60 if found[8] == "+" else -60)
    if hour > 23 or minute > 59 or second > 59:
        raise Malformed("datetime")
    try:
        # the calendar repeats itself after 400 years: Python begins with year 1
        days = date(year + 400, month, day).toordinal() - _EPOCH
    except ValueError as error:
        raise Malformed("datetime") from error
    whole = days * 86_400 + hour * 3600 + minute * 60 + second - offset
    if whole < _YEAR_ZERO:
        raise Malformed("datetime")
    return whole + float("0." + (found[7] or "0"))


def is_datetime(text: str) -> bool:
    try:
        parse_datetime(text)
    except Malformed:
        return False
    return True


def is_language(text: str) -> bool:
    """Whether it is a well-formed BCP 47 tag, none of whose variants or extensions is there twice."""
    if len(text) > MAX_LANGUAGE:
        return False
    if _GRANDFATHERED.fullmatch(text) is not None:
        return True
    found = _LANGUAGE.fullmatch(text)
    if found is None:
        return False
    variants = (found["variants"] or "").lower().split("-")[1:]
    singletons = [single.lower() for single in _SINGLETON.findall(found["extensions"] or "")]
    return len({*variants}) == len(variants) and len({*singletons}) == len(singletons)
