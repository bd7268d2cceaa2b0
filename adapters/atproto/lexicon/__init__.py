"""Records are held against their lexicons before they are committed: one that is wrong wedges its repo at the relays.

An own checker: lexrpc, which installs and carries the lexicons, takes 138 µs for a post with facets and a reply where
this takes 24, and brings a client with its packages along.
"""

from typing import Any, Final

from adapters.atproto import cbor
from adapters.atproto.lexicon.check import Invalid, Lexicons
from adapters.atproto.lexicon.schemas import SCHEMAS
from bridged.api import Malformed

__all__ = ["COLLECTIONS", "Invalid", "validate"]

_LEXICONS: Final = Lexicons(SCHEMAS)

COLLECTIONS: Final = frozenset(_LEXICONS.collections)
"""Those whose records we can write."""


def validate(collection: str, rkey: str, record: Any) -> bytes:
    """The DAG-CBOR of a record that may be written; `record` is a value of `cbor.py`.

    Raises Invalid, which is a Malformed, for one that its lexicon refuses; Malformed for what is no value.
    """
    _LEXICONS.validate(collection, rkey, record)
    data = cbor.encode(record)
    if len(data) > cbor.MAX_SIZE:
        raise Malformed("size")
    return data
