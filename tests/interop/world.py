"""A small internet on loopback: names, TLS and a wire log in a mount namespace, and the processes in it.

Hosts file and CA store are private to the namespace (kit/isolate.sh), so the machine is left as it was,
whatever happens: every process is started to die with the test process. The tests stay outside: they reach
the servers by their control ports on 127.0.0.1, and the public names through `World.get`.
"""

import ctypes
import http.client
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from tests import ports

HERE = Path(__file__).parent
KIT = HERE / "kit"
PEERS = Path(os.environ.get("BRIDGED_PEERS") or HERE.parents[1] / ".cache" / "interop").resolve()
AS2 = "application/activity+json"
SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# BRIDGED_* in ours is for the tests; the daemon would take it for its configuration.
ENVIRON = {k: v for k, v in os.environ.items() if not k.startswith("BRIDGED_")}
T = TypeVar("T")


def eventually(look: Callable[[], T], timeout: float = 90, every: float = 0.1) -> T:
    """The first true value of look(), asked again until the timeout; a failed assertion means not yet."""
    end = time.monotonic() + timeout
    while True:
        why: object = "nothing seen"
        try:
            if got := look():
                return got
        except (AssertionError, OSError, http.client.HTTPException, LookupError) as e:
            why = e
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {why}")
        time.sleep(every)


def free_port() -> int:
    """They are chosen long before they are listened at: away from those of other tests."""
    return ports.free_port(20_000)


def _free_address() -> str:
    """An address of 127.0.20.0/24 with port 443 free, so that two sessions can stand side by side."""
    for n in random.sample(range(2, 255), 253):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((address := f"127.0.20.{n}", 443))
                return address
            except OSError:
                continue
    raise RuntimeError("no address with port 443 free in 127.0.20.0/24")


# Looked up here: between fork and exec only what takes no lock may be done, since other threads may hold one.
_PRCTL, _PR_SET_PDEATHSIG = ctypes.CDLL(None).prctl, 1


