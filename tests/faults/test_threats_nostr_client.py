"""A hostile client of our own relay, against the real process over real sockets.

What it publishes is refused with a word and a counted reason, what it asks costs no more than it may, and nobody else
feels it: a post that nora publishes at the same relay meanwhile crosses, once.
"""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from adapters.nostr.relay import limits

from .kit import eventually
from .kit.canary import canary
from .kit.daemon import Daemon, database
from .kit.fediverse import Actor, Peer
from .kit.heard import until_heard
from .kit.nostr import Event, Relay, as_object, client, key, npub, said
from .kit.raw import CLOSE, CONT, PING, PONG, TEXT, RawClient, frame
from .kit.watch import calm
from .test_threats_nostr_relay import BAD

pytestmark = pytest.mark.asyncio(loop_scope="module")

PUBLIC = "X-Forwarded-For: 9.9.9.{}\r\n"
"""Header lines of a client from somewhere in the internet, as a proxy that we trust writes them."""


class Stage:
    """Alice follows nora, mallory and vera of Nostr, and is bridged herself; `ghost` is who stands for her there."""

    def __init__(self, daemon: Daemon, peer: Peer) -> None:
        self.daemon, self.peer, self.ghost = daemon, peer, ""
        self._posts = 0

    def connected(self, number: int = 0) -> RawClient:
        """Somebody at the relay; of a public address when there is a number."""
        return RawClient(self.daemon.relay_url, PUBLIC.format(number) if number else "")

    async def good(self, wait: float = 90) -> None:
        self._posts += 1
        words = f"good post number {self._posts} of {time.time()}"
        async with client(self.daemon.relay_url) as c:
            assert await c.publish(said("nora", 1, words)) == (True, "")
        await eventually(lambda: self.carried(words), timeout=wait)

    def carried(self, words: str) -> int:
        count = self.peer.copies(words)
        assert count <= 1, f"{count} copies of {words}"
        return count

    async def count(self, reason: str, name: str = "refused") -> float:
        return await self.daemon.metric(f"bridged_{name}_total", network="nostr", reason=reason)


@contextlib.asynccontextmanager
async def staged(folder: Path, store: str = "sqlite") -> AsyncIterator[Stage]:
    async with Peer() as peer, Relay() as relay:
        for name in ("nora", "mallory", "vera"):
            await relay.publish(said(name, 0, json.dumps({"name": name})))
        nostr = {"relays": [relay.url], "outbox": {"max_relays": 4}}
        config = {"trusted_proxies": ["127.0.0.1/32"], "adapters": {"nostr": nostr}}
        daemon = Daemon(folder, store, config)
        yield await _set(daemon, peer)
        assert await daemon.stop() == 0


async def _set(daemon: Daemon, peer: Peer) -> Stage:
    await daemon.start()
    alice: Actor = peer.actor("alice")
    it = Stage(daemon, peer)
    inbox = f"{daemon.base}/inbox"
    for name in ("nora", "mallory", "vera"):
        assert await alice.send(alice.follow(await daemon.actor_of(npub(name))), inbox) == 202
    assert await alice.send(alice.follow(await daemon.actor_of("bridge")), inbox) == 202
    await eventually(lambda: len(peer.posts("Accept")) == 4)
    await until_heard(daemon, "activitypub", lambda: alice.send(alice.create("alice is here"), inbox))

    async def here() -> str:
        async with client(daemon.relay_url) as c:
            found = await c.stored({"kinds": [1]})
            return next((event["pubkey"] for event in found if event["content"] == "alice is here"), "")

    it.ghost = await eventually(here)

    async def nora_is_heard() -> bool:
        async with client(daemon.relay_url) as c:
            return (await c.publish(said("nora", 1, f"heard {time.time_ns()}")))[0]

    await eventually(nora_is_heard)
    await it.good()
    return it


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("client")) as it:
        yield it


async def answer(c: RawClient, *start: str) -> list[Any]:
    """The first frame that begins like this."""
    try:
        return (await eventually(lambda: c.heard(*start)))[0]
    except AssertionError:
        raise AssertionError(f"no {start}, but {c.texts[-3:]}") from None


# --- what is published ----------------------------------------------------------------------------------------


