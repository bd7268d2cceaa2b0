"""Proof of work (NIP-13): a `nonce` tag that gives an event's id leading zero bits. Pure."""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from adapters.nostr.event import BadEvent

ENOUGH: Final = 16
"""Tries in multiples of what is expected: one event in nine million is not found in them."""
_MARK: Final = "\x00nonce\x00"


def difficulty(event_id: str) -> int:
    """How many zero bits an id in hex begins with."""
    return 4 * len(event_id) - int(event_id, 16).bit_length()


def mine(
    pubkey: str,
    created_at: int,
    kind: int,
    tags: Sequence[Sequence[str]],
    content: str,
    bits: int,
    tries: int | None = None,
) -> tuple[tuple[str, ...], ...] | None:
    """The tags with the first `nonce` from 0 on that gives the id `bits` zero bits; None when no try does.

    The same arguments give the same tags. `tries` is by default ENOUGH times as many as are expected, 2**bits.
    Raises BadEvent("surrogate").
    """
    kept = tuple(tuple(tag) for tag in tags if tag[0] != "nonce")
    mark = ("nonce", _MARK, str(bits))
    try:
        text = msgspec.json.encode((0, pubkey, created_at, kind, (*kept, mark), content))
    except UnicodeEncodeError:
        raise BadEvent("surrogate") from None
    # The last tag is ours: what comes before the number is hashed once.
    head, _, tail = text[: len(text) - len(msgspec.json.encode(content)) - 1].rpartition(msgspec.json.encode(_MARK))
    tail = b'"' + tail + text[len(head) + len(msgspec.json.encode(_MARK)) + len(tail) :]
    begun = hashlib.sha256(head + b'"')
    above = 1 << (256 - bits)
    for number in range(ENOUGH << bits if tries is None else tries):
        attempt = begun.copy()
        attempt.update(b"%d" % number + tail)
        if int.from_bytes(attempt.digest(), "big") < above:
            return (*kept, ("nonce", str(number), str(bits)))
    return None
