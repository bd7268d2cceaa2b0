"""Commits that somebody spoilt on the way, or that a repo's own host made up: each of them is to be dropped.

`BAD`: what is wrong -> (the frame, given a repo and the number it is to have; the reason it is refused for).
"""

import time
from collections.abc import Callable
from typing import Any

from adapters.atproto import cbor, frames, tid
from adapters.atproto.cid import Cid
from adapters.atproto.crypto import SigningKey
from adapters.atproto.repo import car, commit
from tests.unit.atproto.scripted_repo import ScriptedRepo, frame

from .sky import POST, did_of, spelled

Spoil = Callable[[ScriptedRepo, int], bytes]
PATH = f"{POST}/bad"
HEAD = cbor.encode({"op": 1, "t": "#commit"})


def record(text: str = "this is spoilt") -> dict[str, Any]:
    return {"$type": POST, "text": text, "createdAt": spelled(time.time())}


def told(repo: ScriptedRepo, number: int, **other: Any) -> bytes:
    """A commit whose frame says something else in places."""
    return frame("#commit", {**repo.change(number, {PATH: record()}), **other})


def resigned(repo: ScriptedRepo, seq: int, **other: Any) -> bytes:
    """A commit that is signed as it should be, for something else in places."""
    body = repo.change(seq, {PATH: record()})
    said = {"did": repo.did, "rev": repo.rev, "data": repo.data, **other}
    head = commit.sign(repo.key, said["did"], said["rev"], said["data"]).block()
    root = Cid.of(head)
    _, blocks = car.read(body["blocks"], frames.MAX_BLOCKS)
    written = car.write(root, [(root, head), *blocks.items()])
    return frame("#commit", {**body, "commit": root, "rev": said["rev"], "blocks": written})


def by_another(repo: ScriptedRepo, seq: int) -> bytes:
    repo.key = SigningKey(b"z" * 32)
    return told(repo, seq)


def with_blocks(change: Callable[[bytes], bytes]) -> Spoil:
    def spoil(repo: ScriptedRepo, seq: int) -> bytes:
        body = repo.change(seq, {PATH: record()})
        return frame("#commit", {**body, "blocks": change(body["blocks"])})

    return spoil


def without_the_record(repo: ScriptedRepo, seq: int) -> bytes:
    body = repo.change(seq, {PATH: record()})
    root, blocks = car.read(body["blocks"], frames.MAX_BLOCKS)
    del blocks[Cid.of(repo.records[PATH])]
    return frame("#commit", {**body, "blocks": car.write(root, blocks.items())})


def with_an_op_too_many(repo: ScriptedRepo, seq: int) -> bytes:
    body = repo.change(seq, {PATH: record()})
    more = {"action": "delete", "path": f"{POST}/none", "cid": None, "prev": Cid.of(b"never there")}
    return frame("#commit", {**body, "ops": [*body["ops"], more]})


def ops(count: int, **other: Any) -> list[dict[str, Any]]:
    return [{"action": "create", "path": f"{POST}/x{n}", "cid": Cid.of(b"x"), **other} for n in range(count)]


def body_of(value: bytes) -> Spoil:
    """A frame of which one field is these bytes of CBOR."""
    return lambda repo, seq: HEAD + b"\xa1" + cbor.encode(repo.did) + value


def at(seconds: float) -> str:
    return tid.make(int((time.time() + seconds) * 1e6), 1)


BAD: dict[str, tuple[Spoil, str]] = {
    "wrong key": (by_another, "signature"),
    "rev in the future": (lambda r, n: resigned(r, n, rev=at(7200)), "rev_future"),
    "rev of the year 2100": (lambda r, n: resigned(r, n, rev=tid.make(4_102_444_800_000_000, 1)), "rev_future"),
    "rev not growing": (lambda r, n: resigned(r, n, rev=at(-7200)), "rev_old"),
    "rev of another commit": (lambda r, n: told(r, n, rev=at(0)), "commit"),
    "somebody else's commit": (lambda r, n: resigned(r, n, did=did_of("mallory")), "commit"),
    "a tree that is nowhere": (lambda r, n: resigned(r, n, data=Cid.of(b"nowhere")), "missing_block"),
    "201 ops": (lambda r, n: told(r, n, ops=ops(201)), "ops_count"),
    "the same path twice": (lambda r, n: told(r, n, ops=ops(1) * 2), "ops"),
    "a path up and out": (lambda r, n: told(r, n, ops=ops(1, path="../../etc/passwd")), "ops"),
    "a creation of what was there": (lambda r, n: told(r, n, ops=ops(1, prev=Cid.of(b"y"))), "ops"),
    "an op that was not done": (with_an_op_too_many, "inversion"),
    "no ops for what was done": (lambda r, n: told(r, n, ops=[]), "inversion"),
    "a record that is not there": (without_the_record, "missing_block"),
    "2 MB of blocks": (lambda r, n: told(r, n, blocks=bytes(2_000_001)), "blocks_size"),
    "a 5 MB frame": (lambda r, n: told(r, n, blocks=bytes(5_000_000)), "frame_size"),
    "a block under another's id": (with_blocks(lambda b: b[:-1] + bytes([b[-1] ^ 1])), "cid"),
    "a huge varint": (with_blocks(lambda b: b + b"\xff" * 9 + b"\x7f"), "car"),
    "a varint without an end": (with_blocks(lambda b: b + b"\xff" * 1000), "car"),
    "a CAR cut short": (with_blocks(lambda b: b[:-5]), "car"),
    "a CAR of nothing": (with_blocks(lambda b: b""), "car"),
    "no CAR": (lambda r, n: told(r, n, blocks=r.did.encode()), "cbor"),
    "CBOR of 1,000 levels": (body_of(b"\x81" * 1000 + b"\x01"), "depth"),
    "CBOR of a million levels": (body_of(b"\x81" * 1_000_000 + b"\x01"), "depth"),
    "a float": (body_of(b"\xfb" + bytes(8)), "float"),
    "a list said to be endless": (body_of(b"\x9f" + b"\x01" * 100), "cbor"),
    "a list said to have 2^63 items": (body_of(b"\x9b\x7f" + b"\xff" * 7), "cbor"),
    "no frame": (lambda r, n: b"\xff" * 100, "frame"),
    "text": (lambda r, n: f"hello {r.did}".encode(), "frame"),
    "a commit of nothing": (lambda r, n: frame("#commit", {"seq": n, "repo": r.did}), "frame"),
    "a number that is none": (lambda r, n: told(r, n, seq=-1), "seq"),
    "a number said before": (lambda r, n: told(r, n, seq=n - 1), "seq"),
    "an account that may be": (
        lambda r, n: frame("#account", {"seq": n, "did": r.did, "active": "no", "time": spelled(time.time())}),
        "frame",
    ),
    "an account gone at no time": (
        lambda r, n: frame("#account", {"seq": n, "did": r.did, "active": False, "status": "deleted", "time": "now"}),
        "datetime",
    ),
}
