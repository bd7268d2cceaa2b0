"""One real daemon, and a relay for each way to misbehave: each does so with the first post, and then is well."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .kit import eventually
from .kit.daemon import Daemon
from .kit.fediverse import Peer
from .kit.nostr import Frame, Relay

Answer = Callable[[str], Any]
"""What a relay's script answers to the first event of kind 1, by the event's id."""


def refuses(message: str) -> Answer:
    return lambda id: [["OK", id, False, message]]


AGAIN: dict[str, Answer] = {
    "never says OK": lambda id: "silent",
    "hangs up after the event": lambda id: "drop",
    "takes it and hangs up": lambda id: "taken",
    "says OK to something else": lambda id: [["OK", "0" * 64, True, ""]],
    "answers with rubbish": lambda id: [["OK"], {"no": "frame"}, ["OK", 1, 2, 3]],
    "rate-limited": refuses("rate-limited: slow down"),
    "error": refuses("error: the disk is full"),
    "refuses without a word": refuses(""),
    "asks for AUTH": lambda id: [["AUTH", "a challenge"], ["OK", id, False, "auth-required: who are you"]],
}
DEAD: dict[str, Answer] = {
    "blocked": refuses("blocked: not you"),
    "invalid": refuses("invalid: too long"),
    "pow": refuses("pow: 28 bits needed"),
    "restricted": refuses("restricted: for members"),
    "in its own words": refuses("we are full, sorry"),
}
TAKEN: dict[str, Answer] = {"duplicate": refuses("duplicate: have it")}


def misbehaving(answer: Answer) -> Relay:
    """A relay that answers so once."""
    relay, left = Relay(), [answer]

    def script(frame: Frame) -> Any:
        word, *rest = frame.json
        if word == "AUTH":
            return [["OK", rest[0]["id"], True, ""]]
        if word == "EVENT" and rest[0]["kind"] == 1 and left:
            return left.pop()(rest[0]["id"])
        return None

    relay.script = script
    return relay


def posts(relay: Relay) -> list[str]:
    """The frames with posts, as they came in."""
    return [frame.text for frame in relay.heard() if frame.json[1]["kind"] == 1]


async def test_every_way_of_a_relay_to_misbehave_ends_as_it_should(tmp_path: Path) -> None:
    async def stall(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    table = AGAIN | DEAD | TAKEN
    async with contextlib.AsyncExitStack() as stack:
        relays = {what: await stack.enter_async_context(misbehaving(answer)) for what, answer in table.items()}
        well = await stack.enter_async_context(Relay())
        peer = await stack.enter_async_context(Peer())
        mute = await asyncio.start_server(stall, "127.0.0.1", 0)
        stack.callback(mute.close)
        silent = f"ws://127.0.0.1:{mute.sockets[0].getsockname()[1]}"
        urls = [*(relay.url for relay in relays.values()), well.url, silent]
        daemon = Daemon(tmp_path, config={"adapters": {"nostr": {"relays": urls}}})
        await daemon.start()
        stack.push_async_callback(daemon.stop)
        alice = peer.actor("alice")
        assert await alice.send(alice.follow(await daemon.actor_of("bridge")), f"{daemon.base}/inbox") == 202
        await eventually(lambda: all(len(relay.events(kinds=[0])) == 2 for relay in relays.values()))
        assert await alice.send(alice.create("first"), f"{daemon.base}/inbox") == 202
        await eventually(lambda: posts(well))
        await eventually(lambda: all(len(posts(relays[what])) >= 2 for what in AGAIN))
        assert await alice.send(alice.create("second"), f"{daemon.base}/inbox") == 202
        await eventually(lambda: len(posts(well)) == 2)
        expected = {what: 3 if what in AGAIN else 2 for what in table}
        await eventually(lambda: all(len(posts(relays[what])) == n for what, n in expected.items()))
        for what, relay in relays.items():
            first, *_, last = posts(relay)
            assert '"content":"first"' in first, what
            assert '"content":"second"' in last, what
            assert what not in AGAIN or posts(relay)[1] == first, what
            seen = {(row["step"], row["reason"]) for row in await daemon.ledger(f"endpoint = '{relay.url}'")}
            died = [reason for step, reason in seen if step == "dead"]
            assert (len(died) == 1) == (what in DEAD), (what, seen)
            assert what not in AGAIN or what == "asks for AUTH" or "retry" in {step for step, _ in seen}, (what, seen)
        told = await daemon.cli("dead")
        assert {group["reason"].partition(":")[0] for group in told["groups"]} >= {"blocked", "invalid", "restricted"}

        async def tried() -> bool:
            return "retry" in {row["step"] for row in await daemon.ledger(f"endpoint = '{silent}'")}

        await eventually(tried)
