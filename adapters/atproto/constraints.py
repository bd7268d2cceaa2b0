"""What a PLC directory takes beyond what the method asks for: sizes and counts, and how often. Pure.

As `plc.directory` has it (`did-method-plc/did-method-plc`, packages/server).
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from adapters.atproto.crypto import parse_did_key
from adapters.atproto.plc import CREATE, Entry, Operation
from bridged.api import Malformed

MAX_OPERATION: Final = 4000
"""Bytes of DAG-CBOR."""
_MAX_EACH: Final = 10
"""Names, rotation keys, services and verification methods."""
_MAX_ALSO_KNOWN_AS: Final = 258
_MAX_NAME: Final = 32
_MAX_SERVICE_TYPE: Final = 256
_MAX_ENDPOINT: Final = 512
_KEY: Final = re.compile("did:key:z[1-9A-HJ-NP-Za-km-z]{1,247}")
"""Verification methods may be of kinds that nobody here knows."""

_HOUR: Final = 3_600_000
RATES: Final = ((_HOUR, 10), (24 * _HOUR, 30), (7 * 24 * _HOUR, 100))
"""Within so many milliseconds, so many operations of one identity."""


def refuse_unfit(operation: Operation) -> None:
    """Raises Malformed with the reason why a directory does not take such an operation now."""
    if len(operation.encoded) > MAX_OPERATION:
        raise Malformed("size")
    if operation.type == CREATE:
        raise Malformed("operation")
    state = operation.state
    if state is None:
        return
    for what in (state.also_known_as, state.rotation_keys, state.services, state.verification_methods):
        if len(what) > _MAX_EACH:
            raise Malformed("too_many")
    if len(set(state.also_known_as)) != len(state.also_known_as):
        raise Malformed("twice")
    _short(state.also_known_as, _MAX_ALSO_KNOWN_AS)
    _short((*state.services, *state.verification_methods), _MAX_NAME)
    _short((service.type for service in state.services.values()), _MAX_SERVICE_TYPE)
    _short((service.endpoint for service in state.services.values()), _MAX_ENDPOINT)
    for key in state.rotation_keys:
        parse_did_key(key)
    if not all(_KEY.fullmatch(key) for key in state.verification_methods.values()):
        raise Malformed("key")


def refuse_too_often(log: Sequence[Entry], at: int) -> None:
    """Raises Malformed("rate") when the identity has had enough operations before `at`."""
    for within, most in RATES:
        if sum(entry.at > at - within for entry in log) >= most:
            raise Malformed("rate")


def _short(texts: Iterable[str], most: int) -> None:
    # as JavaScript counts
    if any(len(text.encode("utf-16-le")) // 2 > most for text in texts):
        raise Malformed("too_long")
