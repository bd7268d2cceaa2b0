"""Commits: what a repository's account signs, version 3 (atproto.com/specs/repository). Pure."""

from dataclasses import dataclass
from typing import Any, Final, cast

from adapters.atproto import cbor
from adapters.atproto.cid import DAG_CBOR, Cid
from adapters.atproto.crypto import SIGNATURE_SIZE, PublicKey, SigningKey
from adapters.atproto.syntax import is_did
from adapters.atproto.tid import is_tid
from bridged.api import Malformed

VERSION: Final = 3
MAX_COMMIT: Final = 4096


@dataclass(frozen=True, slots=True)
class Commit:
    """A signed commit: `data` is the root of the tree; `prev` is None but for very old ones."""

    did: str
    rev: str
    data: Cid
    sig: bytes
    prev: Cid | None = None

    def unsigned(self) -> bytes:
        """What is signed."""
        return cbor.encode(_fields(self.did, self.rev, self.data, self.prev))

    def block(self) -> bytes:
        return cbor.encode({**_fields(self.did, self.rev, self.data, self.prev), "sig": self.sig})

    def signed_by(self, key: PublicKey) -> bool:
        return key.verify(self.unsigned(), self.sig)


def _fields(did: str, rev: str, data: Cid, prev: Cid | None) -> dict[str, Any]:
    return {"did": did, "rev": rev, "data": data, "prev": prev, "version": VERSION}


def sign(key: SigningKey, did: str, rev: str, data: Cid) -> Commit:
    """The commit of a tree; always the same for the same arguments."""
    return Commit(did, rev, data, key.sign(cbor.encode(_fields(did, rev, data, None))))


def read(block: bytes) -> Commit:
    """The commit that a block is; who signed it is not looked at. Raises Malformed("commit"), or as `cbor.decode`."""
    found = cbor.decode(block, MAX_COMMIT)
    if not isinstance(found, dict):
        raise Malformed("commit")
    match cast("dict[str, Any]", found):
        case {
            "did": str(did),
            "rev": str(rev),
            "data": Cid() as data,
            "sig": bytes(sig),
            "prev": Cid() | None as prev,
            "version": 3,
            **rest,
        } if not rest and is_did(did) and is_tid(rev) and data.codec == DAG_CBOR and len(sig) == SIGNATURE_SIZE:
            return Commit(did, rev, data, sig, prev)
        case _:
            raise Malformed("commit")
