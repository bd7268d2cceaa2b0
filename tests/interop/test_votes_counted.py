"""What a poll came to. Votes are gathered for a minute before they are told: by now they will have been."""

from typing import Any

import pytest

from .conftest import Cast
from .peers import Peer, many
from .world import eventually


@pytest.mark.parametrize("name", ["fay", "ana"])
def test_result_of_a_poll_arrives_as_a_closed_question(name: str, cast: Cast, request: pytest.FixtureRequest) -> None:
    """Votes that the bridge cast itself and hears again are counted once."""
    reader: Peer = request.getfixturevalue(name)
    note = cast.question["id"]

    def closed() -> dict[str, Any]:
        update = reader.received("Update", object=note)[-1]["object"]
        assert update.get("closed")
        return update

    question = eventually(closed, timeout=180)
    assert {o["name"]: o["replies"]["totalItems"] for o in many(question["oneOf"])} == {"Cats": 1, "Dogs": 2}
    assert question["votersCount"] == 3
    assert reader.counts(note) == {"Cats": 1, "Dogs": 2}