async def test_what_is_wrong_with_an_event_is_said_and_counted(stage: Stage) -> None:
    """The same list as from relays; what a client sends may also make no sense as a frame."""
    before, sent = await _outcomes(stage), len(stage.peer.posts())
    for name, _, _, make in BAD:
        if name.startswith("nobody asked"):
            continue
        async with stage.connected() as c:
            await c.write(frame(TEXT, b'["EVENT",' + make() + b"]", mask=True))
            told = await eventually(lambda c=c: [f for f in c.texts if f[0] in ("OK", "NOTICE")])
            assert told[0][0] == "NOTICE" or told[0][2] is False, name
            assert told[0][-1].startswith(("invalid:", "auth-required:")), (name, told)
    assert await _outcomes(stage) == before + len(BAD) - 2, "each is counted, once"
    assert len(stage.peer.posts()) == sent
    await stage.good()


async def _outcomes(stage: Stage) -> float:
    names = ("bridged_refused_total", "bridged_dropped_total")
    return sum([await stage.daemon.metric(name, network="nostr") for name in names])


async def test_strangers_may_not_write_and_auth_grants_nothing(stage: Stage) -> None:
    before = await stage.count("relay_restricted", "dropped")
    async with client(stage.daemon.relay_url) as c:
        proof = said("eve", 22242, "", ("relay", stage.daemon.relay_url), ("challenge", c.challenge))
        assert await c.ask("AUTH", as_object(proof)) == ["OK", proof.id, True, ""]
        for event in (
            said("eve", 1, "spam"),
            said("eve", 0, "{}"),
            said("eve", 3),
            said("eve", 30023, "long", ("d", "x")),
        ):
            accepted, why = await c.publish(event)
            assert not accepted
            assert why.startswith("restricted:")
        accepted, why = await c.publish(proof)
        assert (accepted, why[:8]) == (False, "invalid:")
        assert await c.ids({"authors": [key("eve")]}) == []
    assert await stage.count("relay_restricted", "dropped") == before + 4
    await stage.good()


async def test_nobody_deletes_what_another_wrote(stage: Stage) -> None:
    words = f"stays {time.time_ns()}"
    note = said("nora", 1, words)
    async with client(stage.daemon.relay_url) as c:
        assert await c.publish(note) == (True, "")
        await eventually(lambda: stage.carried(words))
        for who in ("mallory", "eve"):
            for target in (("e", note.id), ("a", f"1:{key('nora')}:"), ("a", f"0:{key('nora')}:")):
                await c.publish(said(who, 5, "", target))
        await stage.good()  # had anything become of it, it would have gone before
        assert await c.ids({"ids": [note.id]}) == [note.id]
    assert not [got for got in stage.peer.posts("Delete") if note.id in json.dumps(got.json)]


async def test_nobody_speaks_for_a_ghost(stage: Stage) -> None:
    """With another's key under her name, or with an event of hers that was changed."""
    async with client(stage.daemon.relay_url) as c:
        found = await c.stored({"authors": [stage.ghost], "kinds": [1]})
        note = next(event for event in found if event["content"] == "alice is here")
        forged = [{"content": "I never said this"}, {"id": "ab" * 32}, {"created_at": 1}, {"pubkey": key("eve")}]
        for changes in [*forged, {**as_object(said("eve", 1, "never said this")), "pubkey": stage.ghost}]:
            assert (await c.ask("EVENT", {**note, **changes}))[2] is False
        inner = json.dumps({**note, "content": "I never said this either"})
        await c.publish(said("nora", 6, inner, ("e", note["id"]), ("p", stage.ghost)))
        await stage.good()
    assert "never said this" not in json.dumps([got.json for got in stage.peer.posts()])


async def test_what_another_bridge_brought_is_not_bridged_again(stage: Stage) -> None:
    words = f"from elsewhere {time.time_ns()}"
    async with client(stage.daemon.relay_url) as c:
        await c.publish(said("nora", 1, words, ("proxy", "https://elsewhere.test/1", "activitypub")))
    await stage.good()
    assert not stage.carried(words)


