"""The daemon under test: the real program, on a real disk, with the settings an operator would have."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError

import yaml

from tests.bench.child import ROOT
from tests.ports import free_port

WAITING = ("bridged_inbox_depth", "bridged_queue_depth")


def eventually(holds: Callable[[], Any], within: float = 120.0) -> None:
    """Waits until `holds()`; raises TimeoutError when it does not in time."""
    until = time.monotonic() + within
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {within:.0f} s")
        time.sleep(0.05)


class Daemon:
    """`bridged run` in a folder of its own. Enter it to start it; `settings` go over those written here."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.port = free_port()
        self.domain = f"localhost:{self.port}"
        self.base = f"http://{self.domain}"
        self.config = folder / "bridge.yaml"
        self.settings: dict[str, Any] = {
            "domain": self.domain,
            "base_url": self.base,
            "listen": f"127.0.0.1:{self.port}",
            "data_dir": "./var",
            "consent": {"activitypub": "open", "nostr": "open"},
            "egress": {"allow": ["127.0.0.0/8"]},
            "adapters": {"activitypub": {}, "nostr": {"relays": []}},
            "log": {"format": "json", "level": "warning"},
        } | settings

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(yaml.safe_dump(self.settings, sort_keys=False))
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, module: str = "bridged") -> float:
        """Starts it, or another module in its place; the seconds until it is ready.

        Raises RuntimeError when it ends instead.
        """
        self._log = (self.folder / "log").open("ab")
        started = time.monotonic()
        command = [sys.executable, "-m", module, "-c", str(self.config), "run"]
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled, once
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=self._log, stderr=self._log, env=env)
        while not self._is_ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"the daemon ended with {self.process.returncode}:\n{self.log()}")
            time.sleep(0.01)
        return time.monotonic() - started

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics: `name{labels}` -> value."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, _, value in (x.rpartition(" ") for x in lines if not x.startswith("#"))}

    def rest(self) -> None:
        """Waits until it has nothing left to decide on or to send."""
        eventually(lambda: not any(v for k, v in self.metrics().items() if k.startswith(WAITING)), within=300)

    def memory(self) -> float:
        """Resident memory, MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def cpu(self) -> float:
        """Seconds of processor time it has taken so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return answer.status == 200
        except (URLError, OSError):
            return False
