"""Identities of our ghosts: minted, changed and ended."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from adapters.atproto import ours, plc
from adapters.atproto.crypto import SigningKey
from adapters.atproto.directory import Directory
from adapters.atproto.identity import Resolver
from adapters.atproto.minting import Identities
from adapters.atproto.plc import Entry, Operation, State
from bridged.api import Account, EgressFailed, EgressRefused, Ghost, Malformed, Ref, Response, Unreachable
from bridged.testing.fakehost import FakeHost
from bridged.testing.world import ScriptedHttp
from tests.unit.atproto.stored_host import host_on, two_processes

PLC = "https://plc.test"
OPERATOR, OWN = (SigningKey(bytes([n]) * 32).public.did_key() for n in (1, 2))
OWNER = Ref("activitypub", "https://c.d/users/alice")
ALICE = Account(OWNER, "alice@c.d")
HANDLE = "alice-at-c-d.bridge.test"


@pytest.fixture(params=["sqlite", "postgresql"])
async def host(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FakeHost]:
    async with host_on(request.param, tmp_path) as host:
        yield host


class Far:
    """A PLC directory across the network, validating with the rules of `plc`, whose answers can be lost."""

    def __init__(self, host: FakeHost) -> None:
        assert isinstance(host.http, ScriptedHttp)
        self.host, self.http = host, host.http
        self.log: list[Entry] = []
        self.did = ""
        self.instead: Response | Exception | None = None
        """What is answered to the next POST."""
        self.lost = False
        """Whether that one is taken all the same."""

    def at(self, did: str) -> None:
        self.did = did
        self.http.pages[f"{PLC}/{did}"] = self.post
        self.http.pages[f"{PLC}/{did}/log"] = Response(404, PLC, {}, b"{}")

    def post(self, body: bytes, _: Any) -> Response:
        instead, self.instead = self.instead, None
        if instead is None or self.lost:
            try:
                operation = plc.read(orjson.loads(body))
                plc.follow(self.did, self.log, operation, len(self.log))
            except Malformed as bad:
                return Response(400, PLC, {}, bad.reason.encode())
            self.log.append(Entry(operation, len(self.log)))
            log = orjson.dumps([dict(entry.operation.fields) for entry in self.log])
            self.http.pages[f"{PLC}/{self.did}/log"] = Response(200, PLC, {}, log)
        if isinstance(instead, Exception):
            raise instead
        return instead or Response(200, PLC, {}, b"OK")

    @property
    def state(self) -> State | None:
        return self.log[-1].operation.state


async def nobody(_: str) -> bool:
    return False


def taken(*handles: str) -> Any:
    async def taken(handle: str) -> bool:
        return handle in handles

    return taken


async def stored(host: FakeHost) -> ours.Identity | None:
    return await host.read(lambda tx: ours.of(tx, OWNER))


async def far_minted(host: FakeHost) -> tuple[Identities, Far, Ghost]:
    """A ghost whose directory is across the network."""
    identities, far = Identities(host, PLC, operator=OPERATOR), Far(host)
    with pytest.raises(Unreachable):
        await identities.mint(ALICE, nobody)
    made = await stored(host)
    assert made is not None
    far.at(made.did)
    return identities, far, await identities.mint(ALICE, nobody)


async def test_mint_embedded_makes_an_identity_that_resolves(host: FakeHost) -> None:
    directory = Directory(host)
    identities = Identities(host, directory, operator=OPERATOR)
    ghost = await identities.mint(ALICE, nobody)
    assert ghost == Ghost(OWNER, Ref("atproto", ghost.ref.id), HANDLE)
    state = await host.read(lambda tx: directory.state(tx, ghost.ref.id))
    assert state is not None
    assert state.rotation_keys == identities.rotation_keys(OWNER)
    assert (state.rotation_keys[0], len(state.rotation_keys)) == (OPERATOR, 2)

    async def leads(handle: str) -> str | None:
        return ghost.ref.id if handle == HANDLE else None

    resolver = Resolver(host, directory, "", leads)
    found = await resolver.resolve(ghost.ref.id)
    assert found is not None
    assert (found.handle, found.pds) == (HANDLE, "https://bridge.test")
    assert found.key == identities.signing_key(ghost.keyed, ghost.generation).public
    await host.write(lambda tx: identities.change(tx, ghost.ref.id, pds="https://new.test"))
    await identities.hand_in_all()
    found = await resolver.document(ghost.ref.id)
    assert found is not None
    assert found.pds == "https://new.test"
    assert isinstance(host.http, ScriptedHttp)
    assert host.http.asked == []
    assert host.http.posted == []


async def test_mint_gives_the_same_ghost_again(host: FakeHost) -> None:
    identities = Identities(host, Directory(host))
    ghost = await identities.mint(ALICE, nobody)
    assert await identities.mint(ALICE, nobody) == ghost
    assert await Identities(host, Directory(host)).mint(ALICE, nobody) == ghost
    other = await identities.mint(Account(Ref("nostr", "ab" * 32), "npub1" + "q" * 58), nobody)
    assert other.ref != ghost.ref


async def test_mint_stores_the_genesis_before_any_request_leaves(host: FakeHost) -> None:
    identities = Identities(host, PLC)
    with pytest.raises(Unreachable):
        await identities.mint(ALICE, nobody)
    made = await stored(host)
    assert made is not None
    assert not made.registered
    far = Far(host)
    far.at(made.did)
    ghost = await identities.mint(ALICE, nobody)
    assert ghost.ref.id == made.did
    assert len({body for _, body, _ in far.http.posted}) == 1
    assert far.log[0].operation.did == made.did
    posted = len(far.http.posted)
    assert await identities.mint(ALICE, nobody) == ghost
    assert len(far.http.posted) == posted


@pytest.mark.parametrize("answer", [EgressFailed("timeout"), Response(502, PLC, {}, b"")])
async def test_mint_sends_again_what_came_through_without_an_answer(host: FakeHost, answer: Any) -> None:
    identities, far = Identities(host, PLC), Far(host)
    with pytest.raises(Unreachable):
        await identities.mint(ALICE, nobody)
    made = await stored(host)
    assert made is not None
    far.at(made.did)
    far.instead, far.lost = answer, True
    with pytest.raises(Unreachable):
        await identities.mint(ALICE, nobody)
    assert len(far.log) == 1
    assert (await identities.mint(ALICE, nobody)).ref.id == made.did
    assert len(far.log) == 1


@pytest.mark.parametrize(
    "answer",
    [Response(400, PLC, {}, b"no"), Response(404, PLC, {}, b""), EgressRefused("address"), EgressFailed("dns")],
)
async def test_mint_makes_no_ghost_that_the_directory_has_not_got(host: FakeHost, answer: Any) -> None:
    identities, far = Identities(host, PLC), Far(host)
    with pytest.raises(Unreachable):
        await identities.mint(ALICE, nobody)
    made = await stored(host)
    assert made is not None
    far.at(made.did)
    far.instead = answer
    with pytest.raises(Unreachable):
        await identities.mint(ALICE, nobody)
    assert (await identities.mint(ALICE, nobody)).ref.id == made.did


async def test_mint_chooses_another_handle_when_one_is_taken(host: FakeHost) -> None:
    identities = Identities(host, Directory(host))
    ghost = await identities.mint(ALICE, taken(HANDLE))
    assert ghost.handle.startswith("alice-at-c-d-0y")
    assert (await identities.mint(ALICE, nobody)).ref == ghost.ref
    with pytest.raises(Unreachable):
        await identities.mint(ALICE, taken(HANDLE, ghost.handle))


async def test_mint_prefers_the_verified_name(host: FakeHost) -> None:
    account = Account(Ref("nostr", "ab" * 32), "npub1" + "q" * 58, alias="bob@e.f")
    assert (await Identities(host, Directory(host)).mint(account, nobody)).handle == "bob-at-e-f.bridge.test"


async def test_mint_makes_a_genesis_anew_while_nobody_has_it(host: FakeHost) -> None:
    identities = Identities(host, PLC)
    with pytest.raises(Unreachable):
        await identities.mint(ALICE, nobody)
    before = await stored(host)
    with pytest.raises(Unreachable):
        await identities.mint(ALICE, taken(HANDLE))
    after = await stored(host)
    assert before is not None
    assert after is not None
    assert before.did != after.did
    assert after.handle.startswith("alice-at-c-d-0y")


def crowd(count: int) -> list[Account]:
    return [Account(Ref("activitypub", f"https://c.d/users/a{n}"), f"a{n}@c.d") for n in range(count)]


async def test_two_processes_that_mint_at_once_make_one_identity(tmp_path: Path) -> None:
    async with two_processes(tmp_path) as hosts:
        first, second = (Identities(host, Directory(host)) for host in hosts)
        for account in crowd(20):
            one, other = await asyncio.gather(first.mint(account, nobody), second.mint(account, nobody))
            assert one == other
        seen = await hosts[0].read(lambda tx: ours.every(tx, "", 100))
        assert len(seen) == 20
        assert {len(await hosts[1].read(lambda tx, did=did: ours.log(tx, did))) for did in seen} == {1}


async def test_two_processes_that_mint_at_once_tell_a_directory_far_away_once(tmp_path: Path) -> None:
    """Both hand in the same; who comes second is told that it is there, and believes the log alone."""
    async with two_processes(tmp_path) as hosts:
        far = Far(hosts[0])
        hosts[1].http = far.http
        first, second = (Identities(host, PLC) for host in hosts)
        for process in (first, second):
            with pytest.raises(Unreachable):
                await process.mint(ALICE, nobody)
        made = await stored(hosts[1])
        assert made is not None
        far.at(made.did)
        one, other = await asyncio.gather(first.mint(ALICE, nobody), second.mint(ALICE, nobody))
        assert one == other
        assert one.ref.id == made.did
        assert len(far.log) == 1
        # two in vain; who comes so late that it is known to be there hands nothing in
        assert len(far.http.posted) in (3, 4)


async def test_change_is_handed_in_and_done_once(host: FakeHost) -> None:
    identities, far, ghost = await far_minted(host)
    did = ghost.ref.id
    assert not await host.write(lambda tx: identities.change(tx, did, handle=HANDLE))
    assert await host.write(lambda tx: identities.change(tx, did, handle="b.bridge.test"))
    assert await host.write(lambda tx: identities.change(tx, did, own=OWN, generation=1, pds="https://new.test"))
    assert len(far.log) == 1
    await identities.hand_in_all()
    assert len(far.log) == 3
    state = far.state
    assert state is not None
    assert state.handle == "b.bridge.test"
    assert state.rotation_keys == (OWN, *identities.rotation_keys(OWNER))
    assert state.verification_methods == {"atproto": identities.signing_key(OWNER, 1).public.did_key()}
    assert state.services[plc.PDS].endpoint == "https://new.test"
    posted = len(far.http.posted)
    await identities.hand_in_all()
    assert len(far.http.posted) == posted


async def test_change_waits_until_the_directory_is_back(host: FakeHost) -> None:
    identities, far, ghost = await far_minted(host)
    await host.write(lambda tx: identities.change(tx, ghost.ref.id, handle="b.bridge.test"))
    far.instead = EgressFailed("connect")
    await identities.hand_in_all()
    await identities.hand_in_all()  # too soon
    assert len(far.log) == 1
    host.at += 61
    await identities.hand_in_all()
    assert len(far.log) == 2


async def test_change_waits_an_hour_when_there_were_too_many(host: FakeHost) -> None:
    identities, far, ghost = await far_minted(host)
    await host.write(lambda tx: identities.change(tx, ghost.ref.id, handle="b.bridge.test"))
    far.instead = Response(400, PLC, {}, b'{"message":"To many operations within last hour (max 10)"}')
    await identities.hand_in_all()
    host.at += 3590
    await identities.hand_in_all()
    assert len(far.log) == 1
    host.at += 11
    await identities.hand_in_all()
    assert len(far.log) == 2


async def test_change_that_is_refused_is_given_up(host: FakeHost) -> None:
    identities, far, ghost = await far_minted(host)
    await host.write(lambda tx: identities.change(tx, ghost.ref.id, handle="b.bridge.test"))
    far.instead = Response(400, PLC, {}, b"no")
    await identities.hand_in_all()
    assert await host.read(ours.waiting) == []
    assert await host.write(lambda tx: identities.change(tx, ghost.ref.id, handle="b.bridge.test"))


async def forgets(host: FakeHost, far: Far, did: str) -> None:
    """The database is put back to when the identity had been made; the directory keeps all."""
    host.restored_at = host.at
    await host.write(lambda tx: ours.adopt(tx, did, [far.log[0].operation]))


async def test_change_after_a_restore_goes_on_from_what_the_directory_has(host: FakeHost) -> None:
    identities, far, ghost = await far_minted(host)
    await host.write(lambda tx: identities.change(tx, ghost.ref.id, handle="b.bridge.test", own=OWN))
    await identities.hand_in_all()
    await forgets(host, far, ghost.ref.id)
    await host.write(lambda tx: identities.change(tx, ghost.ref.id, handle="c.bridge.test"))
    await identities.hand_in_all()  # refused; what was missed is read
    await identities.hand_in_all()
    assert len(far.log) == 3
    assert far.state is not None
    assert (far.state.handle, far.state.rotation_keys[0]) == ("c.bridge.test", OWN)
    assert await host.read(ours.waiting) == []


async def test_identities_are_compared_once_after_a_restore(host: FakeHost) -> None:
    """Nothing is to be changed as far as the database knows, and the directory is told so."""
    identities, far, ghost = await far_minted(host)
    await identities.compare_all()
    assert far.http.asked == []
    await host.write(lambda tx: identities.change(tx, ghost.ref.id, handle="b.bridge.test"))
    await identities.hand_in_all()
    await forgets(host, far, ghost.ref.id)
    log = far.http.pages[f"{PLC}/{ghost.ref.id}/log"]
    far.http.pages[f"{PLC}/{ghost.ref.id}/log"] = EgressFailed("connect")
    await identities.compare_all()
    assert await host.read(ours.waiting) == []
    far.http.pages[f"{PLC}/{ghost.ref.id}/log"] = log
    await identities.compare_all()
    await identities.hand_in_all()
    assert [entry.operation.state.handle for entry in far.log if entry.operation.state] == [
        HANDLE,
        "b.bridge.test",
        HANDLE,
    ]
    asked = len(far.http.asked)
    await identities.compare_all()
    assert len(far.http.asked) == asked


async def test_mint_of_who_was_made_after_the_backup_gives_the_same_did(host: FakeHost) -> None:
    identities, far, ghost = await far_minted(host)
    await host.write(lambda tx: identities.change(tx, ghost.ref.id, handle="b.bridge.test"))
    await identities.hand_in_all()
    await host.write(lambda tx: ours.drop(tx, ghost.ref.id))
    assert await identities.mint(ALICE, nobody) == ghost
    await identities.hand_in_all()
    assert len(far.log) == 3
    assert far.state is not None
    assert far.state.handle == ghost.handle


async def test_what_a_stronger_key_said_after_the_backup_stands(host: FakeHost) -> None:
    identities, far, ghost = await far_minted(host)
    state = far.state
    assert state is not None
    theirs = plc.sign(state.changed(handle="free.example"), far.log[-1].operation.cid, SigningKey(bytes([1]) * 32))
    far.post(orjson.dumps(dict(theirs.fields)), {})
    await forgets(host, far, ghost.ref.id)
    await identities.compare_all()
    await identities.hand_in_all()
    assert len(far.log) == 2
    assert await host.read(lambda tx: ours.last(tx, ghost.ref.id)) == (1, theirs)


async def test_log_that_does_not_follow_is_not_taken_over(host: FakeHost) -> None:
    identities, far, ghost = await far_minted(host)
    before = await host.read(lambda tx: ours.log(tx, ghost.ref.id))
    state = far.state
    assert state is not None
    stranger = plc.sign(state.changed(handle="evil.example"), far.log[-1].operation.cid, SigningKey(bytes([9]) * 32))
    log = [dict(before[0].fields), dict(stranger.fields)]
    far.http.pages[f"{PLC}/{ghost.ref.id}/log"] = Response(200, PLC, {}, orjson.dumps(log))
    host.restored_at = host.at
    await identities.compare_all()
    assert await host.read(lambda tx: ours.log(tx, ghost.ref.id)) == before


async def test_change_embedded_waits_for_the_hour_to_pass(host: FakeHost) -> None:
    directory = Directory(host)
    identities = Identities(host, directory)
    did = (await identities.mint(ALICE, nobody)).ref.id

    def handle(number: int) -> str:
        return f"a{number}.bridge.test"

    for number in range(12):
        assert await host.write(lambda tx, number=number: identities.change(tx, did, handle=handle(number)))
    await identities.hand_in_all()
    state = await host.read(lambda tx: directory.state(tx, did))
    assert state is not None
    assert state.handle == handle(8)
    host.at += 3601
    await identities.hand_in_all()
    state = await host.read(lambda tx: directory.state(tx, did))
    assert state is not None
    assert state.handle == handle(11)


async def test_end_buries_the_identity(host: FakeHost) -> None:
    identities, far, ghost = await far_minted(host)
    for _ in range(2):
        await host.write(lambda tx: identities.end(tx, ghost.ref.id))
    await identities.hand_in_all()
    assert far.state is None
    assert len(far.log) == 2
    assert not await host.write(lambda tx: identities.change(tx, ghost.ref.id, handle="b.bridge.test"))


async def test_change_and_end_leave_strangers_alone(host: FakeHost) -> None:
    identities = Identities(host, PLC)
    stranger = "did:plc:" + "a" * 24
    assert not await host.write(lambda tx: identities.change(tx, stranger, handle="b.bridge.test"))
    await host.write(lambda tx: identities.end(tx, stranger))
    assert await host.read(ours.waiting) == []


async def test_run_hands_in_what_is_signalled(host: FakeHost) -> None:
    identities, far, ghost = await far_minted(host)
    await host.write(lambda tx: identities.change(tx, ghost.ref.id, handle="b.bridge.test"))

    class Done(Exception):
        pass

    taken_: list[Operation] = []

    def post(body: bytes, _: Any) -> Response:
        taken_.append(plc.read(orjson.loads(body)))
        raise Done

    far.http.pages[f"{PLC}/{ghost.ref.id}"] = post
    with pytest.raises(Done):
        await identities.run()
    assert [operation.state.handle for operation in taken_ if operation.state] == ["b.bridge.test"]


async def test_web_identities_are_served_and_need_no_directory(host: FakeHost) -> None:
    identities = Identities(host, PLC, web=True)
    ghost = await identities.mint(ALICE, nobody)
    did = f"did:web:{HANDLE}"
    assert ghost.ref.id == did
    renamed = await identities.mint(ALICE, taken(HANDLE))
    assert (renamed.ref, renamed.handle == HANDLE) == (ghost.ref, False)
    document = await identities.document(did)
    assert document is not None
    assert document["id"] == did
    assert document["alsoKnownAs"] == [f"at://{HANDLE}"]
    await host.write(lambda tx: identities.end(tx, did))
    assert await identities.document(did) is None


async def test_web_document_names_the_handle_of_the_day(host: FakeHost) -> None:
    identities = Identities(host, PLC, web=True)
    ghost = await identities.mint(ALICE, nobody)
    host.ghosts[ghost.ref] = Ghost(OWNER, ghost.ref, "new.bridge.test"), ALICE
    document = await identities.document(ghost.ref.id)
    assert document is not None
    assert document["alsoKnownAs"] == ["at://new.bridge.test"]


async def test_web_identity_tells_of_a_new_handle_once(host: FakeHost) -> None:
    told: list[tuple[str, str]] = []
    identities = Identities(host, PLC, web=True, changed=lambda _, did, state: told.append((did, state.handle)))
    did = (await identities.mint(ALICE, nobody)).ref.id

    async def changed(**fields: Any) -> bool:
        return await host.write(lambda tx: identities.change(tx, did, **fields))

    assert not await changed(handle=HANDLE, own=OWN)
    assert not await changed(pds="https://new.test"), "its document says that anyway"
    assert await changed(handle="b.bridge.test")
    assert not await changed(handle="b.bridge.test")
    assert told == [(did, "b.bridge.test")]


async def test_web_identity_is_never_handed_on(host: FakeHost) -> None:
    """Not where its owner has no ghost by the time somebody else wants the handle, so that it seems to be free."""
    identities = Identities(host, PLC, web=True)
    first = await identities.mint(ALICE, nobody)
    other = Account(Ref("activitypub", "https://c.d/users/2"), "Alice@c.d")
    made = await identities.mint(other, nobody)
    assert made.ref.id == f"did:web:{made.handle}" != first.ref.id
    assert (await identities.mint(ALICE, nobody)) == first
    assert (await identities.mint(other, nobody)) == made


async def test_web_identity_that_two_want_at_once_is_for_one(host: FakeHost) -> None:
    identities = Identities(host, PLC, web=True)
    other = Account(Ref("activitypub", "https://c.d/users/2"), "Alice@c.d")
    made = await asyncio.gather(*(identities.mint(a, nobody) for a in (ALICE, other)), return_exceptions=True)
    dids = {m.ref.id for m in made if isinstance(m, Ghost)}
    assert f"did:web:{HANDLE}" in dids
    assert all(isinstance(m, Ghost | Unreachable) for m in made)
    again = await identities.mint(other, nobody), await identities.mint(ALICE, nobody)
    assert again[0].ref != again[1].ref


async def test_document_is_none_for_plc_identities(host: FakeHost) -> None:
    identities = Identities(host, Directory(host))
    ghost = await identities.mint(ALICE, nobody)
    assert await identities.document(ghost.ref.id) is None
