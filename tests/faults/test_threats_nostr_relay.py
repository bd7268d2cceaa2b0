"""A hostile relay that we listen to, against the real process over real sockets.

Whatever it sends is refused with a counted reason or bounded, never carried; the daemon's memory and loop do not feel
it; and after each attack a post that an honest relay brings still crosses, once.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from .kit import eventually
from .kit.daemon import Daemon
from .kit.fediverse import Actor, Peer
from .kit.nostr import Relay, as_object, key, npub, said
from .kit.raw import CONT, PING, PONG, TEXT, RawRelay, frame, text
from .kit.watch import calm

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = 19
"""Relays of which each is spoilt by one test: who is hung up on is not called again at once."""
CURVE = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Stage:
    """Alice follows two Nostr accounts, nora and mallory; the daemon listens to an honest and to hostile relays."""

    def __init__(self, daemon: Daemon, peer: Peer, honest: Relay, relays: list[RawRelay]) -> None:
        self.daemon, self.peer, self.honest, self.relays = daemon, peer, honest, relays
        self.common = relays[0]
        """For single events, which nobody is hung up on for."""
        self._left = relays[1:]
        self._posts = 0

    def hostile(self) -> RawRelay:
        """One that no test has used."""
        relay = self._left.pop()
        relay.tried = relay.connections
        return relay

    def standing(self, relay: RawRelay) -> str:
        """The subscription in which a relay is asked for what nora and mallory say."""
        for said_ in reversed(relay.frames):
            if said_[0] == "REQ" and said_[1] in relay.subscriptions:
                for wanted in said_[2:]:
                    asked = {key("nora"), key("mallory")} <= set(wanted.get("authors", ()))
                    if asked and 1 in wanted.get("kinds", ()) and "limit" not in wanted:
                        return said_[1]
        raise LookupError("not asked for nora and mallory")

    async def good(self, wait: float = 90) -> None:
        """What nora says at the honest relay reaches alice, once."""
        self._posts += 1
        words = f"good post number {self._posts} of {time.time()}"
        await self.honest.publish(said("nora", 1, words))
        await eventually(lambda: self.carried(words), timeout=wait)

    def carried(self, words: str) -> int:
        """How often this came across."""
        count = self.peer.copies(words)
        assert count <= 1, f"{count} copies of {words}"
        return count

    async def counted(self, reason: str, before: float, name: str = "refused", least: float = 1) -> None:
        async def more() -> bool:
            return await self.count(reason, name) >= before + least

        await eventually(more)

    async def count(self, reason: str, name: str = "refused") -> float:
        return await self.daemon.metric(f"bridged_{name}_total", network="nostr", reason=reason)

    async def hung_up(self, relay: RawRelay, seconds: float = 20) -> None:
        """The daemon has ended this connection; on a busy machine it may be back by now with another one."""
        await eventually(lambda: not relay.connected, timeout=seconds)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with contextlib.AsyncExitStack() as stack:
        peer, honest = await stack.enter_async_context(Peer()), await stack.enter_async_context(Relay())
        relays = [await stack.enter_async_context(RawRelay()) for _ in range(HOSTILE)]
        for name in ("nora", "mallory"):
            await honest.publish(said(name, 0, json.dumps({"name": name})))
        urls = [honest.url, *(relay.url for relay in relays)]
        config = {"adapters": {"nostr": {"relays": urls, "outbox": {"max_relays": 4}}}}
        daemon = Daemon(tmp_path_factory.mktemp("hostile"), config=config)
        await daemon.start()
        alice: Actor = peer.actor("alice")
        for name in ("nora", "mallory"):
            ghost = await daemon.actor_of(npub(name))
            assert await alice.send(alice.follow(ghost), f"{daemon.base}/inbox") == 202
        await eventually(lambda: len(peer.posts("Accept")) == 2)
        it = Stage(daemon, peer, honest, relays)
        for relay in relays:
            await eventually(lambda r=relay: it.standing(r))
        await it.good()
        yield it
        assert await daemon.stop() == 0


def spoilt(**changes: Any) -> dict[str, Any]:
    """An event of nora's with these members in place of its own."""
    return {**as_object(said("nora", 1, f"spoilt {time.time_ns()}")), **changes}


