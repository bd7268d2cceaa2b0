"""Jetstream, a relay's firehose as JSON. It vouches for what it says with nothing but its name: no signatures.

Two dialects, told by the address:

v1  `/subscribe?wantedCollections=&wantedDids=&cursor=&maxMessageSizeBytes=`. Frames are
    `{"did", "time_us", "kind": "commit"|"identity"|"account", <kind>: {…}}`; the cursor is `time_us`, microseconds.
    A client may send `{"type": "options_update", "payload": {…}}`, which replaces its filters. Accounts and identities
    come whatever collections are asked for. (README of bluesky-social/jetstream; its docs/README.md §5.1, 2026-08)
v2  `/xrpc/network.bsky.jetstream.subscribeEvents?collections=&dids=&kinds=&cursor=&maxMessageSizeBytes=`. Frames are
    `{"$type": "message", "payload": {"$type": "…#commit", "seq", "did", "time", …}}`, errors are
    `{"$type": "error", "error", "message"}` and the last word. The cursor is `seq`, inclusive; from 10^15 on it means
    microseconds. A `seq` too old is refused with 400 (CursorTooOld), a time too old is moved forward and told by
    `#info` (OutdatedCursor). Whatever a client sends ends the connection. (lexicons/network/bsky/jetstream/
    subscribeEvents.json there, and docs/README.md §5.2, 2026-08)
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from adapters.atproto import cbor
from adapters.atproto.envelopes import Change, Standing
from adapters.atproto.identity import can_be
from adapters.atproto.intake import Event, Renamed, Stood
from adapters.atproto.stream import Ended
from adapters.atproto.syntax import is_record_key, is_tid
from adapters.atproto.wanted import COLLECTIONS, Wanted
from bridged.api import EgressFailed, Host, Malformed

MAX_FRAME: Final = 2 << 20
"""Bytes; the other side is asked to leave out what is larger."""
MAX_DIDS: Final = 10_000
"""Accounts that one stream may be narrowed to."""
V2_PATH: Final = "/xrpc/network.bsky.jetstream.subscribeEvents"
_V1_PATH: Final = "/subscribe"
_MESSAGE: Final = "network.bsky.jetstream.subscribeEvents#"
_REWIND: Final = 5_000_000
"""Microseconds that a v1 stream is gone back after a break: its times are unique only nearly, and nearly in order."""
_STEP: Final = 1000
"""Microseconds of a v1 stream that are passed over at a time where something is too large."""
_OPERATIONS: Final = frozenset({"create", "update", "delete"})


class _Commit(msgspec.Struct):
    operation: str
    collection: str
    rkey: str
    rev: str = ""
    cid: str = ""
    record: dict[str, Any] | None = None


class _Account(msgspec.Struct):
    active: bool
    status: str = ""


class _Frame1(msgspec.Struct):
    did: str
    time_us: int
    kind: str
    commit: _Commit | None = None
    account: _Account | None = None


class _Place1(msgspec.Struct):
    time_us: int


class _Payload(msgspec.Struct, rename={"type": "$type"}):
    """Of every kind of message: `seq` and the like are absent where they have no place."""

    type: str
    seq: int = 0
    did: str = ""
    time: str = ""
    operation: str = ""
    collection: str = ""
    rkey: str = ""
    rev: str = ""
    cid: str = ""
    record: dict[str, Any] | None = None
    account: _Account | None = None
    name: str = ""
    message: str = ""


class _Frame2(msgspec.Struct, rename={"type": "$type"}):
    type: str
    payload: _Payload | None = None
    error: str = ""


class _Place(msgspec.Struct):
    seq: int
    time: str


class _Place2(msgspec.Struct):
    payload: _Place


_Kind = TypeVar("_Kind")
_frame1 = msgspec.json.Decoder(_Frame1)
_place1 = msgspec.json.Decoder(_Place1)
_frame2 = msgspec.json.Decoder(_Frame2)
_place2 = msgspec.json.Decoder(_Place2)


def dialect(url: str, host: Host, *, narrow: bool = False) -> "V1 | V2":
    """`narrow`: only what accounts we follow do is asked for, not what strangers say to ours, to spare a thin line."""
    return (V2 if urlsplit(url).path == V2_PATH else V1)(url, host, narrow)


class _Jetstream(ABC):
    """The frame read last is looked into only when its place is asked for: most are for nobody here."""

    max_frame = MAX_FRAME
    _stuck, _past = "", 0

    def __init__(self, url: str, host: Host, narrow: bool) -> None:
        self._url, self._host, self._narrow = url, host, narrow
        self.cursor_key = f"jetstream {url}"
        self._cursor, self._last, self._came = "", b"", 0.0

    @property
    def cursor(self) -> str:
        if self._last:
            self._cursor, self._last = self._place(self._last) or self._cursor, b""
        return self._cursor

    @cursor.setter
    def cursor(self, place: str) -> None:
        self._cursor, self._last = place, b""

    def _read(self, frame: bytes) -> None:
        self._last, self._came = frame, self._host.now()

    def skip(self, count: int) -> None:
        """The cursor stays at what was read; only what is asked for next lies further on."""
        before = self._beyond()
        self._stuck, self._past = self.cursor, before + count

    def _beyond(self) -> int:
        """How much of what follows is passed over, until something of it was read."""
        return self._past if self.cursor == self._stuck else 0

    @abstractmethod
    def _place(self, frame: bytes) -> str:
        """The cursor after this frame, "" where it has none."""

    def _until_it_came(self, time: int) -> int:
        """A time from the future would have us miss all until then."""
        return min(time, int(self._came * 1_000_000))

    def _dids(self, wanted: Wanted) -> list[str]:
        """The accounts to narrow the stream to, none for everybody."""
        if not self._narrow:
            return []
        dids = sorted(wanted.theirs)
        if len(dids) > MAX_DIDS:
            self._host.log.warning("atproto_too_many_to_narrow", wanted=len(dids), most=MAX_DIDS)
            return []
        return dids

    def _address(self, path: str, query: Iterable[tuple[str, str]]) -> str:
        parts = urlsplit(self._url)
        return urlunsplit((parts.scheme, parts.netloc, path, urlencode(list(query)), ""))


class V1(_Jetstream):
    _furthest = -1
    """The place of all after which something too large came."""

    def url(self, wanted: Wanted) -> str:
        place = self.cursor
        # by time, so that it fits every server of the kind: nothing is lost when an operator changes the address
        since = [("cursor", str(self._since(int(place))))] if place else []
        path = urlsplit(self._url).path
        return self._address(_V1_PATH if path in ("", "/") else path, [*self._filters(wanted), *since])

    def _filters(self, wanted: Wanted) -> list[tuple[str, str]]:
        return [
            *(("wantedCollections", name) for name in COLLECTIONS),
            *(("wantedDids", did) for did in self._dids(wanted)),
            ("maxMessageSizeBytes", str(MAX_FRAME)),
        ]

    def hear(self, wanted: Wanted) -> str | None:
        if not self._narrow:
            return None
        payload = {
            "wantedCollections": COLLECTIONS,
            "wantedDids": self._dids(wanted),
            "maxMessageSizeBytes": MAX_FRAME,
        }
        return msgspec.json.encode({"type": "options_update", "payload": payload}).decode()

    def refused(self, failed: EgressFailed) -> None:
        """Tried again as it is."""

    def _since(self, place: int) -> int:
        beyond = self._beyond()
        return place + beyond * _STEP if beyond else max(0, place - _REWIND)

    def skip(self, count: int) -> None:
        """Goes back as ever before anything is passed over: another server of that name may leave out what is too
        large, as it is asked to, and by its clock have what is missing at an earlier time."""
        place = int(self.cursor)
        if place <= self._furthest:
            super().skip(count)
        self._furthest = max(place, self._furthest)

    def _place(self, frame: bytes) -> str:
        try:
            place = _place1.decode(frame).time_us
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return ""
        return str(self._until_it_came(place))

    def take(self, frame: bytes, wanted: Wanted) -> Event | None:
        self._read(frame)
        if not wanted.names(frame):
            return None
        said = _decoded(_frame1, frame)
        if said.kind == "commit" and said.commit is not None:
            return _change(said.did, said.commit, wanted)
        at = int(self.cursor) / 1_000_000
        if said.kind == "account" and said.account is not None:
            return _standing(said.did, said.account, wanted, at)
        return _renamed(said.did, wanted, at) if said.kind == "identity" else None


class V2(_Jetstream):
    """Its cursor is `seq time`, the time in microseconds for when the `seq` is too old."""

    _too_old = _anew = False

    def url(self, wanted: Wanted) -> str:
        return self._address(
            V2_PATH,
            [
                *(("collections", name) for name in COLLECTIONS),
                *(("kinds", kind) for kind in ("commit", "identity", "account")),
                *(("dids", did) for did in self._dids(wanted)),
                ("maxMessageSizeBytes", str(MAX_FRAME)),
                *([("cursor", str(self._since()))] if self.cursor else []),
            ],
        )

    def _since(self) -> int:
        (seq, time), beyond = map(int, self.cursor.split()), self._beyond()
        if self._too_old:
            return time + beyond * _STEP
        return seq + beyond + 1 if beyond else seq  # inclusive: what was read last comes once more

    def refused(self, failed: EgressFailed) -> None:
        """A handshake does not let us see why it is refused: 400 with a cursor means that it is too old."""
        if getattr(failed, "status", None) == 400 and self.cursor:
            self._too_old = True

    def hear(self, wanted: Wanted) -> str | None:
        if self._narrow:
            raise Ended("others_heard")
        return None

    def _place(self, frame: bytes) -> str:
        try:
            found = _place2.decode(frame).payload
            time = int(datetime.fromisoformat(found.time).timestamp() * 1_000_000)
        except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError, OverflowError):
            return ""
        if not 0 < found.seq < 10**15:
            return ""
        before = self._cursor.partition(" ")[0]
        if before and found.seq < int(before) and not self._too_old:
            # another server behind the same name: its numbers mean nothing to us, the time does
            self._anew = True
            return ""
        self._too_old = False
        return f"{found.seq} {self._until_it_came(time)}"

    def take(self, frame: bytes, wanted: Wanted) -> Event | None:
        self._read(frame)
        if not wanted.names(frame):
            return self._told(frame) if b'"error"' in frame or b"#info" in frame else None
        before = self._cursor
        if self.cursor == before or self._anew:  # inclusive: what was read last comes first; the rest has no place
            return self._told(frame)
        said = _decoded(_frame2, frame).payload
        if said is None:
            return None
        kind, at = said.type.removeprefix(_MESSAGE), self._seconds()
        if kind == "commit":
            commit = _Commit(said.operation, said.collection, said.rkey, said.rev, said.cid, said.record)
            return _change(said.did, commit, wanted)
        if kind == "account" and said.account is not None:
            return _standing(said.did, said.account, wanted, at)
        return _renamed(said.did, wanted, at) if kind == "identity" else None

    def _told(self, frame: bytes) -> None:
        """What is said of the stream itself. Raises Ended with an error, or where it began anew."""
        if self._anew:
            self._anew, self._too_old = False, True
            raise Ended("began_anew")
        said = _decoded(_frame2, frame)
        if said.type == "error":
            raise Ended(said.error[:40] or "error")
        if said.payload is not None and said.payload.type == f"{_MESSAGE}info":
            self._host.log.warning("atproto_missed", stream=self.cursor_key, why=said.payload.name[:40])

    def _seconds(self) -> float:
        return int(self._cursor.partition(" ")[2]) / 1_000_000


def _decoded(decoder: msgspec.json.Decoder[_Kind], frame: bytes) -> _Kind:
    try:
        return decoder.decode(frame)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Malformed("frame") from None


def _change(did: str, said: _Commit, wanted: Wanted) -> Change | None:
    if not wanted.wants(did, said.collection, said.operation, said.record):
        return None
    if not can_be(did):
        raise Malformed("did")
    if said.operation not in _OPERATIONS or not is_record_key(said.rkey) or not is_tid(said.rev):
        raise Malformed("commit")
    if said.operation == "delete":
        return Change(did, said.collection, said.rkey, "delete", rev=said.rev)
    record = cbor.to_json(cbor.from_json(said.record))
    operation = "create" if said.operation == "create" else "update"
    return Change(did, said.collection, said.rkey, operation, said.cid, said.rev, record)


def _standing(did: str, said: _Account, wanted: Wanted, at: float) -> Stood | None:
    return Stood(Standing(did, said.active, said.status), at) if did in wanted.theirs else None


def _renamed(did: str, wanted: Wanted, at: float) -> Renamed | None:
    return Renamed(did, at) if did in wanted.theirs else None