async def test_id_in_other_letters_is_no_second_event(stage: Stage) -> None:
    words = f"only once {time.time_ns()}"
    event = said("nora", 1, words)
    async with client(stage.daemon.relay_url) as c:
        assert await c.publish(event) == (True, "")
        for spelled in (event.id.upper(), event.id.title(), f" {event.id}", f"{event.id}\u0000"):
            told = await c.ask("EVENT", {**as_object(event), "id": spelled})
            assert told[0] == "NOTICE" or told[2] is False
        assert (await c.publish(event))[0]
    await stage.good()
    assert stage.carried(words) == 1


async def test_bomb_of_gift_wraps_is_slowed_down(stage: Stage) -> None:
    _, _, body = await stage.daemon.get("/.well-known/nostr.json?name=_")
    bot = json.loads(body)["names"]["_"]
    wraps = [said(f"one time {n}", 1059, "A" * 20_000, ("p", bot)) for n in range(60)]
    async with calm(stage.daemon), stage.connected() as c:
        for wrap in wraps:
            await c.say("EVENT", as_object(wrap))
        told = await eventually(lambda: (f := c.heard("OK")) and len(f) == len(wraps) and f)
        assert not any(one[2] for one in told), "what cannot be opened is not taken"
        slowed = sum(one[3].startswith("rate-limited:") for one in told)
        assert slowed >= len(wraps) - limits.WRAPS[1] - 10
        await stage.good()


async def test_who_vanishes_again_and_again_vanishes_once(stage: Stage) -> None:
    async with calm(stage.daemon), client(stage.daemon.relay_url) as c:
        assert await c.publish(said("vera", 1, "I was here")) == (True, "")
        await eventually(lambda: stage.carried("I was here"))
        now = int(time.time())
        for n in range(40):
            await c.publish(said("vera", 62, f"{n}", ("relay", "ALL_RELAYS"), at=now - n))
        await stage.good()
    vera = await stage.daemon.rows(f"SELECT state FROM members WHERE id = '{key('vera')}'")
    gone = [
        got
        for got in stage.peer.posts("Delete")
        if key("vera") in json.dumps(got.json) or "vera" in json.dumps(got.json)
    ]
    assert len(gone) <= 2, "her posts and herself, once"
    assert vera != [{"state": "in"}]


async def test_relay_list_of_ten_thousand_is_not_called_through(stage: Stage) -> None:
    async with canary("127.0.0.1", "127.0.0.3") as bird, client(stage.daemon.relay_url) as c, calm(stage.daemon):
        for who, kind, name in (("nora", 10002, "r"), ("mallory", 10002, "r"), ("mallory", 10050, "relay")):
            host = "127.0.0.1" if who == "nora" else "127.0.0.3"
            many = [(name, f"ws://{host}:{bird.port}/{n}") for n in range(1000)]
            assert await c.publish(said(who, kind, "", *many)) == (True, "")
        await asyncio.sleep(2)  # longer than it takes to plan whom to listen to
        await stage.good()
        assert bird.hits == []
    async with stage.connected() as c:
        await c.say("EVENT", as_object(_huge("nora", 10002, [["r", f"wss://relay{n}.example"] for n in range(10_000)])))
        await asyncio.wait_for(c.ended.wait(), 60)
    await stage.good()


async def test_follow_list_of_a_hundred_thousand_is_not_taken(stage: Stage) -> None:
    async with calm(stage.daemon):
        async with stage.connected() as c:
            await c.say("EVENT", as_object(_huge("nora", 3, [["p", f"{n:064x}"] for n in range(100_000)])))
            await asyncio.wait_for(c.ended.wait(), 60)
            assert c.close_code in (1009, None)
        await stage.good()


def _huge(name: str, kind: int, tags: list[list[str]]) -> Event:
    made = said(name, kind)
    return Event(made.id, made.pubkey, made.created_at, kind, tuple(map(tuple, tags)), "", made.sig)


# --- what is asked --------------------------------------------------------------------------------------------


async def test_ten_thousand_questions_are_slowed_down(stage: Stage) -> None:
    async with calm(stage.daemon), stage.connected() as c:
        for n in range(100):
            questions = [json.dumps(["REQ", f"q{n}-{m}", {"kinds": [1]}]).encode() for m in range(100)]
            await c.write(b"".join(frame(TEXT, one, mask=True) for one in questions))
        await stage.good()
        closed = await eventually(lambda: (f := c.heard("CLOSED")) and len(f) > 9_000 and f)
    words = {one[2].partition(":")[0] for one in closed}
    assert words <= {"rate-limited", "restricted"}
    assert "rate-limited" in words


