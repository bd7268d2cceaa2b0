"""What a local delivery asks of a repo, as bytes: made by encoders, read by `Sink.apply`. Pure.

`Part.body` of every record is one of these, `Part.served` the record's own DAG-CBOR, and `Part.detail` has its `cid`.
The repo is that of the delivery's actor (`Delivery.actor.ref` is its DID).
"""

from typing import Any, Final, Literal

import msgspec

from adapters.atproto import cbor
from adapters.atproto.cid import Cid
from bridged.api import LOCAL, Copy, Malformed, Part, Ref

Action = Literal["create", "update", "delete", "leave", "end"]
_NO_FACTS: Final[dict[str, str]] = {}


class Write(msgspec.Struct, frozen=True, omit_defaults=True):
    """One operation on the actor's repo.

    create  `record` is to stand under `collection`/`rkey`; the same again changes nothing
    update  likewise, in place of the one before
    delete  nothing is to stand there any more; what does not stand there is no error
    leave   the account is gone: the repo with all its records, and `#account` says so. No collection, no rkey
    end     its identity ends: a tombstone in the directory

    `key` comes with a profile: a did:key of the owner's own that is to stand above all others of the identity.
    """

    action: Action
    collection: str = ""
    rkey: str = ""
    record: bytes = b""
    key: str = ""


def read_write(body: bytes) -> Write:
    """Raises Malformed("write")."""
    try:
        return msgspec.msgpack.decode(body, type=Write)
    except (msgspec.MsgspecError, UnicodeError):
        raise Malformed("write") from None


def put(
    of: Ref,
    uri: Ref,
    record: dict[str, Any],
    *,
    number: int = 0,
    update: bool = False,
    facts: dict[str, str] = _NO_FACTS,
    key: str = "",
) -> Part:
    """The part that makes a record stand at `uri`."""
    _, collection, rkey = _place(uri)
    data = cbor.encode(record)
    write = Write("update" if update else "create", collection, rkey, data, key)
    return Part(
        of,
        uri,
        msgspec.msgpack.encode(write),
        data,
        (LOCAL,),
        number,
        detail={"cid": str(Cid.of(data)), **facts},
    )


def withdrawn(copy: Copy) -> Part:
    """The part that takes a record of ours away. The copy must have a ref."""
    assert copy.ref is not None
    _, collection, rkey = _place(copy.ref)
    body = msgspec.msgpack.encode(Write("delete", collection, rkey))
    return Part(copy.origin, copy.ref, body, b"", (LOCAL,), copy.part, gone=True, detail=copy.detail)


def farewell(of: Ref, uri: Ref, number: int, *, final: bool = False) -> Part:
    """The part that takes the whole account away, or if it is `final`, its identity; `uri` is that of its profile."""
    return Part(of, uri, msgspec.msgpack.encode(Write("end" if final else "leave")), b"", (LOCAL,), number, gone=True)


def _place(uri: Ref) -> tuple[str, str, str]:
    did, collection, rkey = uri.id.removeprefix("at://").split("/")  # our own URIs are whole
    return did, collection, rkey
