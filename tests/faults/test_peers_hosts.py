"""Hosts that are down for days: what it costs, who waits for whom, and what happens once they are back.

The stations run on a clock that the test moves; every attempt is counted.
"""

from collections import Counter

import pytest

from bridged.adapter import EgressFailed, Rejected, Retry
from bridged.breaker import THRESHOLD
from bridged.outbox import PER_HOST, TURN
from bridged.retry import GIVE_UP
from bridged.store import follows, hosts, queued

from .kit.outside import Outside

HOUR = 3600.0
DAY = 24 * HOUR


@pytest.mark.parametrize("error", [Retry("HTTP 500"), EgressFailed("connect down.test")], ids=["500", "connect"])
async def test_one_inbox_out_of_order_for_three_days_gets_it_within_forty_attempts(
    outside: Outside, error: Exception
) -> None:
    await outside.crowd(1)
    outside.down("down.test", error)
    await outside.bridge.hear(outside.red.post("alice", "one"))
    await outside.pass_time(72 * HOUR)
    assert outside.blue.texts() == []
    assert 15 <= len(outside.tried) <= 40
    outside.well()
    await outside.pass_time(6 * HOUR)
    assert outside.blue.texts("https://down.test/0") == ["one"]
    assert len(outside.tried) <= 40


async def test_host_with_many_inboxes_costs_a_probe_and_not_an_attempt_for_each(outside: Outside) -> None:
    await outside.crowd(40)
    outside.settles("ben", "https://well.test/ben")
    await outside.follow("alice", "ben")
    outside.tried.clear()
    outside.down("down.test", Retry("HTTP 500"))
    await outside.bridge.hear(outside.red.post("alice", "one"))
    # those under way when the third fails, and no more
    assert THRESHOLD <= len(outside.tried) - 1 <= THRESHOLD + PER_HOST
    assert outside.blue.texts("https://well.test/ben") == ["one"]
    await outside.pass_time(72 * HOUR)
    at_host = [where for _, where, _ in outside.tried if "down.test" in where]
    assert 20 <= len(at_host) <= 40
    assert max(Counter(at_host).values()) <= 4, "the probes are taken in turn"
    await outside.bridge.hear(outside.red.post("alice", "two"))
    assert outside.blue.texts("https://well.test/ben") == ["one", "two"]
    outside.well()
    await outside.pass_time(3 * HOUR + 60)
    for n in range(40):
        assert outside.blue.texts(f"https://down.test/{n}") == ["one", "two"]
    assert await outside.bridge.read(lambda tx: hosts.of(tx, "down.test")) is None


async def test_first_answer_of_a_host_lets_all_others_go_at_once(outside_on_both: Outside) -> None:
    outside = outside_on_both
    await outside.crowd(10)
    outside.down("down.test", EgressFailed("connect down.test"))
    await outside.bridge.hear(outside.red.post("alice", "one"))
    await outside.pass_time(DAY)
    outside.tried.clear()
    outside.well()
    trouble = await outside.bridge.read(lambda tx: hosts.of(tx, "down.test"))
    assert trouble is not None
    await outside.bridge.wait(trouble.until - outside.bridge.clock.at + 0.1)
    assert len({where for _, where, _ in outside.tried}) == len(outside.tried) == 10
    assert len(outside.blue.received("Post")) == 10


async def test_answer_that_is_a_refusal_opens_a_host_as_well(outside: Outside) -> None:
    await outside.crowd(5)
    outside.down("down.test", Retry("HTTP 502"))
    await outside.bridge.hear(outside.red.post("alice", "one"))
    outside.down("down.test", Rejected("HTTP 403"))
    await outside.pass_time(60)
    assert await outside.bridge.read(lambda tx: hosts.of(tx, "down.test")) is None
    assert await outside.bridge.read(queued.depth) == {}


