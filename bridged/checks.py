"""`bridged check`: does this bridge work, and how to mend what does not. Looks, and changes nothing."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncGenerator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path

from bridged import config, keys, registry
from bridged.adapter import Busy, EgressFailed, EgressRefused, Finding
from bridged.config import ConfigError, Settings
from bridged.daemon import Daemon, Refuse, opened
from bridged.keys import SecretError
from bridged.store.engine import Tx

CLOCK = 60.0
"""Seconds our clock may be off before others refuse what we sign."""
PATIENCE = 60.0
"""Seconds one adapter's own checks may take in all."""

_RUN = "start it with `bridged -c {file} run`"


async def findings(file: str, settings: Settings, env: Mapping[str, str] = os.environ) -> AsyncGenerator[Finding]:
    """One finding after the other, as they are found out. `file` is the config file, for what to type."""
    try:
        config.check_networks(settings, registry.networks())
        for network in settings.adapters or registry.networks():
            config.adapter_config(settings, network, registry.load(network).config_type)
    except ConfigError as wrong:
        yield Finding("config", False, str(wrong), "correct that line")
        return
    except registry.BadAdapter as bad:
        yield Finding("config", False, str(bad), "install a version of the adapter that fits, or take it out")
        return
    yield Finding("config", True, file)
    try:
        keys.load(settings.secret.file, settings.secret.env, env, make=False)
    except (SecretError, OSError) as wrong:
        mend = "put the old secret back; on a new bridge the first `bridged run` makes one"
        yield Finding("secret", False, str(wrong), mend)
        return
    yield Finding("secret", True, str(settings.secret.file or f"from {settings.secret.env}"))
    async with contextlib.AsyncExitStack() as stack:
        daemon: Daemon | None = None
        try:
            daemon = await stack.enter_async_context(opened(settings, env, mint=False))
            yield await _database(daemon)
        except (Busy, Refuse, SecretError) as wrong:
            yield Finding(
                "database", False, str(wrong).removeprefix("database: "), _mend_database(wrong).format(file=file)
            )
        if daemon is None:
            # adapters are checked all the same, on a database that is thrown away
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bridged-check-"))
            scratch = settings.model_copy(update={"store": "sqlite", "data_dir": Path(folder)})
            daemon = await stack.enter_async_context(opened(scratch, env, mint=True))
        async for finding in _reachability(file, daemon):
            yield finding
        for network, adapter in daemon.core.adapters.items():
            try:
                async with asyncio.timeout(PATIENCE):
                    found = await adapter.check()
            except TimeoutError:
                found = [Finding(network, False, f"no end after {PATIENCE:.0f} s", "try again later")]
            except Exception as error:
                # an adapter's fault must not hide what the others have to say
                found = [Finding(network, False, f"{type(error).__name__}: {error}", "this is a fault of the adapter")]
            for finding in found:
                yield finding


def _mend_database(wrong: Exception) -> str:
    if isinstance(wrong, SecretError):
        return "put the secret back that this database was made with"
    if isinstance(wrong, Busy):
        return "see that the database is up and `store` is right; a new one is set up when you " + _RUN
    return _RUN


async def _database(daemon: Daemon) -> Finding:
    """Whether it answers, and whether its tables are those of this version."""
    # slow to import, and needed by few
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from bridged.store.upgrade import CORE

    store = daemon.core.store
    folders = {"bridged_version": CORE} | {
        f"{network}_version": adapter.migrations
        for network, adapter in daemon.core.adapters.items()
        if adapter.migrations is not None
    }

    def behind(tx: Tx) -> list[str]:
        return [
            table
            for table, folder in folders.items()
            if MigrationContext.configure(tx.conn, opts={"version_table": table}).get_current_heads()
            != tuple(ScriptDirectory(str(folder)).get_heads())
        ]

    old = await store.read(behind)
    kind = "sqlite" if store.sqlite else "postgresql"
    if old:
        said = f"{kind}: tables of another version ({', '.join(sorted(old))})"
        return Finding("database", False, said, "restart the daemon with this version: it migrates")
    return Finding("database", True, f"{kind}, migrated")


async def _reachability(file: str, daemon: Daemon) -> AsyncGenerator[Finding]:
    """Asks for our own /healthz the way others come: by the public address, through the guard."""
    settings = daemon.settings
    url, what = f"{settings.base_url}/healthz", "reachability"
    try:
        answer = await daemon.http.get(url, limit=1 << 12)
    except EgressRefused as refused:
        mend = "base_url must lead to a public address; to try things out at home, let it through in `egress`"
        yield Finding(what, False, f"{url}: {refused.why}", mend)
        return
    except EgressFailed as failed:
        yield Finding(what, False, f"{url}: {failed.why}", await _mend_reachability(file, settings))
        return
    if answer.status != 200 or answer.body.strip() != b"ok":
        yield Finding(what, False, f"{url} answers {answer.status}", await _mend_reachability(file, settings))
        return
    yield Finding(what, True, url)
    with contextlib.suppress(KeyError, ValueError):
        theirs = parsedate_to_datetime(answer.headers["date"]).timestamp()
        skew = daemon.core.now() - theirs
        ok = abs(skew) <= CLOCK
        yield Finding("clock", ok, f"{skew:+.0f} s against {settings.base_url}", "" if ok else "run an NTP client")


async def _mend_reachability(file: str, settings: Settings) -> str:
    """Tells a daemon that is not up from one that cannot be reached."""
    listen = settings.listen
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)
    try:
        async with asyncio.timeout(2):
            _, writer = await asyncio.open_connection(host, listen.port)
    except (OSError, TimeoutError):
        return _RUN.format(file=file)
    writer.close()
    return (
        f"something listens at {listen}, so look at what lies between: DNS of the domain, the firewall, and the"
        " web server in front, which must pass requests on"
    )
