"""`bridged backup`, `bridged restore` and `bridged export`."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from bridged import backup as backups
from bridged import export as exports
from bridged.archive import BadArchive, Manifest, Progress, Unwritable
from bridged.cli.output import CANNOT_OPEN, NO, Failure, show
from bridged.cli.settled import carry_out
from bridged.config import Settings
from bridged.daemon import opened
from bridged.keys import SecretError


def backup(file: Path, out: Path, as_json: bool) -> int:
    async def work(settings: Settings) -> int:
        try:
            made = await backups.backup(settings, os.environ, out, _progress("saved"))
        except Unwritable as error:
            raise Failure(str(error), NO) from error
        lines = [
            f"Saved {made.rows} rows of {made.domain} in {out}.",
            f"The secret is not in it: keep {_secret(settings)} as well, and apart from it.",
        ]
        if (media := settings.data_dir / "media").is_dir():
            lines.append(f"Nor are the pictures and films in {media}: copy that folder too.")
        show(_facts(made) | {"file": str(out)}, lines, as_json)
        return 0

    return carry_out(file, work)


def restore(file: Path, source: Path, as_json: bool) -> int:
    async def work(settings: Settings) -> int:
        try:
            made = await backups.restore(settings, os.environ, source, _progress("checked and restored"))
        except FileNotFoundError as error:
            raise Failure(f"{source} is not there", NO) from error
        except (BadArchive, backups.NotEmpty) as error:
            raise Failure(str(error), NO) from error
        except SecretError as error:
            raise Failure(f"{error}; a restore needs the secret that the bridge had", CANNOT_OPEN) from error
        when = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(made.made_at))
        lines = [
            f"Restored {made.rows} rows of {made.domain}, as they were at {when}.",
            "Start the bridge: it sends again what waited then, and asks for what was said since; see docs/operating.md"
            " for what it cannot get back.",
        ]
        show(_facts(made) | {"file": str(source)}, lines, as_json)
        return 0

    return carry_out(file, work)


def export(file: Path, who: str, out: Path, as_json: bool) -> int:
    async def work(settings: Settings) -> int:
        async with opened(settings, mint=False) as daemon:
            try:
                rows = await exports.export(daemon.core, who, out)
            except exports.NoAccount as error:
                raise Failure(str(error), NO) from error
            except exports.Unwritten as error:
                raise Failure(f"{out} cannot be written: {error}", NO) from error
            lines = [f"Wrote all that is kept about {who} into {out}: {sum(rows.values())} rows."]
            show({"file": str(out), "rows": rows}, lines, as_json)
            return 0

    return carry_out(file, work)


def _facts(made: Manifest) -> dict[str, Any]:
    return {
        "domain": made.domain,
        "made_by": made.made_by,
        "made_at": made.made_at,
        "revisions": made.revisions,
        "rows": {table.name: table.rows for table in made.tables},
    }


def _secret(settings: Settings) -> str:
    return str(settings.secret.file) if settings.secret.file else f"what ${settings.secret.env} holds"


def _progress(done_so_far: str) -> Progress:
    """A line that is written over, once a second, where somebody looks on."""
    last = time.monotonic()
    shown = sys.stderr.isatty()

    def tell(done: int, of: int) -> None:
        nonlocal last
        now = time.monotonic()
        if shown and (now - last >= 1.0 or done == of):
            last = now
            share = 100 if not of else done * 100 // of
            print(f"\r{done_so_far} {share} %", end="\n" if done == of else "", file=sys.stderr, flush=True)

    return tell
