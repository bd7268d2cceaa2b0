"""Loads the settings for a command, runs it, and turns what stops it into one line and an exit code."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from bridged import config, logs
from bridged.adapter import Busy
from bridged.cli.output import CANNOT_OPEN, USAGE, Failure
from bridged.config import ConfigError, Log, Settings
from bridged.daemon import Refuse
from bridged.keys import SecretError
from bridged.registry import BadAdapter

Work = Callable[[Settings], Awaitable[int]]


def settings_of(file: Path) -> Settings:
    """Raises Failure."""
    if not file.exists():
        raise Failure(f"{file} is not there; name a config file with -c, or write one with `bridged init`", USAGE)
    try:
        return config.load(file)
    except ConfigError as error:
        raise Failure(str(error), USAGE) from error


def carry_out(file: Path, work: Work, *, daemon: bool = False) -> int:
    """Runs `work`; its exit code. Commands log only warnings. Raises Failure."""
    settings = settings_of(file)
    logs.configure(settings.log if daemon else Log(format="console", level="warning"))
    try:
        return asyncio.run(_whole(work, settings))
    except ConfigError as error:
        raise Failure(str(error), USAGE) from error
    except (BadAdapter, SecretError, Refuse) as error:
        raise Failure(str(error), CANNOT_OPEN) from error
    except Busy as error:
        raise Failure(
            f"{error.why} (is `store` right, the database up, and was `bridged run` started once?)", CANNOT_OPEN
        ) from error
    except PermissionError as error:
        raise Failure(f"no right to use {error.filename}; run as the user the bridge runs as", CANNOT_OPEN) from error


async def _whole(work: Work, settings: Settings) -> int:
    return await work(settings)