async def test_one_bad_inbox_does_not_hold_up_its_host(outside: Outside) -> None:
    outside.settles("bob", "https://half.test/bob")
    outside.settles("ben", "https://half.test/ben")
    await outside.follow("alice", "bob")
    await outside.follow("rita", "ben")
    outside.down("half.test/bob", Retry("HTTP 500"))
    await outside.bridge.hear(outside.red.post("alice", "one"))
    await outside.pass_time(DAY)
    await outside.bridge.hear(outside.red.post("rita", "passes"))
    assert outside.blue.texts("https://half.test/ben") == ["passes"]


async def test_wish_of_a_host_to_be_left_alone_goes_for_all_its_inboxes(outside: Outside) -> None:
    await outside.crowd(12)
    outside.down("down.test", Retry("HTTP 429", after=2 * HOUR))
    began = outside.bridge.clock.at
    await outside.bridge.hear(outside.red.post("alice", "one"))
    assert THRESHOLD <= len(outside.tried) <= THRESHOLD + PER_HOST
    outside.well()
    await outside.pass_time(2 * HOUR - 60)
    assert max(at for at, _, _ in outside.tried) <= began + 1
    await outside.pass_time(120)
    assert len(outside.blue.received("Post")) == 12


async def test_restart_is_no_storm(outside: Outside) -> None:
    await outside.crowd(30)
    outside.down("down.test", EgressFailed("timeout down.test"))
    await outside.bridge.hear(outside.red.post("alice", "one"))
    await outside.pass_time(DAY)
    outside.tried.clear()
    for _ in range(5):
        await outside.bridge.restart()
        await outside.bridge.wait(1)
    assert len(outside.tried) <= 1
    outside.well()
    await outside.pass_time(3 * HOUR + 60)
    assert len(outside.blue.received("Post")) == 30


async def test_crash_in_a_probe_is_followed_by_another_probe(outside_on_both: Outside) -> None:
    outside = outside_on_both
    await outside.crowd(10)
    outside.down("down.test", EgressFailed("timeout down.test"))
    await outside.bridge.hear(outside.red.post("alice", "one"))
    now = outside.bridge.clock.at + 10
    assert await outside.bridge.write(lambda tx: hosts.probe(tx, "down.test", now, now + 60))
    assert not await outside.bridge.write(lambda tx: hosts.probe(tx, "down.test", now, now + 60))
    outside.well()
    await outside.bridge.restart()
    await outside.pass_time(120)
    assert len(outside.blue.received("Post")) == 10


async def test_delivery_gives_up_by_its_own_age_and_not_by_its_neighbours(outside: Outside) -> None:
    await outside.crowd(6, "down.test", "alice", "rita")
    outside.down("down.test", EgressFailed("connect down.test"))
    old, new = outside.red.post("alice", "old"), outside.red.post("rita", "new")
    await outside.bridge.hear(old)
    await outside.pass_time(6 * DAY)
    await outside.bridge.hear(new)
    await outside.pass_time(GIVE_UP - 6 * DAY + 4 * HOUR)
    told = await outside.bridge.ledger(outside.red.ref(old.id))
    assert told.count(("dead", "connect down.test")) == 6
    assert "dead" not in {step for step, _ in await outside.bridge.ledger(outside.red.ref(new.id))}
    outside.well()
    await outside.pass_time(3 * HOUR + 60)
    for n in range(6):
        assert outside.blue.texts(f"https://down.test/{n}") == ["new"]


async def test_order_is_kept_for_each_actor_and_inbox_across_a_breakdown(outside: Outside) -> None:
    await outside.crowd(4, "down.test", "alice", "rita")
    outside.down("down.test", Retry("HTTP 503"))
    for n in range(5):
        await outside.bridge.hear(*(outside.red.post(author, f"{author} {n}") for author in ("alice", "rita")))
        await outside.pass_time(2 * HOUR)
    outside.well()
    await outside.pass_time(4 * HOUR)
    for n in range(4):
        texts = outside.blue.texts(f"https://down.test/{n}")
        for author in ("alice", "rita"):
            assert [t for t in texts if t.startswith(author)] == [f"{author} {n}" for n in range(5)]