def event(**changes: Any) -> bytes:
    return json.dumps(spoilt(**changes)).encode()


def _signature(change: Callable[[int, int], tuple[int, int]]) -> bytes:
    """An event whose signature (R, s) was changed."""
    made = spoilt()
    r, s = change(int(made["sig"][:64], 16), int(made["sig"][64:], 16))
    return json.dumps({**made, "sig": f"{r:064x}{s:064x}"}).encode()


def _upper(*names: str) -> bytes:
    made = spoilt()
    return json.dumps({**made, **{name: made[name].upper() for name in names}}).encode()


def _raw(old: str, new: str) -> bytes:
    """An event with something in its JSON text replaced."""
    whole = json.dumps(spoilt())
    assert old in whole
    return whole.replace(old, new, 1).encode()


def _signed(**members: Any) -> bytes:
    """Signed as it stands, however senseless."""
    content = members.get("content", f"signed {time.time_ns()}")
    made = said("nora", members.get("kind", 1), content, *members.get("tags", ()), at=members.get("at"))
    return json.dumps(as_object(made)).encode()


BAD: list[tuple[str, str, str, Callable[[], bytes]]] = [
    # name, counter, reason, the event's JSON text
    ("id is another's", "refused", "id", lambda: event(id="ab" * 32)),
    ("content changed", "refused", "id", lambda: event(content="I never said this")),
    ("time changed", "refused", "id", lambda: event(created_at=int(time.time()) - 5)),
    ("signature of nothing", "refused", "signature", lambda: event(sig="00" * 64)),
    ("signature by another", "refused", "signature", lambda: event(sig=as_object(said("mallory", 1, "x"))["sig"])),
    ("s negated", "refused", "signature", lambda: _signature(lambda r, s: (r, CURVE - s))),
    ("R and s exchanged", "refused", "signature", lambda: _signature(lambda r, s: (s, r))),
    ("s is the order", "refused", "signature", lambda: _signature(lambda r, s: (r, CURVE))),
    ("R beyond the field", "refused", "signature", lambda: _signature(lambda r, s: (2**256 - 1, s))),
    ("signature cut", "refused", "sig", lambda: event(sig="ab" * 63)),
    ("signature too long", "refused", "sig", lambda: event(sig="ab" * 65)),
    ("id in capitals", "refused", "id", lambda: _upper("id")),
    ("key in capitals", "refused", "pubkey", lambda: _upper("pubkey")),
    ("signature in capitals", "refused", "sig", lambda: _upper("sig")),
    ("key not on the curve", "refused", "id", lambda: event(pubkey="ff" * 32)),
    ("no content", "refused", "missing_content", lambda: _raw('"content"', '"contents"')),
    ("kind beyond its range", "refused", "kind", lambda: event(kind=65_536)),
    ("kind true", "refused", "kind", lambda: event(kind=True)),
    ("time before time", "refused", "created_at", lambda: event(created_at=-1)),
    ("time with a fraction", "refused", "created_at", lambda: event(created_at=1.5)),
    ("time not a number", "refused", "frame", lambda: _raw('"created_at": ', '"created_at": NaN, "was": ')),
    ("time of 5,000 digits", "refused", "not_json", lambda: _raw('"created_at": ', '"created_at": ' + "9" * 5000)),
    ("content twice", "refused", "duplicate_key", lambda: _raw('"content": ', '"content": "first", "content": ')),
    ("half a surrogate", "refused", "frame", lambda: _raw('"content": "', '"content": "\\ud800')),
    ("half a surrogate in a tag", "refused", "frame", lambda: event(tags=[["t", "\udc00"]])),
    ("tag of numbers", "refused", "tags", lambda: event(tags=[[1, 2]])),
    ("empty tag", "refused", "tags", lambda: event(tags=[[]])),
    ("arrays 10,000 deep", "refused", "frame", lambda: event(tags=[]).replace(b"[]", b"[" * 9999 + b"]" * 9999)),
    ("2,001 tags", "refused", "too_many_tags", lambda: event(tags=[["t", "a"]] * 2001)),
    ("64 KiB of text", "refused", "too_large", lambda: event(content="x" * 65_536)),
    ("not an object", "refused", "not_an_object", lambda: b'["an", "array"]'),
    ("a string", "refused", "not_an_object", lambda: b'"event"'),
    ("in an hour", "dropped", "future", lambda: _signed(at=int(time.time()) + 3600)),
    ("in the year 2100", "dropped", "future", lambda: _signed(at=4_102_444_800)),
    ("expired", "dropped", "expired", lambda: _signed(tags=[("expiration", "1000000000")])),
    ("protected", "dropped", "protected", lambda: _signed(tags=[("-",)])),
    (
        "nobody asked for its author",
        "refused",
        "filter",
        lambda: json.dumps(as_object(said("eve", 1, "spam"))).encode(),
    ),
    ("nobody asked for its kind", "refused", "filter", lambda: _signed(kind=30_078)),
]


