"""Negentropy, protocol version 1: which events one side has and the other lacks (NIP-77). Pure.

Both sides hold pairs of (created_at, id) of the events that one filter meets.

    client = Negentropy(mine)                                  server = Negentropy(theirs)
    message = client.initiate()                   -> NEG-OPEN ->
    message, have, need = client.reconcile(reply)  <- NEG-MSG <-  reply = server.answer(message)

The client goes on until `reconcile` gives no next message. Everything taken in is checked: BadMessage is raised
for what is not of the protocol, and no message given out is longer than the limit. One that answers honestly ends
within about log16(n) rounds, more where the limit cuts messages short; rounds are for the caller to bound.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

VERSION: Final = 0x61
FRAME: Final = 60_000
"""Bytes of a message, unless told otherwise: in hex it fits into a websocket frame of 128 KiB."""
SMALLEST_FRAME: Final = 4096
ENDLESS: Final = 2**64 - 1
"""The time above all others."""

_SKIP, _FINGERPRINT, _LIST = 0, 1, 2
_ID: Final = 32
_DIGEST: Final = 16
_BUCKETS: Final = 16
_ROOM: Final = 64
"""What the range that stands for all that did not fit may take."""

Bound = tuple[int, bytes]
"""A time and the beginning of an id: ordered among (created_at, id) as the protocol orders them."""
_END: Final[Bound] = (ENDLESS, b"")


class BadMessage(ValueError):
    """Not a message of this protocol and version."""


class Negentropy:
    """One side. `items` are (created_at in seconds, id in hex), in any order; a second of the same id counts once.

    Takes about 250 bytes an item. Raises ValueError for an id that is no 32 bytes of hex.
    """

    def __init__(self, items: Iterable[tuple[int, str]], frame: int = FRAME) -> None:
        self._items: list[Bound] = sorted({(at, bytes.fromhex(event_id)) for at, event_id in items})
        if any(len(event_id) != _ID for _, event_id in self._items):
            raise ValueError("an id has 32 bytes")
        # Sums from the start, so that the fingerprint of any range costs the same.
        self._sums = [0]
        for _, event_id in self._items:
            self._sums.append(self._sums[-1] + int.from_bytes(event_id, "little"))
        self._frame = max(frame, SMALLEST_FRAME)

    def __len__(self) -> int:
        return len(self._items)

    def initiate(self) -> bytes:
        """The client's first message."""
        out = _Writer()
        self._split(out, 0, len(self._items), _END)
        return bytes(out.data)

    def answer(self, message: bytes) -> bytes:
        """The server's reply; to another version of the protocol just the number of ours. Raises BadMessage."""
        if message and message[0] != VERSION and 0x60 <= message[0] <= 0x6F:
            return bytes((VERSION,))
        return self._respond(message, None)

    def reconcile(self, message: bytes) -> tuple[bytes | None, list[str], list[str]]:
        """What the client learns of a reply: (its next message or None at the end, ids it has and the server lacks,
        ids it needs). Raises BadMessage, also when the server speaks no version of ours.
        """
        found: tuple[list[str], list[str]] = [], []
        reply = self._respond(message, found)
        return reply if len(reply) > 1 else None, *found

    def _respond(self, message: bytes, found: tuple[list[str], list[str]] | None) -> bytes:
        """`found` (have, need) is filled by a client; a server, None, answers lists with lists.

        Where the limit is reached, one fingerprint stands for all that is left.
        """
        reader, out = _Reader(message), _Writer()
        start, lower = (0, b""), 0
        while reader.more():
            bound, mode = reader.bound(), reader.number()
            if bound < start:
                raise BadMessage("ranges out of order")
            upper = bisect_left(self._items, bound, lower)
            mark = out.mark()
            if mode == _FINGERPRINT:
                if reader.take(_DIGEST) != self._fingerprint(lower, upper):
                    out.skip_to(start)
                    self._split(out, lower, upper, bound)
            elif mode == _LIST:
                theirs = reader.ids()
                if found is not None:
                    self._compare(theirs, lower, upper, *found)
                else:
                    out.skip_to(start)
                    end = min(upper, lower + max(0, self._frame - 2 * _ROOM - len(out.data)) // _ID)
                    self._list(out, lower, end, bound if end == upper else self._items[end])
                    if end < upper:
                        self._rest(out, end)
                        break
            elif mode != _SKIP:
                raise BadMessage("unknown mode")
            if len(out.data) > self._frame - _ROOM:
                out.back_to(mark)
                out.skip_to(start)
                self._rest(out, lower)
                break
            start, lower = bound, upper
        return bytes(out.data)

    def _split(self, out: "_Writer", lower: int, upper: int, bound: Bound) -> None:
        """A range as its ids when they are few, else as fingerprints of its parts."""
        size = upper - lower
        if size < 2 * _BUCKETS:
            self._list(out, lower, upper, bound)
            return
        for bucket in range(_BUCKETS):
            first, after = lower + size * bucket // _BUCKETS, lower + size * (bucket + 1) // _BUCKETS
            ends = bound if after == upper else _between(self._items[after - 1], self._items[after])
            out.range(ends, _FINGERPRINT)
            out.data += self._fingerprint(first, after)

    def _list(self, out: "_Writer", lower: int, upper: int, bound: Bound) -> None:
        out.range(bound, _LIST)
        out.number(upper - lower)
        for _, event_id in self._items[lower:upper]:
            out.data += event_id

    def _rest(self, out: "_Writer", lower: int) -> None:
        out.range(_END, _FINGERPRINT)
        out.data += self._fingerprint(lower, len(self._items))

    def _fingerprint(self, lower: int, upper: int) -> bytes:
        total = (self._sums[upper] - self._sums[lower]) % 2**256
        return hashlib.sha256(total.to_bytes(_ID, "little") + _varint(upper - lower)).digest()[:_DIGEST]

    def _compare(self, theirs: set[bytes], lower: int, upper: int, have: list[str], need: list[str]) -> None:
        ours = {event_id for _, event_id in self._items[lower:upper]}
        have += sorted(event_id.hex() for event_id in ours - theirs)
        need += sorted(event_id.hex() for event_id in theirs - ours)


class _Writer:
    def __init__(self) -> None:
        self.data = bytearray((VERSION,))
        self._time = 0
        self._written: Bound = (0, b"")
        """Where the last range ends."""

    def number(self, value: int) -> None:
        self.data += _varint(value)

    def range(self, bound: Bound, mode: int) -> None:
        """What a range begins with; its content follows."""
        time, prefix = bound
        self.number(0 if time == ENDLESS else 1 + time - self._time)
        self.number(len(prefix))
        self.data += prefix
        self.number(mode)
        self._time, self._written = time, bound

    def skip_to(self, bound: Bound) -> None:
        """Nothing is to be said of what lies before."""
        if self._written < bound:
            self.range(bound, _SKIP)

    def mark(self) -> tuple[int, int, Bound]:
        return len(self.data), self._time, self._written

    def back_to(self, mark: tuple[int, int, Bound]) -> None:
        size, self._time, self._written = mark
        del self.data[size:]


class _Reader:
    def __init__(self, message: bytes) -> None:
        if not message or message[0] != VERSION:
            raise BadMessage("another version of the protocol")
        self._message, self._at, self._time = message, 1, 0

    def more(self) -> bool:
        return self._at < len(self._message)

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._message):
            raise BadMessage("cut short")
        taken = self._message[self._at : end]
        self._at = end
        return taken

    def number(self) -> int:
        value = 0
        while True:
            (digit,) = self.take(1)
            value = value << 7 | digit & 0x7F
            if value > ENDLESS:
                raise BadMessage("number too large")
            if digit < 0x80:
                return value

    def bound(self) -> Bound:
        ahead, size = self.number(), self.number()
        if size > _ID:
            raise BadMessage("prefix too long")
        self._time = ENDLESS if ahead == 0 else min(self._time + ahead - 1, ENDLESS)
        return self._time, self.take(size)

    def ids(self) -> set[bytes]:
        data = self.take(self.number() * _ID)
        return {data[at : at + _ID] for at in range(0, len(data), _ID)}


def _between(before: Bound, after: Bound) -> Bound:
    """The shortest bound that parts two items that follow each other."""
    if before[0] != after[0]:
        return after[0], b""
    same = 0
    while before[1][same] == after[1][same]:
        same += 1
    return after[0], after[1][: same + 1]


def _varint(value: int) -> bytes:
    """Base 128, the most significant digit first; all digits but the last have the high bit set."""
    digits = bytearray((value & 0x7F,))
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))