def die_with_parent() -> None:
    _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A process of the world; its output goes to `log`."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path):
        self.name, self.popen, self.log = name, popen, log

    def stop(self, timeout: float = 60) -> int:
        """SIGTERM, then SIGKILL after the timeout; the exit code."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                return self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        return self.popen.wait(60)

    def tail(self, lines: int = 60) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@dataclass(frozen=True)
class Exchange:
    """One request as it passed the TLS front."""

    host: str
    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: Any  # text, or {"base64": …}
    status: int
    reply: Any
    at: float

    @property
    def scheme(self) -> str:
        """How the request is signed: rfc9421, cavage or none."""
        if "signature-input" in self.headers:
            return "rfc9421"
        return "cavage" if "signature" in self.headers else "none"

    @property
    def key_id(self) -> str:
        """The header that names the signer's key, empty when unsigned."""
        return self.headers.get("signature-input" if self.scheme == "rfc9421" else "signature", "")

    @property
    def text(self) -> str:
        return self.body if isinstance(self.body, str) else ""

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Site:
    """Plain web pages by name: `pages[host, path] = (content type, bytes)`; the query is ignored."""

    def __init__(self) -> None:
        self.pages: dict[tuple[str, str], tuple[str, bytes]] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = site.pages.get((self.headers.get("Host", ""), self.path.split("?")[0]))
                kind, body = page or ("text/plain", b"not found")
                self.send_response(200 if page else 404)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Access-Control-Allow-Origin", "*")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class World:
    """`names` are the public host names; the server of each is to listen on 127.0.0.1:`port[name]`. `further` names
    lead to the server of another."""

    def __init__(self, home: Path, names: Sequence[str], further: Mapping[str, str] | None = None):
        self.home, self.address = home, _free_address()
        self.site = Site()
        self.port = {name: free_port() for name in names} | {"site.test": self.site.port}
        self.port |= {name: self.port[server] for name, server in (further or {}).items()}
        self.processes: list[Process] = []
        self._wire: list[Exchange] = []
        self._wire_at = 0
        tls = home / "tls"
        net_up = [sys.executable, KIT / "net.py", "up", tls, *self.port]
        self._holder = subprocess.Popen(
            [KIT / "isolate.sh", "sh", "-c", '"$0" "$@" >&2 && echo $$ && exec cat', *net_up],
            env={**os.environ, "NET_ADDR": self.address, "NET_TAG": f"bridged-interop-{os.getpid()}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        self.inside = self._holder.stdout.readline().decode().strip()
        if not self.inside:
            raise RuntimeError(
                "could not make a mount namespace with its own hosts file and CA store (see standard error)"
            )
        self._trust = ssl.create_default_context(cafile=tls / "ca.pem")
        self._wire_log = home / "wire.jsonl"
        backends = [f"{name}=127.0.0.1:{port}" for name, port in self.port.items()]
        front = [
            sys.executable,
            KIT / "front.py",
            "--cert",
            tls / "leaf.pem",
            "--key",
            tls / "leaf.key",
            "--listen",
            f"{self.address}:443",
        ]
        self.run("front", [*front, "--log", self._wire_log, *backends])
        eventually(lambda: self.get("https://site.test/")[0] == 404)

    def run(
        self,
        name: str,
        argv: Sequence[object],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        **popen: Any,
    ) -> Process:
        """Starts a program inside; its certificates' authority is trusted by the usual variables."""
        log = self.home / f"{name}.log"
        trust = dict.fromkeys(["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"], SYSTEM_BUNDLE)
        command = [
            "nsenter",
            f"--mount=/proc/{self.inside}/ns/mnt",
            "env",
            "-C",
            str(cwd or self.home),
            *map(str, argv),
        ]
        with log.open("ab") as out:
            popen = {"stdout": out, "stderr": out, "stdin": subprocess.DEVNULL} | popen
            child = subprocess.Popen(
                command, env=ENVIRON | trust | dict(env or {}), preexec_fn=die_with_parent, **popen
            )
        process = Process(name, child, log)
        self.processes.append(process)
        return process

    def get(self, url: str, accept: str = "*/*") -> tuple[int, Mapping[str, str], bytes]:
        """GET of a public https URL: status, headers with names in lower case, body. Follows no redirect."""
        return self.request("GET", url, {"Accept": accept})

    def request(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        host, _, path = url.removeprefix("https://").partition("/")
        connection = http.client.HTTPSConnection(host, timeout=60, context=self._trust)
        raw = socket.create_connection((self.address, 443), timeout=60)
        connection.sock = self._trust.wrap_socket(raw, server_hostname=host)
        try:
            connection.request(method, f"/{path}", body, headers)
            reply = connection.getresponse()
            return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
        finally:
            connection.close()

    def get_json(self, url: str, accept: str = AS2) -> Any:
        status, headers, body = self.get(url, accept)
        assert status == 200, f"{url}: {status} {body[:200]!r}"
        if accept == AS2:
            assert headers["content-type"].split(";")[0] in (AS2, "application/ld+json"), headers
        return json.loads(body)

    def wire(self, host: str | None = None, method: str | None = None) -> list[Exchange]:
        """What passed the front so far, oldest first."""
        with self._wire_log.open("rb") as f:
            f.seek(self._wire_at)
            for line in f:
                if not line.endswith(b"\n"):
                    break
                self._wire_at += len(line)
                r = json.loads(line)
                verb, path, _ = r["request"].split(" ", 2)
                status = "".join(c for c in r.get("status", "0").removeprefix("HTTP/1.1 ")[:3] if c.isdigit())
                headers = {k.lower(): v for k, v in r["headers"]}
                self._wire.append(
                    Exchange(
                        r["host"],
                        verb,
                        path,
                        headers,
                        r["body"],
                        int(status or 0),
                        r.get("response_body"),
                        r["t"],
                    )
                )
        return [x for x in self._wire if host in (None, x.host) and method in (None, x.method)]

    def close(self) -> None:
        for process in reversed(self.processes):
            process.stop()
        assert self._holder.stdin is not None
        self._holder.stdin.close()
        self._holder.wait(60)
        self.site.server.shutdown()


def control(port: int, name: str, body: Any = None, timeout: float = 90) -> Any:
    """A peer's control interface: POST of JSON, GET without a body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/_ctl/{name}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as reply:
        return json.loads(reply.read())


def unready() -> str | None:
    """Why the interop tests cannot run here, or None; installs missing peers (setup.sh)."""
    if os.geteuid() != 0:
        return "needs root (host names, port 443)"
    if sys.platform != "linux" or not shutil.which("bash"):
        return "needs Linux and bash"
    done = subprocess.run([HERE / "setup.sh"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        return f"setup.sh could not install the peers:\n{done.stdout[-3000:]}"
    for script in [*KIT.glob("*.mjs"), *KIT.glob("*.cjs")]:
        shutil.copy(script, PEERS / "npm")  # beside node_modules, where Node looks for packages
    for script in (KIT / "atproto").glob("*.mjs"):
        shutil.copy(script, PEERS / "atproto")
    return None


def lines_of(path: Path) -> Iterator[Any]:
    """The last one may be in the writing."""
    for line in path.read_bytes().split(b"\n")[:-1]:
        if line.startswith(b"{"):
            yield json.loads(line)
