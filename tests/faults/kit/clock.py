"""A clock for the daemon that a test sets while it runs.

    clock = Clock(tmp_path)
    daemon = Daemon(tmp_path, env=clock.env)
    clock.ahead(365 * 86400)         # the daemon's time.time() from now on

`env` puts a `sitecustomize` before all else, which Python runs when it starts: time.time() adds what a file says.
"""

import struct
from pathlib import Path

from .daemon import ROOT

_HOOK = """
import mmap, struct, time
_file = open({path!r}, "rb")
_by, _time = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ), time.time
time.time = lambda: _time() + struct.unpack("d", _by[:8])[0]
"""


class Clock:
    def __init__(self, folder: Path) -> None:
        hook = folder / "hook"
        hook.mkdir(parents=True)
        self._file = folder / "clock"
        self._file.write_bytes(struct.pack("d", 0.0))
        (hook / "sitecustomize.py").write_text(_HOOK.format(path=str(self._file)))
        self.env = {"PYTHONPATH": f"{hook}:{ROOT}"}

    def ahead(self, seconds: float) -> None:
        """Sets it so far ahead of the real time; behind, if negative."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("d", seconds))
