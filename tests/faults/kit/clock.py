"""A clock for the daemon that a test sets while it runs.

    clock = Clock(tmp_path)
    daemon = Daemon(tmp_path, env=clock.env)
    clock.ahead(365 * 86400)         # the daemon's time.time() from now on
    clock.waited(20)                 # and how long it thinks that it has waited, time.monotonic()

`env` puts a `sitecustomize` before all else, which Python runs when it starts: both add what a file says.
"""

import struct
from pathlib import Path

from .daemon import ROOT

_HOOK = """
import mmap, struct, time
_file = open({path!r}, "rb")
_by, _time, _monotonic = mmap.mmap(_file.fileno(), 16, access=mmap.ACCESS_READ), time.time, time.monotonic
time.time = lambda: _time() + struct.unpack("d", _by[:8])[0]
time.monotonic = lambda: _monotonic() + struct.unpack("d", _by[8:16])[0]
"""


class Clock:
    def __init__(self, folder: Path) -> None:
        hook = folder / "hook"
        hook.mkdir(parents=True)
        self._file = folder / "clock"
        self._file.write_bytes(struct.pack("2d", 0.0, 0.0))
        (hook / "sitecustomize.py").write_text(_HOOK.format(path=str(self._file)))
        self.env = {"PYTHONPATH": f"{hook}:{ROOT}"}

    def ahead(self, seconds: float) -> None:
        """Sets it so far ahead of the real time; behind, if negative."""
        self._write(0, seconds)

    def waited(self, seconds: float) -> None:
        """So long more than it has: its timeouts come so much sooner, once something wakes it. In all, from its start
        on; never less than before."""
        self._write(8, seconds)

    def _write(self, at: int, seconds: float) -> None:
        with self._file.open("r+b") as file:
            file.seek(at)
            file.write(struct.pack("d", seconds))
