"""did:plc: operations made, signed and read, and whole logs checked (web.plc.directory/spec/v0.1/did-plc). Pure.

An identity is the chain of its operations. The first, signed, hashes to its DID; each later one names the one before
it and is signed by a rotation key that stood there. For 72 hours a key can undo what keys after it in the list have
signed: its operation then follows an older one, and all in between count for nothing.
"""

import re
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final, cast

from adapters.atproto import cbor
from adapters.atproto.cid import Cid
from adapters.atproto.crypto import SIGNATURE_SIZE, PublicKey, SigningKey, parse_did_key
from adapters.atproto.syntax import parse_datetime
from bridged.api import Malformed

RECOVERY: Final = 72 * 3600 * 1000
"""Milliseconds in which an operation can be undone."""
MAX_LOGGED: Final = 8000
"""Bytes of an operation in a log: the directory took longer ones in the past than it does now (`constraints.py`)."""
MAX_LOG: Final = 2000
"""Operations of one identity that are looked at."""
SIGNING: Final = "atproto"
PDS: Final = "atproto_pds"
PDS_TYPE: Final = "AtprotoPersonalDataServer"
OPERATION: Final = "plc_operation"
TOMBSTONE: Final = "plc_tombstone"
CREATE: Final = "create"
"""What the first operations of 2022 were called."""

_DID: Final = re.compile("did:plc:[a-z2-7]{24}")
_SIGNATURE: Final = re.compile("[A-Za-z0-9_-]{86}")
_FIELDS: Final = {
    OPERATION: frozenset({"rotationKeys", "verificationMethods", "alsoKnownAs", "services"}),
    TOMBSTONE: frozenset[str](),
    CREATE: frozenset({"signingKey", "recoveryKey", "handle", "service"}),
}
_EACH: Final = frozenset({"type", "prev", "sig"})


@dataclass(frozen=True, slots=True)
class Service:
    """`type` and address of something that serves an identity."""

    type: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class State:
    """What an identity is after an operation. Keys are did:key, the most powerful rotation key first."""

    rotation_keys: tuple[str, ...]
    verification_methods: Mapping[str, str]
    also_known_as: tuple[str, ...]
    services: Mapping[str, Service]

    def changed(
        self, *, handle: str = "", pds: str = "", signing_key: str = "", rotation_keys: Sequence[str] = ()
    ) -> "State":
        """The same but for what is named. A handle takes the place of the first there is."""
        state = self
        if handle:
            aka = list(state.also_known_as)
            at = next((n for n, name in enumerate(aka) if name.startswith("at://")), None)
            aka[slice(0, 0) if at is None else slice(at, at + 1)] = [f"at://{handle}"]
            state = replace(state, also_known_as=tuple(aka))
        if pds:
            state = replace(state, services={**state.services, PDS: Service(PDS_TYPE, pds)})
        if signing_key:
            state = replace(state, verification_methods={**state.verification_methods, SIGNING: signing_key})
        if rotation_keys:
            state = replace(state, rotation_keys=tuple(rotation_keys))
        return state

    @property
    def handle(self) -> str:
        """The handle it claims, "" for none."""
        return next((name[len("at://") :] for name in self.also_known_as if name.startswith("at://")), "")


@dataclass(frozen=True, slots=True)
class Operation:
    """A signed operation; `fields` are as they are signed, with `sig`. `state` is None for a tombstone."""

    fields: Mapping[str, Any]
    state: State | None
    prev: Cid | None
    encoded: bytes
    """Its DAG-CBOR."""

    @property
    def cid(self) -> Cid:
        return Cid.of(self.encoded)

    def signed_by(self, key: PublicKey) -> bool:
        try:
            return signer([key.did_key()], self) == 0
        except Malformed:
            return False

    @property
    def type(self) -> str:
        return self.fields["type"]

    @property
    def did(self) -> str:
        """The DID that it makes, if it is the first of one."""
        return f"did:plc:{b32encode(sha256(self.encoded).digest()).decode()[:24].lower()}"


@dataclass(frozen=True, slots=True)
class Entry:
    """An operation as a directory keeps it; `at` is when it came, in milliseconds since 1970."""

    operation: Operation
    at: int
    nullified: bool = False


def is_did(text: str) -> bool:
    return _DID.fullmatch(text) is not None


def new(*, signing_key: str, rotation_keys: Sequence[str], handle: str, pds: str) -> State:
    """What a new identity is; keys are did:key, `pds` an address without a path."""
    return State(tuple(rotation_keys), {SIGNING: signing_key}, (f"at://{handle}",), {PDS: Service(PDS_TYPE, pds)})


def sign(state: State | None, prev: Cid | None, key: SigningKey) -> Operation:
    """The operation after `prev` that makes an identity this, or ends it with None. The first has no `prev`."""
    fields: dict[str, Any] = {"type": TOMBSTONE, "prev": str(prev) if prev else None}
    if state is not None:
        fields = {
            "type": OPERATION,
            "rotationKeys": list(state.rotation_keys),
            "verificationMethods": dict(state.verification_methods),
            "alsoKnownAs": list(state.also_known_as),
            "services": {
                name: {"type": service.type, "endpoint": service.endpoint} for name, service in state.services.items()
            },
            "prev": str(prev) if prev else None,
        }
    signature = urlsafe_b64encode(key.sign(cbor.encode(fields))).decode().rstrip("=")
    return read({**fields, "sig": signature})