ODD_FILTERS: dict[str, tuple[list[Any], str]] = {
    "1,000 filters": ([{"kinds": [n]} for n in range(1000)], "invalid: too_many_filters"),
    "10,000 ids": ([{"ids": [f"{n:064x}" for n in range(1500)]}], "invalid: too_many_values"),
    "limit of a thousand digits": ([{"limit": 10**1000}], "invalid: "),
    "limit beyond any integer": ([{"limit": 2**64}], "invalid: limit"),
    "limit below nothing": ([{"limit": -1}], "invalid: limit"),
    "ids cut short": ([{"ids": ["ab"]}], "invalid: ids"),
    "ids in capitals": ([{"ids": ["AB" * 32]}], "invalid: ids"),
    "an unknown condition": ([{"kinds": [1], "or": []}], "invalid: unknown_member"),
    "tags without end": ([{f"#{c}": ["x"] for c in "abcdfghijklmnoq"}], "invalid: too_many_tags"),
    "search of a thousand letters": ([{"search": "x" * 1000}], "invalid: search"),
    "three searches": ([{"search": "x"}] * 3, "invalid: too_many_searches"),
    "no filter": ([], "invalid: no_filter"),
    "not a filter": ([[]], "invalid: not_an_object"),
    "deeper than anybody goes": ([json.loads("[" * 900 + "]" * 900)], "invalid: "),
}


@pytest.mark.parametrize("word", ["REQ", "COUNT"])
async def test_senseless_filters_are_refused_with_a_reason(stage: Stage, word: str) -> None:
    before = await stage.count("relay_filter")
    async with stage.connected() as c:
        for n, (name, (filters, why)) in enumerate(ODD_FILTERS.items()):
            await c.say(word, f"f{n}", *filters)
            told = await answer(c, "CLOSED", f"f{n}")
            assert told[2].startswith(why), name
        await c.say(word, "fine", {"kinds": [1], "limit": 10**6})
        await answer(c, "EOSE" if word == "REQ" else "COUNT", "fine")
    assert await stage.count("relay_filter") == before + len(ODD_FILTERS)


async def test_costly_questions_cost_no_more_than_they_may(stage: Stage) -> None:
    """Words that mean something in SQL, the most values there may be, all kinds of all time."""
    chance = random.Random(1)
    odd = ["%", "_%_%_%", "a%' OR 1=1 --", "\\", "*", "\u0000", "MATCH", '"near', "日" * 60, "a " * 120]
    keys = [f"{chance.getrandbits(256):064x}" for _ in range(990)]
    questions: list[dict[str, Any]] = [
        *({"search": each} for each in odd),
        {"ids": keys},
        {"authors": keys, "kinds": [1, 6, 7], "#e": keys[:3]},
        {"#e": keys[:300], "#p": keys[:300], "#t": keys[:300]},
        {"kinds": list(range(900)), "since": 0, "until": 2**63 - 1},
        {"#t": ["x" * 1000] * 100},
        {},
    ]
    async with calm(stage.daemon), stage.connected() as c:
        for n, one in enumerate(questions * 3):
            await c.say("COUNT" if n % 2 else "REQ", f"q{n}", one)
            await c.say("CLOSE", f"q{n}")
        await stage.good()
        asked = len(questions) * 3
        await eventually(lambda: len(c.heard("EOSE")) + len(c.heard("COUNT")) + len(c.heard("CLOSED")) >= asked)
        assert not c.ended.is_set()


async def test_subscription_id_of_ten_megabytes_is_not_taken(stage: Stage) -> None:
    async with calm(stage.daemon):
        async with stage.connected() as c:
            await c.say("REQ", "x" * (10 << 20), {})
            await asyncio.wait_for(c.ended.wait(), 60)
        async with stage.connected() as c:
            await c.say("REQ", "x" * 100_000, {})
            assert (await answer(c, "NOTICE"))[1].startswith("invalid:")
        await stage.good()


