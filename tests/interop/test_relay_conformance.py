"""The conformance list of the embedded relay, by nostr-sdk over TLS, against the real daemon."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.nostr.relay_conformance import CHECKS

from .bridge import Bridge
from .conftest import following
from .peers import Fedify, NostrUser, Relay
from .world import KIT, PEERS, World


@pytest.fixture(scope="module")
def ghost(alice: NostrUser, alice_ap: str, fedify: Fedify, relay: Relay) -> str:
    """Fay's, who follows alice and answers her: so alice may write here, and anybody who names fay."""
    following(fedify, alice_ap)
    alice.note("alice asks for the list")
    fedify.reply("fay answers for the list", fedify.wait_note("alice asks for the list")["id"], alice_ap)
    return relay.wait_post("fay answers for the list")["pubkey"]


@pytest.fixture(scope="module")
def checker(world: World) -> Iterator[subprocess.Popen[bytes]]:
    argv = [PEERS / "nostr/bin/python", KIT / "relay_check.py"]
    process = world.run("relay-check", argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield process.popen
    process.stop()


@pytest.mark.parametrize("name", CHECKS)
def test_relay_conforms(checker: Any, bridge: Bridge, ghost: str, alice: NostrUser, name: str) -> None:
    request = {
        "check": name,
        "url": f"wss://{bridge.host}/relay",
        "ghost": ghost,
        "bridged": alice.key.removeprefix("seed:"),
    }
    checker.stdin.write(json.dumps(request).encode() + b"\n")
    checker.stdin.flush()
    answer = json.loads(checker.stdout.readline() or b'{"error": "relay_check.py ended"}')
    assert answer == {"passed": name}, answer["error"]
