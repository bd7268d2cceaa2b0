"""The real daemon, as an operator runs it: a bridge.yaml, a process, its commands and its pages."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import HTTPError
from urllib.parse import quote

import yaml

from .peers import Relay
from .world import ENVIRON, HERE, SYSTEM_BUNDLE, Exchange, Process, World, eventually

PATH = {"PYTHONPATH": str(HERE.parents[1])}


class Bridge:
    """bridged under the public name `host`."""

    all: ClassVar[list["Bridge"]] = []

    def __init__(
        self,
        world: World,
        host: str,
        relay: Relay | Sequence[Relay],
        store: str = "sqlite",
        consent: dict[str, str] | None = None,
        more_adapters: dict[str, Any] | None = None,
        **more: Any,
    ):
        self.world, self.host, self.base, self.port = world, host, f"https://{host}", world.port[host]
        self.local = f"http://127.0.0.1:{self.port}"
        self.home = world.home / f"daemon-{host}"
        self.home.mkdir()
        self.file = self.home / "bridge.yaml"
        self.process: Process | None = None
        var = self.home / "var"
        relays = [relay] if isinstance(relay, Relay) else relay
        own_relay = {"enabled": True, "path": "/relay"}
        config = {
            "domain": host,
            "handle_domain": host,
            "base_url": self.base,
            "listen": f"127.0.0.1:{self.port}",
            "data_dir": str(var),
            "store": store,
            "secret": {"file": str(var / "secret.key")},
            "trusted_proxies": ["127.0.0.1/32"],
            "consent": {"activitypub": "opt-in", "nostr": "open"} | (consent or {}),
            "answers": {"activitypub": "bridge", "nostr": "bridge"},
            "egress": {"allow": ["127.0.0.0/8"], "ports": [80, 443, *(r.port for r in relays)]},
            "bot": {"username": "bridge", "name": "The bridge"},
            "adapters": {
                "activitypub": {},
                "nostr": {"relays": [r.url for r in relays], "relay": own_relay},
                **(more_adapters or {}),
            },
        } | more
        self.file.write_text(yaml.safe_dump(config, sort_keys=False))
        Bridge.all.append(self)

    def start(self, seam: str = "") -> None:
        """Starts the process, to kill itself at `seam` ("name:count") if given; returns when up, or dead."""
        env = {"BRIDGED_CRASH": seam} if seam else {}
        self.process = self.world.run(f"bridged-{self.host}", self._command("run"), env | PATH, self.home)
        process = self.process

        def up() -> bool:
            code = process.popen.poll()
            if code is not None and not (seam and code == -signal.SIGKILL):
                raise RuntimeError(f"bridged ended with {code}:\n{process.tail()}")
            return code is not None or self.ready()

        eventually(up, timeout=180, every=0.05)

    def ready(self) -> bool:
        try:
            return urllib.request.urlopen(f"{self.local}/readyz", timeout=30).status == 200
        except HTTPError:
            return False

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process
        return self.process.stop()

    def kill(self) -> None:
        """SIGKILL, and the proof that it was that."""
        assert self.process
        self.process.popen.kill()
        assert self.process.popen.wait(60) == -signal.SIGKILL

    def died(self, timeout: float) -> int | None:
        """The exit code, None if it still runs after the timeout."""
        assert self.process
        try:
            return self.process.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def tail(self, lines: int = 60) -> str:
        return self.process.tail(lines) if self.process else "(never started)"

    def cli(self, *words: str) -> Any:
        """A command beside the running daemon, its --json output parsed."""
        run = subprocess.run(
            ["nsenter", f"--mount=/proc/{self.world.inside}/ns/mnt", *self._command(*words, "--json")],
            env=ENVIRON | PATH | {"SSL_CERT_FILE": SYSTEM_BUNDLE},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert run.returncode == 0, f"bridged {' '.join(words)}: {run.returncode}\n{run.stdout}{run.stderr}"
        return json.loads(run.stdout)

    def received(self) -> list[Exchange]:
        """POSTs to the bridge's inboxes as they passed the TLS front."""
        return self.world.wire(self.host, "POST")

    def metrics(self) -> str:
        return urllib.request.urlopen(f"{self.local}/metrics", timeout=60).read().decode()

    def webfinger(self, user: str) -> tuple[int, Any]:
        resource = quote(f"acct:{user}@{self.host}", safe=":@")
        status, _, body = self.world.get(
            f"{self.base}/.well-known/webfinger?resource={resource}", "application/jrd+json"
        )
        return status, json.loads(body) if status == 200 else None

    def actor_of(self, user: str) -> str:
        """The actor id behind @user@host, by WebFinger."""

        def look() -> str:
            status, jrd = self.webfinger(user)
            assert status == 200, f"WebFinger of {user}: {status}"
            return next(x["href"] for x in jrd["links"] if x["rel"] == "self")

        return eventually(look)

    @property
    def bot(self) -> str:
        return self.actor_of("bridge")

    def nip05(self, name: str) -> str | None:
        """The key behind name@host (NIP-05), None where there is none."""
        status, headers, body = self.world.get(f"{self.base}/.well-known/nostr.json?name={name}")
        assert status in (200, 404), f"nostr.json of {name}: {status}"
        if status == 404:
            return None
        assert headers.get("access-control-allow-origin") == "*", headers
        return json.loads(body)["names"].get(name)

    def key_of(self, name: str) -> str:
        return eventually(lambda: self.nip05(name))

    def _command(self, *words: str) -> list[str | Path]:
        return [sys.executable, "-m", "bridged", "-c", self.file, *words]
