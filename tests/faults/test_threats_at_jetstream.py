"""A Jetstream that lies, garbles and breaks. It signs nothing: that its word is trusted is documented, and shown here.

No Jetstream installs: `kit/sky.py` stands in, written from its README (v1).
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.server import ServerConnection

from .kit import eventually
from .kit.heaven import HANDLES, Heaven, heaven
from .kit.raw import TEXT, frame
from .kit.sky import FOLLOW, POST, Person, Turn, commit_of, hold, raw, spelled
from .kit.watch import calm
from .test_threats_at_streams import half_open

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Heaven]:
    async with heaven(tmp_path_factory.mktemp("jetstream"), jetstream=True) as made:
        yield made


def record(**other: Any) -> dict[str, Any]:
    return {"$type": POST, "text": "this is spoilt", "createdAt": spelled(time.time()), **other}


def said(here: Heaven, **other: Any) -> dict[str, Any]:
    """What the stream says that ada posted, with something else in places."""
    twin = Person("twin", did=here.ada.did)
    twin.repo.now = time.time()
    path = f"{POST}/{twin.key()}"
    twin.repo.change(0, {path: record()})
    return commit_of(twin, path, here.sky.next(), **other)


SPOILT: dict[str, dict[str, Any]] = {
    "no text": {"record": {"$type": POST, "createdAt": "2026-11-26T02:00:00Z"}},
    "text that is a number": {"record": record(text=7)},
    "text that is a list": {"record": record(text=["this is spoilt"])},
    "facets that are none": {"record": record(text=None, facets="x")},
    "answering nothing": {"record": record(reply={"root": {}, "parent": {}})},
    "answering itself": {"record": record(reply={"root": 1, "parent": 2})},
    "another type": {"record": record(**{"$type": "app.bsky.feed.generator"})},
    "a float": {"record": record(weight=1.5)},
    "a number beyond 64 bits": {"record": record(number=2**70)},
    "a link that is none": {"record": record(link={"$link": "nothing"})},
    "bytes that are none": {"record": record(data={"$bytes": "%%%"})},
    "no record": {"record": None},
    "a cid that is none": {"cid": "../../x"},
    "no cid": {"cid": ""},
    "a key up and out": {"rkey": "../../x"},
    "an empty key": {"rkey": ""},
    "a rev that is none": {"rev": "now"},
    "an operation nobody knows": {"operation": "purge"},
    "a collection nobody asked for": {"collection": "com.example.secret"},
    "60 levels": {"record": record(embed=json.loads("[" * 60 + "]" * 60))},
}


@pytest.mark.parametrize("other", SPOILT.values(), ids=SPOILT)
async def test_record_that_breaks_its_lexicon_goes_nowhere_and_the_next_one_counts(
    here: Heaven, other: dict[str, Any]
) -> None:
    sent = len(here.peer.posts())
    await here.sky.hose.write(json.dumps(said(here, **other)))
    await here.good()
    await here.settled()
    assert len(here.peer.posts()) == sent + 1
    assert here.copies("this is spoilt") == []


FRAMES = [
    *("", "{", "[]", "null", "7", '"text"', "{}", '{"did":1}', '{"kind":"commit"}', "[" * 100_000, '{"a":' * 20_000),
    *(f'{{"did":"{{did}}","time_us":{at},"kind":"commit"}}' for at in ("-1", "1.5", "null", '"1"', "9" * 400)),
    *(f'{{"did":"{{did}}","time_us":1,"kind":"{kind}"}}' for kind in ("", "label", "account", "identity", "x" * 9999)),
    '{"did":"{did}","time_us":1,"kind":"account","account":{"active":"no"}}',
    '{"did":"{did}","time_us":1,"kind":"commit","commit":{"operation":"create"}}',
    '{"did":"{did}","did":"did:plc:other","time_us":1,"kind":"identity"}',
    "\ufeff{did}",
]


async def test_frame_that_is_garbled_or_of_an_unknown_kind_is_passed_over(here: Heaven) -> None:
    connections = len(here.sky.hose.cursors)
    async with calm(here.daemon), here.refuses("frame"):
        for each in FRAMES:
            await here.sky.hose.write(each.replace("{did}", here.ada.did))
        await here.sky.hose.write(b"\xff\xfe" + here.ada.did.encode())
    assert len(here.sky.hose.cursors) == connections


async def test_stream_is_believed_as_is_documented_but_not_about_ourselves(here: Heaven) -> None:
    """Whoever needs proof reads a firehose. What is said to be our own accounts' comes back to nobody."""
    forged = said(here, record=record(text="ada never said this"))
    await here.sky.hose.write(json.dumps(forged))
    await eventually(lambda: here.copies("ada never said this"))
    sent = len(here.peer.posts())
    bot = await here.did_of(f"bridge.{HANDLES}")
    await here.sky.hose.write(json.dumps({**said(here, record=record(text="nor did the bot")), "did": bot}))
    for did in ("did:web:127.0.0.1", "did:plc:short", "did:web:localhost", "", "x" * 5000):
        follow = {"$type": FOLLOW, "subject": bot, "createdAt": spelled(time.time())}
        frame_ = {**said(here, record=follow, collection=FOLLOW), "did": did}
        await here.sky.hose.write(json.dumps(frame_))
    await here.good()
    assert len(here.peer.posts()) == sent + 1
    assert here.copies("nor did the bot") == []


