"""What is kept about somebody, as they get it: whole, readable, and without what is other people's or secret."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from bridged.export import export
from bridged.testing import FakeNetwork, Harness


async def test_export_tells_what_was_done_and_where_it_went(
    bridge_of: Callable[..., Awaitable[Harness]], tmp_path: Path
) -> None:
    red, blue = FakeNetwork("red"), FakeNetwork("blue")
    bridge = await bridge_of(red, blue)
    red.join("ann", "art")
    blue.join("bob")
    for name in ("ann", "art"):
        ghost = await bridge.ghost(red.ref(name), "blue")
        await bridge.hear(blue.say("Follow", "bob", target=ghost.ref.id))
        await bridge.hear(red.post(name, f"words of {name}"))
    counts = await export(bridge.core, "red:ann", tmp_path / "ann.json")
    text = (tmp_path / "ann.json").read_text()
    told = json.loads(text)
    assert told["export_of"] == "red:ann"
    assert {name: len(rows) for name, rows in told.items() if isinstance(rows, list)} == counts
    assert told["account"][0]["body"]["handle"] == "ann"
    assert told["acts"][0]["body"]["body"]["text"]["plain"] == "words of ann"
    assert [d["endpoint"] for d in told["deliveries"] if d["act"] == "Post"] == ["hub"]
    assert [f["actor"] for f in told["followers"]] == ["bob"]
    assert told["heard"]
    assert "sent" in [row["step"] for row in told["ledger"]]
    assert "words of art" not in text
