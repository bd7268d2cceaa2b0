"""Dead letters: why they are dead, and what is sent when they are tried again: the same, in order, and nothing else."""

from collections import Counter

import pytest

from bridged import consent
from bridged.adapter import EgressFailed, Rejected, Retry
from bridged.retry import GIVE_UP
from bridged.store import dead, hosts, schema
from bridged.store.dead import LEFT, STANDS_AGAIN, TAKEN_BACK, Revived, Which

from .kit.outside import Outside

REFUSED = Rejected("HTTP 403")
ALL = Which()


async def revive(outside: Outside, which: Which = ALL, limit: int = 100) -> Revived:
    """As `bridged retry` does, beside the bridge."""
    now = outside.bridge.clock.at
    found = await outside.bridge.write(lambda tx: dead.revive(tx, which, now, limit))
    await outside.bridge.settle()
    return found


async def states(outside: Outside) -> Counter[str]:
    rows = await outside.bridge.read(lambda tx: tx.execute(schema.outbox.select().order_by(schema.outbox.c.id)).all())
    return Counter(row.state for row in rows)


async def test_letters_are_grouped_by_host_and_reason(outside_on_both: Outside) -> None:
    outside = outside_on_both
    await outside.crowd(3, "strict.test", "alice", "rita")
    outside.down("strict.test/0", REFUSED)
    await outside.bridge.hear(outside.red.post("alice", "one"))
    began = outside.bridge.clock.at
    outside.bridge.clock.move(60)
    await outside.bridge.hear(outside.red.post("rita", "two"), outside.red.post("alice", "three"))
    outside.down("strict.test/1", EgressFailed("connect strict.test"))
    await outside.bridge.hear(outside.red.post("alice", "four"))
    await outside.pass_time(GIVE_UP + 3600, 3600)
    refused, silent = await outside.bridge.read(lambda tx: dead.groups(tx, ALL, 10))
    assert (refused.host, refused.reason, refused.letters, refused.accounts) == ("strict.test", "HTTP 403", 3, 2)
    assert (refused.first, refused.last) == (began, began + 60)
    assert (silent.reason, silent.letters, silent.accounts) == ("connect strict.test", 1, 1)
    assert await outside.bridge.read(lambda tx: dead.count(tx, ALL)) == 4
    for which, number in (
        (Which(host="strict.test"), 4),
        (Which(host="other.test"), 0),
        (Which(actor=outside.red.ref("rita")), 1),
        (Which(reason="http 4"), 3),
        (Which(reason="%"), 0),
        (Which(since=began + 60), 3),
        (Which(until=began + 60), 1),
    ):
        assert await outside.bridge.read(lambda tx, w=which: dead.count(tx, w)) == number, which


async def test_letters_go_again_in_order_under_the_same_ids(outside_on_both: Outside) -> None:
    outside = outside_on_both
    await outside.crowd(1, "strict.test")
    outside.down("strict.test", REFUSED)
    posts = [outside.red.post("alice", str(n)) for n in range(5)]
    await outside.bridge.hear(*posts)
    before = await outside.bridge.read(lambda tx: tx.execute(schema.outbox.select().order_by(schema.outbox.c.id)).all())
    outside.well()
    await outside.bridge.hear(outside.red.post("alice", "5"))
    assert outside.blue.texts("https://strict.test/0") == ["5"]
    outside.blue.sent.clear()
    found = await revive(outside)
    assert found.back == {"strict.test": 5}
    assert outside.blue.texts("https://strict.test/0") == ["0", "1", "2", "3", "4"]
    after = await outside.bridge.read(lambda tx: tx.execute(schema.outbox.select().order_by(schema.outbox.c.id)).all())
    assert [(r.id, r.copy, r.body) for r in after[: len(before)]] == [(r.id, r.copy, r.body) for r in before]
    assert {r.state for r in after} == {"sent"}
    assert await revive(outside) == Revived()


async def test_retry_is_bounded_and_goes_on_where_it_stopped(outside_on_both: Outside) -> None:
    outside = outside_on_both
    await outside.crowd(1, "strict.test")
    outside.down("strict.test", REFUSED)
    await outside.bridge.hear(*(outside.red.post("alice", str(n)) for n in range(5)))
    outside.well()
    now = outside.bridge.clock.at
    dry = await outside.bridge.read(lambda tx: dead.revive(tx, ALL, now, 3, dry=True))
    assert dry.back.total() == 3
    assert await outside.bridge.read(lambda tx: dead.count(tx, ALL, dry.last)) == 2
    assert outside.blue.texts() == []
    assert (await revive(outside, limit=3)).back.total() == 3
    assert outside.blue.texts() == ["0", "1", "2"]
    assert (await revive(outside, limit=3)).back.total() == 2
    assert outside.blue.texts() == ["0", "1", "2", "3", "4"]


async def test_letter_taken_back_since_stays_dead(outside: Outside) -> None:
    await outside.crowd(2, "strict.test")
    outside.down("strict.test/0", REFUSED)
    post, kept = outside.red.post("alice", "regretted"), outside.red.post("alice", "kept")
    await outside.bridge.hear(post, kept)
    outside.well()
    await outside.bridge.hear(outside.red.say("Delete", "alice", target=post.id))
    found = await revive(outside)
    assert found.left == {TAKEN_BACK: 1}
    assert outside.blue.texts("https://strict.test/0") == ["kept"]
    assert "regretted" not in {t.text for where, t in outside.blue.sent if where == "https://strict.test/0"}


