"""Signed events for the benches, and what checking their signatures alone costs: nobody can take events in faster."""

import hashlib
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from adapters.nostr import signing
from adapters.nostr.event import Event, sign, to_json

AUTHORS = 50
_WORDS = ("rain", "trains", "what", "people", "write", "on", "a", "day", "like", "this", "is", "never", "the", "same")


def secret(number: int) -> bytes:
    return hashlib.sha256(f"bench author {number}".encode()).digest()


@cache
def authors() -> list[str]:
    """Their public keys."""
    return [signing.public_key(secret(number)).hex() for number in range(AUTHORS)]


def notes(count: int, round_: int = 0) -> list[Event]:
    """Notes of all authors as clients write them: a line of text with a hashtag, every second one an answer."""
    now, keys = int(time.time()), authors()
    made: list[Event] = []
    for number in range(count):
        words = " ".join(_WORDS[(number * 7 + step * 3) % len(_WORDS)] for step in range(18))
        tags: list[tuple[str, ...]] = [("t", "bench"), ("client", "bench")]
        if number % 2:
            root = hashlib.sha256(f"{round_} {number // 100}".encode()).hexdigest()
            tags += [("e", root, "", "root"), ("p", keys[(number + 1) % AUTHORS])]
        made.append(sign(secret(number % AUTHORS), 1, now, tags, f"{words} {round_} {number} #bench"))
    return made


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
