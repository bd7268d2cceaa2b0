"""DID documents: made from what an identity is, and read from others. Pure (W3C did-core; atproto.com/specs/did)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec

from adapters.atproto import crypto
from adapters.atproto.crypto import PublicKey
from adapters.atproto.plc import PDS, PDS_TYPE, SIGNING, State
from adapters.atproto.syntax import is_handle
from bridged.api import Malformed

MAX_DOCUMENT: Final = 64 * 1024
MAX_ENTRIES: Final = 100
"""Names, keys and services that are looked at, each."""
MAX_ENDPOINT: Final = 512

_ENDPOINT: Final = re.compile(r"(https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?)/?", re.IGNORECASE)
_CONTEXT: Final[tuple[str, ...]] = ("https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1")
_SUITES: Final = {
    "k256": "https://w3id.org/security/suites/secp256k1-2019/v1",
    "p256": "https://w3id.org/security/suites/ecdsa-2019/v1",
}


@dataclass(frozen=True, slots=True)
class Document:
    """What a DID document says. `handle` is only claimed; `pds` is an address without a slash at its end, or ""."""

    did: str
    handle: str = ""
    key: PublicKey | None = None
    pds: str = ""


def document_of(did: str, state: State) -> dict[str, Any]:
    """The document of an identity, as a PLC directory gives it."""
    context: list[str] = list(_CONTEXT)
    methods: list[dict[str, str]] = []
    for name, key in state.verification_methods.items():
        suite = _suite(key)
        if suite and suite not in context:
            context.append(suite)
        multibase = key.removeprefix("did:key:")
        method = {"id": f"{did}#{name}", "type": "Multikey", "controller": did, "publicKeyMultibase": multibase}
        methods.append(method)
    return {
        "@context": context,
        "id": did,
        "alsoKnownAs": list(state.also_known_as),
        "verificationMethod": methods,
        "service": [
            {"id": f"#{name}", "type": service.type, "serviceEndpoint": service.endpoint}
            for name, service in state.services.items()
        ],
    }


def read(did: str, body: bytes) -> Document:
    """What the document of `did` says. Raises Malformed: size, json, did."""
    if len(body) > MAX_DOCUMENT:
        raise Malformed("size")
    try:
        value: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Malformed("json") from None
    if not isinstance(value, dict) or cast("dict[str, Any]", value).get("id") != did:
        raise Malformed("did")
    fields = cast("dict[str, Any]", value)
    return Document(did, _handle(fields.get("alsoKnownAs")), _key(did, fields), _pds(did, fields))


def _suite(key: str) -> str | None:
    try:
        return _SUITES[crypto.parse_did_key(key).curve]
    except Malformed:
        return None


def _handle(names: object) -> str:
    """The first handle there is, in lower case."""
    for name in _list(names):
        if isinstance(name, str) and name.startswith("at://") and is_handle(name[5:]):
            return name[5:].lower()
    return ""


def _key(did: str, fields: dict[str, Any]) -> PublicKey | None:
    method = _named(did, fields.get("verificationMethod"), SIGNING)
    kind, text = method.get("type"), method.get("publicKeyMultibase")
    if not isinstance(kind, str) or not isinstance(text, str) or method.get("controller") != did:
        return None
    try:
        return crypto.parse_multikey(text) if kind == "Multikey" else crypto.parse_legacy_key(kind, text)
    except Malformed:
        return None


def _pds(did: str, fields: dict[str, Any]) -> str:
    service = _named(did, fields.get("service"), PDS)
    endpoint = service.get("serviceEndpoint")
    if service.get("type") != PDS_TYPE or not isinstance(endpoint, str) or len(endpoint) > MAX_ENDPOINT:
        return ""
    found = _ENDPOINT.fullmatch(endpoint)
    return found[1].lower() if found else ""


def _named(did: str, entries: object, name: str) -> dict[str, Any]:
    """The first entry with this id, which may be spelled in full or from the `#`."""
    for entry in _list(entries):
        if isinstance(entry, dict) and cast("dict[str, Any]", entry).get("id") in (f"#{name}", f"{did}#{name}"):
            return cast("dict[str, Any]", entry)
    return {}


def _list(value: object) -> Sequence[object]:
    return cast("list[object]", value)[:MAX_ENTRIES] if isinstance(value, list) else ()
