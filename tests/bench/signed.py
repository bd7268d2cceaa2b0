"""Signed events for the benches, and what checking their signatures alone costs: nobody can take events in faster."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from adapters.nostr import signing
from adapters.nostr.event import Event, sign, to_json

AUTHORS = 50
_WORDS = "what people write on a day like this one is never quite the same as yesterday but words come again".split()


def secret(number: int) -> bytes:
    return hashlib.sha256(f"bench author {number}".encode()).digest()


def authors() -> list[str]:
    """Their public keys."""
    return [signing.public_key(secret(number)).hex() for number in range(AUTHORS)]


def notes(count: int, round_: int = 0) -> list[Event]:
    """Notes of AUTHORS people as clients write them: two lines of text, a hashtag, an answer's tags in every second."""
    now = int(time.time())
    made: list[Event] = []
    for number in range(count):
        words = " ".join(_WORDS[(number * 7 + step * 3) % len(_WORDS)] for step in range(18))
        tags = [("t", "bench"), ("client", "bench")]
        if number % 2:
            root = hashlib.sha256(f"{round_} {number // 100}".encode()).hexdigest()
            tags += [("e", root, "", "root"), ("p", authors_key(number + 1))]
        made.append(sign(secret(number % AUTHORS), 1, now, tags, f"{words} {round_} {number} #bench"))
    return made


_keys: dict[int, str] = {}


def authors_key(number: int) -> str:
    number %= AUTHORS
    if number not in _keys:
        _keys[number] = signing.public_key(secret(number)).hex()
    return _keys[number]


def write(path: Path, events: Sequence[Event]) -> Path:
    """One JSON text a line."""
    path.write_bytes(b"\n".join(map(to_json, events)) + b"\n")
    return path


def checks_a_second(events: Sequence[Event]) -> float:
    """Bare BIP-340 verification of these events, one after the other, in one process."""
    triples = [(bytes.fromhex(e.sig), bytes.fromhex(e.id), bytes.fromhex(e.pubkey)) for e in events]
    began = time.perf_counter()
    for signature, message, key in triples:
        assert signing.verify(signature, message, key)
    return len(triples) / (time.perf_counter() - began)
