"""Power cuts: what a disk has after one, from the record of what a process did to its files (powerloss.c).

What was synced is there. What was written and not synced is there or not, sector by sector; a name that was made,
changed or taken away is so once its folder was synced, and else perhaps. Nothing else is assumed of the disk.
"""

import os
import random
import shutil
import sqlite3
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
_HEAD = struct.Struct("<cQQII")
_SOURCE = Path(__file__).with_name("powerloss.c")


def shim(folder: Path) -> Path:
    """The shim, built there by the machine's C compiler."""
    built = folder / "powerloss.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-o", built, _SOURCE, "-ldl"], check=True)
    return built


@dataclass(frozen=True)
class _Step:
    """A write of `data` at `offset`; a cut to `offset` where data is None."""

    offset: int
    data: bytes | None


@dataclass
class _File:
    synced: bytearray = field(default_factory=bytearray)
    waiting: list[_Step] = field(default_factory=list[_Step])

    def sync(self) -> None:
        for step in self.waiting:
            _do(self.synced, step)
        self.waiting.clear()


@dataclass(frozen=True)
class _Name:
    """A change of names: at `path` there is `inode` (0: a folder), or nothing any more (None)."""

    path: Path
    inode: int | None


Deaf = Callable[[Path], bool]
"""Paths whose syncs the disk only pretends to do."""


class Disk:
    """A folder on a disk; `env` is what makes a process tell what it does there. One process at a time."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder, self.log = folder, log
        self.env = {"POWERLOSS_DIR": str(folder), "POWERLOSS_LOG": str(log)}

    def begin(self) -> None:
        """From here on everything in the folder is taken for synced, and what follows is recorded."""
        self.log.unlink(missing_ok=True)
        self._files, self._names = {}, {self.folder.parent: 0}
        for path in [self.folder, *self.folder.rglob("*")] if self.folder.exists() else []:
            inode = 0 if path.is_dir() else path.stat().st_ino
            self._names[path] = inode
            if inode:
                self._files[inode] = _File(bytearray(path.read_bytes()))

    def cut(self, chance: random.Random, keep: float, deaf: Deaf = lambda path: False) -> int:
        """Makes the folder what it is after a power cut; `keep` of what was not synced is there all the same.

        Says how many bytes written were not synced.
        """
        files = {inode: _File(bytearray(f.synced), list(f.waiting)) for inode, f in self._files.items()}
        names, waiting = dict(self._names), list[tuple[_Name, ...]]()
        self._replay(files, names, waiting, deaf)
        for change in waiting:
            if chance.random() < keep:
                _rename(names, change)
        unsynced = sum(len(step.data or b"") for f in files.values() for step in f.waiting)
        shutil.rmtree(self.folder, ignore_errors=True)
        for path, inode in sorted(names.items()):
            if path == self.folder.parent or path.name.endswith("-shm"):
                continue  # that is memory, not disk
            if path.parent not in names:
                continue
            if inode == 0:
                path.mkdir(mode=0o700, exist_ok=True)
            elif inode is not None and path.parent.is_dir():
                path.write_bytes(_after(files.get(inode, _File()), chance, keep))
                path.chmod(0o600)
        return unsynced

    def _replay(
        self, files: dict[int, _File], names: dict[Path, int], waiting: list[tuple[_Name, ...]], deaf: Deaf
    ) -> None:
        for op, inode, offset, path, data in _records(self.log):
            match op:
                case b"C":
                    files[inode] = _File()
                    waiting.append((_Name(path, inode),))
                case b"W":
                    files[inode].waiting.append(_Step(offset, data))
                case b"T":
                    files[inode].waiting.append(_Step(offset, None))
                case b"M":
                    waiting.append((_Name(path, 0),))
                case b"U":
                    waiting.append((_Name(path, None),))
                case b"L":
                    waiting.append((_Name(Path(os.fsdecode(data)), inode),))
                case b"R":
                    waiting.append((_Name(path, None), _Name(Path(os.fsdecode(data)), inode)))
                case _ if deaf(path):
                    pass
                case _ if inode in files:
                    files[inode].sync()
                case _:
                    lasting = [change for change in waiting if any(name.path.parent == path for name in change)]
                    for change in lasting:
                        _rename(names, change)
                        waiting.remove(change)


def intact(database: Path) -> str:
    """ "ok", or what is wrong with an SQLite database and its log; looked at in a copy, which is left behind."""
    copy = database.parent.parent / "looked-at"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in database.parent.glob(f"{database.name}*"):
        shutil.copy(path, copy)
    db = sqlite3.connect(copy / database.name)
    try:
        return str(db.execute("PRAGMA integrity_check").fetchone()[0])
    except sqlite3.DatabaseError as e:
        return str(e)
    finally:
        db.close()


def _records(log: Path) -> Iterator[tuple[bytes, int, int, Path, bytes]]:
    raw = log.read_bytes() if log.exists() else b""
    at = 0
    while at < len(raw):
        op, inode, offset, path, data = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        yield op, inode, offset, Path(os.fsdecode(raw[at : at + path])), raw[at + path : at + path + data]
        at += path + data


def _after(file: _File, chance: random.Random, keep: float) -> bytes:
    """The content of a file after the cut."""
    content = bytearray(file.synced)
    for step in file.waiting:
        if step.data is None:
            if chance.random() < keep:
                _do(content, step)
            continue
        # by the disk's sectors, wherever the write began
        at, end = step.offset, step.offset + len(step.data)
        while at < end:
            upto = min(end, (at // SECTOR + 1) * SECTOR)
            if chance.random() < keep:
                _do(content, _Step(at, step.data[at - step.offset : upto - step.offset]))
            at = upto
    return bytes(content)


def _do(content: bytearray, step: _Step) -> None:
    if step.data is None:
        del content[step.offset :]
    if len(content) < step.offset:
        content.extend(bytes(step.offset - len(content)))
    if step.data is not None:
        content[step.offset : step.offset + len(step.data)] = step.data


def _rename(names: dict[Path, int], change: tuple[_Name, ...]) -> None:
    for name in change:
        if name.inode is None:
            names.pop(name.path, None)
        else:
            names[name.path] = name.inode
