"""Repos kept up with: each commit checked, each gap noticed and made up for.

A commit counts when its signature, its tree and its place after the one before are right. Where its place is not, the
repo is marked stale, in the transaction that stores the cursor, and fetched; until then further commits are passed
over. Of a stranger's repo only the commits that concern us are looked at: they are checked alike, but have no place.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast
from urllib.parse import quote

from adapters.atproto import cbor, ids, known, verify
from adapters.atproto.cid import Cid
from adapters.atproto.crypto import PublicKey
from adapters.atproto.envelopes import Change
from adapters.atproto.frames import Committed, Synced
from adapters.atproto.identity import Resolver, can_be
from adapters.atproto.intake import Event, Intake, Renamed, Stood
from adapters.atproto.known import Known
from adapters.atproto.stream import backoff
from adapters.atproto.syntax import is_tid
from adapters.atproto.verify import Claim, Gained
from adapters.atproto.wanted import COLLECTIONS, PROFILE, Wanted
from bridged.api import Busy, EgressFailed, Host, Malformed, Ref, Rejected, Tx, Unreachable

MAX_MISSED: Final = 1000
"""Records made up for after one gap, the newest."""
_UNDONE: Final = ("Post", "React", "Repost", "Follow", "Block")
"""What is taken back by deleting its record."""
GET_REPO: Final = "/xrpc/com.atproto.sync.getRepo"


@dataclass(frozen=True, slots=True)
class Missed:
    """The stream has lost what it said before: every repo may have gone on without us."""

    why: str


Said = Committed | Synced | Stood | Renamed | Missed


class _Batch:
    """What comes of things heard together."""

    def __init__(self, rows: dict[str, Known], keys: dict[str, PublicKey | None]) -> None:
        self.rows, self.keys = rows, keys
        self.moved: set[str] = set()
        self.events: list[Event] = []
        self.doubt = False

    def put(self, did: str, row: Known) -> None:
        self.rows[did] = row
        self.moved.add(did)


class Repos:
    def __init__(
        self,
        host: Host,
        resolver: Resolver,
        intake: Intake,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._host, self._resolver, self._intake, self._pause = host, resolver, intake, pause
        self._stale, self._again = asyncio.Event(), asyncio.Event()
        self._failed: set[str] = set()
        """Stale repos that could not be fetched when they were tried."""
        self._one_writer = asyncio.Lock()
        """Held from reading rows of the table to writing them."""
        self._heard, self._wanted = host.heard(), Wanted(host.heard())
        self._passed: dict[str, str] = {}
        """DID of a stale repo -> latest rev that was passed over."""

    async def run(self) -> None:
        """Fetch what was missed, as it becomes known; until cancelled."""
        gone = set(await self._host.read(known.everybody)) - self._wants().theirs
        await self._host.write(lambda tx: known.drop(tx, gone))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._make_up_all())
            group.create_task(self._try_again())

    async def _make_up_all(self) -> None:
        """Each repo once: those that cannot be fetched now are not to keep the others waiting."""
        while True:
            self._stale.clear()
            for did, row in (await self._host.read(known.stale)).items():
                if did not in self._failed and not await self._make_up(did, row):
                    self._failed.add(did)
                    self._again.set()
            await self._stale.wait()

    async def _try_again(self) -> None:
        attempt = 0
        while True:
            await self._again.wait()
            attempt += 1
            await self._pause(backoff(attempt, 1.0))
            stale = await self._host.read(known.stale)
            for did in sorted(self._failed):
                if did not in stale or await self._make_up(did, stale[did]):
                    self._failed.discard(did)
                    self._stale.set()  # it may have gone on just now
            if not self._failed:
                attempt = 0
                self._again.clear()

    async def store(self, heard: Sequence[Said], cursor: tuple[str, str]) -> None:
        """Raises Busy; then nothing was stored, and the same may be handed in again."""
        async with self._one_writer:
            await self._store(heard, cursor)

    async def _store(self, heard: Sequence[Said], cursor: tuple[str, str]) -> None:
        dids = {what.did for what in heard if isinstance(what, Committed | Synced)}
        rows = await self._host.read(lambda tx: known.of(tx, dids)) if dids else {}
        batch = _Batch(rows, await self._keys(dids))
        for what in heard:
            match what:
                case Committed() | Synced():
                    await self._check(what, batch)
                case Missed():
                    batch.doubt = True
                    batch.rows = {did: replace(row, stale=True) for did, row in batch.rows.items()}
                case _:
                    batch.events.append(what)
        envelopes = await self._intake.envelopes(batch.events)

        def also(tx: Tx) -> None:
            if batch.doubt:
                known.doubt_all(tx)
            for did in batch.moved:
                known.put(tx, did, batch.rows[did])

        await self._host.receive(*envelopes, cursor=cursor, also=also)
        if batch.doubt or any(batch.rows[did].stale for did in batch.moved):
            self._stale.set()

    def _wants(self) -> Wanted:
        heard = self._host.heard()
        if heard is not self._heard:
            self._heard, self._wanted = heard, Wanted(heard)
        return self._wanted

    async def _keys(self, dids: Collection[str]) -> dict[str, PublicKey | None]:
        clock, patience = asyncio.get_running_loop().time, self._intake.patience
        began = clock()
        until = began + patience.seconds()
        found = await asyncio.gather(*(self._key(did, until) for did in dids))
        patience.spent(clock() - began)
        return dict(zip(dids, found, strict=True))

    async def _key(self, did: str, until: float) -> PublicKey | None:
        """None where it is not known now."""
        try:
            async with asyncio.timeout_at(until):
                found = await self._resolver.document(did)
        except (Unreachable, TimeoutError):
            return None
        return found.key if found is not None else None

    async def _check(self, said: Committed | Synced, batch: _Batch) -> None:
        try:
            if not can_be(said.did):
                raise Malformed("did")
            claim = verify.claim_of(said, self._host.now())
            batch.keys[said.did] = await self._check_signature(claim, batch.keys[said.did])
            if isinstance(said, Synced):
                self._take_sync(said, claim, batch)
            else:
                self._take_commit(said, claim, batch)
        except Malformed as bad:
            self._host.refused(bad.reason)
            self._host.log.info("atproto_commit_refused", did=said.did, rev=said.rev, why=bad.reason)

    async def _check_signature(self, claim: Claim, key: PublicKey | None) -> PublicKey:
        """The key that fits, looked at anew, once in a while, should `key` not. Raises Malformed."""
        did = claim.commit.did
        if key is None:
            raise Malformed("key_unknown")
        try:
            claim.check_signature(key)
        except Malformed:
            try:
                key = await self._resolver.key_again(did)
            except Unreachable:
                key = None
            if key is None:
                raise
            claim.check_signature(key)
        return key

    def _take_commit(self, said: Committed, claim: Claim, batch: _Batch) -> None:
        """Raises Malformed for one that is not what it says."""
        did, row = said.did, batch.rows.get(said.did)
        if did in self._wants().theirs:
            if row is not None and said.rev <= row.rev:
                raise Malformed("rev_old")
            if row is not None and row.stale:
                self._passed[did] = max(said.rev, self._passed.get(did, ""))
                return
            if row is not None and (said.since != row.rev or said.prev_data != row.data):
                self._doubt(did, row, said.rev, batch)
                return
            verify.check_ops(said, claim)
            batch.put(did, Known(said.rev, claim.commit.data))
        else:
            verify.check_ops(said, claim)
        for op in said.ops:
            block = claim.blocks[op.cid] if op.cid is not None else None
            self._add(did, op.path, op.action, op.cid, block, said.rev, batch.events)

    def _take_sync(self, said: Synced, claim: Claim, batch: _Batch) -> None:
        did, row = said.did, batch.rows.get(said.did)
        if did not in self._wants().theirs:
            return
        if row is not None and said.rev <= row.rev:
            raise Malformed("rev_old")
        if row is None or (row.data == claim.commit.data and not row.stale):
            batch.put(did, Known(said.rev, claim.commit.data))
        else:
            self._doubt(did, row, said.rev, batch)

    def _doubt(self, did: str, row: Known, rev: str, batch: _Batch) -> None:
        self._host.log.info("atproto_gap", did=did, known=row.rev, now=rev)
        self._passed[did] = rev
        batch.put(did, replace(row, stale=True))

    def _add(
        self, did: str, path: str, operation: str, cid: Cid | None, block: bytes | None, rev: str, events: list[Event]
    ) -> None:
        """One operation, if it is for us; one that is no record is dropped by itself."""
        collection, _, rkey = path.partition("/")
        if collection not in COLLECTIONS:
            return
        try:
            record: Any = cbor.to_json(cbor.decode(block)) if block is not None else None
        except Malformed as bad:
            self._host.refused(f"record_{bad.reason}")
            return
        if not self._wants().wants(did, collection, operation, record):
            return
        if cid is None:
            events.append(Change(did, collection, rkey, "delete", rev=rev))
        elif isinstance(record, dict):
            done = "create" if operation == "create" else "update"
            events.append(Change(did, collection, rkey, done, str(cid), rev, cast("dict[str, Any]", record)))
        else:
            self._host.refused("record_type")

    async def _make_up(self, did: str, row: Known) -> bool:
        """Fetch what a repo gained since it was known; whether that is done with."""
        try:
            stood = await self._host.standing(ids.account_ref(did), _UNDONE, MAX_MISSED)
            gained = await self._fetch(did, row.rev)
        except (Busy, Unreachable, EgressFailed, Rejected) as error:
            self._host.log.warning("atproto_not_fetched", did=did, why=str(error))
            return False
        except Malformed as bad:
            self._host.refused(bad.reason)
            self._host.log.warning("atproto_not_fetched", did=did, why=bad.reason)
            return False
        if gained is None:  # gone, or taken down: if it comes back, it begins anew
            await self._host.write(lambda tx: known.drop(tx, [did]))
            return True
        commit = gained.claim.commit
        events: list[Event] = []
        if commit.rev > row.rev:
            events = [*self._gains(did, row, gained), *await self._losses(did, gained, stood)]
        new = max(row, Known(commit.rev, commit.data), key=lambda one: one.rev)
        envelopes = await self._intake.envelopes(events)
        async with self._one_writer:
            # what came while it was fetched was passed over
            again = self._passed.get(did, "") > new.rev
            try:
                await self._host.receive(*envelopes, also=lambda tx: known.put(tx, did, replace(new, stale=again)))
            except Busy:
                return False
            self._passed.pop(did, None)
        self._host.log.info("atproto_made_up", did=did, since=row.rev, rev=new.rev, records=len(events))
        return not again

    async def _fetch(self, did: str, since: str) -> Gained | None:
        """What a repo gained since a revision, or with "" all of it; None for one that is gone.

        Raises Unreachable, EgressFailed, Rejected, Malformed.
        """
        found = await self._resolver.document(did)
        if found is None or not found.pds:
            raise Unreachable("its host is not known")
        url = f"{found.pds}{GET_REPO}?did={quote(did)}" + (f"&since={since}" if since else "")
        answer = await self._host.http.get(url, limit=verify.MAX_REPO)
        if answer.status in (400, 404):
            return None
        if answer.status != 200:
            raise Unreachable(f"status {answer.status}")
        gained = await asyncio.to_thread(verify.read_repo, answer.body, did, self._host.now())
        await self._check_signature(gained.claim, found.key)
        return gained

    async def _losses(self, did: str, gained: Gained, stood: Collection[Ref]) -> list[Event]:
        """Deletions of what `stood` elsewhere when the repo was fetched. Only a whole repo shows what it has not."""
        whole: Gained | None = gained
        if stood and not gained.whole:
            try:
                whole = await self._fetch(did, "")
            except (Unreachable, EgressFailed, Rejected, Malformed) as error:
                self._host.log.warning("atproto_deletions_not_seen", did=did, why=str(error))
                return []
        if whole is None or not whole.whole or whole.claim.commit.rev < gained.claim.commit.rev:
            return []
        found: list[Event] = []
        for place in (ids.split(ref.id) for ref in stood):
            path = f"{place[1]}/{place[2]}" if place is not None and place[0] == did else ""
            if path and path not in whole.records:
                self._add(did, path, "delete", None, None, whole.claim.commit.rev, found)
        return sorted(found, key=_rkey)

    def _gains(self, did: str, row: Known, gained: Gained) -> list[Event]:
        """Creations and edits."""
        found: list[Event] = []
        for path, cid in gained.records.items():
            collection, _, rkey = path.partition("/")
            later = is_tid(rkey) and rkey > row.rev
            if gained.whole and not later and collection != PROFILE:
                continue  # known already, as far as its key tells
            operation = "create" if later else "update"
            self._add(did, path, operation, cid, gained.claim.blocks[cid], gained.claim.commit.rev, found)
        return sorted(found, key=_rkey)[-MAX_MISSED:]


def _rkey(event: Event) -> str:
    return event.rkey if isinstance(event, Change) else ""
