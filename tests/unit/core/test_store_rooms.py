"""The modules of the store, on both databases."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bridged.adapter import Envelope, Part
from bridged.model import Account, Activity, Delete, Ghost, Post, PostBody, React, Ref, Span, Text
from bridged.store import acts, early, follows, identity, inboxes, ledger, queue, queued, schema
from bridged.store import settings as kept
from bridged.store.engine import Store, Tx, url_of
from bridged.store.upgrade import CORE

ALICE, BOB, POST = Ref("red", "alice"), Ref("blue", "bob"), Ref("red", "1")
Run = Callable[[Callable[[Tx], Any]], Any]


@pytest.fixture
async def run(store_url: str, tmp_path: Path) -> AsyncIterator[Run]:
    store = Store(url_of(store_url, tmp_path))
    await store.open()
    await store.migrate(CORE, "bridged_version")
    yield store.write
    await store.close()


def _post(ref: Ref = POST, actor: Ref = ALICE, at: float = 1.0) -> Activity:
    text = Text("hi @bob", (Span(3, 7, "mention", BOB),))
    return Activity(ref, actor, at, Post(PostBody(ref, actor, text, at, detail={"k": "v"})))


def _part(number: int = 0, ref: str | None = "c1", served: bytes = b"one", **more: Any) -> Part:
    return Part(POST, Ref("blue", ref) if ref else None, served, served, ("hub",), number=number, **more)


async def test_envelope_is_kept_once_and_taken_in_order(run: Run) -> None:
    first = Envelope("red", "e1", b"\x00\xff", "live", ALICE, 5.0)
    second = Envelope("red", "e2", b"x", "live", ALICE, 6.0)
    assert await run(lambda tx: [inboxes.add(tx, e) for e in (first, second, first)]) == [True, True, False]
    rows = await run(lambda tx: inboxes.claim(tx, 10.0, 10, ()))
    assert [r.envelope for r in rows] == [first, second]
    assert await run(lambda tx: [r.id for r in inboxes.claim(tx, 10.0, 10, {rows[0].id})]) == [rows[1].id]
    await run(lambda tx: inboxes.later(tx, rows[0].id, 20.0))
    assert [r.attempt for r in await run(lambda tx: inboxes.claim(tx, 20.0, 10, ()))] == [1, 0]
    assert len(await run(lambda tx: inboxes.claim(tx, 19.0, 10, ()))) == 1
    await run(lambda tx: inboxes.settle(tx, rows[1].id))
    assert await run(inboxes.next_due) == 20.0
    assert await run(lambda tx: inboxes.backlog(tx, 20.0)) == (1, 5.0)


async def test_act_is_read_back_as_it_was_put_in(run: Run) -> None:
    assert await run(lambda tx: acts.record(tx, _post(), BOB, POST))
    found = await run(lambda tx: acts.find(tx, POST))
    assert found == acts.Known(_post(), BOB, POST, True)
    assert not await run(lambda tx: acts.record(tx, _post(at=9.0), None))
    await run(lambda tx: acts.strike(tx, POST))
    assert not (await run(lambda tx: acts.find(tx, POST))).live
    assert not await run(lambda tx: acts.record(tx, _post(), None))


async def test_shown_act_counts_as_new_when_its_author_is_heard(run: Run) -> None:
    assert await run(lambda tx: acts.record(tx, _post(), None, shown=True))
    assert (await run(lambda tx: acts.find(tx, POST))).shown
    assert not await run(lambda tx: acts.record(tx, _post(), None, shown=True))
    assert not await run(lambda tx: acts.record(tx, _post(actor=Ref("red", "mallory")), None))
    assert await run(lambda tx: acts.record(tx, _post(), None))
    assert not await run(lambda tx: acts.record(tx, _post(), None))
    assert not (await run(lambda tx: acts.find(tx, POST))).shown


async def test_early_delete_counts_for_its_own_actor_only(run: Run) -> None:
    await run(lambda tx: early.forestall(tx, POST, ALICE, 1.0))
    await run(lambda tx: early.forestall(tx, POST, ALICE, 2.0))
    assert await run(lambda tx: early.forestalled(tx, POST, ALICE))
    assert not await run(lambda tx: early.forestalled(tx, POST, Ref("red", "mallory")))
    assert await run(lambda tx: acts.find(tx, POST)) is None


async def test_copies_are_versioned_and_the_latest_is_shown(run: Run) -> None:
    def unit(tx: Tx) -> list[bool]:
        parts = (_part(), _part(), _part(1, "c2"), _part(ref="c3", served=b"two"), _part(ref="c1"))
        return [acts.add_copy(tx, p, "blue", ALICE, "Post", 1.0)[1] for p in parts]

    assert await run(unit) == [True, False, True, True, True]
    copies = await run(lambda tx: acts.copies_of(tx, POST, "blue"))
    assert [(c.part, c.ref.id, c.version, c.served) for c in copies] == [(0, "c1", 3, b"one"), (1, "c2", 1, b"one")]
    assert (await run(lambda tx: acts.copy_at(tx, Ref("blue", "c3")))).version == 3, "any id it ever had leads to it"
    assert await run(lambda tx: acts.networks_with(tx, POST)) == {"blue"}
    assert len(await run(lambda tx: tx.execute(acts.copy_ids(POST, "blue")).all())) == 4

    def withdraw(tx: Tx) -> None:
        for number in (0, 1):
            acts.add_copy(tx, _part(number, "c1", b"", gone=True), "blue", ALICE, "Delete", 2.0)

    await run(withdraw)
    assert await run(lambda tx: acts.networks_with(tx, POST)) == set()


async def test_what_a_server_made_stays_with_later_versions(run: Run) -> None:
    async def add(served: bytes, **more: Any) -> int:
        part = _part(ref=None, served=served, **more)
        return (await run(lambda tx: acts.add_copy(tx, part, "blue", ALICE, "Post", 1.0)))[0]

    async def now() -> tuple[str | None, dict[str, str], bool]:
        (copy,) = await run(lambda tx: acts.copies_of(tx, POST, "blue"))
        return copy.ref.id if copy.ref else None, dict(copy.detail), copy.gone

    first = await add(b"one")
    # taken back before it was sent: its id comes later
    await add(b"", gone=True)
    assert await now() == (None, {}, True)
    await run(lambda tx: acts.settle_copy(tx, first, Ref("blue", "s1"), {"hash": "a"}))
    assert await now() == ("s1", {"hash": "a"}, True)
    # and once known it is inherited
    await add(b"again", detail={"n": "1"})
    assert await now() == ("s1", {"hash": "a", "n": "1"}, False)


async def test_copies_by_page_newest_first_without_what_is_gone(run: Run) -> None:
    def unit(tx: Tx) -> None:
        for number in range(5):
            of = Ref("red", str(number))
            part = Part(of, Ref("blue", f"c{number}"), b"x", b"x")
            acts.add_copy(tx, part, "blue", ALICE, "Post" if number != 3 else "React", float(number))
        acts.add_copy(tx, Part(Ref("red", "1"), Ref("blue", "c1"), b"", b"", gone=True), "blue", ALICE, "Delete", 9.0)

    await run(unit)
    page = await run(lambda tx: acts.copies_by(tx, ALICE, "blue", ["Post"], 2, None))
    assert [c.origin.id for _, c in page] == ["4", "2"]
    rest = await run(lambda tx: acts.copies_by(tx, ALICE, "blue", ["Post"], 2, page[-1][0]))
    assert [c.origin.id for _, c in rest] == ["0"]


async def test_acts_with_copies_are_found_for_leaving(run: Run) -> None:
    def unit(tx: Tx) -> None:
        for number in range(3):
            ref = Ref("red", str(number))
            acts.record(tx, _post(ref, at=float(number)), None)
            if number:
                acts.add_copy(tx, Part(ref, Ref("blue", f"c{number}"), b"x", b"x"), "blue", ALICE, "Post", 1.0)
        acts.record(tx, Activity(Ref("red", "like"), ALICE, 9.0, React(POST)), POST)

    await run(unit)
    found = await run(lambda tx: acts.origins_with_copies(tx, ALICE, "blue", 10))
    assert [k.activity.ref.id for k in found] == ["2", "1"]


async def _queued(run: Run, *bodies: bytes, endpoint: str = "hub") -> list[int]:
    def unit(tx: Tx) -> list[int]:
        made: list[int] = []
        for n, body in enumerate(bodies):
            copy, _ = acts.add_copy(tx, _part(n, f"c{n}", body), "blue", ALICE, "Post", 1.0)
            assert queue.enqueue(tx, "blue", [endpoint], ALICE, copy, "Post", body, (), 0.0, 1.0)
            made.append(copy)
        return made

    return await run(unit)


async def test_lane_gives_its_oldest_first_and_rests_when_empty(run: Run) -> None:
    await _queued(run, b"1", b"2")
    (lane,) = await run(lambda tx: queue.claim(tx, 1.0, 10, ()))
    for body, more in ((b"1", True), (b"2", False)):
        item = await run(lambda tx: queue.head(tx, lane))
        assert item.body == body
        assert await run(lambda tx, i=item: queue.settle(tx, i, "sent", "", 1.0)) is more
    assert await run(lambda tx: queue.head(tx, lane)) is None
    assert await run(queue.next_due) is None
    assert await run(queued.depth) == {}


async def test_same_copy_goes_into_a_lane_once(run: Run) -> None:
    (copy,) = await _queued(run, b"1")
    assert not await run(lambda tx: queue.enqueue(tx, "blue", ["hub"], ALICE, copy, "Post", b"1", (), 0.0, 1.0))
    assert await run(lambda tx: queue.enqueue(tx, "blue", ["other"], ALICE, copy, "Post", b"1", (), 0.0, 1.0))


async def test_postponed_head_holds_its_lane(run: Run) -> None:
    await _queued(run, b"1", b"2")
    (lane,) = await run(lambda tx: queue.claim(tx, 1.0, 10, ()))
    item = await run(lambda tx: queue.head(tx, lane))
    await run(lambda tx: queue.postpone(tx, item, 9.0, "why\x00", tried=True))
    assert await run(lambda tx: queue.claim(tx, 8.0, 10, ())) == []
    again = await run(lambda tx: queue.head(tx, lane))
    assert (again.id, again.attempt) == (item.id, 1)


async def test_only_what_was_never_tried_is_cancelled(run: Run) -> None:
    copies = await _queued(run, b"1", b"2")
    (lane,) = await run(lambda tx: queue.claim(tx, 1.0, 10, ()))
    item = await run(lambda tx: queue.head(tx, lane))
    await run(lambda tx: queue.postpone(tx, item, 9.0, "", tried=True))
    assert await run(lambda tx: queue.cancel(tx, copies, "taken back")) == 1
    assert await run(lambda tx: queue.cancel(tx, [], "nothing")) == 0
    assert await run(lambda tx: queued.reached(tx, copies)) == ["hub"]
    states = [d["state"] for d in await run(lambda tx: queued.deliveries(tx, copies))]
    assert states == ["ready", "cancelled"]


async def test_nothing_waits_for_itself_or_for_what_came_later(run: Run) -> None:
    await _queued(run, b"1", b"2")
    (lane,) = await run(lambda tx: queue.claim(tx, 1.0, 10, ()))
    first = await run(lambda tx: queue.head(tx, lane))
    assert not await run(lambda tx: queue.unsent_before(tx, POST, 0, first))
    assert not await run(lambda tx: queue.unsent_before(tx, POST, 1, first))
    await _queued(run, b"3", endpoint="elsewhere")
    (other,) = await run(lambda tx: queue.claim(tx, 1.0, 10, {lane.id}))
    last = await run(lambda tx: queue.head(tx, other))
    assert not await run(lambda tx: queue.unsent_before(tx, POST, 1, last)), "another endpoint's affair"


async def test_withdrawn_consent_shows_on_the_head(run: Run) -> None:
    await _queued(run, b"1")
    (lane,) = await run(lambda tx: queue.claim(tx, 1.0, 10, ()))
    assert not (await run(lambda tx: queue.head(tx, lane))).withdrawn
    await run(lambda tx: identity.set_standing(tx, ALICE, "out", "person", 1.0))
    assert (await run(lambda tx: queue.head(tx, lane))).withdrawn


async def test_ghost_is_made_ended_and_revived(run: Run) -> None:
    ghost = Ghost(ALICE, Ref("blue", "g"), "alice@red")
    assert await run(lambda tx: identity.add_ghost(tx, ghost, 1.0))
    assert not await run(lambda tx: identity.add_ghost(tx, ghost, 1.0))
    assert await run(lambda tx: identity.ghost_for(tx, ALICE, "blue")) == ghost
    assert await run(lambda tx: identity.ghost_named(tx, "blue", "alice@red")) == ghost
    assert not await run(lambda tx: identity.handle_taken(tx, "blue", "alice@red", ALICE))
    assert await run(lambda tx: identity.handle_taken(tx, "blue", "alice@red", Ref("red", "other")))
    await run(lambda tx: identity.end_ghost(tx, ghost))
    assert await run(lambda tx: identity.ghost_for(tx, ALICE, "blue")) is None
    assert await run(lambda tx: identity.ghost_at(tx, ghost.ref)) == (ghost, "gone")
    assert await run(lambda tx: identity.last_ghost(tx, ALICE, "blue")) == ghost
    assert await run(lambda tx: identity.handle_taken(tx, "blue", "alice@red", Ref("red", "other")))
    assert await run(lambda tx: identity.add_ghost(tx, ghost, 2.0))


async def test_handle_of_another_ghost_is_not_taken_over(run: Run) -> None:
    await run(lambda tx: identity.add_ghost(tx, Ghost(ALICE, Ref("blue", "g"), "same"), 1.0))
    other = Ghost(Ref("red", "other"), Ref("blue", "h"), "same")
    assert not await run(lambda tx: identity.add_ghost(tx, other, 1.0))
    assert await run(lambda tx: identity.ghost_for(tx, other.owner, "blue")) is None


async def test_account_is_read_back_with_its_age(run: Run) -> None:
    account = Account(ALICE, "alice", bio=Text("x", (Span(0, 1, "bold"),)), fields=(("a", "b"),), detail={"k": "v"})
    await run(lambda tx: identity.save_account(tx, account, 10.0))
    assert await run(lambda tx: identity.account(tx, ALICE)) == account
    assert await run(lambda tx: identity.account_age(tx, ALICE, 15.0)) == 5.0
    assert await run(lambda tx: identity.accounts_of(tx, [ALICE, Ref("red", "x")])) == [account]
    assert await run(lambda tx: identity.accounts_of(tx, [])) == []


async def test_followers_are_those_granted_oldest_first(run: Run) -> None:
    def unit(tx: Tx) -> None:
        for n, state in enumerate(("live", "asked", "live")):
            follows.put(tx, Ref("blue", f"b{n}"), ALICE, Ref("blue", f"f{n}"), state, float(3 - n))  # type: ignore[arg-type]

    await run(unit)
    assert [r.id for r in await run(lambda tx: follows.followers(tx, ALICE, "blue"))] == ["b2", "b0"]
    assert [r.id for r in await run(lambda tx: follows.followers(tx, ALICE, "blue", by=1.0))] == ["b2"]
    assert [r.id for r in await run(lambda tx: follows.followers(tx, ALICE, "blue", 1, 1))] == ["b0"]
    assert await run(lambda tx: follows.count(tx, ALICE, "blue")) == 2
    assert [r.id for r in await run(lambda tx: follows.asking(tx, ALICE, "blue"))] == ["b1"]
    assert await run(lambda tx: follows.audience_networks(tx, ALICE)) == {"blue"}
    assert await run(lambda tx: follows.wanted(tx, "red")) == ["alice"]
    await run(lambda tx: follows.forget(tx, ALICE))
    assert await run(lambda tx: follows.followers(tx, ALICE, "blue")) == []


async def test_list_is_newer_by_time_and_then_by_id(run: Run) -> None:
    async def newer(ref: str, at: float) -> bool:
        return await run(lambda tx: follows.newer_list(tx, BOB, Ref("blue", ref), at))

    assert await newer("m", 5.0)
    assert not await newer("m", 5.0)
    assert not await newer("z", 4.0)
    assert [await newer("a", 5.0), await newer("z", 5.0)].count(True) == 1


async def test_block_holds_until_it_is_taken_back(run: Run) -> None:
    await run(lambda tx: follows.block(tx, ALICE, BOB, POST))
    assert await run(lambda tx: follows.blocked_by(tx, BOB, [ALICE])) == {ALICE}
    assert await run(lambda tx: follows.blocked_by(tx, ALICE, [BOB])) == set()
    await run(lambda tx: follows.unblock(tx, ALICE, BOB))
    assert await run(lambda tx: follows.blocked_by(tx, BOB, [ALICE])) == set()


async def test_ledger_takes_any_words(run: Run) -> None:
    await run(lambda tx: ledger.write(tx, 1.0, "dead", POST, reason="no\x00 \ud800" + "x" * 900))
    (row,) = await run(lambda tx: ledger.about(tx, POST))
    assert row["reason"].startswith("no ?x")
    assert len(row["reason"]) <= 500
    assert list(await run(lambda tx: ledger.tally(tx, 0.0))) == [("dead", row["reason"])]


async def test_cursor_and_sealed_secret_are_kept(run: Run) -> None:
    await run(lambda tx: inboxes.move_cursor(tx, "red", "k", "1"))
    await run(lambda tx: inboxes.move_cursor(tx, "red", "k", "2"))
    assert await run(lambda tx: inboxes.cursor(tx, "red", "k")) == "2"
    assert await run(lambda tx: kept.seal(tx, "red", "rsa", b"\x00one"))
    assert not await run(lambda tx: kept.seal(tx, "red", "rsa", b"two"))
    assert await run(lambda tx: kept.sealed(tx, "red", "rsa")) == b"\x00one"


async def test_acts_of_all_kinds_survive_the_store(run: Run) -> None:
    deleted = Activity(Ref("red", "d"), ALICE, 1.0, Delete(POST))
    like = Activity(Ref("red", "l"), ALICE, 1.0, React(POST, "❤", "https://x.example/e.png"))
    for activity in (deleted, like):
        await run(lambda tx, a=activity: acts.record(tx, a, POST))
        assert (await run(lambda tx, a=activity: acts.find(tx, a.ref))).activity == activity


async def test_backlog_is_what_is_due_and_not_what_is_planned(run: Run) -> None:
    def unit(tx: Tx) -> tuple[int, float | None]:
        inboxes.add(tx, Envelope("red", "due", b"", "live", ALICE, 5.0))
        inboxes.add(tx, Envelope("red", "planned", b"", "agenda", ALICE, 4.0), due_at=100.0)
        return inboxes.backlog(tx, 50.0)

    assert await run(unit) == (1, 5.0)


async def test_copy_with_more_versions_than_a_statement_takes_is_still_withdrawn(run: Run) -> None:
    def many(tx: Tx) -> None:
        row = {
            "origin_network": "red", "origin_id": "p1", "network": "blue", "part": 0, "ref": "c1",
            "actor_network": "red", "actor_id": "alice", "act": "Tally", "served": b"", "gone": 0,
            "detail": "", "at": 1.0,
        }  # fmt: skip
        tx.execute(schema.copies.insert(), [{**row, "version": n} for n in range(1, 34_000)])

    await run(many)
    of = acts.copy_ids(Ref("red", "p1"), "blue")
    assert await run(lambda tx: (queued.reached(tx, of), queue.cancel(tx, of, "taken back"))) == ([], 0)
    assert [c.version for c in await run(lambda tx: acts.copies_of(tx, Ref("red", "p1"), "blue"))] == [33_999]
