"""Whatever order histories are heard in, doubled and across restarts, they end in the same state: the one they tell.

`BRIDGED_HISTORIES=1000` plays more of them, `BRIDGED_SEED` those of one seed again.
"""

import os
import time
from pathlib import Path

import pytest

from bridged.testing import FakeNetwork
from tests.histories.history import Truth, written
from tests.histories.playing import Play, Quick, Shown, told

AT_ONCE = 50
COUNT = {"sqlite": 150, "postgresql": 10}


async def played(store: str, folder: Path, seed: int, count: int) -> Play:
    red, blue = FakeNetwork("red"), FakeNetwork("blue")
    async with Quick([red.adapter, blue.adapter], store=store, data_dir=folder) as bridge:
        histories = [written(seed + number, bridge.clock() - 5000) for number in range(count)]
        play = Play(bridge, red, blue, histories, seed)
        await play.perform(restarts=2)
        differences = await play.differences()
    assert not differences, f"BRIDGED_SEED={seed}: {differences[:20]}"
    return play


@pytest.mark.slow
async def test_shuffled_and_doubled_histories_end_as_they_tell(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = "sqlite" if store_url == "sqlite" else "postgresql"
    left = int(os.environ.get("BRIDGED_HISTORIES", COUNT[kind]))
    seed = int(os.environ.get("BRIDGED_SEED") or time.time_ns() // 1000 % 10**12)
    print(f"BRIDGED_SEED={seed}")
    restarts = 0
    while left > 0:
        play = await played(store_url, tmp_path / str(seed), seed, min(left, AT_ONCE))
        restarts += play.restarted
        seed, left = seed + AT_ONCE, left - AT_ONCE
        if kind == "postgresql":
            break
    assert restarts, "nothing was played across a restart"


def test_seed_always_writes_the_same_history() -> None:
    assert written(7, 0.0).doings == written(7, 0.0).doings != written(8, 0.0).doings


def test_histories_hold_all_there_is_to_do() -> None:
    doings = [d for seed in range(60) for d in written(seed, 0.0).doings]
    kinds = {(d.kind, d.target is not None and d.target[0] != d.network) for d in doings}
    assert kinds >= {
        ("Post", False), ("Post", True), ("Edit", False), ("Delete", False), ("Profile", False), ("React", False),
        ("React", True), ("Repost", False), ("Repost", True), ("Follow", True),
    }  # fmt: skip


def test_truth_is_told_by_times_and_ids() -> None:
    """Of what was edited twice the later counts, and what was taken back and done again is done."""
    for seed in range(200):
        history = written(seed, 0.0)
        truth = Truth(history)
        for d in history.doings:
            if d.kind == "Delete" and d.target in truth.made:
                assert d.target not in truth.texts
        for likes in (truth.likes, truth.reposts):
            assert all(target in truth.alive for _, target in likes)


def test_reader_notices_what_is_said_after_it_was_taken_back() -> None:
    shown = Shown()
    post = next(d for d in written(3, 0.0).doings if d.kind == "Post")
    shown.take(told(post))
    shown.take(told(post))
    assert shown.faults == [f"Post {post.id} twice"]
