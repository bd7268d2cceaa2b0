"""What a firehose must not get away with, each followed by something good that must still come through."""

from collections.abc import Callable
from typing import Any

import pytest

from adapters.atproto import cbor, frames, tid
from adapters.atproto.cid import Cid
from adapters.atproto.crypto import SigningKey
from adapters.atproto.repo import car, commit
from adapters.atproto.stream import MAX_STRIKES
from tests.unit.atproto.firehose_kit import (
    ALICE,
    BOB,
    GHOST,
    NOW,
    POSTS,
    STRANGER,
    Directory,
    listen,
    new_host,
    post,
    rkeys,
)
from tests.unit.atproto.scripted_repo import ScriptedRepo, frame
from tests.unit.atproto.scripted_streams import Client, scripted

Spoil = Callable[[ScriptedRepo], bytes]


def repo() -> ScriptedRepo:
    """Alice's, with something in it already."""
    found = ScriptedRepo(ALICE, NOW)
    found.change(0, {f"{POSTS}/old{n}": post() for n in range(20)})
    return found


def told(alice: ScriptedRepo, **other: Any) -> bytes:
    """A commit whose frame says something else in places."""
    return frame("#commit", {**alice.change(2, {f"{POSTS}/bad": post("bad")}), **other})


def resigned(alice: ScriptedRepo, **other: Any) -> bytes:
    """A commit that is signed as it should be, for something else in places."""
    body = alice.change(2, {f"{POSTS}/bad": post("bad")})
    said = {"did": ALICE, "rev": alice.rev, "data": alice.data, **other}
    head = commit.sign(alice.key, said["did"], said["rev"], said["data"]).block()
    root = Cid.of(head)
    _, blocks = car.read(body["blocks"], frames.MAX_BLOCKS)
    written = car.write(root, [(root, head), *blocks.items()])
    return frame("#commit", {**body, "commit": root, "rev": said["rev"], "blocks": written})


def with_blocks(alice: ScriptedRepo, change: Callable[[bytes], bytes]) -> bytes:
    body = alice.change(2, {f"{POSTS}/bad": post("bad")})
    return frame("#commit", {**body, "blocks": change(body["blocks"])})


def without_the_record(alice: ScriptedRepo) -> bytes:
    body = alice.change(2, {f"{POSTS}/bad": post("bad")})
    root, blocks = car.read(body["blocks"], frames.MAX_BLOCKS)
    del blocks[Cid.of(alice.records[f"{POSTS}/bad"])]
    return frame("#commit", {**body, "blocks": car.write(root, blocks.items())})


def with_an_op_too_many(alice: ScriptedRepo) -> bytes:
    body = alice.change(2, {f"{POSTS}/bad": post("bad")})
    old = Cid.of(alice.records[f"{POSTS}/old1"])
    return frame(
        "#commit",
        {**body, "ops": [*body["ops"], {"action": "delete", "path": f"{POSTS}/none", "cid": None, "prev": old}]},
    )


def by_another(alice: ScriptedRepo) -> bytes:
    alice.key, kept = SigningKey(b"z" * 32), alice.key
    spoilt = told(alice)
    alice.key = kept
    return spoilt


def ops(count: int, **other: Any) -> list[dict[str, Any]]:
    return [{"action": "create", "path": f"{POSTS}/x{n}", "cid": Cid.of(b"x"), **other} for n in range(count)]


def deep(levels: int) -> bytes:
    return b"\x81" * levels + b"\x01"


