"""The file of a backup: what is in it, how it is written, and how a damaged or forged one is told.

It is compressed by gzip. Inside, the first line is the manifest, one JSON object (`zcat FILE | head -1` shows it); then
come frames, each a length of four bytes and as many bytes of MessagePack: the rows, as (number of the table, rows);
after a length of zero the HMAC-SHA256 of all before it, under a key derived from the secret. So a file that was cut,
changed or mixed up is refused, and nobody without the secret can make one.
"""

import contextlib
import gzip
import hashlib
import hmac
import os
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from bridged.keys import KeyRing, SecretError
from bridged.model import HOME, Ref

FORMAT = "bridged-backup-1"
PROOF = "backup/proof"
FRAME = 1 << 20
"""Bytes of rows that are gathered for one frame."""
MAX_FRAME = 1 << 28
MAX_MANIFEST = 1 << 20
_END = bytes(4)

Rows = list[tuple[Any, ...]]
Progress = Callable[[int, int], None]
"""(rows done, rows in all)"""


class BadArchive(Exception):
    """The file cannot be restored; the message says why and what to do."""


class Unwritable(Exception):
    """The file cannot be written: it is there already, or there is no room or no right. Nothing is left of it."""


@dataclass(frozen=True)
class Kept:
    """One table: its columns in the order of the rows, how many rows, and the last serial number it gave out."""

    name: str
    columns: tuple[str, ...]
    rows: int
    serial: int | None = None


@dataclass(frozen=True)
class Manifest:
    """`revisions`: of the schema, for the core (`bridged`) and for each adapter. `proof` is sealed with the secret."""

    format: str
    made_by: str
    made_at: float
    domain: str
    revisions: dict[str, str]
    tables: tuple[Kept, ...]
    proof: bytes

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)


def _hmac(ring: KeyRing) -> "hmac.HMAC":
    return hmac.new(ring.derive("backup", Ref(HOME, "backup")), digestmod=hashlib.sha256)


class Writer:
    """Writes `path`, which must not exist, as a file that only its owner reads: whole and on disk, or not at all.

    Raises Unwritable.
    """

    def __init__(self, path: Path, ring: KeyRing) -> None:
        if path.exists():
            raise Unwritable(f"{path} is there already and is left alone; take another name")
        self._path, self._mac = path, _hmac(ring)
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._table, self._rows, self._size = -1, Rows(), 0

    def __enter__(self) -> Self:
        with self._trouble():
            self._file = os.fdopen(os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._zip = gzip.GzipFile("", "wb", 6, self._file, mtime=0)
        return self

    def manifest(self, manifest: Manifest) -> None:
        """First."""
        self._write(msgspec.json.encode(manifest) + b"\n")

    def row(self, table: int, row: tuple[Any, ...]) -> None:
        if table != self._table or self._size >= FRAME:
            self._flush()
            self._table = table
        self._rows.append(row)
        self._size += sum(len(value) if isinstance(value, str | bytes) else 9 for value in row)

    def _flush(self) -> None:
        if self._rows:
            self._frame(msgspec.msgpack.encode((self._table, self._rows)))
        self._rows, self._size = Rows(), 0

    def _frame(self, frame: bytes) -> None:
        self._write(len(frame).to_bytes(4, "big") + frame)

    def _write(self, data: bytes) -> None:
        self._mac.update(data)
        with self._trouble():
            self._zip.write(data)

    @contextlib.contextmanager
    def _trouble(self) -> Generator[None]:
        try:
            yield
        except OSError as e:
            raise Unwritable(f"{self._path} cannot be written: {e.strerror or e}") from e

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        try:
            if kind is not None:
                return
            self._flush()
            with self._trouble():
                self._zip.write(_END + self._mac.digest())
                self._zip.close()
                self._file.flush()
                os.fsync(self._file.fileno())
                os.rename(self._part, self._path)
                folder = os.open(self._path.absolute().parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
        finally:
            with contextlib.suppress(OSError):
                self._file.close()
            self._part.unlink(missing_ok=True)


class Reader:
    """Reads a backup. Everything raises BadArchive; OSError where the file cannot be read."""

    def __init__(self, path: Path, ring: KeyRing) -> None:
        self._path, self._ring = path, ring
        with gzip.open(path, "rb") as file, self._damage():
            self.manifest = self._manifest(file)[0]
        try:
            ring.unseal(PROOF, self.manifest.proof)
        except SecretError as e:
            raise BadArchive(
                f"{path} was made with another secret; put the secret of the bridge at {self.manifest.domain}, which is"
                " kept apart from its backups, where `secret` in the config says"
            ) from e

    def rows(self) -> Iterator[tuple[Kept, Rows]]:
        """All rows, frame by frame. Until the end is reached, nothing says that they are genuine."""
        mac, counts, tables = _hmac(self._ring), dict[int, int](), self.manifest.tables
        with gzip.open(self._path, "rb") as file, self._damage():
            mac.update(self._manifest(file)[1])
            while True:
                head = _exactly(file, 4)
                if head == _END:
                    break
                size = int.from_bytes(head, "big")
                if size > MAX_FRAME:
                    raise ValueError("a frame too big")
                frame = _exactly(file, size)
                mac.update(head + frame)
                number, rows = msgspec.msgpack.decode(frame, type=tuple[int, Rows])
                table = tables[number]
                if any(len(row) != len(table.columns) for row in rows):
                    raise ValueError("a row of another length")
                counts[number] = counts.get(number, 0) + len(rows)
                yield table, rows
            seal = _exactly(file, mac.digest_size)
            whole = hmac.compare_digest(seal, mac.digest()) and not file.read(1)
            if not whole or counts != {n: t.rows for n, t in enumerate(tables) if t.rows}:
                raise ValueError("the checksum does not fit")

    def verify(self, progress: Progress) -> None:
        """Reads it to its end, and forgets it."""
        done = 0
        for _, rows in self.rows():
            done += len(rows)
            progress(done, self.manifest.rows)

    def _manifest(self, file: gzip.GzipFile) -> tuple[Manifest, bytes]:
        line = file.readline(MAX_MANIFEST)
        if not line.startswith(b'{"format":"' + FORMAT.encode() + b'"'):
            other = line.startswith(b'{"format":"bridged-backup-')
            raise BadArchive(
                f"{self._path} is a backup of a later form; restore it with the version that made it"
                if other
                else f"{self._path} is no backup of bridged"
            )
        return msgspec.json.decode(line, type=Manifest), line

    @contextlib.contextmanager
    def _damage(self) -> Generator[None]:
        try:
            yield
        except gzip.BadGzipFile as e:
            raise BadArchive(f"{self._path} is no backup of bridged, or damaged ({e}); take another one") from e
        except (EOFError, zlib.error, ValueError, IndexError, msgspec.MsgspecError) as e:
            raise BadArchive(
                f"{self._path} is cut off or was changed since it was made ({e}); nothing is restored from it: take"
                " another backup, or copy it here again"
            ) from e


def _exactly(file: gzip.GzipFile, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise EOFError("it ends too early")
    return data
