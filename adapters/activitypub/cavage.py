"""The syntax of draft-cavage-http-signatures-12: its `Signature` header, signing string and `Date`.

Pure. What a request must cover is decided in `signatures`; here is only how it is written.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache

MAX_NAMES = 64
MAX_KEY_ID = 2048

_PARAM = re.compile(
    r"[ \t]*([A-Za-z][A-Za-z0-9_-]{0,31})="
    r'(?:"([\x20\x21\x23-\x7e]*)"|([\x21\x23-\x2b\x2d-\x7e]*))[ \t]*(?:,|$)'
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_IMF_DATE = re.compile(
    rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{{2}}) ({'|'.join(_MONTHS)}) ([0-9]{{4}}) "
    r"([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)
_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_INTEGER = re.compile(r"[0-9]{1,15}", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?", re.ASCII)

REQUEST_TARGET = "(request-target)"
CREATED = "(created)"
EXPIRES = "(expires)"


@dataclass(frozen=True, slots=True)
class Cavage:
    """A parsed `Signature` header (§2.1). `names` are lower-case, in signing order."""

    key_id: str
    algorithm: str | None
    names: tuple[str, ...]
    signature: bytes
    created: str | None
    expires: str | None

    @property
    def created_at(self) -> int | None:
        """Seconds of `(created)`, when it is covered."""
        return int(self.created) if self.created is not None and CREATED in self.names else None

    @property
    def expires_at(self) -> float | None:
        """Seconds of `(expires)`, when it is covered."""
        return float(self.expires) if self.expires is not None and EXPIRES in self.names else None


def parse(value: str) -> Cavage:
    """The parts of a `Signature` header. Unknown parameters are ignored; a repeated one is refused (§2.1).

    Raises ValueError.
    """
    params: dict[str, str] = {}
    at = 0
    while at < len(value):
        match = _PARAM.match(value, at)
        if match is None or match[1] in params:
            raise ValueError("not a draft-cavage Signature header")
        params[match[1]] = match[2] if match[2] is not None else match[3]
        at = match.end()
    if not params.get("keyId") or not params.get("signature"):
        raise ValueError("keyId and signature are required")
    if len(params["keyId"]) > MAX_KEY_ID:
        raise ValueError("keyId too long")
    # Without the parameter the draft signs `(created)` alone, which covers nothing of use to us.
    names = tuple(params.get("headers", CREATED).lower().split())
    if not 0 < len(names) <= MAX_NAMES or len(set(names)) != len(names):
        raise ValueError("bad list of headers")
    for name in names:
        if name not in (REQUEST_TARGET, CREATED, EXPIRES) and not _NAME.fullmatch(name):
            raise ValueError("bad header name")
    algorithm = params["algorithm"].lower() if "algorithm" in params else None
    created, expires = params.get("created"), params.get("expires")
    if CREATED in names or EXPIRES in names:
        # §2.3: the old algorithm names do not go with the pseudo-headers.
        if algorithm is not None and algorithm.startswith(("rsa", "hmac", "ecdsa")):
            raise ValueError("(created) and (expires) need hs2019")
        if CREATED in names and not _INTEGER.fullmatch(created or ""):
            raise ValueError("bad created")
        if EXPIRES in names and not _DECIMAL.fullmatch(expires or ""):
            raise ValueError("bad expires")
    signature = base64.b64decode(params["signature"], validate=True)
    return Cavage(params["keyId"], algorithm, names, signature, created, expires)


def signing_string(
    names: tuple[str, ...],
    method: str,
    path_and_query: str,
    field: Callable[[str], str],
    created: str | None = None,
    expires: str | None = None,
) -> bytes:
    """The signing string (§2.3) over `names`. `field` gives a header's value by lower-case name.

    Raises ValueError where it cannot be written as bytes, and what `field` raises.
    """
    pseudo = {REQUEST_TARGET: f"{method.lower()} {path_and_query}", CREATED: created, EXPIRES: expires}
    text = "\n".join(f"{name}: {pseudo[name] if name in pseudo else field(name)}" for name in names)
    # Header bytes that are not UTF-8 reach us as surrogate escapes; they are signed as they were sent.
    return text.encode("utf-8", "surrogateescape")


def header(key_id: str, names: tuple[str, ...], signature: bytes) -> str:
    """The `Signature` header value of an rsa-sha256 signature over `names`."""
    return (
        f'keyId="{key_id}",algorithm="rsa-sha256",headers="{" ".join(names)}",'
        f'signature="{base64.b64encode(signature).decode()}"'
    )


@lru_cache(maxsize=4)
def date_of(second: int) -> str:
    """The `Date` header's value: an IMF-fixdate (RFC 9110 §5.6.7)."""
    return formatdate(second, usegmt=True)


@lru_cache(maxsize=256)
def http_date(value: str) -> float:
    """Seconds of an IMF-fixdate (RFC 9110 §5.6.7); the weekday is not compared. Raises ValueError."""
    match = _IMF_DATE.fullmatch(value)
    if match is None:
        raise ValueError("not an IMF-fixdate")
    day, month, year, hour, minute, second = match.groups()
    when = datetime(int(year), _MONTHS.index(month) + 1, int(day), tzinfo=UTC)
    return when.replace(hour=int(hour), minute=int(minute), second=int(second)).timestamp()
