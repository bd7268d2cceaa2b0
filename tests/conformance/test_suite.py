"""The conformance suite itself: a good adapter passes, and each mistake is caught by the test that is there for it."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridged.api import Account, Activity, Envelope, Ghost, Outgoing, Part, Ref, Sink, View
from bridged.store import identity
from bridged.testing import FakeNetwork, Harness
from bridged.testing.conformance import Conformance
from bridged.testing.frozen import Impure
from bridged.testing.stage import Stage

RED = FakeNetwork("red", follows="request")
RED.join("rita")
ABOUT = ("Delete", "Follow", "Accept", "Reject", "Repost", "Block", "React")


class TestFakeNetwork(Conformance):
    adapter = RED.adapter
    native = RED.people["rita"]

    def samples(self) -> Sequence[Envelope]:
        red = FakeNetwork("red")
        target = {"target": "x"}
        return [
            red.post("rita", "hi"),
            red.post("rita", "again", target="post1"),
            red.say("Edit", "rita", text="ho", target="post1"),
            *(red.say(kind, "rita", **target) for kind in ABOUT),
            red.say("FollowList", "rita", targets=("a", "b")),
            red.say("Profile", "rita", text="Rita"),
        ]

    def back(self, part: Part, ghost: Ghost) -> Envelope | None:
        return Envelope("red", f"back/{part.ref}", part.body, "live", ghost.ref, 1.0)


def _broken(**members: Any) -> type[Sink]:
    return type("Broken", (RED.adapter,), members)


def _encode(change: Callable[[Part], Part]) -> Any:
    def encode(self: Any, activity: Activity, view: View) -> Outgoing:
        out = RED.adapter.encode(self, activity, view)
        return Outgoing(tuple(change(p) for p in out.parts), out.losses)

    return encode


def _decode_by_clock(self: Any, envelope: Envelope) -> Sequence[Activity]:
    return [replace(a, at=time.time()) for a in RED.adapter.decode(self, envelope)]


def _decode_with_keyerror(self: Any, envelope: Envelope) -> Sequence[Activity]:
    if b"{" not in envelope.body:
        raise KeyError("kind")
    return RED.adapter.decode(self, envelope)


def _decode_abroad(self: Any, envelope: Envelope) -> Sequence[Activity]:
    return [replace(a, ref=Ref("blue", a.ref.id)) for a in RED.adapter.decode(self, envelope)]


async def _mint_taken(self: Any, account: Account, taken: Any) -> Ghost:
    await taken(account.handle)
    return Ghost(account.ref, Ref("red", f"ghost/{account.ref}"), account.handle)


async def _mint_new(self: Any, account: Account, taken: Any) -> Ghost:
    return Ghost(account.ref, Ref("red", f"ghost/{random.random()}"), f"{account.handle}{random.random()}")


@pytest.mark.parametrize(
    ("members", "test", "error"),
    [
        ({"decode": _decode_by_clock}, "test_decode_is_pure", Impure),
        ({"decode": _decode_with_keyerror}, "test_decode_refuses_garbage_with_malformed_alone", KeyError),
        ({"decode": _decode_abroad}, "test_decode_speaks_of_its_own_network", AssertionError),
        ({"names": lambda self, ref: "somebody"}, "test_names_and_parse_are_a_pair", AssertionError),
        ({"mint": _mint_taken}, "test_mint_takes_no_handle_that_is_taken", AssertionError),
        ({"mint": _mint_new}, "test_mint_gives_the_same_ghost_again", AssertionError),
        (
            {"encode": _encode(lambda p: replace(p, detail={"at": str(time.time())}))},
            "test_encode_is_pure",
            Impure,
        ),
        ({"encode": _encode(lambda p: replace(p, ref=None))}, "test_parts_hold_together", AssertionError),
        ({"encode": _encode(lambda p: replace(p, body=b""))}, "test_parts_hold_together", AssertionError),
        (
            {"encode": _encode(lambda p: replace(p, body=p.body.replace(b'"mark"', b'"note"')))},
            "test_other_bridges_can_see_that_our_posts_are_copies",
            AssertionError,
        ),
        (
            {"encode": _encode(lambda p: replace(p, body=p.body.replace(b"hello", b"olleh")))},
            "test_meaning_survives_the_way_there_and_back",
            AssertionError,
        ),
        ({"encode": _encode(lambda p: replace(p, endpoints=("local",)))}, "test_local_parts_are_applied", Exception),
    ],
)
async def test_mistake_is_caught(
    tmp_path: Path, members: dict[str, Any], test: str, error: type[BaseException]
) -> None:
    suite = TestFakeNetwork()
    suite.adapter = _broken(**members)  # type: ignore[misc]
    other = FakeNetwork("elsewhere")
    other.join("ann", "art")
    async with Harness([suite.adapter, other.adapter], data_dir=tmp_path) as bridge:
        await bridge.write(lambda tx: identity.save_account(tx, suite.native, bridge.clock()))
        stage = Stage(bridge, other, "red", suite.native)
        with pytest.raises(error):
            await getattr(suite, test)(stage)