async def test_reconciliation_is_not_to_be_abused(stage: Stage) -> None:
    junk = ["", "00", "61", "61" + "ff" * 1000, "6100000203" + "00" * 2000, "zz", "61" + "80" * 500]
    async with calm(stage.daemon), stage.connected() as c:
        for n, message in enumerate(junk * 10):
            await c.say("NEG-OPEN", f"n{n % 9}", {}, message)
            await c.say("NEG-MSG", f"n{n % 9}", message)
            await c.say("NEG-MSG", "never-opened", message)
            if c.ended.is_set():
                break
        await stage.good()
        assert c.heard("NEG-ERR")
    async with stage.connected() as c:
        for n in range(limits.SYNCS + 3):
            await c.say("NEG-OPEN", f"n{n}", {}, "6100000200")
        await eventually(lambda: len(c.heard("NEG-MSG")) + len(c.heard("NEG-ERR")) >= limits.SYNCS + 3)
        assert len(c.heard("NEG-MSG")) == limits.SYNCS


async def test_reader_that_does_not_read_is_left_behind(stage: Stage) -> None:
    async with calm(stage.daemon), stage.connected() as c:
        c.reading.clear()
        for n in range(20):
            await c.say("REQ", f"s{n}", {"kinds": list(range(30))})
        for n in range(50):
            await c.say("REQ", "again", {"limit": 500 - n})
        await stage.good()


