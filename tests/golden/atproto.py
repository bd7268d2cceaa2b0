"""How the golden cases are written and read on the AT Protocol: records as JSON, in the repos of the cast."""

import json
from base64 import b32encode
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any

from adapters.atproto import cbor, ids, tid
from adapters.atproto.adapter import Atproto
from adapters.atproto.cid import Cid
from adapters.atproto.config import AtprotoConfig
from adapters.atproto.envelopes import (
    Change,
    Person,
    Standing,
    account_envelope,
    identity_envelope,
    record_envelope,
)
from adapters.atproto.writes import read_write
from bridged.api import LOCAL, Account, Envelope, Ghost, Part, Ref, Text
from bridged.testing import FakeHost

PDS = "https://pds.example"
MODERATION = "https://mod.example"


def did_of(name: str) -> str:
    return "did:plc:" + b32encode(sha256(name.encode()).digest()).decode().lower()[:24]


class Words(Atproto):
    """The adapter, with ghosts whose DIDs are made of their owners' names."""

    def __init__(self, **settings: Any) -> None:
        config = {"plc": "embedded", "moderation": {"url": MODERATION, "did": f"did:plc:{'m' * 24}"}, **settings}
        super().__init__(AtprotoConfig.model_validate(config), FakeHost("bridge.example"))

    async def mint(self, account: Account, taken: Callable[[str], Awaitable[bool]]) -> Ghost:
        name = "".join(c if c.isalnum() else "-" for c in account.handle.lower())[:63].strip("-")
        return Ghost(account.ref, ids.account_ref(did_of(str(account.ref))), f"{name}.bridge.example")


class OnAtproto:
    """Native inputs are records, with the repo they are in, or news of an account (see the case's file)."""

    hidden: frozenset[str] = frozenset()

    def __init__(self, **settings: Any) -> None:
        self.sink = Words(**settings)
        self._handles: dict[str, str] = {}

    def account(self, entry: Mapping[str, Any]) -> Account:
        did = did_of(entry["handle"])
        self._handles[did] = entry["handle"]
        return Account(
            ids.account_ref(did),
            entry["handle"],
            name=entry.get("name", ""),
            bio=Text(entry.get("bio", "")),
            url=ids.VIEWER + entry["handle"],
            uri=f"at://{did}",
            mark=entry.get("mark", ""),
        )

    def envelope(self, said: Any, received_at: float) -> Envelope:
        """`{did, record}` is a record created, with `rkey` and `operation` where it matters; `{did, handle, profile}`
        an identity; `{did, active}` a standing."""
        did = said["did"]
        if "active" in said:
            return account_envelope(Standing(did, said["active"], said.get("status", "")), received_at)
        handle = said.get("handle", self._handles.get(did, ""))
        if "profile" in said:
            return identity_envelope(Person(did, handle, PDS, said["profile"]), received_at)
        record = said.get("record")
        collection = said.get("collection") or record["$type"]
        cid = str(Cid.of(cbor.encode(cbor.from_json(record)))) if record is not None else ""
        rev = tid.make(int(received_at) * 1_000_000, 0)
        rkey = said.get("rkey") or ("self" if collection == ids.PROFILE else self._rkey(did, cid, received_at))
        operation = said.get("operation", "create")
        return record_envelope(Change(did, collection, rkey, operation, cid, rev, record, handle, PDS), received_at)

    def _rkey(self, did: str, cid: str, received_at: float) -> str:
        return tid.record_key(Ref(ids.NETWORK, f"{did}:{cid}"), received_at - 10)

    def written(self, ref: Ref, form: str) -> str:
        """`cid` and `link` of a record in the cast's words; the page in a browser."""
        match form:
            case "page":
                return ids.page(ref.id)
            case "rkey":
                return ref.id.rpartition("/")[2]
            case _:
                raise ValueError(f"no form {form} of {ref}")

    def shown(self, part: Part) -> Any:
        """A record with what it is in the repo, a body for a moderation service, or what is taken away."""
        if part.endpoints and part.endpoints != (LOCAL,):
            return {"to": list(part.endpoints), "body": json.loads(part.body)}
        write = read_write(part.body)
        uri = part.ref.id if part.ref else ""
        if not write.record:
            return {"action": write.action, "uri": uri}
        assert cbor.encode(cbor.decode(write.record)) == write.record == part.served
        return {"action": write.action, "uri": uri, "record": cbor.to_json(cbor.decode(write.record))}

    def back(self, part: Part, received_at: float) -> Envelope | None:
        if part.endpoints and part.endpoints != (LOCAL,):
            return None
        write = read_write(part.body)
        found = ids.split(part.ref.id if part.ref else "")
        assert found is not None
        did, collection, rkey = found
        if write.action == "leave":
            return account_envelope(Standing(did, active=False, status="deleted"), received_at)
        record = cbor.to_json(cbor.decode(write.record)) if write.record else None
        if record:  # that it is a copy is for other bridges to know
            record = {name: value for name, value in record.items() if not name.startswith("bridgedOriginal")}
        cid = part.detail.get("cid", "") if record else ""
        change = Change(did, collection, rkey, write.action, cid, tid.make(1, 1), record, "", PDS)
        return record_envelope(change, received_at + 100)
