"""The daemon as an operator runs it: a bridge.yaml, a process, its commands, its pages, its database.

    async with database("sqlite") as store:
        daemon = Daemon(tmp_path, store=store, config={"answers": {"nostr": "drop"}})
        await daemon.start()
        ...
        assert await daemon.stop() == 0

Its address, port and folder stay the same over `kill` and `start`.
"""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests import databases
from tests.interop.world import ENVIRON, die_with_parent
from tests.ports import free_port

from . import eventually
from .nursery import ROOT, Child, Nursery

POSTGRES = os.environ.get("BRIDGED_POSTGRES", "postgres@127.0.0.1:5432")
Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@contextlib.asynccontextmanager
async def database(kind: str) -> AsyncGenerator[str]:
    """The `store` setting: "sqlite", or an empty database of its own on "postgresql", dropped afterwards."""
    if kind == "sqlite":
        yield "sqlite"
        return
    name = f"bridged_faults_{uuid.uuid4().hex[:12]}"
    async with databases.admin() as admin:
        await admin.execute(f"CREATE DATABASE {name}")
    try:
        yield f"postgresql+asyncpg://{POSTGRES}/{name}"
    finally:
        async with databases.admin() as admin:
            await databases.dropped(admin, name)


class Daemon:
    """bridged in `folder`, with `--roles`. `config` is laid over the usual settings, key by key; `env` over the
    environment."""

    def __init__(
        self,
        folder: Path,
        store: str = "sqlite",
        config: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        port: int | None = None,
        roles: str = "",
        nursery: Nursery | None = None,
    ) -> None:
        self.roles = roles
        self.folder, self.store, self.env = folder, store, dict(env or {})
        self._nursery = nursery
        self.port = port or free_port()
        self.domain = f"127.0.0.1:{self.port}"
        self.base = f"http://{self.domain}"
        self.relay_url = f"ws://{self.domain}/relay"
        self.data = folder / "var"
        self.file = folder / "bridge.yaml"
        self.log_file = folder / "log"
        self.process: asyncio.subprocess.Process | Child | None = None
        folder.mkdir(parents=True, exist_ok=True)
        usual = {
            "domain": self.domain,
            "base_url": self.base,
            "listen": self.domain,
            "data_dir": str(self.data),
            "store": store,
            "consent": {"activitypub": "opt-in", "nostr": "open"},
            "answers": {"activitypub": "bridge", "nostr": "bridge"},
            "egress": {"allow": ["127.0.0.0/8"]},
            "adapters": {"activitypub": {}, "nostr": {"relays": [], "relay": {"enabled": True, "path": "/relay"}}},
            "log": {"format": "json"},
        }
        self.config: dict[str, Any] = _over(usual, config or {})

    async def start(
        self, *, env: Mapping[str, str] | None = None, prefix: Sequence[str] = (), wait: bool = True
    ) -> None:
        """Starts the process and, with `wait`, waits until it is ready or has died of SIGKILL (a crash seam).

        `prefix` are words before the command (strace …). Raises RuntimeError when it ends in any other way.
        """
        assert self.process is None or self.process.returncode is not None, "it runs already"
        self.file.write_text(yaml.safe_dump(self.config, sort_keys=False))
        run = ["run", *(["--roles", self.roles] if self.roles else [])]
        environ = {**ENVIRON, "PYTHONPATH": str(ROOT), **self.env, **(env or {})}
        if self._nursery is not None:
            self.process = await self._nursery.start(self._words(*run), environ, self.folder, self.log_file)
        else:
            with self.log_file.open("ab") as log:
                self.process = await asyncio.create_subprocess_exec(
                    *prefix,
                    *self._command(*run),
                    env=environ,
                    cwd=self.folder,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=die_with_parent,
                )
        if wait:
            await self.until_ready()

    async def until_ready(self, timeout: float = 180) -> None:
        """As `start` says."""

        async def up() -> bool:
            code = self.code
            if code is not None and code != -signal.SIGKILL:
                raise RuntimeError(f"bridged ended with {code}:\n{self.tail()}")
            return code is not None or await self.ready()

        await eventually(up, timeout=timeout)

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs."""
        assert self.process
        return self.process.returncode

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    async def kill(self) -> None:
        """SIGKILL; dead on return."""
        assert self.process
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        assert await self.process.wait() == -signal.SIGKILL, self.tail()

    async def stop(self, timeout: float = 60) -> int:
        """SIGTERM, SIGKILL after the timeout; the exit code."""
        assert self.process
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        if (code := await self.died(timeout)) is None:
            self.process.kill()
            code = await self.process.wait()
        return code

    async def died(self, timeout: float) -> int | None:
        """The exit code, None if it still runs after the timeout."""
        assert self.process
        try:
            return await asyncio.wait_for(self.process.wait(), timeout)
        except TimeoutError:
            return None

    async def ready(self) -> bool:
        try:
            return (await self.get("/readyz"))[0] == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, Mapping[str, str], bytes]:
        """GET of one of its pages: status, headers with names in lower case, body."""
        limit = aiohttp.ClientTimeout(total=60)
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(self.base + path, headers=headers, allow_redirects=False) as answer,
        ):
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read()

    async def metrics(self) -> Figures:
        """(name, sorted labels) -> value."""
        status, _, body = await self.get("/metrics")
        assert status == 200, body
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of all figures of this name that have these labels, 0 when there are none."""
        wanted = set(labels.items())
        return sum(value for (n, have), value in (await self.metrics()).items() if n == name and wanted <= set(have))

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        """A statement to its database, past the daemon; what changes something is done on return."""
        if self.store == "sqlite":
            with contextlib.closing(
                sqlite3.connect(self.data / "bridged.sqlite3", timeout=10, isolation_level=None)
            ) as db:
                db.row_factory = sqlite3.Row
                return [dict(row) for row in db.execute(sql)]
        connection = await databases.connected(self.store)
        try:
            return [dict(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    async def ledger(self, where: str = "1 = 1") -> list[dict[str, Any]]:
        """Ledger rows, oldest first: at, step, network, origin, actor, to, endpoint, ref, reason."""
        return await self.rows(f"SELECT * FROM ledger WHERE {where} ORDER BY id")

    async def settled(self, timeout: float = 90) -> None:
        """All that was heard is decided on, all that was queued tried; what is postponed waits for something else."""

        async def idle() -> bool:
            soon = time.time() + 1
            heard = await self.rows(f"SELECT native_id FROM inbox WHERE state = 'new' AND due_at < {soon}")
            queued = await self.rows("SELECT id, act, lane FROM outbox WHERE state = 'ready' AND attempt = 0")
            assert not heard + queued, f"waits: {heard[:3]} {queued[:3]}"
            return True

        await eventually(idle, timeout=timeout)

    async def restore(self, saved: Path, store: str) -> None:
        """All that it had is lost, and what was saved is put back into `store`; it does not run meanwhile."""
        for path in self.data.glob("bridged.sqlite3*"):
            path.unlink()
        self.config["store"] = self.store = store
        self.file.write_text(json.dumps(self.config))
        await self.cli("restore", str(saved))

    async def cli(self, *words: str, ok: Sequence[int] = (0,)) -> Any:
        """A command beside the daemon, its --json output parsed (its text, where it is none)."""
        process = await asyncio.create_subprocess_exec(
            *self._command(*words, "--json"),
            env={**ENVIRON, "PYTHONPATH": str(ROOT), **self.env},
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 240)  # to end what hangs, not to measure
        assert process.returncode in ok, f"bridged {' '.join(words)}: {process.returncode}\n{out!r}\n{err!r}"
        try:
            return json.loads(out)
        except ValueError:
            return out.decode()

    @property
    def log(self) -> str:
        """All it wrote, over all its lives."""
        return self.log_file.read_text(errors="replace")

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.splitlines()[-lines:])

    def rss(self) -> int:
        """Resident memory in bytes (Linux)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    async def actor_of(self, name: str, timeout: float = 60) -> str:
        """The actor id behind @name@domain, by WebFinger; a ghost is made if need be."""

        async def look() -> str:
            status, _, body = await self.get(f"/.well-known/webfinger?resource=acct:{name}@{self.domain}")
            assert status == 200, f"WebFinger of {name}: {status}"
            return next(link["href"] for link in json.loads(body)["links"] if link["rel"] == "self")

        return await eventually(look, timeout=timeout)

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "bridged", *self._words(*words)]

    def _words(self, *words: str) -> list[str]:
        return ["-c", str(self.file), *words]


def _over(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`more` laid over `base`: mappings key by key, all else replaced."""
    both = [k for k, v in more.items() if isinstance(v, Mapping) and isinstance(base.get(k), Mapping)]
    return {**base, **more, **{k: _over(base[k], more[k]) for k in both}}
