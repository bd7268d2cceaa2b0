"""The composition root: wires the parts, starts them in order, and takes them down again."""

import asyncio
import contextlib
import errno
import fcntl
import os
import signal
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from bridged import __version__, config, keys, lasting, registry
from bridged.adapter import Site, Unreachable
from bridged.bridge import Bridge
from bridged.config import Settings
from bridged.consent import join, leave
from bridged.core import Core
from bridged.egress import Egress
from bridged.ending import end
from bridged.host import AdapterHost
from bridged.leftovers import Leftovers
from bridged.model import Ref
from bridged.outbox import Outbox
from bridged.processes import ROLES
from bridged.refresh import Refresh
from bridged.retention import Retention
from bridged.store import dump, identity
from bridged.store import settings as kept
from bridged.store.engine import Store, Tx, url_of
from bridged.timekeeper import Timekeeper
from bridged.web import app as webapp

DRAIN = 8.0
"""Seconds that work in hand may take once we are told to stop."""


class Refuse(Exception):
    """The daemon does not start; the message says what is wrong and what to do."""


class Daemon:
    """One running bridge. `open` brings up store and adapters; `run` listens; tests step the stations instead.

    With `make` a secret and a data folder that are not there yet are made. `roles` are what this process does, where
    several share a database.
    """

    def __init__(
        self,
        settings: Settings,
        env: Mapping[str, str] = os.environ,
        *,
        make: bool = True,
        roles: Sequence[str] = ROLES,
    ) -> None:
        self.settings = settings
        config.check_networks(settings, registry.networks())
        self._require_secret()
        ring = keys.load(settings.secret.file, settings.secret.env, env, make=make)
        if make:
            lasting.folder(settings.data_dir)
        self.core = Core(settings, Store(url_of(settings.store, settings.data_dir)), ring)
        self.clock = self.core.clock = Timekeeper()
        self.bridge = Bridge(self.core)
        self.outbox = Outbox(self.core)
        self.refresh = Refresh(self.core, self.bridge.ghosts.profiles)
        self.retention = Retention(self.core)
        self.http = Egress(
            user_agent=f"bridged/{__version__} (+{settings.base_url})",
            count=lambda reason: self.core.metrics.egress.labels(reason).inc(),
            allow=settings.egress.allow,
            ports=settings.egress.ports,
        )
        self.core.media.http = self.http
        self.core.process.roles = roles
        self.ready = False
        self._store_open = False
        self._lock: int | None = None

    async def open(self, *, mint: bool = True) -> None:
        """Database, migrations, adapters, ghosts of the bot. Raises Refuse, Busy, ConfigError, SecretError.

        Without `mint` the database is taken as it is: nothing is migrated, minted or written.
        """
        core = self.core
        if not mint:
            self._require_database()
        try:
            await core.store.open()
        except ModuleNotFoundError as e:
            raise Refuse(f"store: needs the package {e.name}, which is not installed (extra `postgres`)") from e
        self._store_open = True
        if mint:
            # slow to import, and needed by those only who may migrate
            from bridged.store.upgrade import CORE

            if await core.store.read(lambda tx: dump.revision(tx, "bridged")) is not None:
                await self._same_bridge(write=False)  # what is not ours is not upgraded
            await self._migrate(CORE, "bridged")
        await self._same_bridge(write=mint)
        s = self.settings
        site = Site(
            s.domain, s.handle_domain, s.base_url, __version__, s.bot.username, s.bot.name or s.bot.username, s.data_dir
        )
        for network in s.adapters or registry.networks():
            adapter = registry.load(network)
            host = AdapterHost(core, network, self.bridge.threads, self.http, site)
            core.adapters[network] = adapter(config.adapter_config(s, network, adapter.config_type), host)
            if mint and adapter.migrations is not None:
                await self._migrate(adapter.migrations, network)
        for adapter in core.adapters.values():
            await adapter.start()
        if not mint:
            return
        bot = core.bot()
        await core.store.write(lambda tx: identity.save_account(tx, bot, core.now()))
        for network in core.adapters:
            await self.bridge.ghosts.ensure(bot, network)
        await core.ears.refresh(core.adapters)

    def _require_secret(self) -> None:
        """A secret is made for a new bridge alone: beside a database that has one it would only be in the way."""
        file, path = self.settings.secret.file, self.settings.data_dir / "bridged.sqlite3"
        if self.settings.store == "sqlite" and path.exists() and file is not None and not file.exists():
            raise Refuse(
                f"there is a database, {path}, but its secret is not at {file}: put back the one it was made with. With"
                " another, every account the bridge made would have another key, and nobody would know it again"
            )

    def _require_database(self) -> None:
        """Connecting would make the file of an SQLite database that is not there."""
        if self.core.store.sqlite:
            path = Path(self.core.store.url.removeprefix("sqlite:///"))
            if not path.is_file():
                raise Refuse(f"there is no database at {path} yet; `bridged run` makes it")

    async def _migrate(self, folder: Path, part: str) -> None:
        from bridged.store.upgrade import Later

        try:
            await self.core.store.migrate(folder, dump.version_table(part))
        except Later as e:
            raise Refuse(
                f"this database was used by a later version than {__version__} ({e}), and going back would lose what"
                " that one keeps: install it again, or restore a backup from before"
            ) from e

    async def _same_bridge(self, *, write: bool) -> None:
        """Refuses a database that belongs to another domain, address or secret."""
        core, domain, base = self.core, self.settings.domain, self.settings.base_url

        def unit(tx: Tx) -> tuple[str | None, str | None, bytes | None, str | None]:
            proof = kept.sealed(tx, "bridge", "proof")
            return kept.get(tx, "domain"), kept.get(tx, "base_url"), proof, kept.get(tx, "restoring")

        old, old_base, proof, half = await core.store.read(unit)
        if old is not None and old != domain:
            raise Refuse(
                f"this database belongs to {old}, the config says {domain}: every id and handle made so far is under"
                f" {old} and would break. Put `domain: {old}` back, or start with another data_dir or store."
            )
        if old_base is not None and old_base != base:
            raise Refuse(
                f"this bridge was reached at {old_base}, the config says {base}: every address given out so far, of"
                f" accounts, posts and the relay, begins with {old_base} and would break. Put `base_url: {old_base}`"
                " back, or start with another data_dir or store."
            )
        if proof is not None:
            core.keys.unseal("bridge/proof", proof)
        if half:
            raise Refuse(
                f"this database is half restored (from a backup by {half}): empty it, and run `bridged restore` again"
            )
        if not write:
            return
        sealed = core.keys.seal("bridge/proof", b"bridged")

        def first(tx: Tx) -> None:
            kept.put(tx, "domain", domain)
            kept.put(tx, "base_url", base)
            kept.seal(tx, "bridge", "proof", sealed)

        await core.store.write(first)

    async def listed(self) -> None:
        """Brings the accounts named in the settings in, and those no longer named out. Repeats what got no answer."""
        core, missing = self.core, list(self.settings.accounts)
        resolved: set[Ref] = set()
        while True:
            for entry in list(missing):
                network, _, name = entry.partition(":")
                try:
                    adapter = core.adapters.get(network)
                    ref = await adapter.find(name) or adapter.parse(name) if adapter else None
                except Unreachable as e:
                    core.log.warning("account_unreachable", account=entry, why=str(e))
                    continue
                missing.remove(entry)
                if ref is None:
                    core.log.error("account_not_found", account=entry, mend="correct or remove it in `accounts`")
                    continue
                resolved.add(ref)
                why = await core.store.write(lambda tx, r=ref: join(core, tx, r, "config"))
                if why is not None:
                    core.log.warning("account_not_bridged", account=entry, why=why, mend="remove it from `accounts`")
            if not missing:
                break
            await asyncio.sleep(60)

        def tidy(tx: Tx) -> None:
            for ref, state, by in identity.members_of(tx):
                if state == "in" and by == "config" and ref not in resolved:
                    leave(core, tx, ref, "config")

        await core.store.write(tidy)

    async def run(self, announce: Callable[["Daemon"], None] = lambda _: None) -> None:
        """Runs until SIGTERM or SIGINT; then work in hand is finished, within ten seconds in all."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        runner: web.AppRunner | None = None
        tasks: list[asyncio.Task[Any]] = []
        try:
            self._only_one()
            await self.open()
            await self.core.process.open()
            app, log = webapp.build(self.core, lambda: self.ready), webapp.server_log(self.core)
            runner = web.AppRunner(app, access_log=None, logger=log, shutdown_timeout=2.0)
            await runner.setup()
            listen = self.settings.listen
            try:
                await web.TCPSite(runner, listen.host, listen.port, reuse_address=True).start()
            except OSError as e:
                raise Refuse(_cannot_listen(str(listen), e)) from e
            tasks = [asyncio.create_task(job, name=name) for name, job in self._jobs()]
            self.ready = True
            self.core.log.info("ready", listen=str(listen), networks=sorted(self.core.adapters))
            announce(self)
            await stop.wait()
            self.core.log.info("stopping")
        finally:
            self.ready = False
            await end(*tasks)
            if runner is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(2.5):
                        await runner.cleanup()
            await self.close()
            self.core.log.info("stopped")

    def _jobs(self) -> "list[tuple[str, Any]]":
        """What this process does by its roles; what only one process may do, it does when it holds the lease."""
        core, alone = self.core, self.core.process.alone
        jobs: list[tuple[str, str, Callable[[], Any], bool]] = [
            ("", "process", core.process.run, True),
            ("", "ears", lambda: core.ears.run(core.adapters), True),
            ("", "loop", core.metrics.watch_loop, True),
            ("", "clock", lambda: self.clock.run(core), True),
            ("bridge", "bridge", self.bridge.run, True),
            ("deliver", "outbox", self.outbox.run, True),
            ("bridge", "refresh", lambda: alone("refresh", self.refresh.run), True),
            ("bridge", "retention", lambda: alone("retention", self.retention.run), True),
            ("bridge", "leftovers", lambda: alone("leftovers", Leftovers(core).run), True),
            ("bridge", "listed", lambda: alone("listed", self.listed), False),
            *(("ingest", n, a.run, True) for n, a in core.adapters.items()),
            *(("relay", f"{n} streams", a.serve, False) for n, a in core.adapters.items()),
        ]
        return [
            (name, self._for_ever(name, job, again=again))
            for role, name, job, again in jobs
            if not role or role in core.process.roles
        ]

    def _only_one(self) -> None:
        """SQLite is one process's own: what another did would not be heard of here. Raises Refuse."""
        if not self.core.store.sqlite:
            return
        if set(self.core.process.roles) != set(ROLES):
            raise Refuse("--roles: several processes need PostgreSQL; set `store`, or leave --roles out")
        path = self.settings.data_dir / "lock"
        self._lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise Refuse(
                f"another bridge runs on {self.settings.data_dir} already; stop that one, or give this one a data_dir"
                " of its own (several processes need PostgreSQL)"
            ) from e

    async def _for_ever(self, name: str, job: Callable[[], Any], *, again: bool = True) -> None:
        """Runs a job; what it raises is logged, and it is run again after a while."""
        pause = 1.0
        while True:
            started = self.core.now()
            try:
                await job()
            except asyncio.CancelledError:
                raise
            except Exception:
                self.core.log.exception("job_failed", job=name, again_in=pause)
            else:
                if not again:
                    return
            pause = 1.0 if self.core.now() - started > 300 else min(pause * 2, 60.0)
            await asyncio.sleep(pause)

    async def close(self) -> None:
        """Lets work in hand end, then closes everything."""
        try:
            async with asyncio.timeout(DRAIN / 2):
                await self.bridge.drain()
                await self.outbox.drain()
        except TimeoutError:
            await self.bridge.stop()
            await self.outbox.stop()
        await self.core.media.close()
        await self.http.close()
        if self._store_open:
            await self.core.process.close()
            await self.core.store.close()
        if self._lock is not None:
            os.close(self._lock)


@contextlib.asynccontextmanager
async def opened(settings: Settings, env: Mapping[str, str] = os.environ, *, mint: bool) -> AsyncGenerator[Daemon]:
    """Store and adapters for one command, beside a running daemon or without one. `mint` as in `Daemon.open`."""
    daemon = Daemon(settings, env, make=mint)
    try:
        await daemon.open(mint=mint)
        yield daemon
    finally:
        await daemon.close()


def _cannot_listen(listen: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"listen: {listen} is taken, perhaps by a bridge that runs already; stop that, or change `listen`"
    if error.errno == errno.EACCES:
        return f"listen: {listen} needs rights this process lacks; take a port above 1023 in `listen`"
    return f"listen: {listen} cannot be listened at ({error.strerror or error}); change `listen`"
