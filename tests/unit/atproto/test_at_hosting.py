"""What is delivered here becomes commits; feeds show them; what was left comes back as the same account."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from adapters.atproto import cbor, feeds, hosting, ids, ours, writes
from adapters.atproto.adapter import Atproto
from adapters.atproto.config import AtprotoConfig
from adapters.atproto.crypto import SigningKey
from adapters.atproto.feeds import BOT
from adapters.atproto.pds import firehose, reading, store
from adapters.atproto.pds.firehose import Event
from adapters.atproto.repo import car, commit
from bridged.api import LOCAL, Account, Activity, Copy, Delivery, Ghost, Part, Profile, Ref, Rejected, Sent, View
from bridged.testing.fakehost import FakeHost
from tests.unit.atproto.pds_kit import unpacked

OWNER = Ref("nostr", "ab" * 32)


async def nobody(_: str) -> bool:
    return False


class Place:
    """The adapter with a bot and a ghost, over a database in memory."""

    def __init__(self, host: FakeHost, adapter: Atproto, bot: Ghost, ghost: Ghost) -> None:
        self.host, self.adapter, self.bot, self.ghost = host, adapter, bot, ghost

    async def apply(self, ghost: Ghost, *parts: Part) -> list[Sent]:
        def unit(tx: Any) -> list[Sent]:
            return [self.adapter.apply(tx, Delivery("key", LOCAL, p.body, ghost, p.ref, 0)) for p in parts]

        return await self.host.write(unit)

    async def events(self) -> list[tuple[str, dict[str, Any]]]:
        found: Sequence[Event] = await self.host.read(lambda tx: firehose.after(tx, 0, 1000, self.host.now()))
        return [unpacked(event) for event in found]

    async def record(self, uri: Ref) -> dict[str, Any] | None:
        place = ids.split(uri.id)
        assert place is not None

        def unit(tx: Any) -> dict[str, Any] | None:
            repo = store.find(tx, place[0])
            found = reading.record(tx, repo, f"{place[1]}/{place[2]}") if repo is not None else None
            return cbor.decode(found.body) if found is not None else None

        return await self.host.read(unit)

    def at(self, collection: str, rkey: str) -> Ref:
        return ids.record_ref(self.ghost.ref.id, collection, rkey)


def profile(ghost: Ghost, name: str = "Somebody") -> Part:
    record = {"$type": ids.PROFILE, "displayName": name, "createdAt": "2026-09-21T10:00:00.000Z"}
    return writes.put(ghost.owner, ids.record_ref(ghost.ref.id, ids.PROFILE, "self"), record)


def post(place: Place, rkey: str, text: str = "hello", **more: Any) -> Part:
    record = {"$type": ids.POST, "text": text, "createdAt": "2026-09-21T10:00:00.000Z", **more}
    return writes.put(Ref("nostr", rkey), place.at(ids.POST, rkey), record)


@pytest.fixture
async def place() -> Place:
    return await made_with()


@pytest.fixture
async def web() -> Place:
    """Where identities are did:web."""
    return await made_with(did_method="web")


async def made_with(**settings: Any) -> Place:
    host = FakeHost()
    assert Atproto.migrations is not None
    host.migrate(Atproto.migrations)
    adapter = Atproto(AtprotoConfig(plc="embedded", **settings), host)
    await adapter.start()
    made = [await adapter.mint(Account(ref, name), nobody) for ref, name in ((BOT, "bridge"), (OWNER, "npub1x"))]
    return Place(host, adapter, *made)


async def test_apply_makes_a_repo_with_the_first_record(place: Place) -> None:
    await place.apply(place.ghost, profile(place.ghost))
    told = await place.events()
    assert [kind for kind, _ in told] == ["#identity", "#account", "#commit", "#commit"]
    assert told[0][1]["handle"] == place.ghost.handle
    assert await place.record(place.at(ids.PROFILE, "self"))


async def test_apply_of_the_same_again_says_nothing_more(place: Place) -> None:
    await place.apply(place.ghost, profile(place.ghost), post(place, "3jzfcijpj2z2a"))
    before = await place.events()
    await place.apply(place.ghost, profile(place.ghost), post(place, "3jzfcijpj2z2a"))
    assert await place.events() == before


async def test_apply_of_a_delete_takes_the_record_away_and_needs_none(place: Place) -> None:
    said = post(place, "3jzfcijpj2z2a")
    assert said.ref is not None
    await place.apply(place.ghost, said)
    gone = Part(said.of, said.ref, _delete("3jzfcijpj2z2a"), b"", (LOCAL,), gone=True)
    await place.apply(place.ghost, gone, gone)
    assert await place.record(said.ref) is None
    assert len(await place.events()) == 5


async def test_delete_for_who_has_no_repo_makes_none(place: Place) -> None:
    await place.apply(place.ghost, Part(OWNER, place.ghost.ref, _delete("3jzfcijpj2z2a"), b"", (LOCAL,), gone=True))
    assert not await place.events()


async def test_record_against_its_lexicon_is_rejected_and_nothing_is_said(place: Place) -> None:
    with pytest.raises(Rejected, match="refused"):
        await place.apply(place.ghost, post(place, "3jzfcijpj2z2a", text="x" * 4000))
    assert not await place.events()


async def test_who_leaves_is_deleted_and_comes_back_as_the_same(place: Place) -> None:
    first = post(place, "3jzfcijpj2z2a")
    assert first.ref is not None
    await place.apply(place.ghost, first)
    farewell = writes.farewell(OWNER, place.at(ids.PROFILE, "self"), 0)
    await place.apply(place.ghost, farewell, farewell)
    assert (await place.events())[-1][1]["status"] == "deleted"
    again = await place.adapter.mint(Account(OWNER, "npub1x"), nobody)
    assert again.ref == place.ghost.ref
    await place.apply(again, profile(again))
    assert [kind for kind, _ in (await place.events())[-4:]] == ["#identity", "#account", "#sync", "#commit"]
    assert await place.record(first.ref) is None


async def test_who_is_ended_for_good_has_a_tombstone_in_the_directory(place: Place) -> None:
    uri = place.at(ids.PROFILE, "self")
    await place.apply(place.ghost, profile(place.ghost), writes.farewell(OWNER, uri, 0))
    for _ in range(2):
        await place.apply(place.ghost, writes.farewell(OWNER, uri, 1, final=True))
        await place.adapter._identities.hand_in_all()  # pyright: ignore[reportPrivateUsage]
    assert (await place.events())[-1][1]["status"] == "deleted"
    log = await place.host.read(lambda tx: ours.log(tx, place.ghost.ref.id))
    assert [operation.state is None for operation in log] == [False, True]
    assert not await place.host.read(lambda tx: ours.unsent(tx, place.ghost.ref.id)), "the directory has it"
    assert await place.adapter._identities.described(place.ghost.ref.id) is None  # pyright: ignore[reportPrivateUsage]


async def test_did_web_that_ended_is_served_no_longer(web: Place) -> None:
    uri = web.at(ids.PROFILE, "self")
    await web.apply(web.ghost, profile(web.ghost), writes.farewell(OWNER, uri, 0))
    for _ in range(2):
        await web.apply(web.ghost, writes.farewell(OWNER, uri, 1, final=True))
    assert (await web.events())[-1][1]["status"] == "deleted"
    assert await web.adapter._identities.document(web.ghost.ref.id) is None  # pyright: ignore[reportPrivateUsage]


async def test_feeds_are_declared_by_the_bot_for_each_network(place: Place) -> None:
    await place.apply(place.bot, profile(place.bot))
    declared = {name: ids.record_ref(place.bot.ref.id, feeds.COLLECTION, name) for name in ("everyone", "nostr")}
    found = {name: await place.record(uri) for name, uri in declared.items()}
    assert all(found.values()), "the ghost of a Nostr user is known by then"
    assert found["nostr"] is not None
    assert found["nostr"]["did"] == "did:web:bridge.test"
    other = await place.adapter.mint(Account(Ref("activitypub", "https://a.example/b"), "b@a.example"), nobody)
    await place.apply(other, profile(other))
    assert await place.record(ids.record_ref(place.bot.ref.id, feeds.COLLECTION, "activitypub"))


async def test_feed_shows_posts_newest_first_without_answers(place: Place) -> None:
    await place.apply(place.bot, profile(place.bot))
    strong = {"uri": f"at://{place.bot.ref.id}/{ids.POST}/3jzfcijpj2z2a", "cid": _cid(place)}
    answer = {"reply": {"root": strong, "parent": strong}}
    keys = [f"3jzfcijpj2z2{letter}" for letter in "abcd"]
    parts = [post(place, key, **(answer if key.endswith("b") else {})) for key in keys]
    await place.apply(place.ghost, *parts)
    shown = [place.at(ids.POST, keys[n]).id for n in (3, 2, 0)]

    async def page(name: str, limit: int, before: str = "", oldest: str = "2") -> tuple[list[str], str]:
        return await place.host.read(lambda tx: feeds.page(tx, name, limit, before, oldest))

    assert await page("everyone", 50) == await page("nostr", 50) == (shown, "")
    assert await page("activitypub", 50) == ([], "")
    assert await page("everyone", 2) == (shown[:2], keys[2])
    assert await page("everyone", 2, keys[2]) == (shown[2:], "")
    assert await page("everyone", 50, oldest=keys[1]) == (shown[:2], "")


async def test_handle_that_changes_is_told_once_the_directory_has_it(place: Place) -> None:
    await place.apply(place.ghost, profile(place.ghost))
    before = len(await place.events())
    renamed = Ghost(OWNER, place.ghost.ref, "other.bridge.test")
    await place.apply(renamed, profile(renamed))
    assert len(await place.events()) == before, "the profile is as it was, and the directory has not got it yet"
    await place.adapter._identities.hand_in_all()  # pyright: ignore[reportPrivateUsage]
    assert [(kind, body.get("handle")) for kind, body in (await place.events())[before:]] == [
        ("#identity", "other.bridge.test")
    ]


async def test_handle_of_a_did_web_that_changes_is_told_at_once(web: Place) -> None:
    await web.apply(web.ghost, profile(web.ghost))
    before = len(await web.events())
    renamed = Ghost(OWNER, web.ghost.ref, "other.bridge.test")
    for _ in range(2):
        await web.apply(renamed, profile(renamed))
    assert [(kind, body.get("handle")) for kind, body in (await web.events())[before:]] == [
        ("#identity", "other.bridge.test")
    ]


async def test_key_that_somebody_shows_as_theirs_stands_above_all_others(place: Place) -> None:
    own = SigningKey(b"\x09" * 32).public.did_key()
    said = profile(place.ghost)
    assert said.ref is not None
    record = cbor.decode(said.served)
    await place.apply(place.ghost, writes.put(place.ghost.owner, said.ref, record, key=own))
    last = await place.host.read(lambda tx: ours.last(tx, place.ghost.ref.id))
    assert last is not None
    state = last[1].state
    assert state is not None
    assert (state.rotation_keys[0], len(state.rotation_keys)) == (own, 2)


def seen(ghost: Ghost, account: Account, *own: Copy) -> View:
    return View(at=1.0, actor=ghost, account=account, own=own)


async def test_profile_is_said_anew_when_only_the_handle_or_the_key_changed(place: Place) -> None:
    account = Account(OWNER, "npub1x", name="Nora")

    def said(ghost: Ghost, account: Account, *own: Copy) -> list[Part]:
        activity = Activity(OWNER, OWNER, 1.0, Profile(account))
        return list(place.adapter.encode(activity, seen(ghost, account, *own)).parts)

    (first,) = said(place.ghost, account)
    copy = Copy(first.of, "atproto", 0, first.ref, first.served, detail=first.detail)
    assert said(place.ghost, account, copy) == []
    renamed = Ghost(OWNER, place.ghost.ref, "other.bridge.test")
    (again,) = said(renamed, account, copy)
    assert again.served == first.served
    key = SigningKey(b"\x09" * 32).public.did_key()
    (keyed,) = said(place.ghost, replace(account, fields=(("My key", f" {key}"),)), copy)
    assert writes.read_write(keyed.body).key == key


async def test_restored_database_counts_on_and_says_where_all_stand(place: Place, monkeypatch: Any) -> None:
    """Under revisions that nobody has seen: what was told after the backup had later ones than the backup has."""
    monkeypatch.setattr(hosting, "_PAGE", 1)
    for ghost in (place.bot, place.ghost):
        await place.apply(ghost, profile(ghost))
    before = await place.events()
    last, revs = before[-1][1]["seq"], {body["repo"]: body["rev"] for kind, body in before if kind == "#commit"}
    place.host.restored_at = place.host.now()
    await place.adapter.start()
    await place.adapter.start()
    told = (await place.events())[last:]
    assert [(kind, body["did"]) for kind, body in told] == [
        (kind, ghost.ref.id) for ghost in (place.bot, place.ghost) for kind in ("#account", "#sync")
    ]
    assert all(body["seq"] > last + firehose.JUMP for _, body in told)
    stands = {body["did"]: body for kind, body in told if kind == "#sync"}
    assert all(body["rev"] > revs[did] for did, body in stands.items())
    await place.apply(place.ghost, post(place, "3jzfcijpj2z2a"))
    kind, body = (await place.events())[-1]
    root, blocks = car.read(stands[place.ghost.ref.id]["blocks"], 10_000)
    made = commit.read(blocks[root])
    assert (kind, body["since"], body["prevData"]) == ("#commit", made.rev, made.data)
    assert made.signed_by(place.adapter._hosting._key(place.ghost).public)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("method", ["plc", "web"])
async def test_restored_database_says_of_who_left_no_more_than_that(method: str, ended: bool) -> None:
    place = await made_with(did_method=method)
    uri = place.at(ids.PROFILE, "self")
    await place.apply(place.ghost, profile(place.ghost), writes.farewell(OWNER, uri, 0))
    if ended:
        await place.apply(place.ghost, writes.farewell(OWNER, uri, 1, final=True))
    last = (await place.events())[-1][1]["seq"]
    place.host.restored_at = place.host.now()
    await place.adapter.start()
    assert [(kind, body["status"]) for kind, body in await place.events() if body["seq"] > last] == [
        ("#account", "deleted")
    ]


def _delete(rkey: str) -> bytes:
    return msgspec.msgpack.encode(writes.Write("delete", ids.POST, rkey))


def _cid(place: Place) -> str:
    return post(place, "3jzfcijpj2z2a").detail["cid"]