@pytest.mark.parametrize(("counter", "reason", "make"), [one[1:] for one in BAD], ids=[one[0] for one in BAD])
async def test_what_is_wrong_with_an_event_is_counted_and_it_goes_nowhere(
    stage: Stage, counter: str, reason: str, make: Callable[[], bytes]
) -> None:
    before, sent = await stage.count(reason, counter), len(stage.peer.posts())
    body = make()
    name = stage.standing(stage.common).encode()
    assert await stage.common.write(frame(TEXT, b'["EVENT","' + name + b'",' + body + b"]"))
    await stage.counted(reason, before, counter)
    assert stage.common.connected, "nobody is hung up on for one mistake"
    assert len(stage.peer.posts()) == sent


async def test_what_is_good_still_crosses_after_all_that(stage: Stage) -> None:
    await stage.good()


async def test_text_with_nul_and_every_odd_character_crosses(stage: Stage) -> None:
    """Nothing is wrong with it, only unusual."""
    words = f"odd {time.time_ns()}"
    odd = _signed(
        content=f"{words} \x00 \x7f \u202e \ufffe \U0010ffff", tags=[("t", "a\x00b"), ("x",), ("",), ("p", "not hex")]
    )
    name = stage.standing(stage.common)
    await stage.common.write(frame(TEXT, f'["EVENT","{name}",'.encode() + odd + b"]"))
    await eventually(lambda: stage.carried(words))


# --- floods ---------------------------------------------------------------------------------------------------


FLOODS: dict[str, Callable[[str], bytes]] = {
    "events nobody asked for": lambda _: text("EVENT", "never-asked", spoilt()),
    "events of strangers": lambda name: text("EVENT", name, as_object(said("eve", 1, "spam"))),
    "NOTICE": lambda _: text("NOTICE", "spam " * 20),
    "AUTH": lambda _: text("AUTH", "c" * 64),
    "OK": lambda _: text("OK", "ab" * 32, True, ""),
    "EOSE again": lambda name: text("EOSE", name),
    "EOSE of nothing": lambda _: text("EOSE", "never-asked"),
    "CLOSED of nothing": lambda _: text("CLOSED", "never-asked", "error: go away"),
    "COUNT": lambda _: text("COUNT", "never-asked", {"count": 1}),
}


@pytest.mark.parametrize("make", FLOODS.values(), ids=FLOODS)
async def test_relay_that_floods_with_what_nobody_asked_for_is_hung_up_on(
    stage: Stage, make: Callable[[str], bytes]
) -> None:
    relay, before = stage.hostile(), await stage.count("flood")
    one = make(stage.standing(relay))
    async with calm(stage.daemon):
        for _ in range(200):
            if not await relay.write(one * 100):
                break
        await stage.hung_up(relay)
        await stage.good()
    assert await stage.count("flood") == before + 1