async def test_letter_taken_back_while_it_waits_again_is_followed_by_its_end(outside: Outside) -> None:
    await outside.crowd(1, "strict.test")
    outside.down("strict.test", REFUSED)
    post = outside.red.post("alice", "regretted")
    await outside.bridge.hear(post)
    outside.down("strict.test", Retry("HTTP 503"))
    await revive(outside)
    outside.well()
    await outside.bridge.hear(outside.red.say("Delete", "alice", target=post.id))
    await outside.pass_time(3600)
    assert outside.blue.texts() == []
    assert [t.kind for _, t in outside.blue.sent][-1] == "Delete"


async def test_letters_of_somebody_who_left_stay_dead(outside: Outside) -> None:
    await outside.crowd(1, "strict.test", "alice", "rita")
    outside.down("strict.test", REFUSED)
    await outside.bridge.hear(outside.red.post("alice", "one"), outside.red.post("rita", "two"))
    outside.well()
    alice = outside.red.ref("alice")
    core = outside.bridge.core
    await outside.bridge.write(lambda tx: consent.leave(core, tx, alice, "operator"))
    await outside.bridge.settle()
    found = await revive(outside)
    assert found.left == {LEFT: 1}
    assert found.back == {"strict.test": 1}
    assert outside.blue.texts("https://strict.test/0") == ["two"]


async def test_farewell_of_somebody_who_is_back_stays_dead(outside: Outside) -> None:
    await outside.crowd(1, "strict.test")
    alice, core = outside.red.ref("alice"), outside.bridge.core
    outside.down("strict.test", REFUSED)
    await outside.bridge.write(lambda tx: consent.leave(core, tx, alice, "operator"))
    await outside.bridge.settle()
    assert await outside.bridge.read(lambda tx: dead.count(tx, ALL)) >= 1
    await outside.bridge.write(lambda tx: consent.join(core, tx, alice, "operator"))
    await outside.bridge.settle()
    outside.well()
    await outside.follow("alice", "fan0")
    outside.blue.sent.clear()
    found = await revive(outside)
    assert found.left[STANDS_AGAIN] >= 1
    assert outside.blue.received("Delete") == []
    await outside.bridge.hear(outside.red.post("alice", "back again"))
    assert outside.blue.texts("https://strict.test/0") == ["back again"]


async def test_newest_version_is_seen_last(outside_on_both: Outside) -> None:
    outside = outside_on_both
    await outside.crowd(1, "strict.test")
    outside.down("strict.test", REFUSED)
    post = outside.red.post("alice", "first draft")
    await outside.bridge.hear(post)
    outside.well()
    await outside.bridge.hear(outside.red.say("Edit", "alice", target=post.id, text="second draft"))
    outside.blue.sent.clear()
    await revive(outside)
    assert [t.text for _, t in outside.blue.sent] == ["first draft", "second draft"]


async def test_revived_letter_has_another_week(outside: Outside) -> None:
    await outside.crowd(1)
    outside.down("down.test", EgressFailed("connect down.test"))
    await outside.bridge.hear(outside.red.post("alice", "one"))
    await outside.pass_time(GIVE_UP + 86400, 3600)
    assert (await states(outside))["dead"] == 1
    await revive(outside)
    assert (await states(outside))["ready"] == 1
    await outside.pass_time(3 * 86400, 3600)
    outside.well()
    await outside.pass_time(6 * 3600, 600)
    assert outside.blue.texts() == ["one"]


async def test_retry_lets_a_host_that_is_shut_be_tried_at_once(outside: Outside) -> None:
    await outside.crowd(10)
    outside.down("down.test", EgressFailed("connect down.test"))
    await outside.bridge.hear(outside.red.post("alice", "one"))
    await outside.pass_time(86400, 3600)
    outside.tried.clear()
    now, which = outside.bridge.clock.at, Which(host="down.test")
    assert await outside.bridge.write(lambda tx: dead.hasten(tx, which, now)) == 10
    await outside.bridge.settle()
    assert len(outside.tried) == 1
    outside.well()
    assert await outside.bridge.write(lambda tx: dead.hasten(tx, which, now)) == 10
    await outside.bridge.settle()
    assert len(outside.blue.received("Post")) == 10
    assert await outside.bridge.read(lambda tx: hosts.of(tx, "down.test")) is None


@pytest.mark.parametrize("which", [Which(host="a.test"), Which(reason="403")])
async def test_only_what_was_asked_for_is_revived(outside: Outside, which: Which) -> None:
    outside.settles("ann", "https://a.test/ann")
    outside.settles("ben", "https://b.test/ben")
    await outside.follow("alice", "ann", "ben")
    outside.answer = lambda endpoint: Rejected("HTTP 403" if "a.test" in endpoint else "HTTP 400")
    await outside.bridge.hear(outside.red.post("alice", "one"))
    outside.well()
    assert (await revive(outside, which)).back == {"a.test": 1}
    assert outside.blue.texts("https://a.test/ann") == ["one"]
    assert outside.blue.texts("https://b.test/ben") == []
