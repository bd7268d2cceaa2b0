"""What those who listen hand to those who translate: JSON of three channels, made and read here. Pure.

`record`    a record was created, updated or deleted: see `Change`
`identity`  a handle changed: see `Person`
`account`   an account's host says whether it is still there: see `Standing`

Whoever makes an envelope has verified it as far as its source allows, and has looked up what the words need and the
stream does not say: the author's handle (checked both ways) and the address of their host, for posts and profiles. A
record is written as the lexicons' JSON has it (`$link`, `$bytes`).
"""

from typing import Any, Final, Literal, TypeVar

import msgspec

from bridged.api import Envelope, Malformed, Ref

NETWORK: Final = "atproto"
MAX_BODY: Final = 2 << 20
"""Bytes; a record has a megabyte at most, and grows when written as JSON."""

RECORD, IDENTITY, ACCOUNT = "record", "identity", "account"
BEHIND: Final = frozenset({"desynchronized", "throttled"})
"""What is said of an account that a host is behind with. With any other word, or none, what is not active is not to be
shown any more, be it for a while (specs/account: the flag counts, and words are added)."""
Operation = Literal["create", "update", "delete"]


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One operation on a repo.

    did         whose repo
    collection  NSID
    rkey        record key
    operation   create, update or delete; a record that was fetched counts as created
    cid         of the record's bytes, base32; "" for a delete
    rev         TID of the commit; "" where it is not known, as for a record that was fetched
    record      what it says now; None for a delete
    handle      of `did`, without @; "" where it is not known or does not lead back
    pds         https address of the host of `did`, without a trailing slash; "" where it is not known: then the
                record's blobs have no address, and are left out
    site        web address of the publication that an article is part of; "" where that is not known
    """

    did: str
    collection: str
    rkey: str
    operation: Operation
    cid: str = ""
    rev: str = ""
    record: dict[str, Any] | None = None
    handle: str = ""
    pds: str = ""
    site: str = ""


class Person(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who an account is now. `profile` is its app.bsky.actor.profile/self as it is (None: it has none), since the words
    say an account whole. `handle` "" is one that does not lead back."""

    did: str
    handle: str = ""
    pds: str = ""
    profile: dict[str, Any] | None = None


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """As `#account` says it. `status` where it is not active: deleted, takendown, suspended, deactivated, …"""

    did: str
    active: bool
    status: str = ""


_Body = TypeVar("_Body", Change, Person, Standing)


def record_envelope(change: Change, received_at: float) -> Envelope:
    """The same record heard twice, from whatever source, is one envelope. ValueError for a DID that is no ref."""
    uri = f"at://{change.did}/{change.collection}/{change.rkey}"
    # what was put back as it once was has an old CID; a creation that is heard and fetched must be one
    told = change.cid if change.operation == "create" else f"{change.operation}:{change.rev}"
    return _envelope(f"{uri}#{told}", change, RECORD, received_at)


def identity_envelope(person: Person, received_at: float) -> Envelope:
    """A handle is told again only once time has passed: `received_at` is part of the id."""
    return _envelope(f"{person.did}#identity:{received_at:.3f}", person, IDENTITY, received_at)


def account_envelope(standing: Standing, received_at: float) -> Envelope:
    return _envelope(f"{standing.did}#account:{received_at:.3f}", standing, ACCOUNT, received_at)


def read_change(envelope: Envelope) -> Change:
    """Raises Malformed: envelope."""
    return _read(envelope, Change)


def read_person(envelope: Envelope) -> Person:
    """Raises Malformed: envelope."""
    return _read(envelope, Person)


def read_standing(envelope: Envelope) -> Standing:
    """Raises Malformed: envelope."""
    return _read(envelope, Standing)


def _envelope(id: str, said: Change | Person | Standing, channel: str, received_at: float) -> Envelope:
    return Envelope(
        NETWORK, Ref.made(NETWORK, id).id, msgspec.json.encode(said), channel, Ref(NETWORK, said.did), received_at
    )


def _read(envelope: Envelope, kind: type[_Body]) -> _Body:
    if len(envelope.body) > MAX_BODY:
        raise Malformed("envelope")
    try:
        said = msgspec.json.decode(envelope.body, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Malformed("envelope") from None
    if said.did != envelope.signer.id:
        raise Malformed("signer")
    return said