async def test_stream_that_is_silent_without_an_end_is_left_within_a_minute(here: Heaven) -> None:
    await half_open(here)


async def floods(socket: ServerConnection, _cursor: str) -> None:
    one = json.dumps({"did": "did:plc:" + "s" * 24, "time_us": 1, "kind": "identity", "identity": {}}).encode()
    for _ in range(60):
        socket.transport.write(frame(TEXT, one) * 500)
        await asyncio.sleep(0.02)


async def from_the_future(socket: ServerConnection, _cursor: str) -> None:
    for at in (4_102_444_800_000_000, 2**63 - 1, 10**30):
        await socket.send(json.dumps({"did": "did:plc:" + "s" * 24, "time_us": at, "kind": "identity"}))
    await asyncio.sleep(0.5)


async def silent(socket: ServerConnection, cursor: str) -> None:
    with_end = asyncio.create_task(hold(socket, cursor))
    await asyncio.wait([with_end], timeout=2)
    socket.transport.abort()


BROKEN: dict[str, Turn] = {
    "a frame of 3 MiB": raw(frame(TEXT, b'{"x":"' + b"x" * (3 << 20) + b'"}')),
    "30,000 frames for nobody here": floods,
    "silence": silent,
    "numbers from the future": from_the_future,
}


async def test_stream_that_is_no_good_is_left_and_nothing_is_missed(here: Heaven) -> None:
    """One connection after the other: each says what it has, goes bad, and says nothing of what ada says then."""
    sky, ended = here.sky, list[str]()

    def bad(name: str, turn: Turn) -> Turn:
        async def whole(socket: ServerConnection, cursor: str) -> None:
            assert int(cursor) <= time.time() * 1e6
            for seq, kept in sky.hose.kept:
                if seq > int(cursor):
                    await socket.send(kept)
            await sky.say(here.ada, here.ada.post(f"during {name}"))
            try:
                await turn(socket, cursor)
            finally:
                ended.append(name)

        return whole

    sky.hose.turns = [bad(*each) for each in BROKEN.items()]
    async with calm(here.daemon):
        await sky.hose.drop()
        await eventually(lambda: ended == list(BROKEN), timeout=90)
        await eventually(lambda: sky.hose.sockets)
        for name in BROKEN:
            await eventually(lambda n=name: here.copies(f"during {n}"))
        await here.good()
    for name in BROKEN:
        assert len(here.copies(f"during {name}")) == 1
