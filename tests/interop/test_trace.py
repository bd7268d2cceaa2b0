"""`bridged trace` beside the running daemon: a post's whole way."""

import json

from .bridge import Bridge
from .conftest import Talk
from .world import eventually


def test_trace_shows_copies_and_deliveries(talk: Talk, bridge: Bridge) -> None:
    def look() -> str:
        told = json.dumps(bridge.cli("trace", talk.note))
        assert talk.post["id"] in told
        assert talk.peer.host in told
        return told

    eventually(look, every=1)


def test_trace_of_an_answer_names_its_event(talk: Talk, bridge: Bridge) -> None:
    told = json.dumps(bridge.cli("trace", talk.answer))
    assert talk.event["id"] in told
    assert talk.event["id"] in json.dumps(bridge.cli("trace", talk.event["id"]))


def test_metrics_are_served(talk: Talk, bridge: Bridge) -> None:
    assert "bridged_" in bridge.metrics()


def test_status_answers(bridge: Bridge) -> None:
    assert bridge.cli("status")
