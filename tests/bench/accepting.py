"""The daemon at its web server alone: what it accepts is made durable, and decided on another day.

On PostgreSQL that is `bridged run --roles web`; on SQLite, which only one process may use, it is no use but here.
Takes the words of the command: `-c bridge.yaml run`.
"""

import asyncio
import sys

from bridged import config, logs
from bridged.daemon import Daemon


class Accepting(Daemon):
    def _only_one(self) -> None:
        """It is the only one."""


settings = config.load(sys.argv[2])
logs.configure(settings.log)
asyncio.run(Accepting(settings, roles=("web",)).run())