BAD: dict[str, tuple[Spoil, str]] = {
    "wrong key": (by_another, "signature"),
    "rev in the future": (lambda a: resigned(a, rev=tid.make(int((NOW + 7200) * 1e6), 1)), "rev_future"),
    "rev of another commit": (lambda a: told(a, rev=tid.make(int((NOW + 9) * 1e6), 1)), "commit"),
    "rev not growing": (lambda a: resigned(a, rev=tid.make(int((NOW - 9) * 1e6), 1)), "rev_old"),
    "somebody else's commit": (lambda a: resigned(a, did=STRANGER), "commit"),
    "another tree": (lambda a: resigned(a, data=Cid.of(b"nowhere")), "missing_block"),
    "201 ops": (lambda a: told(a, ops=ops(201)), "ops_count"),
    "the same path twice": (lambda a: told(a, ops=ops(1) * 2), "ops"),
    "ops with paths that are none": (lambda a: told(a, ops=ops(1, path="../../etc")), "ops"),
    "a creation of something that was there": (lambda a: told(a, ops=ops(1, prev=Cid.of(b"y"))), "ops"),
    "an op that was not done": (with_an_op_too_many, "inversion"),
    "a record that is not there": (without_the_record, "missing_block"),
    "2 MB of blocks": (lambda a: told(a, blocks=bytes(2_000_001)), "blocks_size"),
    "a 5 MB frame": (lambda a: told(a, blocks=bytes(5_000_000)), "frame_size"),
    "a block under another's id": (lambda a: with_blocks(a, lambda b: b[:-1] + bytes([b[-1] ^ 1])), "cid"),
    "a huge varint": (lambda a: with_blocks(a, lambda b: b + b"\xff" * 9 + b"\x7f"), "car"),
    "a CAR cut short": (lambda a: with_blocks(a, lambda b: b[:-5]), "car"),
    "no CAR": (lambda a: told(a, blocks=ALICE.encode()), "cbor"),
    "a thousand levels": (
        lambda a: cbor.encode({"op": 1, "t": "#commit"}) + b"\xa1" + cbor.encode(ALICE) + deep(1000),
        "depth",
    ),
    "a float": (
        lambda a: cbor.encode({"op": 1, "t": "#commit"}) + b"\xa1" + cbor.encode(ALICE) + b"\xfb" + bytes(8),
        "float",
    ),
    "no frame": (lambda _: b"\xff" * 100, "frame"),
    "text": (lambda _: f"hello {ALICE}".encode(), "frame"),
    "a commit of nothing": (lambda _: frame("#commit", {"seq": 2, "repo": ALICE}), "frame"),
    "an account that may be": (
        lambda _: frame("#account", {"seq": 2, "did": ALICE, "active": "no", "time": "2026-11-26T02:00:00Z"}),
        "frame",
    ),
    "no prevData": (lambda a: told(a, prevData=None), ""),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_is_wrong_is_dropped_and_what_is_right_goes_on(name: str) -> None:
    spoil, reason = BAD[name]
    alice, bob, host = repo(), ScriptedRepo(BOB, NOW), new_host()
    first = alice.say(1, {f"{POSTS}/first": post()})
    spoilt = spoil(alice)

    async def script(client: Client) -> None:
        await client.say(first)
        await host.until(lambda: rkeys(host) == ["first"])
        await client.say(spoilt)
        if reason:
            await host.until_refused(reason)
        await client.say(bob.say(3, {f"{POSTS}/good": post("good")}))
        await client.hold()

    async with scripted(script, path="") as server, listen(server.url, host, Directory(alice, bob)):
        await host.until(lambda: rkeys(host)[-1:] == ["good"])
    assert rkeys(host) == ["first", "good"]
    assert host.refusals == ([reason] if reason else [])
    assert len(server.clients) == 1


async def test_a_wrong_signature_has_the_key_looked_at_once_more() -> None:
    alice, host = repo(), new_host()
    directory = Directory(alice)
    directory.known[ALICE], directory.renewed[ALICE] = SigningKey(b"o" * 32).public, alice.key.public

    async def script(client: Client) -> None:
        await client.say(alice.say(1, {f"{POSTS}/a": post()}), alice.say(2, {f"{POSTS}/b": post()}))
        await client.hold()

    async with scripted(script, path="") as server, listen(server.url, host, directory):
        await host.until(lambda: rkeys(host) == ["a", "b"])
    assert directory.again == [ALICE]


async def test_a_stranger_who_forges_an_answer_is_dropped() -> None:
    stranger, bob, host = ScriptedRepo(STRANGER, NOW), ScriptedRepo(BOB, NOW), new_host()
    follow = {"$type": "app.bsky.graph.follow", "subject": GHOST, "createdAt": "2026-11-26T02:00:00Z"}
    directory = Directory(bob)
    directory.known[STRANGER] = SigningKey(b"o" * 32).public

    async def script(client: Client) -> None:
        await client.say(stranger.say(1, {"app.bsky.graph.follow/f": follow}), bob.say(2, {f"{POSTS}/good": post()}))
        await client.hold()

    async with scripted(script, path="") as server, listen(server.url, host, directory):
        await host.until(lambda: len(host.received) == 1)
    assert (rkeys(host), host.refusals) == (["good"], ["signature"])


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"\xa1\x61a\xfb" + bytes(8), "record_float"),
        (b"\xa1\x61a" + deep(1000), "record_depth"),
        (b"\x01", "record_type"),
    ],
)
async def test_a_record_that_is_none_is_dropped_by_itself(record: bytes, reason: str) -> None:
    alice, host = repo(), new_host()

    async def script(client: Client) -> None:
        await client.say(alice.say(1, {f"{POSTS}/bad": record, f"{POSTS}/good": post()}))
        await client.hold()

    async with scripted(script, path="") as server, listen(server.url, host, Directory(alice)):
        await host.until(lambda: len(host.received) == 1)
    assert (rkeys(host), host.refusals) == (["good"], [reason])


async def test_who_sends_rubbish_without_end_is_hung_up_on() -> None:
    alice, host = repo(), new_host()

    async def flood(client: Client) -> None:
        await client.say(*([b"\x00"] * 1000))
        await client.hold()

    async def well(client: Client) -> None:
        await client.say(alice.say(1, {f"{POSTS}/good": post()}))
        await client.hold()

    async with scripted(flood, well, path="") as server, listen(server.url, host, Directory(alice)):
        await host.until(lambda: rkeys(host) == ["good"])
    assert len(host.refusals) == MAX_STRIKES + 1


async def test_a_frame_that_would_be_too_large_to_take_in_is_passed_over() -> None:
    alice, host = repo(), new_host()
    first = alice.say(7, {f"{POSTS}/first": post()})

    async def before(client: Client) -> None:
        await client.say(first)
        await host.until(lambda: rkeys(host) == ["first"])
        await client.say(bytes(7_000_000))
        await client.hold()

    async def after(client: Client) -> None:
        assert client.cursor == "8"
        await client.say(alice.say(9, {f"{POSTS}/good": post()}))
        await client.hold()

    async with scripted(before, after, path="") as server, listen(server.url, host, Directory(alice)):
        await host.until(lambda: rkeys(host) == ["first", "good"])
    assert host.refusals == ["frame_size"]
