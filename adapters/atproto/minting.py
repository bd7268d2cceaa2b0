"""The identities of our ghosts: made, told to the PLC directory, changed and ended.

Keys are derived from whom the ghost stands for. The first operation is signed and stored before it leaves, so that a
mint that is repeated gives the same DID, and what was sent can be sent again.

A new identity is told to the directory within `mint`, in one bounded call, and not as a delivery: a DID that the
directory does not know yet is refused by every relay, so the ghost must not exist before the directory has it. When
the call fails, what needed the ghost is tried again later, as with any account that cannot be looked at. The embedded
directory takes it in the transaction that stores it. Later changes are rows that `run` hands in, however long that
takes: until then the old state holds, which is no reason to hold back posts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from adapters.atproto import handles, ours, plc
from adapters.atproto.constraints import refuse_unfit
from adapters.atproto.crypto import SigningKey
from adapters.atproto.directory import Directory
from adapters.atproto.documents import document_of
from adapters.atproto.far import FarDirectory
from adapters.atproto.identity import WEB
from adapters.atproto.ids import account_ref
from adapters.atproto.ours import Identity
from adapters.atproto.plc import Operation, State
from bridged.api import (
    Account,
    Ghost,
    Host,
    Malformed,
    Ref,
    Rejected,
    Retry,
    Tx,
    Unreachable,
)

CHANGED: Final = "atproto.plc"
"""Signalled when an operation waits to be handed in."""
EVERY: Final = 60.0
"""Seconds after which what waits is tried again."""
_RATE_AFTER: Final = 3600.0
_COMPARED: Final = "plc"
"""The cursor that keeps since which restore our identities have been compared with the directory."""
_FAILURES: Final = 3
"""Failures in one round after which the directory is left alone for a while."""
_SIGNING, _ROTATION = "atproto-signing", "atproto-rotation"


class Identities:
    """directory  the address of a PLC directory, or the embedded one    operator  a did:key that outranks our own,
    kept by the operator; "" for none    web  new identities are did:web, for which no directory is needed    changed
    is called with what an identity is now, once the directory has it, in the transaction that notes it; a did:web needs
    no directory for that
    """

    def __init__(
        self,
        host: Host,
        directory: str | Directory,
        *,
        operator: str = "",
        web: bool = False,
        changed: Callable[[Tx, str, State], None] = lambda tx, did, state: None,
    ) -> None:
        self._host, self._operator, self._web = host, operator, web
        self._directory = directory if isinstance(directory, Directory) else FarDirectory(host, directory)
        self._changed = changed
        self._not_before: dict[str, float] = {}
        self._compared = ""
        """The last DID that was compared with the directory after the database was put back."""

    def signing_key(self, owner: Ref, generation: int = 0) -> SigningKey:
        """The key that signs what the ghost of `owner` says: `Ghost.keyed` and its generation."""
        return SigningKey(self._host.keys.derive(_SIGNING, owner, generation))

    def rotation_keys(self, owner: Ref, own: str = "") -> tuple[str, ...]:
        """Who may change the ghost's identity, the most powerful first: its owner's `own` key, the operator's, ours."""
        ours_ = self._rotation_key(owner).public.did_key()
        return tuple(dict.fromkeys(key for key in (own, self._operator, ours_) if key))

    async def mint(self, account: Account, taken: Callable[[str], Awaitable[bool]]) -> Ghost:
        """The ghost's DID, known to the directory, and the handle that it may have now; see `Sink.mint`.

        Raises Unreachable when the directory has not got it.
        """
        owner = account.ref
        handle = await self._free(account, taken)
        made = await self._host.read(lambda tx: ours.of(tx, owner))
        if made is None or not made.registered:
            made = await self._host.write(lambda tx: self._made(tx, owner, handle))
        if not made.registered:
            await self._register(made)
        return Ghost(owner, account_ref(made.did), handle)

    def change(self, tx: Tx, did: str, *, handle: str = "", pds: str = "", own: str = "", generation: int = 0) -> bool:
        """Makes the identity say this, if it says something else; whether it did.

        `own` is a rotation key of the owner's, to stand above all others, `generation` that of the signing key. Of a
        did:web only the handle is noted, since its document says what is true anyway, and who has read that before is
        told to do so again. Raises Malformed for what no directory would take.
        """
        identity, last = ours.identity(tx, did), ours.last(tx, did)
        if identity is None:
            return False
        if last is None:
            return self._renamed(tx, identity, handle)
        if last[1].state is None:
            return False
        state = last[1].state.changed(
            handle=handle,
            pds=pds,
            rotation_keys=self.rotation_keys(identity.owner, own) if own else (),
            signing_key=self.signing_key(identity.owner, generation).public.did_key() if generation else "",
        )
        if state == last[1].state:
            return False
        self._next(tx, identity, last, state)
        return True

    def end(self, tx: Tx, did: str) -> None:
        """Ends the identity for good; a did:web ends by being served no longer."""
        identity, last = ours.identity(tx, did), ours.last(tx, did)
        if identity is None:
            return
        if last is None:
            ours.drop(tx, did)
        elif last[1].state is not None:
            self._next(tx, identity, last, None)

    async def document(self, did: str) -> dict[str, Any] | None:
        """The document of one of our did:web."""
        found = await self._host.read(lambda tx: ours.identity(tx, did))
        if found is None or plc.is_did(did):
            return None
        ghost = await self._host.ghost(account_ref(did))
        return document_of(did, self._state(found.owner, ghost[0].handle if ghost else found.handle))

    async def described(self, did: str) -> dict[str, Any] | None:
        """The document of any of ours, as it is once the directory has all that waits."""
        if not plc.is_did(did):
            return await self.document(did)
        last = await self._host.read(lambda tx: ours.last(tx, did))
        return document_of(did, last[1].state) if last is not None and last[1].state is not None else None

    async def run(self) -> None:
        """Hands in what waits, in one process of the bridge, until cancelled."""
        await self._host.alone("plc", self._run)

    async def hand_in_all(self) -> None:
        """One round of what waits, oldest identity first; what fails is logged and waits on."""
        failures = 0
        now = self._host.now()
        self._not_before = {did: at for did, at in self._not_before.items() if at > now}
        for did in await self._host.read(ours.waiting):
            if did in self._not_before:
                continue
            try:
                await self._hand_in_or_give_up(did)
            except Retry as error:
                self._host.log.warning("plc_later", did=did, why=error.why)
                self._not_before[did] = now + (error.after or EVERY)
                failures += 1
            if failures >= _FAILURES:
                return

    async def compare_all(self) -> None:
        """Once the database was put back: what the directory was told since that backup is known again.

        Goes on where it was when the directory does not answer.
        """
        directory, restored = self._directory, await self._host.restored()
        if isinstance(directory, Directory) or float(await self._host.cursor(_COMPARED) or 0) >= restored:
            return
        while found := await self._host.read(lambda tx: ours.every(tx, self._compared, ours.MAX_WAITING)):
            for did in found:
                try:
                    await self._catch_up(directory, did)
                except Retry as error:
                    self._host.log.warning("plc_later", did=did, why=error.why)
                    return
                self._compared = did
        await self._host.receive(cursor=(_COMPARED, str(restored)))
        self._compared = ""

    async def _run(self) -> None:
        changed = asyncio.Event()
        self._host.on(CHANGED, lambda _: changed.set())
        while True:
            changed.clear()
            await self.compare_all()
            await self.hand_in_all()
            try:
                async with asyncio.timeout(EVERY):
                    await changed.wait()
            except TimeoutError:
                continue

    async def _free(self, account: Account, taken: Callable[[str], Awaitable[bool]]) -> str:
        domain = self._host.site.handle_domain
        wanted = [handles.under(domain, label) for label in handles.labels(account)]
        for handle in wanted:
            if not await taken(handle) and not await self._host.read(partial(self._other, handle, account.ref)):
                return handle
        raise Unreachable(f"no handle to be had for {account.ref}")

    def _other(self, handle: str, owner: Ref, tx: Tx) -> bool:
        """Whether the did:web of this name was made for somebody else, who may have no ghost yet, or under another
        handle."""
        made = ours.identity(tx, f"{WEB}{handle}") if self._web else None
        return made is not None and made.owner != owner

    async def _register(self, made: Identity) -> None:
        try:
            await self._hand_in(made.did)
        except (Retry, Rejected) as error:
            raise Unreachable(f"the PLC directory has not got {made.did}: {error.why}") from None
        if await self._host.read(lambda tx: ours.identity(tx, made.did)) is None:
            raise Unreachable(f"{made.did} was given up meanwhile for one with another handle")

    def _made(self, tx: Tx, owner: Ref, handle: str) -> Identity:
        """The identity of this owner, as it was made before; unless no directory has said it got it: then with this
        handle."""
        known = ours.of(tx, owner)
        if known is not None and (known.registered or known.handle == handle):
            return known
        if known is not None:
            ours.drop(tx, known.did)
        if self._web:
            if self._other(handle, owner, tx):
                raise Unreachable(f"{handle} was given to somebody else meanwhile")
            return ours.add(tx, f"{WEB}{handle}", owner, handle, None)
        first = plc.sign(self._state(owner, handle), None, self._rotation_key(owner))
        made = ours.add(tx, first.did, owner, handle, first)
        if isinstance(self._directory, Directory):
            self._directory.add(tx, first.did, first)
            ours.sent(tx, first.did, 0)
            return Identity(made.did, owner, handle, registered=True)
        return made

    def _state(self, owner: Ref, handle: str) -> State:
        return plc.new(
            signing_key=self.signing_key(owner).public.did_key(),
            rotation_keys=self.rotation_keys(owner),
            handle=handle,
            pds=self._host.site.base_url,
        )

    def _renamed(self, tx: Tx, identity: Identity, handle: str) -> bool:
        if handle in ("", identity.handle):
            return False
        ours.rename(tx, identity.did, handle)
        self._changed(tx, identity.did, self._state(identity.owner, handle))
        return True

    def _next(self, tx: Tx, identity: Identity, last: tuple[int, Operation], state: State | None) -> None:
        operation = plc.sign(state, last[1].cid, self._rotation_key(identity.owner))
        refuse_unfit(operation)
        ours.append(tx, identity.did, last[0] + 1, operation)
        tx.signal(CHANGED)

    async def _hand_in_or_give_up(self, did: str) -> None:
        """Raises Retry."""
        try:
            await self._hand_in(did)
        except Rejected as error:
            if isinstance(self._directory, FarDirectory) and await self._catch_up(self._directory, did):
                return
            # somebody with a stronger key has it otherwise: that is for them to say
            self._host.log.error("plc_rejected", did=did, why=error.why)
            await self._host.write(lambda tx: ours.give_up(tx, did))

    async def _catch_up(self, directory: FarDirectory, did: str) -> bool:
        """As `_adopt`, with what the directory has. Raises Retry."""
        log = await directory.log(did)
        return bool(log) and await self._host.write(lambda tx: self._adopt(tx, did, log))

    def _adopt(self, tx: Tx, did: str, log: Sequence[Operation]) -> bool:
        """Whether the directory had operations that we know no more: of `log`, which we signed before the database was
        put back. What the identity is to be by what we know is handed in after them.

        What somebody else signed is theirs to say: it is taken over, and nothing handed in.
        """
        identity, mine = ours.identity(tx, did), ours.log(tx, did)
        known = {operation.cid for operation in mine}
        if identity is None or not mine or all(operation.cid in known for operation in log):
            return False
        ours.adopt(tx, did, log)
        own, wanted, last = self._rotation_key(identity.owner).public, mine[-1].state, log[-1].state
        if last is None or any(operation.cid not in known and not operation.signed_by(own) for operation in log):
            return False
        common = next((each.state for each in reversed(mine) if each in log), None)
        if wanted is not None and common is not None and wanted.rotation_keys == common.rotation_keys:
            # no change of these waits: a key that a person added since the backup stays
            wanted = replace(wanted, rotation_keys=last.rotation_keys)
        if wanted != last:
            self._next(tx, identity, (len(log) - 1, log[-1]), wanted)
        self._host.log.info("plc_caught_up", did=did, operations=len(log))
        return True

    async def _hand_in(self, did: str) -> None:
        """All that waits of one identity, in order. Raises Retry, Rejected."""
        for number, operation in await self._host.read(lambda tx: ours.unsent(tx, did)):
            if isinstance(self._directory, Directory):
                await self._enter(self._directory, did, number, operation)
            else:
                log = await self._directory.add(did, operation)
                await self._host.write(partial(self._sent, did=did, number=number, operation=operation))
                if log and await self._host.write(partial(self._adopt, did=did, log=log)):
                    return  # there was more, and what waits was written anew

    def _sent(self, tx: Tx, did: str, number: int, operation: Operation) -> None:
        ours.sent(tx, did, number)
        if number > 0 and operation.state is not None:
            self._changed(tx, did, operation.state)

    async def _enter(self, directory: Directory, did: str, number: int, operation: Operation) -> None:
        def unit(tx: Tx) -> None:
            directory.add(tx, did, operation)
            self._sent(tx, did, number, operation)

        try:
            await self._host.write(unit)
        except Malformed as bad:
            if bad.reason == "rate":
                raise Retry(bad.reason, _RATE_AFTER) from None
            raise Rejected(bad.reason) from None

    def _rotation_key(self, owner: Ref) -> SigningKey:
        return SigningKey(self._host.keys.derive(_ROTATION, owner))