# --- sockets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one",
    [
        frame(PING, b"x" * 125, mask=True),
        frame(PING, mask=True),
        frame(PONG, mask=True),
        frame(TEXT, mask=True),
        frame(CONT, fin=False, mask=True),
    ],
    ids=["pings", "bare pings", "pongs", "empty messages", "fragments without end"],
)
@pytest.mark.parametrize("reading", [True, False], ids=["read", "unread"])
async def test_flood_of_small_frames_is_not_felt(stage: Stage, one: bytes, reading: bool) -> None:
    async with calm(stage.daemon), stage.connected() as c:
        if not reading:
            c.reading.clear()
        if one[0] == CONT:
            await c.write(frame(TEXT, b"[", fin=False, mask=True))
        writing = asyncio.create_task(_keep_writing(c, one * (200_000 // len(one)), seconds=1.5))
        await stage.good()
        await writing


async def test_event_in_fragments_of_one_byte_is_one_event(stage: Stage) -> None:
    words = f"in pieces {time.time_ns()}"
    whole = json.dumps(["EVENT", as_object(said("nora", 1, words))]).encode()
    pieces = [frame(CONT, whole[n : n + 1], fin=n == len(whole) - 1, mask=True) for n in range(1, len(whole))]
    async with stage.connected() as c:
        await c.write(frame(TEXT, whole[:1], fin=False, mask=True) + b"".join(pieces))
        assert (await answer(c, "OK"))[2] is True
    await eventually(lambda: stage.carried(words))


SENSELESS: dict[str, bytes] = {
    "a frame of 100 MiB": bytes([0x81, 0xFF]) + (100 << 20).to_bytes(8, "big") + bytes(4) + b"x" * 1_000_000,
    "just too long a frame": frame(TEXT, b"x" * (limits.MAX_MESSAGE + 2), mask=True),
    "compressed, which nobody agreed to": frame(TEXT, b"\x00" * 50, rsv=4, mask=True),
    "reserved bits": frame(TEXT, b"[]", rsv=3, mask=True),
    "an unknown opcode": frame(5, b"[]", mask=True),
    "a ping of 126 bytes": bytes([0x89, 0x80 | 126, 0, 126]) + bytes(4 + 126),
    "a continuation of nothing": frame(CONT, b"[]", mask=True),
    "no UTF-8": frame(TEXT, b"\xff\xfe[]", mask=True),
    "a close frame of one byte": frame(CLOSE, b"x", mask=True),
    "no websocket at all": b"GET / HTTP/1.1\r\n\r\n" * 100,
}


@pytest.mark.parametrize("data", SENSELESS.values(), ids=SENSELESS)
async def test_what_is_no_websocket_message_ends_the_connection(stage: Stage, data: bytes) -> None:
    async with calm(stage.daemon), stage.connected() as c:
        await c.write(data)
        await asyncio.wait_for(c.ended.wait(), 60)
        await stage.good()


async def test_compression_is_not_agreed_to(stage: Stage) -> None:
    asks = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; server_max_window_bits=15\r\n"
    async with RawClient(stage.daemon.relay_url, asks) as c:
        assert b" 101 " in c.head
        assert b"extensions" not in c.head.lower()
        await c.say("REQ", "q", {"limit": 1})
        await answer(c, "EOSE", "q")


async def test_many_connections_from_one_address_are_few_in_the_end(stage: Stage) -> None:
    async with contextlib.AsyncExitStack() as stack, calm(stage.daemon):
        heads = [(await stack.enter_async_context(stage.connected(9))).head for _ in range(limits.MAX_FROM_ONE + 10)]
        assert sum(b" 101 " in head for head in heads) == limits.MAX_FROM_ONE
        refused = next(head for head in heads if b" 101 " not in head)
        assert b" 503 " in refused
        assert b"Retry-After" in refused
        assert b" 101 " in (await stack.enter_async_context(stage.connected(10))).head, "others get in"
        await stage.good()
    assert b" 101 " in (await eventually(lambda: _again(stage))), "and so do they, once they have left"


async def _again(stage: Stage) -> bytes:
    async with stage.connected(9) as c:
        return c.head if b" 101 " in c.head else b""


async def test_sockets_that_are_left_half_open_keep_nobody_out(stage: Stage) -> None:
    """Opened and silent, half a request, half a handshake: hundreds of each."""
    starts = [
        b"",
        b"GET /relay HTT",
        b"GET /relay HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n",
        b"POST /inbox HTTP/1.1\r\n",
    ]
    writers: list[asyncio.StreamWriter] = []
    async with calm(stage.daemon):
        try:
            for n in range(600):
                _, writer = await asyncio.open_connection("127.0.0.1", stage.daemon.port)
                writer.write(starts[n % len(starts)])
                writers.append(writer)
            await stage.good()
        finally:
            for writer in writers:
                writer.transport.abort()


async def _keep_writing(c: RawClient, data: bytes, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while await c.write(data):  # noqa: ASYNC110
                await asyncio.sleep(0)


# --- on PostgreSQL --------------------------------------------------------------------------------------------


async def test_nul_and_odd_characters_are_no_trouble_for_postgresql(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with database("postgresql") as store, staged(tmp_path_factory.mktemp("odd"), store) as stage:
        words = f"odd {time.time_ns()}"
        odd = said("nora", 1, f"{words} \x00 \x7f \u202e \ufffe \U0010ffff", ("t", "a\x00b"), ("x",), ("", "\x00"))
        named = said("nora", 30023, "an article\x00", ("d", "name"), ("title", "ti\x00tle"), ("summary", "\x00"))
        unnamed = said("nora", 30023, "nowhere to be found", ("d", "na\x00me"), ("title", "x"))
        place = f"30023:{key('nora')}:na\x00me"
        comment = said("nora", 1111, "an answer", ("a", place), ("A", place))
        profile = said("nora", 0, json.dumps({"name": "no\x00ra", "about": "\x00", "picture": "\x00"}))
        async with client(stage.daemon.relay_url) as c:
            assert await c.publish(odd) == (True, "")
            assert await c.publish(named) == (True, "")
            await c.publish(unnamed)
            assert await c.publish(comment) == (True, "")
            assert await c.publish(profile) == (True, "")
            assert await c.ids({"#t": ["a\x00b"]}) == [odd.id]
            await c.ids({"#d": ["na\x00me"], "#a": ["30023:x:\x00"], "kinds": [30023]})
            for question in ({"search": "\x00"}, {"search": "odd\x00"}, {"#t": ["\x00"]}, {"#d": ["%"]}):
                await c.stored(question)
            await eventually(lambda: stage.carried(words))
            await eventually(lambda: stage.carried("an article"))
            await eventually(lambda: stage.carried("an answer"))
            assert await c.publish(said("nora", 5, "\x00", ("e", odd.id), ("k", "1\x00"))) == (True, "")
            await eventually(lambda: stage.peer.posts("Delete"))
        await stage.good()
        assert not stage.carried("nowhere to be found")
        assert await stage.count("address", "dropped") == 1
        assert "_failed" not in stage.daemon.log
        assert "waits_for_store" not in stage.daemon.log
