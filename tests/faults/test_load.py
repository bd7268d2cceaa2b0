"""The load of load.py in short, with bars that hold on any machine: what it is about is that nothing is lost."""

from pathlib import Path

from .load import measure


async def test_signed_posts_are_taken_beside_a_flood_of_unsigned_ones(tmp_path: Path) -> None:
    found = await measure(tmp_path, seconds=3, good=60, bad=300)
    print(*found.lines(), sep="\n")
    assert found.alone.statuses == {"202": 180, "unanswered": 0}
    assert found.beside.statuses == {"202": 180, "unanswered": 0}
    assert found.flood.statuses == {"401": 900, "unanswered": 0}
    assert found.refused == 900
    assert found.lost == 0
    assert found.egress == 0
    assert found.grown <= 64 << 20
    assert found.beside.p99 <= 10