async def test_garbage_is_refused_and_who_sends_it_is_hung_up_on(stage: Stage) -> None:
    relay, before = stage.hostile(), await stage.count("frame")
    async with calm(stage.daemon):
        for junk in (
            b"",
            b"[",
            b"{}",
            b"[]",
            b"null",
            b"[1]",
            b'["EVENT"]',
            b'["EVENT","q"]',
            b"\x00" * 100,
            b"[" * 100_000,
        ):
            await relay.write(frame(TEXT, junk) * 6)
        await stage.hung_up(relay)
        await stage.good()
    assert await stage.count("frame") > before + 49


async def test_frame_without_end_is_not_waited_for(stage: Stage) -> None:
    """100 MiB are announced, and some of them sent."""
    relay = stage.hostile()
    head = bytes([0x81, 127]) + (100 << 20).to_bytes(8, "big")
    async with calm(stage.daemon):
        await relay.write(head)
        for _ in range(20):
            if not await relay.write(b"x" * (1 << 20)):
                break
        await stage.hung_up(relay)
        await stage.good()


async def test_frame_of_one_tag_of_a_megabyte_is_not_taken(stage: Stage) -> None:
    relay = stage.hostile()
    name = stage.standing(relay)
    async with calm(stage.daemon):
        await relay.write(text("EVENT", name, spoilt(tags=[["t", "x" * (1 << 20)]])))
        await stage.hung_up(relay)
        await stage.good()


async def test_event_in_fragments_of_one_byte_is_one_event(stage: Stage) -> None:
    words = f"in pieces {time.time_ns()}"
    whole = text("EVENT", stage.standing(stage.common), as_object(said("nora", 1, words)))[4:]
    pieces = [frame(CONT, whole[n : n + 1], fin=n == len(whole) - 1) for n in range(1, len(whole))]
    await stage.common.write(frame(TEXT, whole[:1], fin=False) + b"".join(pieces))
    await eventually(lambda: stage.carried(words))


async def test_message_of_endless_empty_fragments_is_given_up(stage: Stage) -> None:
    relay = stage.hostile()
    async with calm(stage.daemon):
        await relay.write(frame(TEXT, b"[", fin=False))
        await _keep_writing(relay, frame(CONT, b"", fin=False) * 5000, seconds=5)
        await stage.hung_up(relay)
        await stage.good()


async def test_compressed_frame_that_nobody_agreed_to_ends_the_connection(stage: Stage) -> None:
    relay = stage.hostile()
    await relay.write(frame(TEXT, b"\x00" * 50, rsv=4))
    await stage.hung_up(relay)
    await stage.good()


@pytest.mark.parametrize(
    ("one", "reading"),
    [(frame(PING, b"x" * 125), False), (frame(PING), True), (frame(PONG), False)],
    ids=["pings whose pongs are not read", "bare pings", "pongs"],
)
async def test_flood_of_pings_is_cut_off(stage: Stage, one: bytes, reading: bool) -> None:
    relay = stage.hostile()
    if not reading:
        relay.reading.clear()
    before = await stage.daemon.metric("bridged_egress_refused_total", reason="flood")
    async with calm(stage.daemon):
        writing = asyncio.create_task(_keep_writing(relay, one * (60_000 // len(one)), seconds=10))
        await stage.good()
        await writing
        await stage.hung_up(relay)
    assert await stage.daemon.metric("bridged_egress_refused_total", reason="flood") == before + 1


async def test_flood_of_empty_messages_is_not_felt(stage: Stage) -> None:
    relay = stage.hostile()
    async with calm(stage.daemon):
        writing = asyncio.create_task(_keep_writing(relay, frame(TEXT) * 30_000, seconds=5))
        await stage.good()
        await writing
        await stage.hung_up(relay)


async def _keep_writing(relay: RawRelay, data: bytes, seconds: float) -> None:
    """As fast as the daemon reads, until the time is over or it hangs up."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while relay.connected and await relay.write(data):  # noqa: ASYNC110
                await asyncio.sleep(0)  # for the others to have their turn