def read(value: object) -> Operation:
    """The operation of a parsed JSON object; its signature is not checked. Raises Malformed: operation, size, cid."""
    if not isinstance(value, dict):
        raise Malformed("operation")
    fields = cast("dict[str, Any]", value)
    kind, sig, prev = fields.get("type"), fields.get("sig"), fields.get("prev")
    if not isinstance(kind, str) or kind not in _FIELDS or fields.keys() != _FIELDS[kind] | _EACH:
        raise Malformed("operation")
    if not isinstance(sig, str) or not (isinstance(prev, str) or (prev is None and kind != TOMBSTONE)):
        raise Malformed("operation")
    state = _state(kind, fields)
    encoded = cbor.encode(fields)
    if len(encoded) > MAX_LOGGED:
        raise Malformed("size")
    return Operation(fields, state, None if prev is None else Cid.parse(prev), encoded)


def signer(rotation_keys: Sequence[str], operation: Operation) -> int:
    """The place in the list of the first key that signed it. Raises Malformed: signature, key."""
    signature = _signature(operation.fields["sig"])
    signed = cbor.encode({name: value for name, value in operation.fields.items() if name != "sig"})
    for place, key in enumerate(rotation_keys):
        if parse_did_key(key).verify(signed, signature):
            return place
    raise Malformed("signature")


def follow(did: str, log: Sequence[Entry], operation: Operation, at: int) -> tuple[Cid, ...]:
    """Which operations of `log` count for nothing once `operation` comes at `at`: nearly always none.

    `log` are those that count until then, oldest first. Raises Malformed: order, signature, genesis, late, key.
    """
    if not log:
        if operation.state is None or operation.prev is not None:
            raise Malformed("order")
        signer(operation.state.rotation_keys, operation)
        if operation.did != did:
            raise Malformed("genesis")
        return ()
    kept = next((n + 1 for n, entry in enumerate(log) if entry.operation.cid == operation.prev), 0)
    state = log[kept - 1].operation.state if kept else None
    if state is None:  # after nothing that is known, or after a tombstone
        raise Malformed("order")
    undone = log[kept:]
    if not undone:
        signer(state.rotation_keys, operation)
        return ()
    signer(state.rotation_keys[: signer(state.rotation_keys, undone[0].operation)], operation)
    if at <= log[-1].at:
        raise Malformed("order")
    if at - undone[0].at > RECOVERY:
        raise Malformed("late")
    return tuple(entry.operation.cid for entry in undone)


def audit(did: str, entries: object) -> State | None:
    """What an identity is by its whole log, as `/log/audit` gives it, parsed; None when it ended.

    All is checked: the DID, the order, signatures, ids, and what was undone. Raises Malformed.
    """
    if not isinstance(entries, list) or not 0 < len(cast("list[Any]", entries)) <= MAX_LOG:
        raise Malformed("log")
    counting: list[Entry] = []
    said: set[Cid] = set()
    undone: set[Cid] = set()
    for value in cast("list[Any]", entries):
        entry = _entry(did, value)
        if entry.nullified:
            said.add(entry.operation.cid)
        gone = follow(did, counting, entry.operation, entry.at)
        undone.update(gone)
        counting = [*(other for other in counting if other.operation.cid not in gone), entry]
    if said != undone:
        raise Malformed("nullified")
    return counting[-1].operation.state


def chain(did: str, operations: object) -> list[Operation]:
    """The operations of an identity that count, as `/log` gives them, parsed: each follows the one before.

    Raises Malformed.
    """
    if not isinstance(operations, list) or not 0 < len(cast("list[Any]", operations)) <= MAX_LOG:
        raise Malformed("log")
    log: list[Entry] = []
    for at, value in enumerate(cast("list[Any]", operations)):
        operation = read(value)
        if follow(did, log[-1:], operation, at):
            raise Malformed("log")
        log.append(Entry(operation, at))
    return [entry.operation for entry in log]


def _entry(did: str, value: object) -> Entry:
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    created, cid, nullified = fields.get("createdAt"), fields.get("cid"), fields.get("nullified")
    if fields.get("did") != did or not isinstance(created, str) or not isinstance(nullified, bool):
        raise Malformed("log")
    operation = read(fields.get("operation"))
    if cid != str(operation.cid):
        raise Malformed("cid")
    return Entry(operation, round(parse_datetime(created) * 1000), nullified)


def _state(kind: str, fields: dict[str, Any]) -> State | None:
    if kind == TOMBSTONE:
        return None
    if kind == CREATE:
        names = ("signingKey", "recoveryKey", "handle", "service")
        signing_key, recovery_key, handle, service = (_text(fields[name]) for name in names)
        return new(
            signing_key=signing_key,
            rotation_keys=(recovery_key, signing_key),
            handle=re.sub("^at://|https?://", "", handle),
            pds=service if service.startswith(("http://", "https://")) else f"https://{service}",
        )
    services = {name: _service(value) for name, value in _map(fields["services"]).items()}
    methods = {name: _text(value) for name, value in _map(fields["verificationMethods"]).items()}
    return State(_texts(fields["rotationKeys"]), methods, _texts(fields["alsoKnownAs"]), services)


def _service(value: object) -> Service:
    fields = _map(value)
    if fields.keys() != {"type", "endpoint"}:
        raise Malformed("operation")
    return Service(_text(fields["type"]), _text(fields["endpoint"]))


def _map(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed("operation")
    return cast("dict[str, Any]", value)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Malformed("operation")
    return tuple(_text(item) for item in cast("list[Any]", value))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Malformed("operation")
    return value


def _signature(text: str) -> bytes:
    """Base64 for URLs, without padding; the bits of the last letter that stand for nothing are zero."""
    if _SIGNATURE.fullmatch(text) is None:
        raise Malformed("signature")
    found = urlsafe_b64decode(text + "==")
    if len(found) != SIGNATURE_SIZE or urlsafe_b64encode(found).decode() != text + "==":
        raise Malformed("signature")
    return found
