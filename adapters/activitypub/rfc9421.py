"""The syntax of RFC 9421: `Signature-Input`, `Signature`, derived components and the signature base.

Only the structured fields (RFC 8941) these two headers use, bounded. Pure. What a request must cover is
decided in `signatures`; here is only how it is written.
"""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

MAX_MEMBERS = 16
MAX_COMPONENTS = 64
MAX_PARAMS = 16
MAX_KEY_ID = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}

_KEY = re.compile(r"[a-z*][a-z0-9_.*-]{0,63}", re.ASCII)
_ITEM = re.compile(
    r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"'  # string
    r"|:[A-Za-z0-9+/=]*:"  # byte sequence
    r"|\?[01]"  # boolean
    r"|-?[0-9]{1,15}(?:\.[0-9]{1,3})?"  # integer, decimal
    r"|[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*",  # token
    re.ASCII,
)
_ESCAPE = re.compile(r'\\(["\\])')
_INTEGER = re.compile(r"-?[0-9]{1,15}", re.ASCII)
_URL = re.compile(
    r"https?://(?:[a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:[/?#][\x21-\x7e]*)?",
    re.ASCII | re.IGNORECASE,
)
_SPACES = re.compile(r" *")
_WHITE = re.compile(r"[ \t]*")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes (§2.2): `authority` is lower-case and without a default port."""

    scheme: str
    authority: str
    path_and_query: str


def fold(headers: Headers) -> dict[str, str]:
    """Headers by lower-case name, trimmed, a repeated one joined by comma and space (§2.1)."""
    pairs = cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers
    folded: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.lower(), raw_value.strip(" \t")
        folded[name] = f"{folded[name]}, {value}" if name in folded else value
    return folded


def split_url(url: str) -> Target:
    """The target of an absolute http(s) URL in ASCII, without userinfo. Raises ValueError."""
    # Written out, as URL libraries differ on backslashes, control characters and userinfo.
    if not _URL.fullmatch(url):
        raise ValueError("not an absolute http(s) URL in ASCII")
    parts = urlsplit(url)
    name = parts.hostname or ""
    host = f"[{name}]" if ":" in name else name
    if parts.port is not None and parts.port != DEFAULT_PORTS[parts.scheme]:
        host = f"{host}:{parts.port}"
    return Target(parts.scheme, host, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


@dataclass(frozen=True, slots=True)
class Member:
    """A dictionary member: a bare item, or an inner list, with parameters. All items as they were written."""

    item: str | None
    components: tuple[tuple[str, dict[str, str]], ...]
    params: dict[str, str]


@dataclass(frozen=True, slots=True)
class Input:
    """One labelled signature (§4.1): covered components in order, and its parameters (§2.3)."""

    components: tuple[str, ...]
    params_line: str
    key_id: str
    algorithm: str | None
    created: int | None
    expires: int | None
    signature: bytes


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def take(self, literal: str) -> bool:
        if not self.text.startswith(literal, self.at):
            return False
        self.at += len(literal)
        return True

    def read(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise ValueError("not a structured field")
        self.at = match.end()
        return match[0]

    def params(self) -> dict[str, str]:
        found: dict[str, str] = {}
        while self.take(";"):
            self.skip(_SPACES)
            key = self.read(_KEY)
            if key in found or len(found) == MAX_PARAMS:
                raise ValueError("too many parameters, or one twice")
            found[key] = self.read(_ITEM) if self.take("=") else "?1"
        return found

    def inner_list(self) -> tuple[tuple[str, dict[str, str]], ...]:
        found: list[tuple[str, dict[str, str]]] = []
        while True:
            self.skip(_SPACES)
            if self.take(")"):
                return tuple(found)
            if len(found) == MAX_COMPONENTS:
                raise ValueError("too many components")
            found.append((self.read(_ITEM), self.params()))
            if self.text[self.at : self.at + 1] not in (" ", ")"):
                raise ValueError("not an inner list")


def dictionary(text: str) -> dict[str, Member]:
    """A structured-field dictionary (RFC 8941 §4.2.2), a repeated key refused. Raises ValueError."""
    reader = _Reader(text.strip(" "))
    members: dict[str, Member] = {}
    while reader.at < len(reader.text):
        key = reader.read(_KEY)
        if key in members or len(members) == MAX_MEMBERS:
            raise ValueError("too many members, or one twice")
        item: str | None = "?1"
        components: tuple[tuple[str, dict[str, str]], ...] = ()
        if reader.take("="):
            if reader.take("("):
                item, components = None, reader.inner_list()
            else:
                item = reader.read(_ITEM)
        members[key] = Member(item, components, reader.params())
        reader.skip(_WHITE)
        if reader.at == len(reader.text):
            break
        if not reader.take(","):
            raise ValueError("not a dictionary")
        reader.skip(_WHITE)
        if reader.at == len(reader.text):
            raise ValueError("trailing comma")
    return members


def _string(raw: str | None) -> str:
    if raw is None or not raw.startswith('"'):
        raise ValueError("not a string")
    return _ESCAPE.sub(r"\1", raw[1:-1])


def _integer(raw: str) -> int:
    if not _INTEGER.fullmatch(raw):
        raise ValueError("not an integer")
    return int(raw)


def _parameter_line(member: Member) -> str:
    """§2.3: the parameters serialized again, which differs from what was sent only in its spaces."""
    names = " ".join(name for name, _ in member.components)
    params = "".join(f";{key}" if raw == "?1" else f";{key}={raw}" for key, raw in member.params.items())
    return f"({names}){params}"


def read_input(member: Member, signature: Member | None) -> Input:
    """One label's two members as an Input.

    Component parameters (`;sf`, `;key`, `;bs`, `;req`, `;tr`, `;name`) are refused: no fediverse server
    sends them. Raises ValueError.
    """
    if member.item is not None or signature is None or signature.item is None:
        raise ValueError("label without list or signature")
    if not signature.item.startswith(":"):
        raise ValueError("signature is not a byte sequence")
    if any(params for _, params in member.components):
        raise ValueError("component with parameters")
    components = tuple(_string(name) for name, _ in member.components)
    if len(set(components)) != len(components):
        raise ValueError("component twice")
    params = member.params
    key_id = _string(params.get("keyid"))
    if not 0 < len(key_id) <= MAX_KEY_ID:
        raise ValueError("keyid empty or too long")
    return Input(
        components=components,
        params_line=_parameter_line(member),
        key_id=key_id,
        algorithm=_string(params["alg"]).lower() if "alg" in params else None,
        created=_integer(params["created"]) if "created" in params else None,
        expires=_integer(params["expires"]) if "expires" in params else None,
        signature=base64.b64decode(signature.item[1:-1], validate=True),
    )


def signature_base(
    components: tuple[str, ...],
    params_line: str,
    method: str,
    target: Target,
    field: Callable[[str], str],
) -> bytes:
    """The signature base of a request (§2.5). `field` gives a header's value by lower-case name.

    Raises ValueError for an unknown derived component, and what `field` raises.
    """
    path, _, query = target.path_and_query.partition("?")
    lines: list[str] = []
    for name in components:
        match name:
            case "@method":
                value = method.upper()
            case "@target-uri":
                value = f"{target.scheme}://{target.authority}{target.path_and_query}"
            case "@authority":
                value = target.authority
            case "@scheme":
                value = target.scheme
            case "@request-target":
                value = target.path_and_query
            case "@path":
                value = path
            case "@query":
                value = f"?{query}"
            case _:
                if name.startswith("@"):
                    raise ValueError("unknown component")
                value = field(name)
        lines.append(f'"{name}": {value}')
    lines.append(f'"@signature-params": {params_line}')
    return "\n".join(lines).encode("ascii")


def headers(label: str, params_line: str, signature: bytes) -> dict[str, str]:
    """`Signature-Input` and `Signature` of one label."""
    return {
        "Signature-Input": f"{label}={params_line}",
        "Signature": f"{label}=:{base64.b64encode(signature).decode()}:",
    }
