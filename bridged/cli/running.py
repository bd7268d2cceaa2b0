"""`bridged run`."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from bridged.cli.output import USAGE, Failure, show
from bridged.cli.settled import carry_out
from bridged.config import Settings
from bridged.daemon import Daemon
from bridged.processes import ROLES

SWITCH = 0.0005
"""Seconds after which a thread at work gives way. Python's 5 ms, for each thread of an SQLite store, is what the event
loop would wait at every turn; this halves the time that inboxes take to answer under load."""


def run(file: Path, roles: str | None, as_json: bool) -> int:
    chosen = _roles(roles)

    sys.setswitchinterval(SWITCH)

    async def work(settings: Settings) -> int:
        def announce(daemon: Daemon) -> None:
            if as_json or sys.stdout.isatty():
                show(_facts(daemon), welcome(file, daemon), as_json)

        await Daemon(settings, roles=chosen).run(announce)
        return 0

    return carry_out(file, work, daemon=True)


def _roles(text: str | None) -> Sequence[str]:
    """Raises Failure."""
    if text is None:
        return ROLES
    chosen = [role.strip() for role in text.split(",") if role.strip()]
    unknown = [role for role in chosen if role not in ROLES]
    if unknown or not chosen:
        raise Failure(f"--roles: {unknown[0] if unknown else text!r} is none; there are {','.join(ROLES)}", USAGE)
    return [role for role in ROLES if role in chosen]


def _facts(daemon: Daemon) -> dict[str, object]:
    settings = daemon.settings
    return {
        "ready": True,
        "base_url": settings.base_url,
        "listen": str(settings.listen),
        "bot": f"@{settings.bot.username}@{settings.domain}",
        "networks": sorted(daemon.core.adapters),
        "data_dir": str(settings.data_dir),
    }


def welcome(file: Path, daemon: Daemon) -> list[str]:
    """What is where, and what to try next."""
    settings, adapters = daemon.settings, daemon.core.adapters
    networks = sorted(adapters)
    command = _program() if file == Path("bridge.yaml") else f"{_program()} -c {file}"
    hints = [hint for network in networks for hint in adapters[network].hints()]
    return [
        "",
        f"  The bridge is up, between {' and '.join(networks)}.",
        "",
        f"  Front page   {settings.base_url}/",
        f"  Its account  @{settings.bot.username}@{settings.domain}  (following it is asking to be bridged)",
        f"  Listens at   {settings.listen}  (/healthz, /readyz, /metrics)",
        f"  Data         {settings.data_dir}  (back up the secret apart: {_secret(settings)})",
        f"  Logs         standard error; `log` in {file} sets form and level",
        "",
        "  To try next",
        *(f"  - {hint}" for hint in hints),
        f"  - Bridge somebody:     {command} add NETWORK:HANDLE   (NETWORK is {' or '.join(networks)})",
        f"  - Follow a post's way: {command} trace URL-OR-ID",
        f"  - See what is wrong:   {command} check",
        "",
        "  Ctrl-C ends it.",
        "",
    ]


def _program() -> str:
    """How this program was called, so that the next command can be copied: `make run` does it by path."""
    called = Path(sys.argv[0])
    if called.name != "bridged":
        return "python -m bridged"
    found = shutil.which("bridged")
    return "bridged" if found and Path(found).samefile(called) else str(called)


def _secret(settings: Settings) -> str:
    return str(settings.secret.file) if settings.secret.file else f"${settings.secret.env}"