async def test_hosts_in_trouble_are_bounded(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "MOST", 5)
    fans = [f"fan{n}" for n in range(20)]
    for n, fan in enumerate(fans):
        outside.settles(fan, f"https://h{n}.test/inbox")
    await outside.follow("alice", *fans)
    outside.down(".test", EgressFailed("dns"))
    await outside.bridge.hear(outside.red.post("alice", "one"))
    await outside.pass_time(HOUR)
    assert await outside.bridge.read(lambda tx: hosts.count_shut(tx, outside.bridge.clock.at)) == 5
    outside.well()
    await outside.pass_time(DAY)
    assert len(outside.blue.received("Post")) == 20


async def test_endpoint_that_is_gone_ends_the_follow_and_no_other(outside_on_both: Outside) -> None:
    outside = outside_on_both
    outside.settles("bob", "https://gone.test/bob")
    outside.settles("ben", "https://gone.test/ben")
    await outside.follow("alice", "bob", "ben")
    outside.down("gone.test/bob", Rejected("HTTP 410", gone=True))
    post = outside.red.post("alice", "one")
    await outside.bridge.hear(post)
    outside.tried.clear()
    await outside.bridge.hear(outside.red.post("alice", "two"))
    assert [where for _, where, _ in outside.tried] == ["https://gone.test/ben"]
    alice = outside.red.ref("alice")
    left = await outside.bridge.read(lambda tx: follows.followers(tx, alice, "blue"))
    assert [ref.id for ref in left] == ["ben"]
    assert ("dead", "HTTP 410") in await outside.bridge.ledger(outside.red.ref(post.id))
    assert ("unreached", "HTTP 410") in await outside.bridge.ledger(outside.blue.ref("bob"))
    # who comes back is told again
    outside.well()
    await outside.follow("alice", "bob")
    await outside.bridge.hear(outside.red.post("alice", "three"))
    assert outside.blue.texts("https://gone.test/bob") == ["three"]


async def test_account_with_very_much_to_say_does_not_starve_another(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("PER_ACTOR", 12), ("HANDS", 48)):
        monkeypatch.setattr(f"bridged.outbox.{name}", value)
    many = 36
    fans = [f"fan{n}" for n in range(many)]
    for n, fan in enumerate(fans):
        outside.settles(fan, f"https://h{n}.test/inbox")
    await outside.follow("alice", *fans)
    await outside.follow("rita", "fan0")
    outside.tried.clear()
    await outside.bridge.hear(*(outside.red.post("alice", str(n)) for n in range(3)), settle=False)
    await outside.bridge.decide()
    outside.bridge.clock.move(0.1)
    await outside.bridge.hear(outside.red.post("rita", "me too"), settle=False)
    await outside.bridge.decide()
    while await outside.bridge.outbox.start():
        pass
    assert "rita" in {lane.actor.id for lane in outside.bridge.outbox.in_hand()}
    await outside.bridge.outbox.drain()
    place = [actor for _, _, actor in outside.tried].index("rita")
    assert place <= 3 * 12
    await outside.bridge.settle()
    assert len(outside.tried) == many * 3 + 1


async def test_long_queue_gives_way_after_its_turn(outside: Outside) -> None:
    await outside.crowd(1)
    await outside.bridge.hear(*(outside.red.post("alice", str(n)) for n in range(TURN * 2 + 5)), settle=False)
    await outside.bridge.decide()
    rounds: list[int] = []
    while await outside.bridge.outbox.step():
        rounds.append(len(outside.tried))
    assert rounds[:3] == [TURN, TURN * 2, TURN * 2 + 5]
    assert outside.blue.texts("https://down.test/0") == [str(n) for n in range(TURN * 2 + 5)]
